package deploy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// oneWord is an option of ssh that Nix does not split.
var oneWord = regexp.MustCompile(`^[^\s\x00-\x1f\x7f]+$`)

// Where things are on a node, as nix/lib/paths.nix has it.
const (
	systemLink = "/nix/var/nix/profiles/system"
	tempFolder = "/run/hostenv/deploy"
)

func userLink(user string) string { return "/nix/var/nix/profiles/per-user/" + user + "/hostenv" }

// Planned returns the nodes of a plan by name, with their profiles: the system
// and the enabled environments. Store paths are the flake's to say, see [Fill].
// A node that the plan only says how to reach has no profiles: environments come
// from it, and nothing is deployed to it.
//
// Names that could do harm where they are used are refused, and so is a plan
// that does not hang together: all that is wrong at once, each a
// *[plan.InputError].
func Planned(d plan.Document) ([]Node, error) {
	d, err := plan.DecodeDocument(d.Encode()) // one that was just computed has other types
	if err != nil {
		return nil, err
	}
	r := &planReader{document: d.Value()}
	deployUser := r.deployUser()
	domain := r.text(r.document, "plan", "hostenvHostname", "")
	if host, err := names.ParseHost(domain); err != nil || string(host) != domain {
		r.refuse("plan.hostenvHostname", byHand, "is %q, which is no host name", domain)
	}
	connections := r.object(r.document, "plan", "nodeConnections")
	nodes := map[string]*Node{}
	own := r.object(r.document, "plan", "nodes")
	all := maps.Clone(own)
	maps.Copy(all, connections)
	for name := range all {
		if _, err := names.ParseNode(name); err != nil {
			r.refuse(fmt.Sprintf("plan.%s.%q", where(own, name), name), "use labels of letters, digits and hyphens, with dots between them and a letter in one of them",
				"is no name of a node that can be deployed to")
		}
		if _, there := connections[name]; !there {
			r.refuse(fmt.Sprintf("plan.nodes.%q", name), "run `mage plan`", "is a node of which the plan does not say how it is reached")
			continue
		}
		n := r.node(name, r.object(connections, "plan.nodeConnections", name))
		n.User, n.PublicName = deployUser, name+"."+domain
		if _, there := own[name]; there {
			n.Profiles = []Profile{{Node: name, Name: SystemProfile, User: "root", Link: systemLink, Temp: n.TempPath}}
		}
		nodes[name] = &n
	}
	environments := r.object(r.document, "plan", "environments")
	for _, user := range slices.Sorted(maps.Keys(environments)) {
		p, enabled := r.profile(user, deployUser, r.object(environments, "plan.environments", user))
		if !enabled {
			continue
		}
		n, there := nodes[p.Node]
		if _, named := own[p.Node]; !there || !named {
			if !named {
				r.refuse(fmt.Sprintf("plan.environments.%q", user), byHand, "is on the node %q, which the plan does not have", p.Node)
			}
			continue
		}
		p.Temp = n.TempPath + "/" + user
		n.Profiles = append(n.Profiles, p)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	sorted := make([]Node, 0, len(nodes))
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		sorted = append(sorted, *nodes[name])
	}
	return sorted, nil
}

// where is the part of a plan that names a node.
func where(nodes map[string]any, name string) string {
	if _, there := nodes[name]; there {
		return "nodes"
	}
	return "nodeConnections"
}

const byHand = "run `mage plan`: generated/plan.json is not to be written by hand"

// A planReader reads a plan and notes all that is wrong in it.
type planReader struct {
	document map[string]any
	problems map[plan.InputError]bool
}

func (r *planReader) refuse(where, remedy, problem string, args ...any) {
	if r.problems == nil {
		r.problems = map[plan.InputError]bool{}
	}
	r.problems[plan.InputError{Where: where, Problem: fmt.Sprintf(problem, args...), Remedy: remedy}] = true
}

func (r *planReader) err() error {
	sorted := slices.SortedFunc(maps.Keys(r.problems), func(a, b plan.InputError) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Problem, b.Problem))
	})
	errs := make([]error, len(sorted))
	for i := range sorted {
		errs[i] = &sorted[i]
	}
	return errors.Join(errs...)
}

// of reads a member of an object, which may be missing.
func of[T any](r *planReader, from map[string]any, where, name string, missing T) T {
	v, there := from[name]
	if !there || v == nil {
		return missing
	}
	value, ok := v.(T)
	if !ok {
		r.refuse(where+"."+name, byHand, "is %v, not %s", v, kinds[fmt.Sprintf("%T", missing)])
		return missing
	}
	return value
}

