package deploy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// oneWord matches an option of ssh that Nix does not split.
var oneWord = regexp.MustCompile(`^[^\s\x00-\x1f\x7f]+$`)

// ActivationLogs describes, for hints, where a node keeps the logs of activations.
const ActivationLogs = "/var/log/hostenv/activation, or ~/.local/state/hostenv/activation of the environment's user"

// Planned returns the nodes of a plan, sorted by name, with their profiles: the
// system and the enabled environments. The store paths are in the flake, see [Fill].
// A node that has only a connection has no profiles: environments leave it.
//
// Planned refuses names that are unsafe in a command, and a plan that contradicts
// itself. The error holds every problem.
func Planned(d plan.Document) ([]Node, error) {
	var errs problem.List
	if !isUserName(d.DeployUser) {
		errs.Addf("plan.deployUser", "set provider.deployUser to a name of a-z, 0-9, - and _, and run `mage plan`", "is %q, which is not a user name", d.DeployUser)
	}
	if host, err := names.ParseHost(d.HostenvHostname); err != nil || string(host) != d.HostenvHostname {
		errs.Addf("plan.hostenvHostname", byHand, "is %q, which is not a host name", d.HostenvHostname)
	}
	nodes := map[string]*Node{}
	for _, name := range slices.Sorted(maps.Keys(d.NodeConnections)) {
		_, own := d.Nodes[name]
		errs.Add(checkNodeName(name, own))
		n := connected(name, d.NodeConnections[name], &errs)
		n.User, n.PublicName = d.DeployUser, name+"."+d.HostenvHostname
		if own {
			n.Profiles = []Profile{{Node: name, Name: SystemProfile, User: "root", Link: d.NodeConnections[name].ProfileLink, Temp: n.TempPath, Limit: seconds(d.NodeConnections[name].ActivationTimeout)}}
		}
		nodes[name] = &n
	}
	for _, user := range slices.Sorted(maps.Keys(d.Environments)) {
		e := d.Environments[user]
		if !e.Runs() {
			continue
		}
		paths := d.Profiles[user]
		checkEnvironment(user, e, d.DeployUser, &errs)
		checkProfile(user, paths, &errs)
		_, own := d.Nodes[e.Node]
		if !own {
			errs.Addf(fmt.Sprintf("plan.environments.%q", user), byHand, "is on the node %q, which is not in the plan", e.Node)
		} else if n, reached := nodes[e.Node]; reached {
			n.Profiles = append(n.Profiles, Profile{
				Node: e.Node, Name: user, User: user, UID: e.UID, Formerly: e.FormerNames, Link: paths.ProfileLink, Temp: paths.TempPath,
				Limit: seconds(paths.ActivationTimeout),
			})
		}
	}
	for _, name := range d.NodeNames() {
		if nodes[name] == nil {
			errs.Add(checkNodeName(name, true))
			errs.Addf(fmt.Sprintf("plan.nodes.%q", name), "run `mage plan`", "is a node, but the plan does not say how it is reached")
		}
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	sorted := make([]Node, 0, len(nodes))
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		sorted = append(sorted, *nodes[name])
	}
	return sorted, nil
}

// older is the hint for a plan that an older version wrote.
const older = "run `mage plan -locked`, which adds them and keeps the commits of the last plan"

const byHand = "run `mage plan`: do not edit generated/plan.json by hand"

func checkNodeName(name string, own bool) error {
	if _, err := names.ParseNode(name); err == nil {
		return nil
	}
	where := "nodeConnections"
	if own {
		where = "nodes"
	}
	return problem.New(fmt.Sprintf("plan.%s.%q", where, name), "is not the name of a node that can be deployed to",
		"use labels of letters, digits and hyphens, with dots between them and a letter in one of them")
}

func isUserName(name string) bool {
	_, err := names.ParseUser(name)
	return err == nil
}

