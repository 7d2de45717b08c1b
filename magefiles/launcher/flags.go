package launcher

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A given is a flag as it was written.
type given struct {
	*Flag
	name     string // with a hyphen, in Mage's spelling
	value    string
	hasValue bool
}

func (g given) String() string {
	if g.hasValue {
		return g.name + "=" + g.value
	}
	return g.name
}

// read returns the flag at the beginning of words, and how many words it takes.
func (t *Target) read(words []string) (g given, n int, err error) {
	name, value, hasValue := cutFlag(words[0])
	f := t.named(name)
	if f == nil {
		var names []string
		for _, f := range t.Flags {
			names = append(names, f.conventional())
		}
		hint := fmt.Sprintf("`%s %s --help` lists its flags", program, t.conventional())
		if near := nearest(name, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		word, _, _ := strings.Cut(words[0], "=")
		return g, 0, problem.New(t.conventional(), "has no flag "+word+"; no target ran", hint)
	}
	g = given{f, "-" + f.Name, value, hasValue}
	if written, _, _ := strings.Cut(words[0], "="); strings.EqualFold(written, g.name) {
		g.name = written
	}
	switch {
	case hasValue || f.Type == "bool":
		return g, 1, nil
	case len(words) > 1 && !isFlag(words[1]):
		g.value, g.hasValue = words[1], true
		return g, 2, nil
	default:
		return g, 0, problem.New(f.conventional(), "has no value", "write "+f.usage())
	}
}

// check refuses a value that Mage could not convert.
func (g given) check() (err error) {
	what := ""
	switch {
	case !g.hasValue:
		return nil
	case g.Type == "bool":
		_, err = strconv.ParseBool(g.value)
		what = "write the flag alone, or with =false"
	case g.Type == "int":
		_, err = strconv.Atoi(g.value)
		what = "write a whole number, such as 4"
	case g.Type == "time.Duration":
		_, err = time.ParseDuration(g.value)
		what = "write a duration, such as 90s or 5m"
	}
	if err != nil {
		return problem.New(g.conventional(), fmt.Sprintf("is %q; no target ran", g.value), what)
	}
	return nil
}

// join returns flags in Mage's spelling, each once. It joins the values of a list,
// and refuses any other flag that is given twice: Mage would take the last value.
func join(all []given) ([]string, error) {
	var once []given
	for _, g := range all {
		i := slices.IndexFunc(once, func(o given) bool { return o.Flag == g.Flag })
		switch {
		case i < 0:
			once = append(once, g)
		case !g.List:
			return nil, problem.New(g.conventional(), "is given twice, and has one value", "give it once")
		case once[i].value == "" || g.value == "":
			return nil, problem.New(g.conventional(), "is given twice, once without a value", "leave the flag out to select everything")
		default:
			once[i].value += "," + g.value
		}
	}
	var words []string
	for _, g := range once {
		words = append(words, g.String())
	}
	return words, nil
}

// Repeated refuses a line in Mage's spelling that gives a flag of one target
// twice. [InitFlags] joins lists, but not after a target of the provider's own,
// whose arguments are not known.
func Repeated(args []string) error {
	var target *Target
	var all []given
	arguments := 0 // that the target still lacks
	for _, word := range args {
		l := &line{targets: table, rest: []string{word}}
		switch {
		case word == "--":
			return nil
		case arguments > 0:
			arguments--
		case !isFlag(word):
			all = nil
			if target, _ = l.match(); target != nil {
				arguments = len(target.Args)
			}
		case target != nil:
			g, _, err := target.read(l.rest)
			if err != nil {
				continue // Mage refuses it
			}
			all = append(all, g)
			words, err := join(all)
			if err != nil {
				return err
			}
			if len(words) < len(all) {
				i := slices.IndexFunc(words, func(w string) bool { name, _, _ := cutFlag(w); return strings.EqualFold(name, g.Name) })
				return problem.New("-"+g.Name, "is given twice, and Mage takes the last", "write "+words[i])
			}
		}
	}
	return nil
}
