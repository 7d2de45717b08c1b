// Package launcher lets a compiled magefile be called as programs are called
// by convention, beside Mage's own way:
//
//	hostenv-provider dns-gate --node n1      dnsGate -node=n1
//	hostenv-provider state list --json       state:list -json
//	hostenv-provider nodes build n1          nodesBuild n1
//	hostenv-provider deploy -n n1            deploy -node=n1
//
// It is linked with the magefile and rewrites os.Args before the main that
// Mage generated reads them. There is no second process: exit codes, signals,
// standard input and the terminal are the targets' own.
//
// A line that Mage would run is not changed, but for a flag that is given more
// than once, of which Mage takes the last: lists of names are joined, and of
// anything else it is refused. A line that Mage would refuse
// only after it ran a part of it, or refuse with exit code 0, is refused here,
// with 2, before anything runs: `deploy n1` deploys every node, and then finds
// that n1 is no target.
package launcher

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is set by the linker (-ldflags "-X ...launcher.version=1.2.3").
var version string

const exitUsage = 2

// Init translates os.Args for the targets of magefiles/targets. Call it from an
// init function of the magefile. It ends the process after `--version` and
// where it refuses the line.
func Init() {
	program := filepath.Base(os.Args[0])
	args, err := Translate(table, os.Args[1:])
	var usage *UsageError
	switch {
	case errors.Is(err, ErrVersion):
		fmt.Println(program, versionText(), runtime.Version())
		os.Exit(0)
	case errors.Is(err, ErrHelp):
		fmt.Printf(help, program)
		args = []string{"-l"}
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "error: %v\nhint: %s\n", usage, usage.Hint())
		os.Exit(exitUsage)
	}
	os.Args = append(os.Args[:1:1], args...)
}

const help = `usage: %[1]s [-v] [--timeout 5m] TARGET [FLAGS] [TARGET [FLAGS]] ...

A target or flag is written as below, or with hyphens and spaces: state:list or
state list, -dryRun or --dry-run, -out=DIR or --out DIR. Several targets run in
their order, up to the first that fails.

  %[1]s TARGET --help     what a target does, and its flags
  %[1]s --version

`

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "unreleased"
}

// A Target is what Mage can run, in Mage's spelling.
type Target struct {
	Name  string // state:list, nodesBuild
	Args  int    // how many arguments it wants, before its flags
	Flags []Flag
}

// A Flag is an option of a target.
type Flag struct {
	Name string // dryRun
	Bool bool   // it stands alone, without a value
	List bool   // its value is a list, with commas between
}

// What Translate was asked in place of running a target.
var (
	ErrHelp    = errors.New("help was asked for")
	ErrVersion = errors.New("the version was asked for")
)

// A UsageError is a line that cannot be run.
type UsageError struct{ problem, hint string }

func (e *UsageError) Error() string { return e.problem }

// Hint says what to write or to run in place of it.
func (e *UsageError) Hint() string { return e.hint }

// InitFlags translates the flags in os.Args, for a magefile that may have
// targets of its own beside those of magefiles/targets, which calls it.
func InitFlags() { os.Args = append(os.Args[:1:1], Flags(table, os.Args[1:])...) }

// Flags returns a command line whose targets' flags are in Mage's spelling, and
// go by their present names: `plan --dry-run` is plan -dryRun. A list that is
// given more than once is one. From a word on
// that is neither a target of the given ones nor belongs to one, nothing is
// changed, nor what Mage would run.
func Flags(targets []Target, args []string) []string {
	t := &translation{targets: targets, rest: args}
	for len(t.rest) > 0 && isFlag(t.rest[0]) { // Mage's own
		word := t.rest[0]
		if word == "--" {
			break
		}
		t.put(1, word)
		if name, _, hasValue := cutFlag(word); name == "t" && !hasValue && len(t.rest) > 0 {
			t.put(1, t.rest[0])
		}
	}
	for len(t.rest) > 0 && !isFlag(t.rest[0]) {
		target := t.named(t.rest[0])
		if target == nil || len(t.rest) <= target.Args {
			break
		}
		t.put(1+target.Args, t.rest[:1+target.Args]...)
		var flags given
		for len(t.rest) > 0 && isFlag(t.rest[0]) {
			f, written, n := target.flag(t.rest)
			if n == 0 {
				break
			}
			if flags.add(f, written) != nil { // for Repeated to refuse
				flags.words, flags.of = append(flags.words, written), append(flags.of, f)
			}
			t.put(n)
		}
		t.put(0, flags.words...)
	}
	t.pass()
	return t.done
}

