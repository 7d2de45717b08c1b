package fleet

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

//go:embed sudoers.nix
var sudoersNix []byte

// repository returns the path of this repository, from the path of this source file.
func repository() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", "..")
	if _, err := os.Stat(filepath.Join(dir, "nix", "modules", "sudo.nix")); !ok || err != nil {
		return "", errors.Join(errors.New("the repository is not where it was built"), err)
	}
	return dir, nil
}

// sudoers returns each node's sudoers(5), as nix/modules/sudo.nix has them.
func (f *Fleet) sudoers() (map[string]string, error) {
	dir, err := repository()
	if err != nil {
		return nil, err
	}
	nodes := map[string][]string{}
	for _, n := range f.Nodes {
		nodes[n.Name] = []string{}
		for user := range n.users {
			nodes[n.Name] = append(nodes[n.Name], user)
		}
	}
	users, err := json.Marshal(nodes)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(f.dir, "sudoers.nix")
	if err := os.WriteFile(file, sudoersNix, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("nix-instantiate", "--eval", "--strict", "--json", file,
		"--arg", "repository", dir, "--argstr", "deployUser", DeployUser, "--arg", "nodes", fmt.Sprintf("builtins.fromJSON ''%s''", users))
	cmd.Env = f.environment(os.Getenv("PATH"))
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var rules map[string]string
	return rules, json.Unmarshal([]byte(out), &rules)
}
