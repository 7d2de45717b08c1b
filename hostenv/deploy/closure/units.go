package closure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// A Plan is what an evaluation reads of the plan, besides the nodes.
type Plan struct {
	Text         []byte                     // plan.json
	Environments map[string]nix.Environment // by user name
}

// A unit is a profile that is evaluated alone, in a cut of the provider's flake. What it
// evaluates to follows from its key, whatever its code reads.
//
// The cut of a system has the plan's slice for the node in place of the generated folder,
// and no folder of another node. That of environments has no plan and no node: the slice
// of an environment is an argument.
type unit struct {
	node    deploy.Node
	profile string
	cut     *nix.Tree
	slice   json.RawMessage
	key     string // "" if it must not be remembered
}

func (u *unit) name() string { return u.node.Name + "/" + u.profile }

func (u *unit) isSystem() bool { return u.profile == deploy.SystemProfile }

// spec is the Nix function that reads a profile.
const spec = `profile: let path = "${profile.path}"; in {
  inherit (profile) user sshUser profilePath tempPath;
  path = builtins.unsafeDiscardStringContext path;
  derivations = builtins.attrNames (builtins.getContext path);
}`

// ofSystem evaluates a node's system from its cut.
var ofSystem = `p: let node = (p.deployOf { }).${%s}; in (` + spec + `) node.profiles.` + deploy.SystemProfile + ` // { inherit (node) hostname; }`

// ofEnvironments evaluates environments from their slices and packages. One that throws
// is null.
var ofEnvironments = `p: builtins.mapAttrs
  (user: { node, plan, package }:
    let found = builtins.tryEval (builtins.deepSeq value value); value = (` + spec + `) (p.profilesOf plan { ${user} = package; }).${node}.profiles.${user}; in
    if found.success then found.value else null)
  (builtins.fromJSON %s)`

// evaluatedUnit is what ofSystem and ofEnvironments return.
type evaluatedUnit struct {
	Hostname string `json:"hostname"`
	evaluatedSpec
}

// units are the profiles of a run that are evaluated apart.
type units struct {
	nix      *nix.Runner
	turns    *nix.Turns
	provider *nix.Provider
	memory   nix.Memory
	plan     Plan
	text     planText // of plan

	conditions map[string]string

	packages map[string]nix.Package // of the environments that were evaluated
	broken   map[string]error       // why others have none

	mu    sync.Mutex
	found map[string]deploy.Evaluated
}

