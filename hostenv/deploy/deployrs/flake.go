package deployrs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Names in the folder that deploy-rs runs in. The flake has a folder of its own,
// for Nix copies the whole of it into the store.
const (
	flakeDir  = "flake"
	configRef = "ssh_config"
	outputLog = "output"
)

// flakeText is a flake without inputs, so that there is nothing to lock.
const flakeText = `{ outputs = _: { deploy = builtins.fromJSON (builtins.readFile ./deploy.json); }; }
`

// deploy-rs's `deploy` output, of one profile (src/data.rs). It ignores what it
// does not know.
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

// document is what deploy-rs reads.
//
// ssh's options: everything is in the configuration, by a name without spaces,
// for Nix splits them at each. No connection that is there already is used, nor
// one left behind: a node that has cut itself off is confirmed over its old ones
// all the same, and one that belongs to this process would end with it.
//
// Without anything to go back to there is no magic rollback, either: when it is
// not confirmed it rolls back whatever autoRollback is.
//
// fastConnection keeps the node from asking its caches for what it has.
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
		panic(err) // there is nothing in it but strings, numbers and booleans
	}
	return append(text, '\n')
}

// seconds is what deploy-rs has for a duration: 16 bits.
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
