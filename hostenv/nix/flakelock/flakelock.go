// Package flakelock reads a flake.lock as data, and decides which sources in it may
// be fetched, before Nix evaluates anything.
//
// Whoever writes a flake.nix decides what Nix fetches for it, with the keys and from
// the network of the machine that runs Nix. A provider writes the inputs of their
// own flake. What these inputs bring in turn, customers decide: a folder of the
// operator's home, the repository of another customer, a service on loopback. Such
// sources are refused, under any name that Nix has for them.
//
// The package is pure: bytes in, problems out.
package flakelock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Lock is a parsed flake.lock of format 5, 6 or 7.
type Lock struct {
	root  string
	nodes map[string]*node
}

// A node is one locked input.
type node struct {
	inputs   map[string]reference
	locked   map[string]any // with `info`, in which format 5 keeps a part of it
	original map[string]any
	parent   []string // the flake that a relative path begins in, nil if not recorded
	isFlake  bool
}

// A reference names another node: by its label, or by the input path that it
// follows from the root.
type reference struct {
	label   string
	follows []string // nil for a label
}

// Parse reads a flake.lock. It refuses what different readers could read
// differently, such as a member that is given twice.
func Parse(text []byte) (*Lock, error) {
	value, err := canonjson.Decode(text)
	if err != nil {
		return nil, err
	}
	document, _ := value.(map[string]any)
	switch version, _ := document["version"].(int64); version {
	case 5, 6, 7:
	default:
		return nil, fmt.Errorf("its version is %v, and only 5, 6 and 7 are known", document["version"])
	}
	l := &Lock{nodes: map[string]*node{}}
	var ok bool
	if l.root, ok = document["root"].(string); !ok {
		return nil, fmt.Errorf("root is %v, and should be a string", document["root"])
	}
	nodes, ok := document["nodes"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("nodes is missing, or not an object")
	}
	for label, value := range nodes {
		if l.nodes[label], err = parseNode(value); err != nil {
			return nil, fmt.Errorf("node %q: %w", label, err)
		}
	}
	if l.nodes[l.root] == nil {
		return nil, fmt.Errorf("there is no node %q, which root names", l.root)
	}
	for label, n := range l.nodes {
		for input, to := range n.inputs {
			if to.follows == nil && l.nodes[to.label] == nil {
				return nil, fmt.Errorf("node %q: there is no node %q, which the input %q names", label, to.label, input)
			}
		}
	}
	return l, nil
}

// None is the lock of a flake without inputs.
func None() *Lock {
	return &Lock{root: "root", nodes: map[string]*node{"root": {inputs: map[string]reference{}}}}
}

func parseNode(value any) (*node, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is not an object")
	}
	n := &node{inputs: map[string]reference{}, locked: map[string]any{}, isFlake: true}
	for _, name := range []string{"locked", "info", "original"} {
		member, ok := object[name].(map[string]any)
		if object[name] != nil && !ok {
			return nil, fmt.Errorf("%s is not an object", name)
		}
		if name == "original" {
			n.original = member
		} else {
			maps.Copy(n.locked, member)
		}
	}
	if flake, there := object["flake"]; there {
		if n.isFlake, ok = flake.(bool); !ok {
			return nil, fmt.Errorf("flake is not true or false")
		}
	}
	var err error
	if n.parent, err = parsePath(object["parent"]); err != nil {
		return nil, fmt.Errorf("parent: %w", err)
	}
	inputs, ok := object["inputs"].(map[string]any)
	if object["inputs"] != nil && !ok {
		return nil, fmt.Errorf("inputs is not an object")
	}
	for name, to := range inputs {
		if label, ok := to.(string); ok {
			n.inputs[name] = reference{label: label}
			continue
		}
		follows, err := parsePath(to)
		if err != nil || follows == nil {
			return nil, fmt.Errorf("the input %q is neither a name nor a list of names", name)
		}
		n.inputs[name] = reference{follows: follows}
	}
	return n, nil
}

// parsePath reads a list of names, nil if there is none.
func parsePath(value any) ([]string, error) {
	if value == nil {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("it is not a list of names")
	}
	path := make([]string, len(list))
	for i, element := range list {
		if path[i], ok = element.(string); !ok {
			return nil, fmt.Errorf("it is not a list of names")
		}
	}
	return path, nil
}

// Customers returns those inputs of the root whose name is organisation__project.
// It does not know provider.notProjects, which is only known after evaluation.
func (l *Lock) Customers() []string {
	return slices.DeleteFunc(l.Inputs(), func(name string) bool { return !strings.Contains(name, "__") })
}

// Inputs returns the names of the root's inputs, sorted.
func (l *Lock) Inputs() []string { return slices.Sorted(maps.Keys(l.nodes[l.root].inputs)) }

// Read returns the inputs among customers whose flake.nix Nix reads when it locks:
// those without `flake = false`.
func (l *Lock) Read(customers []string) []string {
	return slices.DeleteFunc(slices.Clone(customers), func(name string) bool {
		to, there := l.nodes[l.root].inputs[name]
		return !there || to.follows != nil || !l.nodes[to.label].isFlake
	})
}

