package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// Where Nix itself lies below /nix, as its installer leaves it, every store here is
// a layer over the machine's: the programs are there, and no path of them is valid,
// for each store has a database of its own.
const (
	machineNix = rootDir + "/machine-nix"
	machineBin = rootDir + "/machine-bin" // links to its programs
)

func isLayered() bool {
	_, err := os.Stat(machineNix)
	return err == nil
}

// keepMachineNix keeps the machine's /nix, if Nix is in it, before another one is
// mounted there, and links its programs: the links of profiles would be gone.
func keepMachineNix() error {
	nix, err := filepath.EvalSymlinks(testenv.Find("nix"))
	if err != nil || !strings.HasPrefix(nix, "/nix/") {
		return err
	}
	for _, dir := range []string{machineNix, machineBin} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range append(append([]string{"bash", "curl"}, counted...), software...) {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		link := filepath.Join(machineBin, name)
		if path, err = filepath.EvalSymlinks(path); err != nil || !strings.HasPrefix(path, "/nix/") || isFile(link) {
			continue
		}
		if err := os.Symlink(path, link); err != nil {
			return err
		}
	}
	if err := os.Setenv("PATH", machineBin+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	return bind("/nix", machineNix)
}

// mountNix mounts a store of its own at a folder, of so many bytes if size is not
// 0, with what template holds.
func mountNix(at, template string, size int64) error {
	options := "mode=0755"
	if size > 0 {
		options = fmt.Sprintf("%s,size=%d", options, size)
	}
	upper, layer := at, at+"-layer"
	if at == "/nix" {
		layer = rootDir + "/nix-layer"
	}
	if isLayered() {
		upper = layer + "/upper"
		if err := os.MkdirAll(layer, 0o755); err != nil {
			return err
		}
		if err := mount("tmpfs", layer, "tmpfs", options); err != nil {
			return err
		}
		for _, dir := range []string{layer + "/work", upper + "/var"} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Setxattr(upper+"/var", "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("make %s/var opaque: %w", upper, err)
		}
	} else if err := mount("tmpfs", at, "tmpfs", options); err != nil {
		return err
	}
	if template != "" {
		if out, err := exec.Command("cp", "-a", template+"/.", upper).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	if !isLayered() {
		return nil
	}
	return mount("overlay", at, "overlay", "lowerdir="+machineNix+",upperdir="+upper+",workdir="+layer+"/work")
}