// of returns the units of the wanted profiles, none if the flake cannot be cut.
func (u *units) of(nodes []deploy.Node) (all []*unit, err error) {
	tree := u.provider.Tree
	file := u.provider.Generated() + "/plan.json"
	if !tree.Has(file) {
		return nil, nil // Nix says that git does not know it
	}
	plan := u.text
	folder := u.provider.Nodes()
	folders := []string{}
	if folder != "" {
		for name := range plan.nodes {
			folders = append(folders, folder+"/"+name)
		}
	}
	common := tree.Cut(u.provider.Leaves(folders...), nil)
	digest := common.Digest()
	for _, n := range nodes {
		for _, p := range n.Profiles {
			one := &unit{node: n, profile: p.Name, cut: common}
			switch environment, there := u.plan.Environments[p.Name]; {
			case p.IsSystem():
				others := slices.DeleteFunc(slices.Clone(folders), func(name string) bool { return name == folder+"/"+n.Name })
				if one.slice, err = plan.ofNode(n.Name); err != nil {
					return nil, err
				}
				one.cut = tree.Cut(u.provider.Leaves(others...), map[string][]byte{file: one.slice})
				if one.cut.IsLocked() {
					one.key = u.keyOf(map[string]any{"expression": ofSystem, "node": n.Name, "tree": one.cut.Digest()})
				}
			case there:
				if one.slice, err = plan.ofEnvironment(n.Name, p.Name); err != nil {
					return nil, err
				}
				if hash, _ := environment.Source["narHash"].(string); hash != "" && common.IsLocked() {
					one.key = u.keyOf(map[string]any{"expression": ofEnvironments, "tree": digest, "slice": one.slice, "environment": environment})
				}
			default:
				continue
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// alterKey is a test's: it leaves parts of a key out.
var alterKey = func(parts map[string]any) {}

// keyOf is the text of all that a result follows from: some parts, and the conditions of
// the run.
func (u *units) keyOf(parts map[string]any) string {
	for name, value := range u.conditions {
		parts[name] = value
	}
	alterKey(parts)
	text, err := json.Marshal(parts)
	if err != nil {
		return "" // not remembered
	}
	return string(text)
}

// evaluate evaluates the profiles of nodes. Those that fail are not in found: they may
// read what their cut does not have, and only the whole flake can tell.
func (u *units) evaluate(ctx context.Context, nodes []deploy.Node) (err error) {
	var all, rest []*unit
	if u.provider.Tree != nil && !u.nix.Anew {
		u.memory = u.nix.Memory()
		if u.conditions, err = u.nix.Conditions(ctx); err != nil {
			return err
		}
		if all, err = u.of(nodes); err != nil {
			return err
		}
		if rest, err = u.remembered(ctx, all); err != nil {
			return err
		}
	}
	if err := u.evaluatePackages(ctx, nodes); err != nil {
		return err
	}
	var group errgroup.Group
	var environments []*unit
	for _, one := range rest {
		if !one.isSystem() {
			environments = append(environments, one)
			continue
		}
		group.Go(func() error { return u.system(ctx, one) })
	}
	group.Go(func() error { return u.environments(ctx, environments) })
	return group.Wait()
}

// evaluatePackages evaluates the packages of the environments that were not found.
func (u *units) evaluatePackages(ctx context.Context, nodes []deploy.Node) (err error) {
	asked := map[string]nix.Environment{}
	for _, n := range u.missing(nodes) {
		for _, p := range n.Profiles {
			if e, there := u.plan.Environments[p.Name]; there && !p.IsSystem() {
				asked[p.Name] = e
			}
		}
	}
	u.packages = map[string]nix.Package{}
	if len(asked) == 0 {
		return nil
	}
	if u.packages, u.broken, err = u.provider.Packages(ctx, asked); err != nil {
		return fmt.Errorf("evaluate the environments' packages: %w", err)
	}
	return nil
}

// remembered finds what former runs have evaluated, if the store still has it, and
// returns the rest.
func (u *units) remembered(ctx context.Context, all []*unit) (rest []*unit, err error) {
	known := map[*unit]evaluatedUnit{}
	var derivations []string
	for _, one := range all {
		if one.key == "" {
			continue
		}
		var found evaluatedUnit
		if text := u.memory.Get(one.key); text == nil || json.Unmarshal(text, &found) != nil {
			continue
		}
		known[one] = found
		derivations = append(derivations, found.Derivations...)
	}
	slices.Sort(derivations)
	invalid, err := u.nix.Invalid(ctx, slices.Compact(derivations))
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	for _, one := range all {
		found, there := known[one]
		if !there || err != nil || slices.ContainsFunc(found.Derivations, func(path string) bool { return invalid[path] }) || !u.settle(one, found) {
			rest = append(rest, one)
		}
	}
	return rest, nil
}

// settle adds a result, and reports whether it is one.
func (u *units) settle(one *unit, result evaluatedUnit) bool {
	made, err := result.read()
	if err != nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.found[one.node.Name]
	if result.Hostname != "" {
		e.Hostname = result.Hostname
	}
	e.Profiles[one.profile] = made
	u.found[one.node.Name] = e
	return true
}

func (u *units) keep(one *unit, text json.RawMessage) {
	var result evaluatedUnit
	if json.Unmarshal(text, &result) == nil && u.settle(one, result) && one.key != "" {
		u.memory.Put(one.key, text)
	}
}

// alone keeps an evaluation from a result that does not follow from its key: what is
// imported from a derivation was built, and a build is not pure.
var alone = []string{"--option", "allow-import-from-derivation", "false"}

// run evaluates a function in a cut. It returns nil if that fails.
func (u *units) run(ctx context.Context, name string, cut *nix.Tree, function string) (written json.RawMessage, err error) {
	err = u.turns.Do(ctx, name, func() (peak int64, err error) {
		written, err = u.nix.EvalIn(ctx, cut, "lib.hostenvProvider", function, nix.Command{Args: alone, Peak: &peak})
		return peak, err
	})
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		return nil, nil
	}
	return written, err
}

func (u *units) system(ctx context.Context, one *unit) error {
	written, err := u.run(ctx, one.name(), one.cut, fmt.Sprintf(ofSystem, nix.Quote(one.node.Name)))
	if written != nil {
		u.keep(one, written)
	}
	return err
}

// environments evaluates the profiles of environments from their packages.
func (u *units) environments(ctx context.Context, all []*unit) error {
	type argument struct {
		Node    string          `json:"node"`
		Plan    json.RawMessage `json:"plan"`
		Package nix.Package     `json:"package"`
	}
	units := map[string]*unit{}
	part, size := map[string]argument{}, 0
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		text, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("evaluate the environments: %w", err)
		}
		part, size = map[string]argument{}, 0
		written, err := u.run(ctx, "environments", all[0].cut, fmt.Sprintf(ofEnvironments, nix.Quote(string(text))))
		var found map[string]json.RawMessage
		if err != nil || written == nil || json.Unmarshal(written, &found) != nil {
			return err
		}
		for user, result := range found {
			if one := units[user]; one != nil && string(result) != "null" {
				u.keep(one, result)
			}
		}
		return nil
	}
	for _, unit := range all {
		user := unit.profile
		made, there := u.packages[user]
		if !there {
			continue // it is broken
		}
		units[user] = unit
		one := argument{Node: unit.node.Name, Plan: unit.slice, Package: made}
		text, err := json.Marshal(one)
		if err != nil {
			return fmt.Errorf("evaluate the environments: %w", err)
		}
		of := len(nix.Quote(string(text))) + len(user) + 8
		if size+of > atMost {
			if err := flush(); err != nil {
				return err
			}
		}
		part[user], size = one, size+of
	}
	return flush()
}

// missing returns the nodes with the profiles that were not found and are not broken.
func (u *units) missing(nodes []deploy.Node) (rest []deploy.Node) {
	for _, n := range nodes {
		e := u.found[n.Name]
		n.Profiles = slices.DeleteFunc(slices.Clone(n.Profiles), func(p deploy.Profile) bool {
			_, there := e.Profiles[p.Name]
			return there || u.broken[p.Name] != nil
		})
		if len(n.Profiles) > 0 {
			rest = append(rest, n)
		}
	}
	return rest
}

// A planText is a plan as JSON, by its members.
type planText struct {
	members                                    map[string]json.RawMessage
	nodes, environments, profiles, connections map[string]json.RawMessage
	wildcards                                  map[string][]json.RawMessage // by node
}

func readPlan(text []byte) (p planText, err error) {
	p.wildcards = map[string][]json.RawMessage{}
	err = json.Unmarshal(text, &p.members)
	for name, into := range map[string]*map[string]json.RawMessage{
		"nodes": &p.nodes, "environments": &p.environments, "profiles": &p.profiles, "nodeConnections": &p.connections,
	} {
		if err == nil && p.members[name] != nil {
			err = json.Unmarshal(p.members[name], into)
		}
	}
	var wildcards []json.RawMessage
	if err == nil && p.members["wildcards"] != nil {
		err = json.Unmarshal(p.members["wildcards"], &wildcards)
	}
	for _, one := range wildcards {
		var at struct {
			Node string `json:"node"`
		}
		if err == nil {
			err = json.Unmarshal(one, &at)
		}
		p.wildcards[at.Node] = append(p.wildcards[at.Node], one)
	}
	if err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	return p, nil
}

// whole are the members that every slice has.
var whole = []string{"formatVersion", "hostenvHostname", "deployUser"}

// slice is a plan with parts of some members.
func (p planText) slice(parts map[string]any) (json.RawMessage, error) {
	for _, name := range whole {
		if p.members[name] != nil {
			parts[name] = p.members[name]
		}
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return text, nil
}

// notOnNodes are members of an environment that no node has (nix/lib/nodes.nix).
var notOnNodes = []string{"deploymentVerification", "repo", "source"}

// on returns the environments of a node, the disabled ones too.
func (p planText) on(node string) (map[string]map[string]json.RawMessage, error) {
	all := map[string]map[string]json.RawMessage{}
	for user, text := range p.environments {
		var e map[string]json.RawMessage
		var at string
		if err := json.Unmarshal(text, &e); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		if json.Unmarshal(e["node"], &at) == nil && at == node {
			all[user] = e
		}
	}
	return all, nil
}

// profilesOf returns the profiles that lib.hostenvProvider makes of a node.
func (p planText) profilesOf(node string) ([]string, error) {
	names := []string{deploy.SystemProfile}
	all, err := p.on(node)
	for user, e := range all {
		if string(e["enable"]) != "false" {
			names = append(names, user)
		}
	}
	slices.Sort(names)
	return names, err
}

// ofNode is the slice of a node: with its environments.
func (p planText) ofNode(node string) (json.RawMessage, error) {
	all, err := p.on(node)
	if err != nil {
		return nil, err
	}
	environments, profiles := map[string]any{}, map[string]any{}
	for user, e := range all {
		for _, name := range notOnNodes {
			delete(e, name)
		}
		environments[user] = e
		if profile := p.profiles[user]; profile != nil {
			profiles[user] = profile
		}
	}
	parts := map[string]any{
		"environments": environments, "profiles": profiles, "nodes": only(p.nodes, node), "nodeConnections": only(p.connections, node),
	}
	if profile := p.members["certificateProfile"]; profile != nil {
		parts["certificateProfile"] = profile
	}
	if own := p.wildcards[node]; own != nil { // no token of another node
		parts["wildcards"] = own
	}
	return p.slice(parts)
}

// ofEnvironment is the slice of an environment: what its activation reads.
func (p planText) ofEnvironment(node, user string) (json.RawMessage, error) {
	var e map[string]json.RawMessage
	if err := json.Unmarshal(p.environments[user], &e); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return p.slice(map[string]any{
		"environments": map[string]any{user: map[string]any{
			"uid": e["uid"], "node": e["node"], "hostenv": e["hostenv"], "authorizedKeys": []any{}, "virtualHosts": map[string]any{},
		}},
		"profiles": only(p.profiles, user), "nodes": map[string]any{node: map[string]any{}}, "nodeConnections": only(p.connections, node),
	})
}

func only(of map[string]json.RawMessage, name string) map[string]json.RawMessage {
	one := map[string]json.RawMessage{}
	if text := of[name]; text != nil {
		one[name] = text
	}
	return one
}

// read reads a profile.
func (s evaluatedSpec) read() (deploy.Spec, error) {
	// A path without a context needs no derivation: the store has it, or it is no
	// store path.
	if len(s.Derivations) > 1 {
		return deploy.Spec{}, fmt.Errorf("its path is made of %d derivations, not of one: %s", len(s.Derivations), strings.Join(s.Derivations, ", "))
	}
	for _, derivation := range s.Derivations {
		if strings.HasSuffix(derivation, ".drv") {
			s.Derivation = derivation
		}
	}
	return s.Spec, nil
}
