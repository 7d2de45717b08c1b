package remote

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// What names may be, as in nix/lib/deploy.nix.
var (
	nodeName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	userName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,30}$`)
	address   = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9.:%_-]*$`)
	plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
	publicKey = regexp.MustCompile(`^([a-z0-9@.-]+) ([A-Za-z0-9+/=]+)( [^[:cntrl:]]*)?$`)
	storePath = regexp.MustCompile(`^/nix/store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+$`)
	digits    = regexp.MustCompile(`^[0-9]+$`)
	letter    = regexp.MustCompile(`[A-Za-z]`)
)

func isNodeName(s string) bool  { return nodeName.MatchString(s) && letter.MatchString(s) }
func isUserName(s string) bool  { return userName.MatchString(s) && !digits.MatchString(s) }
func isAddress(s string) bool   { return address.MatchString(s) }
func isPlainPath(s string) bool { return plainPath.MatchString(s) && !strings.Contains(s, "/..") }
func isStorePath(s string) bool { return storePath.MatchString(s) }

// hostKeyOf returns type and key of a public key, without its comment.
func hostKeyOf(line string) (string, bool) {
	m := publicKey.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	// The key says once more of what type it is.
	blob, err := base64.StdEncoding.DecodeString(m[2])
	if err != nil || len(blob) < 4 {
		return "", false
	}
	size := binary.BigEndian.Uint32(blob)
	if blob = blob[4:]; uint64(size) > uint64(len(blob)) || string(blob[:size]) != m[1] {
		return "", false
	}
	return m[1] + " " + m[2], true
}

// A RefusedError says that something of the plan cannot be given to ssh, to a
// shell or to sudo.
type RefusedError struct {
	Node    string
	Problem string
	Advice  string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("node %q: %s", e.Node, e.Problem) }

// Hint says what to do.
func (e *RefusedError) Hint() string { return e.Advice }

// checkNode refuses a node that cannot be written into an ssh_config.
func checkNode(n deploy.Node) error {
	refuse := func(problem, advice string) error { return &RefusedError{n.Name, problem, advice} }
	switch option := fmt.Sprintf("provider.nodes.%q", n.Name); {
	case !isNodeName(n.Name):
		return refuse("this is no name for a node", "use labels of letters, digits and hyphens, with dots between them and a letter in one of them")
	case !isAddress(n.Address):
		return refuse(fmt.Sprintf("its address is %q, neither a host name nor an IP address", n.Address), "set "+option+".address, and run `mage plan`")
	case n.Port < 0 || n.Port > 65535:
		return refuse(fmt.Sprintf("its port is %d", n.Port), "set "+option+".sshPort to one of 1 to 65535, and run `mage plan`")
	case !isUserName(n.User):
		return refuse(fmt.Sprintf("the deploy user is %q, which is no user name", n.User), "set provider.deployUser to a name of a-z, 0-9, - and _, and run `mage plan`")
	}
	if n.HostKey != "" {
		if _, ok := hostKeyOf(n.HostKey); !ok {
			return refuse(fmt.Sprintf("its hostKey is %q, which is no public key", n.HostKey), fmt.Sprintf("set provider.nodes.%q.hostKey to the line that `ssh-keyscan -t ed25519 HOST` prints, without the host", n.Name))
		}
	}
	return nil
}

// checkProfile refuses a profile that no command may be made of.
func checkProfile(node string, p deploy.Profile) error {
	var problem string
	switch {
	case !p.IsSystem() && !isUserName(p.Name):
		problem = fmt.Sprintf("the profile %q has no user's name", p.Name)
	case !isUserName(p.User):
		problem = fmt.Sprintf("the profile %s is activated as %q, which is no user name", p.Name, p.User)
	case !isPlainPath(p.Link):
		problem = fmt.Sprintf("the profile %s is at %q, which is no plain absolute path", p.Name, p.Link)
	case !isPlainPath(p.Temp):
		problem = fmt.Sprintf("the profile %s has the tempPath %q, which is no plain absolute path", p.Name, p.Temp)
	default:
		return nil
	}
	return &RefusedError{node, problem, "run `mage plan`: generated/plan.json is not to be written by hand"}
}
