package closure

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// evaluate is a function of deploy.nodes that returns the wanted profiles, node by
// node. Of other profiles it reads only the names.
//
// Evaluation puts a derivation into the store. The path loses its string context:
// nix would build it before it prints it.
const evaluate = `nodes: let
  wanted = builtins.fromJSON %s;
  catch = what: value: builtins.tryEval (builtins.addErrorContext "hostenv-provider: ${what} of the flake" (builtins.deepSeq value value));
  spec = profile: let path = "${profile.path}"; in {
    inherit (profile) user sshUser profilePath tempPath;
    path = builtins.unsafeDiscardStringContext path;
    derivations = builtins.attrNames (builtins.getContext path);
  };
  nodeOf = name: names:
    if ! nodes ? ${name} then { missing = true; } else
    let
      about = catch "node ${name}" {
        inherit (nodes.${name}) hostname;
        names = builtins.attrNames nodes.${name}.profiles;
      };
    in
    if ! about.success then { failed = true; } else about.value // {
      specs = builtins.listToAttrs (map
        (profile: { name = profile; value = catch "profile ${name}/${profile}" (spec nodes.${name}.profiles.${profile}); })
        (builtins.filter (profile: builtins.elem profile about.value.names) names));
    };
in builtins.mapAttrs nodeOf wanted`

// explain evaluates one profile, or what all profiles of a node need, so that nix
// writes why it fails.
const explain = `nodes: let node = nodes.${%s}; in builtins.deepSeq %s true`

type evaluatedNode struct {
	Missing  bool                   `json:"missing"`
	Failed   bool                   `json:"failed"`
	Hostname string                 `json:"hostname"`
	Names    []string               `json:"names"`
	Specs    map[string]caughtValue `json:"specs"`
}

// A caughtValue is what builtins.tryEval returns.
type caughtValue struct {
	Success bool            `json:"success"`
	Value   json.RawMessage `json:"value"` // false where it failed
}

type evaluatedSpec struct {
	deploy.Spec
	Derivations []string `json:"derivations"`
}

// Evaluate evaluates the profiles of nodes, and puts their derivations into the
// store. A profile that cannot be evaluated is in Failed and does not keep others from
// evaluation.
//
// environments are those of the plan, by user name. Their packages are the customers'
// code: each source is evaluated in a held process of its own ([nix.Runner.Packages]),
// and then, by one run of nix, deploy.nodes with these packages. If the provider's
// flake has no lib.hostenvProvider, its own deploy.nodes is evaluated.
//
// A profile that throws costs one more run of nix, to find the reason. An error that
// Nix code cannot catch, such as a missing attribute, ends the run: then nix runs for
// fewer profiles at a time, until those with such errors are found.
func (s *Store) Evaluate(ctx context.Context, nodes []deploy.Node, environments map[string]nix.Environment) (map[string]deploy.Evaluated, error) {
	packages, broken, err := s.packages(ctx, nodes, environments)
	if err != nil {
		return nil, fmt.Errorf("evaluate the environments' packages: %w", err)
	}
	wanted := map[string][]string{}
	for _, n := range nodes {
		wanted[n.Name] = []string{}
		for _, p := range n.Profiles {
			if broken[p.Name] == nil {
				wanted[n.Name] = append(wanted[n.Name], p.Name)
			}
		}
	}
	e := &evaluation{nix: s.Nix, packages: packages}
	evaluated, err := e.evaluate(ctx, nodes, wanted)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		for _, p := range n.Profiles {
			if err := broken[p.Name]; err != nil {
				key := n.Name + "/" + p.Name
				evaluated[n.Name].Failed[p.Name] = evaluationProblem(key, err.Error(), problem.Hint(err))
			}
		}
	}
	return evaluated, nil
}

