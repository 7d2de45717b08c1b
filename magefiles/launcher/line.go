package launcher

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A line is a command line during its translation, which moves words from rest
// to done.
type line struct {
	targets    []*Target
	done, rest []string
	called     []*Target
	foreign    bool // the line may have targets that are not in the table

	help    bool
	about   *Target // what help was asked about, nil for the whole program
	version bool
}

// translate returns a line in Mage's spelling.
//
//   - Words that make up the name of a target are joined: state list is
//     state:list, dns-gate is dnsGate, nodes build is nodesBuild.
//   - Flags lose a hyphen: --dry-run is -dryRun, --node n1 and --node=n1 are
//     -node=n1; -n is short for -node.
//   - Arguments of a target precede its flags, and a list that is given more than
//     once is joined: --node n1 --node n2 is -node=n1,n2.
//
// Nothing else changes in a line that Mage would run. An argument of a target cannot
// begin with a hyphen.
func translate(targets []*Target, args []string) (*line, error) {
	l := &line{targets: targets, rest: args}
	return l, l.all()
}

// flags returns a line whose flags are in Mage's spelling, up to the first word
// that is not understood.
func flags(targets []*Target, args []string) []string {
	l := &line{targets: targets, rest: args, foreign: true}
	if err := l.all(); err == nil && (l.help || l.version) {
		return args
	}
	return append(l.done, l.rest...)
}

func (l *line) all() error {
	if err := l.globals(); err != nil {
		return err
	}
	for len(l.rest) > 0 && !l.help && !l.version {
		if err := l.call(); err != nil {
			return err
		}
	}
	for _, t := range l.called {
		if len(l.called) > 1 && find(own, t.Name) != nil {
			return problem.New(t.conventional(), "stands alone on its line", "run it by itself: "+program+" "+t.usage())
		}
	}
	return nil
}

// put translates the next n words of the rest to the given ones.
func (l *line) put(n int, words ...string) {
	l.done = append(l.done, words...)
	l.rest = l.rest[n:]
}

// programFlags has Mage's name of each flag of the program, "" for one of the
// launcher's own.
var programFlags = map[string]string{"v": "v", "l": "l", "h": "h", "t": "t", "verbose": "v", "list": "l", "help": "h", "timeout": "t", "version": ""}

// globals translates what precedes the first target.
func (l *line) globals() error {
	list := false
	for len(l.rest) > 0 && isFlag(l.rest[0]) && l.rest[0] != "--" {
		name, on, err := l.global()
		if err != nil || l.version {
			return err
		}
		l.help, list = l.help || name == "h" && on, list || name == "l" && on
	}
	if err := mageFlags().Parse(l.done); err != nil {
		return problem.New("", err.Error(), "write a duration as in --timeout 5m, and a switch without a value")
	}
	if len(l.rest) > 0 && l.rest[0] == "--" || list {
		l.put(len(l.rest), l.rest...) // Mage ignores the rest
		return nil
	}
	return l.topic()
}

// global translates one flag of the program with its value, and returns Mage's
// name for it and whether it is on.
func (l *line) global() (mage string, on bool, err error) {
	word := l.rest[0]
	name, value, hasValue := cutFlag(word)
	mage, known := programFlags[name]
	if !known {
		return "", false, problem.New("flag "+word, "precedes the first target, and is not a flag of the program", "write a flag of a target after the target's name")
	}
	if mage == "" {
		l.version = true
		return "", true, nil
	}
	if name != mage {
		word = given{name: "-" + mage, value: value, hasValue: hasValue}.String()
	}
	l.put(1, word)
	if mage == "t" && !hasValue && len(l.rest) > 0 {
		l.put(1, l.rest[0])
	}
	return mage, !hasValue || value != "false", nil
}

// topic finds the target that --help TARGET or help TARGET names.
func (l *line) topic() error {
	if !l.help && !l.foreign && len(l.rest) > 0 && l.rest[0] == "help" {
		l.help = true
		l.put(1)
	}
	if !l.help || len(l.rest) == 0 {
		return nil
	}
	if l.about, _ = l.match(); l.about == nil {
		return l.unknown()
	}
	return nil
}