// connected returns a node with the settings of its connection.
func connected(name string, c plan.Connection, errs *problem.List) Node {
	where := fmt.Sprintf("plan.nodeConnections.%q", name)
	set := func(option string) string {
		return fmt.Sprintf("set provider.nodes.%q.%s, and run `mage plan`", name, option)
	}
	if c.System == "" || c.ProfileLink == "" || c.TempPath == "" || c.RemoteBuild == nil || c.AutoRollback == nil || c.MagicRollback == nil || c.ActivationTimeout == 0 {
		errs.Addf(where, older, "does not have all of system, profileLink, tempPath, remoteBuild, autoRollback, magicRollback and activationTimeout")
		return Node{Name: name}
	}
	n := Node{
		Name: name, Address: c.Hostname, Port: c.SSHPort, HostKey: c.HostKey, SSHOptions: c.SSHOpts, Platform: c.System, TempPath: c.TempPath,
		Activations: c.Activations, RemoteBuild: *c.RemoteBuild, AutoRollback: *c.AutoRollback, MagicRollback: *c.MagicRollback,
	}
	if address, err := names.ParseAddress(n.Address); err != nil || string(address) != n.Address {
		errs.Addf(where+".hostname", set("address"), "is %q, neither a host name nor an IP address", n.Address)
	}
	if n.Port < 0 || n.Port > 65535 || n.Port == 0 && c.Carried.Get("sshPort") != nil {
		errs.Addf(where+".sshPort", set("sshPort"), "is %d, which is not a port", n.Port)
	}
	if _, err := names.ParsePublicKey(n.HostKey); n.HostKey != "" && err != nil {
		errs.Addf(where+".hostKey", set("hostKey")+": the line that `ssh-keyscan -t ed25519 HOST` prints, without the host", "is %q, which is not a public key: %v", n.HostKey, err)
	}
	if _, err := names.ParseSystem(n.Platform); err != nil {
		errs.Addf(where+".system", set("system"), "is %q: %v", n.Platform, err)
	}
	checkLimit(where, c.ActivationTimeout, errs)
	checkPath(where+".profileLink", c.ProfileLink, byHand, errs)
	checkPath(where+".tempPath", n.TempPath, set("tempPath")+" to one of letters, digits, dots, hyphens and slashes", errs)
	for _, option := range n.SSHOptions {
		if !oneWord.MatchString(option) {
			errs.Addf(where+".sshOpts", set("sshOpts")+`: [ "-o" "Option=value" ] with a value without spaces`, "holds %q, and every option must be one word", option)
		}
	}
	return n
}

func checkPath(where, path, fix string, errs *problem.List) {
	if _, err := names.ParsePlainPath(path); err != nil {
		errs.Addf(where, fix, "is %q, which is not a plain absolute path", path)
	}
}

// checkEnvironment refuses values that are unsafe in a command.
func checkEnvironment(user string, e plan.Environment, deployUser string, errs *problem.List) {
	where := fmt.Sprintf("plan.environments.%q", user)
	if !isUserName(user) {
		errs.Addf(where, byHand, "is not the name of a user")
	}
	for _, name := range e.FormerNames {
		if !isUserName(name) {
			errs.Addf(where+".formerNames", byHand, "holds %q, which is not the name of a user", name)
		}
	}
	if slices.Contains([]string{"root", SystemProfile, deployUser}, user) {
		errs.Addf(where, byHand, "cannot be the user %s", user)
	}
	if name := e.Hostenv.UserName; name != "" && name != user {
		errs.Addf(where, byHand, "has the hostenv.userName %q", name)
	}
	if e.UID <= 0 {
		errs.Addf(where, byHand, "has no uid")
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// mostLimit is the longest limit of an activation, in seconds.
const mostLimit = 6 * 60 * 60

func checkLimit(where string, n int, errs *problem.List) {
	if n < 0 || n > mostLimit {
		errs.Addf(where+".activationTimeout", "set provider.activationTimeout, and run `mage plan`", "is %d, and must be between 1 and %d", n, mostLimit)
	}
}

// checkProfile refuses a profile whose paths are missing or unsafe in a command.
func checkProfile(user string, p plan.Profile, errs *problem.List) {
	where := fmt.Sprintf("plan.profiles.%q", user)
	if p.ProfileLink == "" || p.TempPath == "" || p.ActivationTimeout == 0 {
		errs.Addf(where, older, "does not have all of profileLink, tempPath and activationTimeout")
		return
	}
	checkPath(where+".profileLink", p.ProfileLink, byHand, errs)
	checkPath(where+".tempPath", p.TempPath, byHand, errs)
	checkLimit(where, p.ActivationTimeout, errs)
}