// packages evaluates the packages of the environments of nodes, and returns why some
// have none. The packages are nil if the provider's own deploy.nodes has them.
func (s *Store) packages(ctx context.Context, nodes []deploy.Node, environments map[string]nix.Environment) (packages map[string]nix.Package, broken map[string]error, err error) {
	asked := map[string]nix.Environment{}
	for _, n := range nodes {
		for _, p := range n.Profiles {
			if e, there := environments[p.Name]; there && !p.IsSystem() {
				asked[p.Name] = e
			}
		}
	}
	if len(environments) == 0 {
		return nil, nil, nil
	}
	packages, broken, err = s.Nix.Packages(ctx, asked)
	if errors.Is(err, nix.ErrNoLibrary) {
		return nil, nil, nil
	}
	return packages, broken, err
}

// An evaluation is that of deploy.nodes: the flake's own, or with the packages given,
// if they are not nil.
type evaluation struct {
	nix      *nix.Runner
	packages map[string]nix.Package
}

func (e *evaluation) evaluate(ctx context.Context, nodes []deploy.Node, wanted map[string][]string) (map[string]deploy.Evaluated, error) {
	found, err := e.found(ctx, wanted)
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		found, err = e.apart(ctx, wanted)
		if errors.As(err, &failed) {
			return nil, explained(failed, "")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate the profiles: %w", err)
	}
	var missing []string
	evaluated := make(map[string]deploy.Evaluated, len(found))
	var failures []profileName
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		node := found[name]
		if node.Missing {
			missing = append(missing, fmt.Sprintf("it has no node %q", name))
			continue
		}
		made := deploy.Evaluated{Hostname: node.Hostname, Names: node.Names, Profiles: map[string]deploy.Spec{}, Failed: map[string]error{}}
		evaluated[name] = made
		if node.Failed {
			failures = append(failures, profileName{node: name})
			continue
		}
		for profile, spec := range node.Specs {
			if !spec.Success {
				failures = append(failures, profileName{name, profile})
				continue
			}
			if made.Profiles[profile], err = readSpec(spec.Value); err != nil {
				delete(made.Profiles, profile)
				made.Failed[profile] = evaluationProblem(name+"/"+profile, err.Error(), "")
			}
		}
	}
	if len(missing) > 0 {
		return nil, deploy.Mismatch(missing...)
	}
	return evaluated, e.explain(ctx, nodes, evaluated, failures)
}

// Limits of one run of nix. Names and packages are in one argument, for which the
// kernel has a limit of 128 KiB, and customers choose how long they are.
const (
	atOnce = 250 // profiles
	atMost = 100 << 10
)

// parts divides profiles among runs of nix.
func (e *evaluation) parts(all []profileName) (parts [][]profileName) {
	size := 0
	for _, p := range all {
		text, _ := json.Marshal(e.packages[p.profile]) // of strings
		of := len(nix.Quote(string(text))) + 2*len(nix.Quote(p.profile)) + len(nix.Quote(p.node)) + 32
		if size += of; len(parts) == 0 || size > atMost || len(parts[len(parts)-1]) == atOnce {
			parts, size = append(parts, nil), of
		}
		last := &parts[len(parts)-1]
		*last = append(*last, p)
	}
	return parts
}

// A profileName is node/profile.
type profileName struct{ node, profile string }

// listed returns wanted profiles, sorted.
func listed(wanted map[string][]string) (all []profileName) {
	for _, node := range slices.Sorted(maps.Keys(wanted)) {
		for _, name := range wanted[node] {
			all = append(all, profileName{node, name})
		}
	}
	return all
}

