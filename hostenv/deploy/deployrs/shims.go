package deployrs

import (
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

var (
	//go:embed nix.sh
	nixShim []byte
	//go:embed ssh.sh
	sshShim []byte
)

// binDir has programs that take the place of others for deploy-rs. deploy-rs starts
// them by their names; this machine's Nix is not asked, so that its version does not
// matter: deploy-rs up to d5eff7f misreads what Nix prints from 2.33 on.
const binDir = "bin"

// writeShims writes the programs, and the answers of nix for one profile.
func writeShims(dir string, p deploy.Profile) error {
	// deploy-rs asks for the derivation only to name it in the questions that follow.
	drv := p.Derivation
	if drv == "" {
		drv = p.Path + ".drv"
	}
	derivation, err := json.Marshal(map[string]any{drv: map[string]any{"outputs": map[string]any{"out": map[string]any{"path": p.Path}}}})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"derivation": []byte(drv + "\n"), "derivation.json": append(derivation, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, binDir), 0o700); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"nix": nixShim, "ssh": sshShim} {
		// A process that is forked for another activation keeps this file open until its
		// exec. Until then the kernel refuses to run the file (ETXTBSY), and deploy-rs
		// would find the real program instead. So no fork may happen now.
		syscall.ForkLock.RLock()
		err := os.WriteFile(filepath.Join(dir, binDir, name), text, 0o700)
		syscall.ForkLock.RUnlock()
		if err != nil {
			return err
		}
	}
	return nil
}
