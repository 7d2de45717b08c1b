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

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// evaluate is a function of deploy.nodes that returns wanted profiles of a node. Of
// other profiles it reads only the names.
//
// Evaluation puts a derivation into the store. The path loses its string context:
// nix would build it before it prints it.
const evaluate = `nodes: let
  name = %s;
  names = builtins.fromJSON %s;
  catch = what: value: builtins.tryEval (builtins.addErrorContext "hostenv-provider: ${what} of the flake" (builtins.deepSeq value value));
  spec = ` + spec + `;
  about = catch "node ${name}" {
    inherit (nodes.${name}) hostname;
    names = builtins.attrNames nodes.${name}.profiles;
  };
in
if ! nodes ? ${name} then { missing = true; }
else if ! about.success then { failed = true; }
else about.value // {
  specs = builtins.listToAttrs (map
    (profile: { name = profile; value = catch "profile ${name}/${profile}" (spec nodes.${name}.profiles.${profile}); })
    (builtins.filter (profile: builtins.elem profile about.value.names) names));
}`

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
// Each profile is evaluated alone, in a cut of the provider's flake, unless a former run
// has evaluated the same: see unit. The packages of environments are the customers'
// code: each source is evaluated in a held process of its own ([nix.Runner.Packages]).
// What cannot be evaluated in its cut is evaluated with the whole flake, a process for
// each node, and so is all if Nix.Anew is set, or if the flake has no
// lib.hostenvProvider.
//
// There are as many processes at once as processors and free memory allow.
func (s *Store) Evaluate(ctx context.Context, nodes []deploy.Node, plan Plan) (map[string]deploy.Evaluated, error) {
	e := &evaluation{nix: s.Nix, turns: s.Nix.NewTurns()}
	defer e.turns.Keep()
	found, broken, rest := map[string]deploy.Evaluated{}, map[string]error{}, nodes
	if len(plan.Environments) > 0 || len(plan.Text) > 0 {
		provider, err := s.Nix.Provider(ctx)
		if err != nil && !errors.Is(err, nix.ErrNoLibrary) {
			return nil, fmt.Errorf("evaluate the environments' packages: %w", err)
		}
		if err == nil {
			u := &units{nix: s.Nix, turns: e.turns, provider: provider, plan: plan, found: found}
			if u.text, err = readPlan(plan.Text); err != nil {
				return nil, err
			}
			for _, n := range nodes {
				names, err := u.text.profilesOf(n.Name)
				if err != nil {
					return nil, err
				}
				found[n.Name] = deploy.Evaluated{Names: names, Profiles: map[string]deploy.Spec{}, Failed: map[string]error{}}
			}
			if err := u.evaluate(ctx, nodes); err != nil {
				return nil, err
			}
			e.packages, broken, rest = u.packages, u.broken, u.missing(nodes)
		}
	}
	others, err := e.evaluate(ctx, rest)
	if err != nil {
		return nil, err
	}
	for name, e := range others {
		before := found[name]
		maps.Copy(e.Profiles, before.Profiles)
		e.Hostname = cmp.Or(e.Hostname, before.Hostname)
		if e.Names == nil {
			e.Names = before.Names
		}
		found[name] = e
	}
	for _, n := range nodes {
		for _, p := range n.Profiles {
			if err := broken[p.Name]; err != nil && !p.IsSystem() {
				found[n.Name].Failed[p.Name] = evaluationProblem(n.Name+"/"+p.Name, err.Error(), problem.Hint(err))
			}
		}
	}
	return found, nil
}

// An evaluation is that of deploy.nodes: the flake's own, or with the packages given,
// if they are not nil.
type evaluation struct {
	nix      *nix.Runner
	turns    *nix.Turns
	packages map[string]nix.Package
}