// found evaluates the wanted profiles, by node.
func (e *evaluation) found(ctx context.Context, wanted map[string][]string) (map[string]evaluatedNode, error) {
	parts := e.parts(listed(wanted))
	if len(parts) <= 1 {
		return e.run(ctx, wanted)
	}
	found := map[string]evaluatedNode{}
	for _, some := range parts {
		part := map[string][]string{}
		for _, p := range some {
			part[p.node] = append(part[p.node], p.profile)
		}
		nodes, err := e.run(ctx, part)
		if err != nil {
			return nil, err
		}
		for name, node := range nodes {
			if before, there := found[name]; there && before.Specs != nil {
				maps.Copy(before.Specs, node.Specs)
			} else {
				found[name] = node
			}
		}
	}
	for name := range wanted { // a node without a profile
		if _, there := found[name]; there {
			continue
		}
		nodes, err := e.run(ctx, map[string][]string{name: {}})
		if err != nil {
			return nil, err
		}
		found[name] = nodes[name]
	}
	return found, nil
}

// run evaluates wanted profiles by one run of nix.
func (e *evaluation) run(ctx context.Context, wanted map[string][]string) (map[string]evaluatedNode, error) {
	asked, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, p := range listed(wanted) {
		users = append(users, p.profile)
	}
	written, err := e.apply(ctx, fmt.Sprintf(evaluate, nix.Quote(string(asked))), users...)
	if err != nil {
		return nil, err
	}
	var found map[string]evaluatedNode
	if err := json.Unmarshal(written, &found); err != nil {
		return nil, fmt.Errorf("read what nix wrote: %w", err)
	}
	return found, nil
}

// apart is found for profiles of which at least one makes nix fail: it evaluates the
// nodes without profiles, and then halves of the profiles. One that fails alone has no
// success.
func (e *evaluation) apart(ctx context.Context, wanted map[string][]string) (map[string]evaluatedNode, error) {
	all := listed(wanted)
	bare := map[string][]string{}
	for node := range wanted {
		bare[node] = []string{}
	}
	found, err := e.found(ctx, bare)
	if err != nil {
		return nil, err
	}
	add := func(node string, specs map[string]caughtValue) {
		if found[node].Specs != nil {
			maps.Copy(found[node].Specs, specs)
		}
	}
	var search func(some []profileName, fails bool) error // fails: it is known that nix fails
	search = func(some []profileName, fails bool) error {
		if !fails {
			part := map[string][]string{}
			for _, p := range some {
				part[p.node] = append(part[p.node], p.profile)
			}
			nodes, err := e.found(ctx, part)
			failed := (*nix.CommandError)(nil)
			if err == nil {
				for name, node := range nodes {
					add(name, node.Specs)
				}
			}
			if !errors.As(err, &failed) {
				return err
			}
		}
		if len(some) == 1 {
			add(some[0].node, map[string]caughtValue{some[0].profile: {}})
			return nil
		}
		half := len(some) / 2
		if err := search(some[:half], false); err != nil {
			return err
		}
		return search(some[half:], false)
	}
	if len(all) == 0 {
		return found, nil
	}
	return found, search(all, true)
}

func readSpec(value []byte) (deploy.Spec, error) {
	var spec evaluatedSpec
	if err := json.Unmarshal(value, &spec); err != nil {
		return deploy.Spec{}, fmt.Errorf("read what nix wrote: %w", err)
	}
	// A path without a context needs no derivation: the store has it, or it is no
	// store path.
	if len(spec.Derivations) > 1 {
		return deploy.Spec{}, fmt.Errorf("its path is made of %d derivations, not of one: %s", len(spec.Derivations), strings.Join(spec.Derivations, ", "))
	}
	for _, derivation := range spec.Derivations {
		if strings.HasSuffix(derivation, ".drv") {
			spec.Derivation = derivation
		}
	}
	return spec.Spec, nil
}

