package deployrs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Names in the folder that deploy-rs runs in. The flake has a folder of its own,
// because Nix copies the whole folder into the store.
const (
	flakeDir  = "flake"
	configRef = "ssh_config"
	outputLog = "output"
)

// flakeText is a flake without inputs, so that Nix has nothing to lock.
const flakeText = `{ outputs = _: { deploy = builtins.fromJSON (builtins.readFile ./deploy.json); }; }
`

// The flake output `deploy` for one profile, as src/data.rs of deploy-rs reads it.
// deploy-rs ignores fields that it does not know.
type (
	document struct {
		Nodes map[string]documentNode `json:"nodes"`
	}
	documentNode struct {
		Hostname    string                     `json:"hostname"`
		SSHOpts     []string                   `json:"sshOpts"`
		Profiles    map[string]documentProfile `json:"profiles"`
		RemoteBuild bool                       `json:"remoteBuild"`
	}
	documentProfile struct {
		Path              string `json:"path"`
		User              string `json:"user"`
		SSHUser           string `json:"sshUser"`
		ProfilePath       string `json:"profilePath"`
		TempPath          string `json:"tempPath"`
		FastConnection    bool   `json:"fastConnection"`
		AutoRollback      bool   `json:"autoRollback"`
		MagicRollback     bool   `json:"magicRollback"`
		ConfirmTimeout    uint16 `json:"confirmTimeout"`
		ActivationTimeout uint16 `json:"activationTimeout"`
		InteractiveSudo   bool   `json:"interactiveSudo"`
	}
)

// document returns the JSON that deploy-rs reads.
//
// The ssh_config holds all settings of ssh. Its name has no spaces, because Nix
// splits the options at spaces. ssh never shares a connection. Over an old one
// deploy-rs would confirm a node that accepts no new connections any more, and a
// shared connection of this process would end with it.
//
// If there is no path to go back to, magic rollback is off too: without a
// confirmation it goes back even if autoRollback is off.
//
// fastConnection stops the node from asking its caches for paths that it has.
func (a *Activator) document(n deploy.Node, p deploy.Profile, rollback, remoteBuild bool) []byte {
	text, err := json.MarshalIndent(document{Nodes: map[string]documentNode{n.Name: {
		Hostname:    n.Name,
		SSHOpts:     []string{"-F", configRef, "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes"},
		RemoteBuild: remoteBuild,
		Profiles: map[string]documentProfile{p.Name: {
			Path:              p.Path,
			User:              p.User,
			SSHUser:           n.User,
			ProfilePath:       p.Link,
			TempPath:          p.Temp,
			FastConnection:    true,
			AutoRollback:      rollback && n.AutoRollback,
			MagicRollback:     rollback && n.MagicRollback,
			ConfirmTimeout:    seconds(a.ConfirmTimeout),
			ActivationTimeout: seconds(a.ActivationTimeout),
		}},
	}}}, "", "  ")
	if err != nil {
		panic(err) // it holds only strings, numbers and booleans
	}
	return append(text, '\n')
}

// seconds converts a duration for deploy-rs, which has 16 bits for it.
func seconds(d time.Duration) uint16 {
	return uint16(min(max((d+time.Second-1)/time.Second, 0), 1<<16-1))
}

func writeFlake(dir, config string, document []byte) error {
	flake := filepath.Join(dir, flakeDir)
	if err := os.Mkdir(flake, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(flake, "flake.nix"), []byte(flakeText), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(flake, "deploy.json"), document, 0o600); err != nil {
		return err
	}
	return os.Symlink(config, filepath.Join(dir, configRef))
}