// named returns the target that one word names, in Mage's spelling or with
// hyphens.
func (t *translation) named(word string) *Target {
	for i := range t.targets {
		if strings.EqualFold(strings.Join(splitName(word), " "), strings.Join(splitName(t.targets[i].Name), " ")) {
			return &t.targets[i]
		}
	}
	return t.find(word)
}

// Translate returns a command line in Mage's spelling.
//
//   - Words that make up a target's name are joined: state list is state:list,
//     dns-gate is dnsGate, nodes build is nodesBuild.
//   - A target's flags lose a hyphen: --dry-run is -dryRun, --node n1 and
//     --node=n1 are -node=n1; -n is short for -node. One that hostenv's own
//     hostenv-provider called otherwise, as --with-dns-update, is still known.
//   - A target's arguments come before its flags.
//   - A list that is given more than once is one: --node n1 --node n2 is
//     -node=n1,n2.
//   - deploy --help, and help deploy, are -h deploy.
//   - What follows `--` is not touched, nor what follows a flag that the target
//     does not have: Mage complains of that before it runs the target.
//
// An argument of a target cannot begin with a hyphen. The error is [ErrHelp],
// [ErrVersion] or a *[UsageError].
func Translate(targets []Target, args []string) ([]string, error) {
	t := &translation{targets: targets, rest: args}
	if err := t.globals(); err != nil {
		return nil, err
	}
	for len(t.rest) > 0 {
		if err := t.target(); err != nil {
			return nil, err
		}
	}
	return t.done, nil
}

// A translation moves words from rest to done.
type translation struct {
	targets    []Target
	done, rest []string
}

// put translates the next n words of the rest to the given ones.
func (t *translation) put(n int, words ...string) {
	t.done = append(t.done, words...)
	t.rest = t.rest[n:]
}

// pass leaves the whole rest as it is.
func (t *translation) pass() { t.put(len(t.rest), t.rest...) }

// globals translates what comes before the first target.
func (t *translation) globals() error {
	asked := false // for a list, or help
	for len(t.rest) > 0 && isFlag(t.rest[0]) {
		word := t.rest[0]
		if word == "--" {
			break
		}
		name, value, hasValue := cutFlag(word)
		if hasValue {
			value = "=" + value
		}
		switch name {
		case "v":
			t.put(1, word)
		case "l", "h":
			asked = true
			t.put(1, word)
		case "t":
			t.put(1, word)
			if !hasValue && len(t.rest) > 0 {
				t.put(1, t.rest[0])
			}
		case "verbose":
			t.put(1, "-v"+value)
		case "list":
			asked = true
			t.put(1, "-l"+value)
		case "timeout":
			n := 1
			if !hasValue && len(t.rest) > 1 {
				n, value = 2, "="+t.rest[1]
			}
			t.put(n, "-t"+value)
		case "help":
			if len(t.rest) == 1 {
				return ErrHelp
			}
			asked = true
			t.put(1, "-h")
		case "version":
			return ErrVersion
		default:
			return &UsageError{fmt.Sprintf("unknown flag %s before the first target", word), "a target's flags come after it: write them there, or run with --help"}
		}
	}
	// Mage ends with 0 where it cannot read these.
	if err := mageFlags().Parse(t.done); err != nil {
		return &UsageError{err.Error(), "run with --help"}
	}
	if !asked && len(t.rest) > 0 && t.rest[0] == "help" && t.find("help") == nil {
		if len(t.rest) == 1 {
			return ErrHelp
		}
		asked = true
		t.put(1, "-h")
	}
	if asked && len(t.rest) > 0 {
		if target, n := t.match(); target != nil {
			t.put(n, t.spelled(target, n))
		}
		t.pass()
	}
	return nil
}

// mageFlags are the flags of the main that Mage generates.
func mageFlags() *flag.FlagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Bool("v", false, "")
	f.Bool("l", false, "")
	f.Bool("h", false, "")
	f.Duration("t", 0, "")
	return f
}