// explain adds the reasons of failures to evaluated. Without a profile, a failure is
// that of the whole node.
func (e *evaluation) explain(ctx context.Context, nodes []deploy.Node, evaluated map[string]deploy.Evaluated, failures []profileName) error {
	var (
		mu    sync.Mutex
		wait  sync.WaitGroup
		slots = make(chan struct{}, e.nix.Parallel())
		fatal error
	)
	for _, f := range failures {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			why, err := e.why(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fatal = err
				return
			}
			if f.profile != "" {
				evaluated[f.node].Failed[f.profile] = why
				return
			}
			// If a node fails, none of its profiles can be evaluated.
			n := nodes[slices.IndexFunc(nodes, func(n deploy.Node) bool { return n.Name == f.node })]
			for _, p := range n.Profiles {
				evaluated[f.node].Failed[p.Name] = why
			}
		})
	}
	wait.Wait()
	return fatal
}

// why evaluates a failed profile or node alone, and returns the reason.
func (e *evaluation) why(ctx context.Context, f profileName) (why, err error) {
	what, key := "{ inherit (node) hostname; names = builtins.attrNames node.profiles; }", f.node
	if f.profile != "" {
		key += "/" + f.profile
		what = fmt.Sprintf(`{ inherit (node.profiles.${%s}) user sshUser profilePath tempPath; path = "${node.profiles.${%[1]s}.path}"; }`, nix.Quote(f.profile))
	}
	_, err = e.apply(ctx, fmt.Sprintf(explain, nix.Quote(f.node), what), f.profile)
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		return explained(failed, key), nil
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", key, err)
	}
	return evaluationProblem(key, "nix reported an error at the first evaluation, and none at the second", ""), nil
}

// apply evaluates a function of deploy.nodes, with the trace, which names the profile
// or the node. Of the packages that were evaluated before, it has those of users.
func (e *evaluation) apply(ctx context.Context, function string, users ...string) ([]byte, error) {
	output := "deploy.nodes"
	if e.packages != nil {
		output = "lib.hostenvProvider"
		known := map[string]nix.Package{}
		for _, user := range users {
			if p, there := e.packages[user]; there {
				known[user] = p
			}
		}
		text, err := json.Marshal(known)
		if err != nil {
			return nil, err
		}
		function = fmt.Sprintf("p: (%s) (p.deployOf (builtins.fromJSON %s))", function, nix.Quote(string(text)))
	}
	installable, err := e.nix.Installable(ctx, output)
	if err != nil {
		return nil, err
	}
	return e.nix.Run(ctx, nix.Command{Args: append([]string{"eval", "--json", "--show-trace", "--option", "eval-cache", "false",
		"--no-update-lock-file", installable, "--apply", function}, nix.Features...)})
}

// marks finds what [evaluate] adds to a trace.
var marks = regexp.MustCompile(`hostenv-provider: (?:profile|node) ([A-Za-z0-9._-]+(?:/[a-z0-9_-]+)?) of the flake`)

// explained returns the message of nix about key; if key is "", the trace may have it.
func explained(failed *nix.CommandError, key string) error {
	// Only the evaluation of a node and of its system runs no customer's code.
	_, profile, _ := strings.Cut(key, "/")
	text, hint := nix.Inline(failed.Message()), ""
	if key != "" && (profile == "" || profile == deploy.SystemProfile) {
		text, hint = nix.SplitHint(failed.Message())
	}
	if mark := marks.FindStringSubmatch(failed.Log); key == "" && mark != nil {
		key = mark[1]
	}
	return evaluationProblem(key, text, cmp.Or(hint, nix.Advice(text)))
}

// evaluationProblem reports that a profile (node/profile), all profiles of a node
// (its name), or all profiles ("") cannot be evaluated.
func evaluationProblem(key, text, fix string) error {
	if key == "" {
		return problem.New("", "evaluate the flake's deploy.nodes: "+text, cmp.Or(fix, "run `nix eval --show-trace .#deploy.nodes` to see the whole trace"))
	}
	node, profile, _ := strings.Cut(key, "/")
	if profile == "" || profile == deploy.SystemProfile {
		profile = node
	}
	return problem.New("", "evaluate "+key+": "+text, cmp.Or(fix, "correct it, or leave it out: -exclude="+profile))
}
