package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// A Machine is a node before its first deploy, for [StartBare].
type Machine struct{ Name, Address string }

// StartBare starts machines as an installer leaves them, with sshd, sudo, Nix and
// the deploy user, and without environments. They are for a program that called
// [Enter], and have no provider: activating a system makes the users.
// The deploy user may run any command as any user, where a real node allows only
// those of nix/modules/sudo.nix. activateRS is as in [Options].
func StartBare(activateRS string, machines ...Machine) (*Fleet, error) {
	if !Inside() {
		return nil, errors.New("bare machines run in the namespaces of fleet.Enter")
	}
	one.Lock()
	f := &Fleet{options: Options{Nodes: len(machines), ActivateRS: activateRS}}
	if err := f.startBare(machines); err != nil {
		f.End()
		return nil, fmt.Errorf("start machines: %w", err)
	}
	return f, nil
}

func (f *Fleet) startBare(machines []Machine) (err error) {
	if f.dir, err = os.MkdirTemp(rootDir, "fleet-"); err != nil {
		return err
	}
	if err := os.Chmod(f.dir, 0o755); err != nil {
		return err
	}
	f.env = f.environment(os.Getenv("PATH"))
	if err := errors.Join(f.keys(), f.makeActivateRS()); err != nil {
		return err
	}
	template, err := storeTemplate()
	if err != nil {
		return err
	}
	hosts, err := os.OpenFile("/etc/hosts", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer hosts.Close()
	for _, m := range machines {
		if out, err := exec.Command("ip", "address", "add", m.Address+"/32", "dev", "lo").CombinedOutput(); err != nil {
			return fmt.Errorf("ip address add %s: %w: %s", m.Address, err, out)
		}
		if _, err := fmt.Fprintf(hosts, "%s %s\n", m.Address, m.Name); err != nil {
			return err
		}
		n, err := newNode(f, m.Name, m.Address, m.Address)
		if err != nil {
			return err
		}
		f.Nodes = append(f.Nodes, n)
	}
	const sudoers = "Defaults secure_path=\"" + nodePath + "\"\nroot ALL=(ALL:ALL) SETENV: ALL\n" + DeployUser + " ALL=(ALL:ALL) NOPASSWD: ALL\n"
	return f.each(func(n *Node) error { return n.boot(template, sudoers) })
}