// kinds says what JSON calls the types that its decoder makes.
var kinds = map[string]string{
	"map[string]interface {}": "an object", "[]interface {}": "a list", "string": "text", "bool": "true or false", "int64": "a whole number",
}

func (r *planReader) object(from map[string]any, where, name string) map[string]any {
	return of(r, from, where, name, map[string]any{})
}

func (r *planReader) text(from map[string]any, where, name, missing string) string {
	return of(r, from, where, name, missing)
}

func (r *planReader) deployUser() string {
	user := r.text(r.document, "plan", "deployUser", "")
	if !isUserName(user) {
		r.refuse("plan.deployUser", "set provider.deployUser to a name of a-z, 0-9, - and _, and run `mage plan`", "is %q, which is no user name", user)
	}
	return user
}

func isUserName(name string) bool {
	_, err := names.ParseUser(name)
	return err == nil
}

// node reads how a node is reached.
func (r *planReader) node(name string, connection map[string]any) Node {
	where := fmt.Sprintf("plan.nodeConnections.%q", name)
	set := func(option string) string {
		return fmt.Sprintf("set provider.nodes.%q.%s, and run `mage plan`", name, option)
	}
	n := Node{
		Name:        name,
		Address:     r.text(connection, where, "hostname", ""),
		Port:        int(of(r, connection, where, "sshPort", int64(0))),
		HostKey:     r.text(connection, where, "hostKey", ""),
		Platform:    r.text(connection, where, "system", "x86_64-linux"),
		TempPath:    r.text(connection, where, "tempPath", tempFolder),
		RemoteBuild: of(r, connection, where, "remoteBuild", false),
		// What deploy-rs does where nothing is said.
		AutoRollback:  of(r, connection, where, "autoRollback", true),
		MagicRollback: of(r, connection, where, "magicRollback", true),
	}
	if address, err := names.ParseAddress(n.Address); err != nil || string(address) != n.Address {
		r.refuse(where+".hostname", set("address"), "is %q, neither a host name nor an IP address", n.Address)
	}
	if _, there := connection["sshPort"]; there && (n.Port < 1 || n.Port > 65535) {
		r.refuse(where+".sshPort", set("sshPort"), "is %d, which is no port", n.Port)
	}
	if n.HostKey != "" {
		if _, err := names.ParsePublicKey(n.HostKey); err != nil {
			r.refuse(where+".hostKey", set("hostKey")+": the line that `ssh-keyscan -t ed25519 HOST` prints, without the host", "is %q, which is no public key: %v", n.HostKey, err)
		}
	}
	if _, err := names.ParseSystem(n.Platform); err != nil {
		r.refuse(where+".system", set("system"), "is %q: %v", n.Platform, err)
	}
	if _, err := names.ParsePlainPath(n.TempPath); err != nil {
		r.refuse(where+".tempPath", set("tempPath")+" to one of letters, digits, dots, hyphens and slashes", "is %q, which is no plain absolute path", n.TempPath)
	}
	for _, v := range of(r, connection, where, "sshOpts", []any{}) {
		option, ok := v.(string)
		if !ok || !oneWord.MatchString(option) {
			r.refuse(where+".sshOpts", set("sshOpts")+`: [ "-o" "Option=value" ] with a value without spaces`, "holds %#v, and every option must be one word", v)
		}
		n.SSHOptions = append(n.SSHOptions, option)
	}
	return n
}

// profile reads an environment; one that is disabled has no profile.
func (r *planReader) profile(user, deployUser string, environment map[string]any) (p Profile, enabled bool) {
	where := fmt.Sprintf("plan.environments.%q", user)
	if !of(r, environment, where, "enable", true) {
		return p, false
	}
	p = Profile{
		Node: r.text(environment, where, "node", ""),
		Name: user,
		User: user,
		UID:  int(of(r, environment, where, "uid", int64(0))),
		Link: userLink(user),
	}
	if !isUserName(user) {
		r.refuse(where, byHand, "is no name of a user")
	}
	for _, v := range of(r, environment, where, "formerNames", []any{}) {
		name, ok := v.(string)
		if !ok || !isUserName(name) {
			r.refuse(where+".formerNames", byHand, "holds %#v, which is no name of a user", v)
		}
		p.Formerly = append(p.Formerly, name)
	}
	if slices.Contains([]string{"root", SystemProfile, deployUser}, user) {
		r.refuse(where, byHand, "cannot be the user %s", user)
	}
	if name := r.text(r.object(environment, where, "hostenv"), where+".hostenv", "userName", user); name != user {
		r.refuse(where, byHand, "has the hostenv.userName %q", name)
	}
	if p.UID <= 0 {
		r.refuse(where, byHand, "has no uid")
	}
	return p, true
}