// evaluate evaluates nodes, each in a process of its own. What fails is evaluated once
// more before it counts: beside other processes that write to the store, Nix 2.8 fails now
// and then.
func (e *evaluation) evaluate(ctx context.Context, nodes []deploy.Node) (map[string]deploy.Evaluated, error) {
	found, failed := make([]evaluatedNode, len(nodes)), make([]*nix.CommandError, len(nodes))
	var group errgroup.Group
	for i, n := range nodes {
		group.Go(func() (err error) {
			if found[i], err = e.node(ctx, n); errors.As(err, &failed[i]) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("evaluate the profiles: %w", err)
	}
	if len(nodes) > 0 && !slices.Contains(failed, nil) {
		// The flake itself may fail.
		var whole *nix.CommandError
		if _, err := e.apply(ctx, nodes[0].Name, "builtins.attrNames"); errors.As(err, &whole) && !nix.IsKilled(err) {
			return nil, explained(whole, "")
		} else if err != nil && whole == nil {
			return nil, fmt.Errorf("evaluate the profiles: %w", err)
		}
	}
	for i, n := range nodes {
		if failed[i] == nil || nix.IsKilled(failed[i]) {
			continue
		}
		var err error
		failed[i] = nil
		if found[i], err = e.node(ctx, n); err != nil && !errors.As(err, &failed[i]) {
			return nil, fmt.Errorf("evaluate the profiles: %w", err)
		}
	}
	var missing []string
	evaluated := make(map[string]deploy.Evaluated, len(found))
	var failures []profileName
	for i, n := range nodes {
		name, node := n.Name, found[i]
		if node.Missing {
			missing = append(missing, fmt.Sprintf("it has no node %q", name))
			continue
		}
		made := deploy.Evaluated{Hostname: node.Hostname, Names: node.Names, Profiles: map[string]deploy.Spec{}, Failed: map[string]error{}}
		evaluated[name] = made
		if failed[i] != nil {
			for _, p := range n.Profiles {
				made.Failed[p.Name] = explained(failed[i], name)
			}
			continue
		}
		if node.Failed {
			failures = append(failures, profileName{node: name})
			continue
		}
		for profile, spec := range node.Specs {
			if !spec.Success {
				failures = append(failures, profileName{name, profile})
				continue
			}
			addProfile(made, name, profile, spec)
		}
	}
	if len(missing) > 0 {
		return nil, deploy.Mismatch(missing...)
	}
	return evaluated, e.explain(ctx, nodes, evaluated, failures)
}

// addProfile adds a profile that was evaluated.
func addProfile(to deploy.Evaluated, node, profile string, spec caughtValue) {
	var result evaluatedSpec
	err := json.Unmarshal(spec.Value, &result)
	if err != nil {
		err = fmt.Errorf("read what nix wrote: %w", err)
	} else if made, unread := result.read(); unread == nil {
		to.Profiles[profile] = made
	} else {
		err = unread
	}
	if err != nil {
		to.Failed[profile] = evaluationProblem(node+"/"+profile, err.Error(), "")
	}
}

// Limits of one run of nix. Names and packages are in one argument, for which the
// kernel has a limit of 128 KiB, and customers choose how long they are.
const (
	atOnce = 250 // profiles
	atMost = 100 << 10
)

// parts divides profiles among runs of nix.
func (e *evaluation) parts(all []string) (parts [][]string) {
	size := 0
	for _, profile := range all {
		text, _ := json.Marshal(e.packages[profile]) // of strings
		of := len(nix.Quote(string(text))) + 2*len(nix.Quote(profile)) + 32
		if size += of; len(parts) == 0 || size > atMost || len(parts[len(parts)-1]) == atOnce {
			parts, size = append(parts, nil), of
		}
		last := &parts[len(parts)-1]
		*last = append(*last, profile)
	}
	return parts
}

// A profileName is node/profile.
type profileName struct{ node, profile string }

// node evaluates a node with its profiles. If nix fails, which Nix code cannot catch, it
// evaluates the node without profiles, and then halves of the profiles. One that fails
// alone has no success.
func (e *evaluation) node(ctx context.Context, n deploy.Node) (found evaluatedNode, err error) {
	var all []string
	for _, p := range n.Profiles {
		all = append(all, p.Name)
	}
	parts := e.parts(all)
	if len(parts) == 1 {
		found, err = e.run(ctx, n.Name, all)
		if failed := (*nix.CommandError)(nil); err == nil || !errors.As(err, &failed) {
			return found, err
		}
	}
	if found, err = e.run(ctx, n.Name, nil); err != nil {
		return found, err
	}
	var search func(some []string, fails bool) error // fails: it is known that nix fails
	search = func(some []string, fails bool) error {
		if !fails {
			part, err := e.run(ctx, n.Name, some)
			failed := (*nix.CommandError)(nil)
			if !errors.As(err, &failed) {
				maps.Copy(found.Specs, part.Specs)
				return err
			}
		}
		if len(some) == 1 {
			found.Specs[some[0]] = caughtValue{}
			return nil
		}
		half := len(some) / 2
		if err := search(some[:half], false); err != nil {
			return err
		}
		return search(some[half:], false)
	}
	for _, part := range parts {
		if found.Specs == nil {
			break // the node is missing, or fails
		}
		if err := search(part, len(parts) == 1); err != nil {
			return found, err
		}
	}
	return found, nil
}

// run evaluates profiles of a node by one run of nix.
func (e *evaluation) run(ctx context.Context, node string, profiles []string) (found evaluatedNode, err error) {
	names, err := json.Marshal(append([]string{}, profiles...))
	if err != nil {
		return found, err
	}
	written, err := e.apply(ctx, node, fmt.Sprintf(evaluate, nix.Quote(node), nix.Quote(string(names))), profiles...)
	if err != nil {
		return found, err
	}
	if err := json.Unmarshal(written, &found); err != nil {
		return found, fmt.Errorf("read what nix wrote: %w", err)
	}
	return found, nil
}

// explain adds the reasons of failures to evaluated. Without a profile, a failure is
// that of the whole node.
func (e *evaluation) explain(ctx context.Context, nodes []deploy.Node, evaluated map[string]deploy.Evaluated, failures []profileName) error {
	var (
		mu    sync.Mutex
		group errgroup.Group
	)
	for _, f := range failures {
		group.Go(func() error {
			why, err := e.why(ctx, f)
			var again caughtValue
			if why == nil && err == nil && f.profile != "" {
				var found evaluatedNode
				found, err = e.run(ctx, f.node, []string{f.profile})
				again = found.Specs[f.profile]
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if why == nil && again.Success {
				addProfile(evaluated[f.node], f.node, f.profile, again)
				return nil
			}
			if why == nil {
				why = evaluationProblem(strings.TrimSuffix(f.node+"/"+f.profile, "/"), "nix reported an error at the first evaluation, and none at the second", "")
			}
			if f.profile != "" {
				evaluated[f.node].Failed[f.profile] = why
				return nil
			}
			// If a node fails, none of its profiles can be evaluated.
			n := nodes[slices.IndexFunc(nodes, func(n deploy.Node) bool { return n.Name == f.node })]
			for _, p := range n.Profiles {
				evaluated[f.node].Failed[p.Name] = why
			}
			return nil
		})
	}
	return group.Wait()
}

// why evaluates a failed profile or node alone, and returns the reason, nil if it does
// not fail again.
func (e *evaluation) why(ctx context.Context, f profileName) (why, err error) {
	what, key := "{ inherit (node) hostname; names = builtins.attrNames node.profiles; }", f.node
	if f.profile != "" {
		key += "/" + f.profile
		what = fmt.Sprintf(`{ inherit (node.profiles.${%s}) user sshUser profilePath tempPath; path = "${node.profiles.${%[1]s}.path}"; }`, nix.Quote(f.profile))
	}
	_, err = e.apply(ctx, f.node, fmt.Sprintf(explain, nix.Quote(f.node), what), f.profile)
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		return explained(failed, key), nil
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", key, err)
	}
	return nil, nil //nolint:nilnil // it does not fail
}

// apply evaluates a function of deploy.nodes for a node, with the trace, which names the
// profile or the node. Of the packages that were evaluated before, it has those of users.
func (e *evaluation) apply(ctx context.Context, node, function string, users ...string) (written []byte, err error) {
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
	err = e.turns.Do(ctx, node, func() (peak int64, err error) {
		written, err = e.nix.Run(ctx, nix.Command{Peak: &peak, Args: append([]string{"eval", "--json", "--show-trace", "--option", "eval-cache", "false",
			"--no-update-lock-file", installable, "--apply", function}, nix.Features...)})
		return peak, err
	})
	return written, err
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
	if nix.IsKilled(failed) {
		text = "nix was killed twice, the second time without another evaluation beside it (" + failed.Err.Error() + ")"
		hint = "most often the machine has too little memory: `dmesg` tells; give it more, or swap"
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