// Check returns the problems of a provider's lock: what customers bring that no
// setting allows (see [refuse]), and repositories of other organisations. What the
// provider's own inputs name, and what they bring, is as the provider wrote it.
func (l *Lock) Check() error {
	var problems problem.List
	own := l.own()
	repositories := l.repositories()
	for _, customer := range l.Customers() {
		at := l.nodes[l.root].inputs[customer]
		if at.follows != nil {
			continue // it is part of what it follows
		}
		n := l.nodes[at.label]
		if reason := refuse(n.locked, true); reason != "" && refuse(n.original, true) == "" {
			problems.Add(brought(customer, nil, reason, n.isFlake))
		}
		found, err := l.walk(at.label, folderOf(n.original), nil)
		problems.Add(tooMany(customer, err))
		for _, s := range found {
			if len(s.path) == 0 || own[identity(s.node.locked)] {
				continue
			}
			reason := s.refused
			if owner := repositories[repository(s.node.locked)]; reason == "" && owner != "" && owner != organisation(customer) {
				reason = "the repository of another customer"
			}
			if reason != "" {
				problems.Add(brought(customer, s.path, reason, n.isFlake))
			}
		}
	}
	return problems.Err()
}

// Allow returns the problems of a provider's lock with the sources that customers
// bring from elsewhere than the provider allows (see [Allowed]).
func (l *Lock) Allow(customers []string, allowed Allowed) error {
	var problems problem.List
	own := l.own()
	for _, customer := range customers {
		at, there := l.nodes[l.root].inputs[customer]
		if !there || at.follows != nil {
			continue
		}
		found, err := l.walk(at.label, "", nil)
		problems.Add(tooMany(customer, err))
		for _, s := range found {
			if len(s.path) > 0 && !own[identity(s.node.locked)] && !isRelative(s.node.locked) && !allowed.has(customer, s.node.locked) {
				problems.Add(unnamed(customer, s))
			}
		}
	}
	return problems.Err()
}

// brought reports a source that is refused. An empty path is the customer's own input.
func brought(customer string, path []string, reason string, isFlake bool) error {
	text := "is " + reason
	if len(path) > 0 {
		text = fmt.Sprintf("brings %q into flake.lock, %s", clip(strings.Join(path, "/")), reason)
	}
	fix := "let the customer remove it from their flake.nix and flake.lock"
	if isFlake {
		fix = fmt.Sprintf("write inputs.%s.flake = false; in flake.nix, and run `%s`): then the lock has nothing that the customer brings", customer, Relock(customer))
	}
	return problem.New("project "+customer, text, fix)
}

// tooMany reports that a customer brings more than a walk takes, nil for a nil error.
func tooMany(customer string, err error) error {
	if err == nil {
		return nil
	}
	return problem.New("project "+customer, "flake.lock: "+err.Error(),
		fmt.Sprintf("write inputs.%s.flake = false; in flake.nix, and run `%s`): then the lock has nothing that the customer brings", customer, Relock(customer)))
}

func unnamed(customer string, s source) error {
	uri := address(s.node.locked)
	return problem.New("project "+customer, fmt.Sprintf("brings %q from %s, which provider.evaluation.allowedUris does not allow", clip(strings.Join(s.path, "/")), clip(uri)),
		fmt.Sprintf("if this customer may have it, write provider.evaluation.organisations.%s.allowedUris = [ %q ];", organisation(customer), clip(hostOnly(uri))))
}

// own holds the identities of the sources that the provider's own inputs reach.
func (l *Lock) own() map[string]bool {
	own := map[string]bool{}
	customers := l.Customers()
	for name, to := range l.nodes[l.root].inputs {
		if to.follows != nil || slices.Contains(customers, name) {
			continue
		}
		found, _ := l.walk(to.label, "", nil) // of a part, fewer are trusted
		for _, s := range found {
			if id := identity(s.node.locked); id != "" {
				own[id] = true
			}
		}
	}
	return own
}

// repositories maps the repositories of the customers' own inputs to organisations.
func (l *Lock) repositories() map[string]string {
	owners := map[string]string{}
	for _, customer := range l.Customers() {
		if to := l.nodes[l.root].inputs[customer]; to.follows == nil {
			if key := repository(l.nodes[to.label].locked); key != "" {
				owners[key] = organisation(customer)
			}
		}
	}
	return owners
}

// organisation is the part of an input's name that stands for the customer.
func organisation(customer string) string {
	name, _, _ := strings.Cut(strings.ToLower(customer), "__")
	return name
}

// Relock is the command that locks inputs anew. `nix flake lock` alone keeps what an
// input has brought.
func Relock(inputs ...string) string {
	names := strings.Join(inputs, " ")
	return "nix flake update " + names + "` (before Nix 2.19 `nix flake lock --update-input " + strings.Join(inputs, " --update-input ")
}

// clip shortens what a customer wrote.
func clip(text string) string {
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return strings.ReplaceAll(problem.Visible(text), "\n", " ")
}
