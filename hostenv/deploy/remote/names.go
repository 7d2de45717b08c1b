package remote

import (
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func isUserName(s string) bool {
	_, err := names.ParseUser(s)
	return err == nil
}

func isPlainPath(s string) bool {
	_, err := names.ParsePlainPath(s)
	return err == nil
}

// isStorePath reports whether s is a path in a node's store, /nix/store.
func isStorePath(s string) bool {
	p, err := names.ParseStorePath(s)
	return err == nil && p.Dir() == names.Store
}

// refused returns the error for a value of the plan that ssh, a shell or sudo must
// not get.
func refused(node, text, fix string) error {
	return problem.New(fmt.Sprintf("node %q:", node), text, fix)
}

// checkNode refuses a node that cannot be written into an ssh_config.
func checkNode(n deploy.Node) error {
	refuse := func(problem, advice string) error { return refused(n.Name, problem, advice) }
	_, badName := names.ParseNode(n.Name)
	_, badAddress := names.ParseAddress(n.Address)
	switch option := fmt.Sprintf("provider.nodes.%q", n.Name); {
	case badName != nil:
		return refuse("this is not a valid name for a node", "use labels of letters, digits and hyphens, with dots between them and a letter in one of them")
	case badAddress != nil:
		return refuse(fmt.Sprintf("its address is %q, neither a host name nor an IP address", n.Address), "set "+option+".address, and run `mage plan`")
	case n.Port < 0 || n.Port > 65535:
		return refuse(fmt.Sprintf("its port is %d", n.Port), "set "+option+".sshPort to one of 1 to 65535, and run `mage plan`")
	case !isUserName(n.User):
		return refuse(fmt.Sprintf("the deploy user is %q, which is not a user name", n.User), "set provider.deployUser to a name of a-z, 0-9, - and _, and run `mage plan`")
	}
	if n.HostKey != "" {
		key, err := names.ParsePublicKey(n.HostKey)
		if err == nil {
			err = key.Check()
		}
		if err != nil {
			return refuse(fmt.Sprintf("its hostKey is %q, which is not a public key", n.HostKey), fmt.Sprintf("set provider.nodes.%q.hostKey to the line that `ssh-keyscan -t ed25519 HOST` prints, without the host", n.Name))
		}
	}
	return nil
}

// checkProfile refuses a profile whose names or paths must not become part of a
// command.
func checkProfile(node string, p deploy.Profile) error {
	var text string
	switch {
	case !p.IsSystem() && !isUserName(p.Name):
		text = fmt.Sprintf("the profile %q does not have the name of a user", p.Name)
	case !isUserName(p.User):
		text = fmt.Sprintf("the profile %s is activated as %q, which is not a user name", p.Name, p.User)
	case !isPlainPath(p.Link):
		text = fmt.Sprintf("the profile %s is at %q, which is not a plain absolute path", p.Name, p.Link)
	case !isPlainPath(p.Temp):
		text = fmt.Sprintf("the profile %s has the tempPath %q, which is not a plain absolute path", p.Name, p.Temp)
	default:
		return nil
	}
	return refused(node, text, "run `mage plan`: do not edit generated/plan.json by hand")
}
