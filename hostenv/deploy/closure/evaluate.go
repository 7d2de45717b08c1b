package closure

import (
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
)

// evaluate is a function of deploy.nodes and of what is wanted of it, node by
// node. It reads nothing of the profiles that are not wanted but their names.
//
// A derivation that is evaluated is in the store from then on; the string's
// context is dropped so that nothing is built for being written out.
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

// explain evaluates one profile, or of a node what all its profiles need, to
// have nix say why it fails.
const explain = `nodes: let node = nodes.${%s}; in builtins.deepSeq %s true`

type evaluatedNode struct {
	Missing  bool     `json:"missing"`
	Failed   bool     `json:"failed"`
	Hostname string   `json:"hostname"`
	Names    []string `json:"names"`
	Specs    map[string]struct {
		Success bool            `json:"success"`
		Value   json.RawMessage `json:"value"` // false where it failed
	} `json:"specs"`
}

type evaluatedSpec struct {
	deploy.Spec
	Derivations []string `json:"derivations"`
}

// Evaluate evaluates the profiles of nodes at deploy.nodes of the provider's
// flake, by one run of nix; the derivations are in the store then. What throws
// is told by profile and keeps none from being evaluated; only then there are
// further runs, one for each, for only they tell why. What cannot be caught,
// such as a missing attribute, fails all with an *[EvaluationError].
func (s *Store) Evaluate(ctx context.Context, nodes []deploy.Node) (map[string]deploy.Evaluated, error) {
	wanted := map[string][]string{}
	for _, n := range nodes {
		wanted[n.Name] = []string{}
		for _, p := range n.Profiles {
			wanted[n.Name] = append(wanted[n.Name], p.Name)
		}
	}
	asked, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("evaluate the profiles: %w", err)
	}
	written, err := s.apply(ctx, fmt.Sprintf(evaluate, nix.Quote(string(asked))))
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		return nil, evaluationError(failed, "")
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate the profiles: %w", err)
	}
	var found map[string]evaluatedNode
	if err := json.Unmarshal(written, &found); err != nil {
		return nil, fmt.Errorf("evaluate the profiles: read what nix wrote: %w", err)
	}
	var missing []string
	evaluated := make(map[string]deploy.Evaluated, len(found))
	var failures []unexplained
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		node := found[name]
		if node.Missing {
			missing = append(missing, fmt.Sprintf("it has no node %q", name))
			continue
		}
		e := deploy.Evaluated{Hostname: node.Hostname, Names: node.Names, Profiles: map[string]deploy.Spec{}, Failed: map[string]error{}}
		evaluated[name] = e
		if node.Failed {
			failures = append(failures, unexplained{node: name})
			continue
		}
		for profile, spec := range node.Specs {
			if !spec.Success {
				failures = append(failures, unexplained{name, profile})
				continue
			}
			made, err := readSpec(spec.Value)
			if err != nil {
				e.Failed[profile] = &EvaluationError{Profile: name + "/" + profile, Message: err.Error()}
				continue
			}
			e.Profiles[profile] = made
		}
	}
	if len(missing) > 0 {
		return nil, &deploy.MismatchError{Problems: missing}
	}
	return evaluated, s.explain(ctx, nodes, evaluated, failures)
}

func readSpec(value []byte) (deploy.Spec, error) {
	var spec evaluatedSpec
	if err := json.Unmarshal(value, &spec); err != nil {
		return deploy.Spec{}, fmt.Errorf("read what nix wrote: %w", err)
	}
	// A path without a context is in the store already, or is nothing.
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

// An unexplained is a profile that could not be evaluated, or a whole node.
type unexplained struct{ node, profile string }

// explain adds to evaluated why profiles failed.
func (s *Store) explain(ctx context.Context, nodes []deploy.Node, evaluated map[string]deploy.Evaluated, failures []unexplained) error {
	var (
		mu    sync.Mutex
		wait  sync.WaitGroup
		slots = make(chan struct{}, s.Nix.Parallel())
		fatal error
	)
	for _, f := range failures {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			why, err := s.why(ctx, f)
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
			// Of a node that fails nothing is known: none of its profiles is in order.
			e := evaluated[f.node]
			n := nodes[slices.IndexFunc(nodes, func(n deploy.Node) bool { return n.Name == f.node })]
			for _, p := range n.Profiles {
				e.Failed[p.Name] = why
			}
		})
	}
	wait.Wait()
	return fatal
}

// why evaluates what failed by itself. What fails is the answer.
func (s *Store) why(ctx context.Context, f unexplained) (why, err error) {
	what, key := "{ inherit (node) hostname; names = builtins.attrNames node.profiles; }", f.node
	if f.profile != "" {
		key += "/" + f.profile
		what = fmt.Sprintf(`{ inherit (node.profiles.${%s}) user sshUser profilePath tempPath; path = "${node.profiles.${%[1]s}.path}"; }`, nix.Quote(f.profile))
	}
	_, err = s.apply(ctx, fmt.Sprintf(explain, nix.Quote(f.node), what))
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		return evaluationError(failed, key), nil
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", key, err)
	}
	return &EvaluationError{Profile: key, Message: "it threw, and did not when it was evaluated once more"}, nil
}

// apply evaluates a function of deploy.nodes. The trace is shown, for in it is
// what was being evaluated.
func (s *Store) apply(ctx context.Context, function string) ([]byte, error) {
	nodes, err := s.Nix.Installable(ctx, "deploy.nodes")
	if err != nil {
		return nil, err
	}
	return s.nix(ctx, nix.Command{}, "eval", "--json", "--show-trace", "--option", "eval-cache", "false",
		"--no-update-lock-file", nodes, "--apply", function)
}

// An EvaluationError says why a profile of the flake cannot be evaluated, or,
// without a profile, none of them.
type EvaluationError struct {
	Profile string // node/profile or node, "" if it is not known
	Message string
	Advice  string
}

func (e *EvaluationError) Error() string {
	if e.Profile == "" {
		return "evaluate the flake's deploy.nodes: " + e.Message
	}
	return "evaluate " + e.Profile + ": " + e.Message
}

// Hint says what mends it, or how to do without.
func (e *EvaluationError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	node, profile, _ := strings.Cut(e.Profile, "/")
	if profile == "" || profile == deploy.SystemProfile {
		profile = node
	}
	if profile == "" {
		return "nix eval --show-trace .#deploy.nodes shows how nix got there"
	}
	return "mend it, or leave it out: -exclude=" + profile
}

// marks are what [evaluate] tells of itself in a trace.
var marks = regexp.MustCompile(`hostenv-provider: (?:profile|node) ([A-Za-z0-9._-]+(?:/[a-z0-9_-]+)?) of the flake`)

func evaluationError(failed *nix.CommandError, profile string) *EvaluationError {
	said, hint := nix.SplitHint(failed.Message())
	if mark := marks.FindStringSubmatch(failed.Log); profile == "" && mark != nil {
		profile = mark[1]
	}
	if hint == "" {
		hint = nix.Advice(said)
	}
	return &EvaluationError{Profile: profile, Message: said, Advice: hint}
}