// target translates a target with its arguments and flags.
func (t *translation) target() error {
	if isFlag(t.rest[0]) { // -- or the flag of a target that has none
		t.pass()
		return nil
	}
	target, n := t.match()
	if target == nil {
		return &UsageError{fmt.Sprintf("unknown target %q, nothing was run", t.rest[0]), "run with --help for a list; what belongs to a flag is written --flag=value"}
	}
	t.put(n, t.spelled(target, n))

	var args []string
	var flags given
	for len(t.rest) > 0 {
		word := t.rest[0]
		if !isFlag(word) {
			if len(args) == target.Args {
				break
			}
			args = append(args, word)
			t.put(1)
			continue
		}
		f, written, n := target.flag(t.rest)
		if n == 0 {
			if name, _, _ := cutFlag(word); name == "h" || name == "help" {
				t.done, t.rest = []string{"-h", target.Name}, nil
				return nil
			}
			if len(args) < target.Args && word != "--" { // Mage would take it for one
				return &UsageError{fmt.Sprintf("unknown flag %s, or one without its value, of target %q", word, target.Name), "run " + target.Name + " --help"}
			}
			break
		}
		if err := flags.add(f, written); err != nil {
			return err
		}
		t.put(n)
	}
	if len(args) < target.Args {
		return &UsageError{fmt.Sprintf("target %q wants %s and has %d", target.Name, arguments(target.Args), len(args)), "run " + target.Name + " --help"}
	}
	t.done = append(append(t.done, args...), flags.words...)
	if len(t.rest) > 0 && isFlag(t.rest[0]) {
		t.pass()
	}
	return nil
}

// match returns the target whose name the next n words make up, or nil: the
// longest one, unless Mage would read them as a shorter one and what belongs
// to that.
func (t *translation) match() (target *Target, n int) {
	own := t.find(t.rest[0])
	if own != nil && (own.Args > 0 || len(t.rest) == 1 || t.find(t.rest[1]) != nil) {
		return own, 1
	}
	target, n = own, 1
	var said []string
	for i, word := range t.rest {
		words := splitName(word)
		if isFlag(word) || len(words) == 0 {
			break
		}
		said = append(said, words...)
		for j := range t.targets {
			if strings.EqualFold(strings.Join(said, " "), strings.Join(splitName(t.targets[j].Name), " ")) {
				target, n = &t.targets[j], i+1
			}
		}
	}
	return target, n
}

// find returns the target of a name in Mage's spelling, which knows no case.
func (t *translation) find(name string) *Target {
	for i := range t.targets {
		if strings.EqualFold(name, t.targets[i].Name) {
			return &t.targets[i]
		}
	}
	return nil
}

// spelled is how a target that was matched by the next n words is written: as
// it stands, if Mage knows it so.
func (t *translation) spelled(target *Target, n int) string {
	if n == 1 && strings.EqualFold(t.rest[0], target.Name) {
		return t.rest[0]
	}
	return target.Name
}

// short are the flags that may be written with one letter.
var short = map[string]string{"n": "node"}

// formerly are the flags that hostenv's own hostenv-provider called otherwise,
// by target and by their former name without hyphens.
var formerly = map[string]map[string]string{
	"deploy":  {"signingkeyfile": "signingKey"},
	"dnsGate": {"withdnsupdate": "update"},
}

// flag returns the first of the words, a flag, as it is written for Mage, and how
// many words it was; 0 for one that the target does not have, or that lacks its
// value.
func (target *Target) flag(words []string) (f *Flag, written string, n int) {
	name, value, hasValue := cutFlag(words[0])
	f = target.find(name)
	if f == nil {
		f = target.find(short[name])
	}
	if f == nil {
		f = target.find(formerly[target.Name][strings.ToLower(strings.ReplaceAll(name, "-", ""))])
	}
	if f == nil {
		return nil, "", 0
	}
	mage := "-" + f.Name
	if written, _, _ := strings.Cut(words[0], "="); strings.EqualFold(written, mage) {
		mage = written
	}
	switch {
	case hasValue:
		return f, mage + "=" + value, 1
	case f.Bool:
		return f, mage, 1
	case len(words) > 1 && !isFlag(words[1]):
		return f, mage + "=" + words[1], 2
	default:
		return nil, "", 0
	}
}

// find returns the flag of a name, with hyphens or without.
func (target *Target) find(name string) *Flag {
	name = strings.ReplaceAll(name, "-", "")
	for i := range target.Flags {
		if name != "" && strings.EqualFold(name, target.Flags[i].Name) {
			return &target.Flags[i]
		}
	}
	return nil
}

// isFlag tells a flag, or `--`, from other words, of which `-` is one.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

// cutFlag takes --name=value apart.
func cutFlag(word string) (name, value string, hasValue bool) {
	word = strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-")
	return strings.Cut(word, "=")
}

// splitName returns the words of state:list, dns-gate, nodesBuild.
func splitName(name string) []string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return r == ':' || r == '-' || r == ' ' })
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}