// mageFlags are the flags of the main function that Mage generates. That function
// ends with 0 if it cannot read them.
func mageFlags() *flag.FlagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Bool("v", false, "")
	f.Bool("l", false, "")
	f.Bool("h", false, "")
	f.Duration("t", 0, "")
	return f
}

// call translates a target with its arguments and flags. On an error done has
// what was understood, and rest begins with what was not.
func (l *line) call() error {
	target, n := l.match()
	if target == nil {
		return l.unknown()
	}
	name := target.Name
	if l.foreign || n == 1 && strings.EqualFold(l.rest[0], name) {
		name = l.rest[0] // Mage accepts this spelling
	}
	l.put(n, name)
	l.called = append(l.called, target)
	args, all, err := l.operands(target)
	if l.help {
		return nil
	}
	words, twice := join(all)
	if twice != nil && l.foreign { // for Repeated to refuse
		for _, g := range all {
			words = append(words, g.String())
		}
		twice = nil
	}
	l.put(0, append(args, words...)...)
	switch {
	case err != nil:
		return err
	case twice != nil:
		return twice
	case len(args) < len(target.Args):
		return problem.New(target.conventional(), "lacks its "+target.Args[len(args)], "write "+target.usage())
	}
	return nil
}

// operands takes the arguments and flags of a target out of rest. On an error
// rest begins with the word that is wrong.
func (l *line) operands(target *Target) (args []string, flags []given, err error) {
	for len(l.rest) > 0 {
		if !isFlag(l.rest[0]) {
			if len(args) == len(target.Args) {
				break
			}
			args = append(args, l.rest[0])
			l.put(1)
			continue
		}
		g, n, err := target.read(l.rest)
		if err != nil {
			if name, _, _ := cutFlag(l.rest[0]); !l.foreign && (name == "h" || name == "help") {
				l.help, l.about = true, target
			}
			return args, flags, err
		}
		if err := g.check(); err != nil && !l.foreign {
			return args, flags, err
		}
		flags = append(flags, g)
		l.put(n)
	}
	return args, flags, nil
}

// match returns the target whose name the next n words make up, or nil. It takes
// the longest name, unless Mage would read a shorter one with its arguments. With
// foreign targets it takes one word, because two words could name two targets.
func (l *line) match() (target *Target, n int) {
	if isFlag(l.rest[0]) {
		return nil, 0
	}
	first := find(l.targets, l.rest[0])
	if first != nil && (len(first.Args) > 0 || len(l.rest) == 1 || find(l.targets, l.rest[1]) != nil) {
		return first, 1
	}
	target, n = first, 1
	typed := ""
	for i, word := range l.rest {
		if isFlag(word) || l.foreign && i > 0 {
			break
		}
		typed += "-" + kebab(word)
		for _, t := range l.targets {
			if typed[1:] == kebab(t.Name) {
				target, n = t, i+1
			}
		}
	}
	return target, n
}

// find returns the target of a name in Mage's spelling, which ignores case.
func find(targets []*Target, name string) *Target {
	if i := slices.IndexFunc(targets, func(t *Target) bool { return strings.EqualFold(name, t.Name) }); i >= 0 {
		return targets[i]
	}
	return nil
}

// unknown reports that the next words name no target.
func (l *line) unknown() error {
	word := l.rest[0]
	var names, below []string
	for _, t := range l.targets {
		name := t.conventional()
		names = append(names, name)
		if strings.HasPrefix(name, kebab(word)+" ") {
			below = append(below, name)
		}
	}
	hint := "`" + program + " --help` lists the targets; the value of a flag is written --flag=value"
	near := nearest(word, names)
	if len(l.rest) > 1 && !isFlag(l.rest[1]) {
		if both := nearest(word+l.rest[1], names); both != "" {
			near, below = both, nil
		}
	}
	if len(below) > 0 {
		hint = "write " + strings.Join(below, ", or ")
	} else if near != "" {
		hint = "did you mean " + near + "?"
	}
	return problem.New("", fmt.Sprintf("there is no target %q; no target ran", word), hint)
}
