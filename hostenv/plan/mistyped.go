package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// The types that hostenv has for an environment.
var types = []string{"development", "production", "testing"}

// similar returns the word of words that text most likely stands for, "" if it is like
// none of them.
func similar(text string, words []string) string {
	best, least := "", 1+min(2, len(text)/3)
	for _, word := range words {
		if strings.EqualFold(word, text) && word != text {
			return word
		}
		if d := distance(text, word); d > 0 && d < least {
			best, least = word, d
		}
	}
	return best
}

// distance counts the bytes to insert, remove, replace or swap with the next that make
// b of a.
func distance(a, b string) int {
	before, last := []int{}, make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// meant returns the hint for a word that is like none, or one, of words.
func meant(text string, words []string, otherwise string) string {
	if word := similar(text, words); word != "" {
		return fmt.Sprintf("did you mean %s?", quoteAttribute(word))
	}
	return otherwise
}

// options refuses options that do not exist. The flake-parts module does so by itself.
func (r *reader) options(from canonjson.Object, where string, known ...string) {
	for _, m := range from {
		if !slices.Contains(known, m.Name) {
			r.remedied(where, m.Name, meant(m.Name, known, "remove it; docs/options.md of hostenv-provider lists all options"), "is no option")
		}
	}
}

// providerOptions are the options of a provider, those that only Nix reads as well.
var providerOptions = []string{
	"accessTokensSecret", "activate", "activationTimeout", "allowEmpty", "cache", "cloudflare", "deployPublicKeys", "deployUser", "domains", "evaluation",
	"frontDoor", "generatedPath", "hold", "hostenvHostname", "letsEncrypt", "limits", "lockFile", "moved", "nixSigning", "nixosSystem", "nodeFor",
	"nodeModules", "nodes", "nodesPath", "notProjects", "notify", "overrides", "pkgsFor", "placement", "privateNetworks", "requireDomainProof",
	"secretsPath", "system", "transfers", "uidRange", "waveFailures", "wavePause", "waveTypes", "waves", "wildcard",
}

// nodeTypes refuses members of provider.nodeFor for which no environment can ask: the
// environments that were meant would go to the default node.
func (c *computation) nodeTypes() {
	asked := slices.Concat(types, []string{"default"})
	for _, e := range c.placed {
		asked = append(asked, e.Type)
	}
	for _, m := range c.inv.Provider.NodeFor {
		if slices.Contains(asked, m.Name) || len(c.keptProjects()) > 0 && similar(m.Name, asked) == "" { // one that stays may ask for it
			continue
		}
		c.errs.Addf("provider.nodeFor."+quoteAttribute(m.Name), meant(m.Name, asked, "remove it: the types are "+strings.Join(types, ", ")+", and default is for all others"),
			"names no type of an environment")
	}
}

// knownType refuses a type that hostenv does not have, unless the provider has a node
// for it.
func (p *Provider) knownType(e *EvaluatedEnvironment) error {
	if slices.Contains(types, e.Type) || p.NodeFor.Get(e.Type) != nil {
		return nil
	}
	return problem.New(e.Ref()+": type", fmt.Sprintf("is %q, which is no type of an environment", e.Type),
		meant(e.Type, types, "write one of "+strings.Join(types, ", ")+", or set provider.nodeFor."+quoteAttribute(e.Type)))
}

// unusedPlacement refuses a member of provider.placement that is like a name which is
// planned: that environment would move to another node. It warns of others, and of
// names that were planned once.
func (c *computation) unusedPlacement(key string) { c.unusedName("provider.placement", key) }

// unusedName refuses a member of an option that is like a name which is planned, and
// warns of any other.
func (c *computation) unusedName(option, key string) {
	var names []string
	for _, e := range c.placed {
		names = append(names, e.Ref(), e.Input, e.Organisation)
	}
	where := option + "." + quoteAttribute(key)
	if word := similar(key, names); word != "" && !c.wasPlanned(key) {
		c.errs.Addf(where, fmt.Sprintf("did you mean %s?", quoteAttribute(word)), "names no environment, project or organisation that is planned")
		return
	}
	c.warn(where, "names no environment, project or organisation that is planned")
}

// wasPlanned reports whether the prior state has an environment, a project or an
// organisation of this name.
func (c *computation) wasPlanned(key string) bool {
	for _, e := range c.prior.Entries {
		project := e.Organisation + "__" + e.Project
		if e.Organisation != "" && slices.Contains([]string{e.Organisation, project, project + "/" + e.Environment}, key) {
			return true
		}
	}
	return false
}

// misnamedInputs looks for projects among the inputs that are none, because their names
// do not hold two underscores. It refuses one that is like the name of a project that
// has left the inputs, and warns of others.
func (c *computation) misnamedInputs() {
	left := map[string]int{} // environments by project
	for _, e := range c.prior.Entries {
		if e.Organisation != "" && !e.Retired {
			left[e.Organisation+"__"+e.Project]++
		}
	}
	for _, p := range c.inv.Projects {
		delete(left, p.Organisation+"__"+p.Project)
	}
	for _, input := range c.keptProjects() {
		delete(left, input)
	}
	for _, input := range c.inv.Inputs {
		one, other, found := strings.Cut(input, "_")
		if strings.Contains(input, "__") || slices.Contains(c.inv.Provider.notProjects, input) {
			continue
		}
		name := input
		if found {
			name = state.Sanitise(one) + "_" + state.Sanitise(other)
		}
		project := similar(name, slices.Sorted(maps.Keys(left)))
		switch {
		case project != "":
			c.errs.Addf("the input "+input, fmt.Sprintf("did you mean %s? If %[1]s is to go, add %s to provider.notProjects", project, problem.Nix(input)),
				"is no project, and without the project %s this plan would retire %d %s", project, left[project], plural(left[project], "environment", "environments"))
		case found && one != "" && other != "":
			c.warnings = append(c.warnings, state.Warning{
				Subject: "the input " + input, Message: "is no project: organisation and project have two underscores between them", Reason: "one-underscore",
				Hint: fmt.Sprintf("name it %s__%s; or, if it is no project, add it to provider.notProjects", one, other),
			})
		}
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// fewEnvironments is how many environments any plan may retire or move.
const fewEnvironments = 5

// tooMany refuses a plan that retires or moves more environments than
// provider.limits.retire allows: most often, an input or an option is mistyped.
func (c *computation) tooMany(changes []state.Change) {
	live, retired, moved := 0, 0, 0
	var refs []string
	for _, e := range c.prior.Entries {
		if !e.Retired {
			live++
		}
	}
	for _, change := range changes {
		switch {
		case change.Kind != state.KindEnvironment:
			continue
		case change.Action == state.Retire:
			retired++
		case change.Action == state.Move && change.Reason == state.ReasonPlacement:
			moved++
		default:
			continue
		}
		refs = append(refs, change.Key)
	}
	percent := c.inv.Provider.Limits.Retire
	if c.inv.AllowMany || len(refs) <= max(fewEnvironments, live*percent/100) {
		return
	}
	shown := strings.Join(refs[:3], ", ") + fmt.Sprintf(" and %d more", len(refs)-3)
	c.errs.Addf("this plan", "if that is right, run `mage plan -allowMany`; or look for what is mistyped or missing in the inputs, provider.nodeFor and provider.placement",
		"retires %d and moves %d of %d environments, and provider.limits.retire allows %d %%: %s", retired, moved, live, percent, shown)
}
