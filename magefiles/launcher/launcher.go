// Package launcher lets a compiled magefile be called in the conventional
// spelling, beside Mage's own:
//
//	hostenv-provider dns-gate --node n1      dnsGate -node=n1
//	hostenv-provider state list --json       state:list -json
//	hostenv-provider nodes build n1          nodesBuild n1
//	hostenv-provider deploy -n n1            deploy -node=n1
//
// The package is linked with the magefile. It rewrites os.Args before the main
// function that Mage generates reads them. There is no second process: exit codes,
// signals, standard input and the terminal are those of the targets.
//
// A generated table of targets and flags drives the translation, the help, the
// completion in shells and the man page.
package launcher

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

//go:generate go test . -run=^TestTable$ -update

// program is the name of the packaged program.
const program = "hostenv-provider"

// version is set by the linker (-ldflags "-X ...launcher.version=1.2.3").
var version string

const exitUsage = 2

// A Target is what Mage can run.
type Target struct {
	Name  string   // in Mage's spelling: state:list, nodesBuild
	Doc   string   // a sentence, then paragraphs after blank lines
	Args  []string // the names of its arguments, which precede its flags
	Flags []*Flag
}

// A Flag is an option of a target.
type Flag struct {
	Name string // in Mage's spelling: dryRun
	Type string // bool, int, string or time.Duration
	List bool   // the value is a list, separated by commas
	Doc  string
}

// own holds the commands of this package. Each is the only command of its line.
var own = []*Target{
	{Name: "completion", Args: []string{"shell"}, Doc: "Prints a script that completes command lines in bash, zsh or fish."},
	{Name: "man", Doc: "Prints the manual page hostenv-provider(1); to read it: man -l <(hostenv-provider man)."},
}

// Init translates os.Args for the targets of magefiles/targets. Call it from an
// init function of a magefile that has no other targets. Init ends the process
// after help, the version and the commands of this package, and with 2 if the line
// cannot be run: Mage would find some mistakes only after it ran a part of the
// line, and would end with 0 after others.
func Init() {
	if len(os.Args) > 1 && os.Args[1] == completeCommand {
		complete(os.Stdout, append(table, own...), os.Args[2:])
		os.Exit(0)
	}
	l, err := translate(append(table, own...), os.Args[1:])
	if err == nil {
		var done bool
		if done, err = l.run(os.Stdout); err == nil && done {
			os.Exit(0)
		}
	}
	if err != nil {
		_ = problem.Write(os.Stderr, problem.Leaves(err), 1)
		os.Exit(exitUsage)
	}
	os.Args = append(os.Args[:1:1], l.done...)
}

// run runs a line that needs no target, and reports whether it did.
func (l *line) run(w io.Writer) (done bool, err error) {
	switch {
	case l.version:
		_, err = fmt.Fprintln(w, program, versionText(), runtime.Version())
	case l.help && l.about == nil:
		err = overview(w, terminalWidth())
	case l.help:
		err = l.about.help(w, terminalWidth())
	case len(l.called) == 0:
		return false, nil
	case l.called[0].Name == "man":
		err = manual(w)
	case l.called[0].Name == "completion":
		err = completion(w, l.done[len(l.done)-1])
	default:
		return false, nil
	}
	return true, err
}

// InitFlags translates os.Args for a magefile that may have targets of its own
// beside those of magefiles/targets, which calls it. It changes only flags, and stops
// at the first word that it does not understand.
func InitFlags() { os.Args = append(os.Args[:1:1], flags(table, os.Args[1:])...) }

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
