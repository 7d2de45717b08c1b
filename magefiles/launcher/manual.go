package launcher

import (
	"fmt"
	"io"
	"strings"
)

// manual prints the manual page hostenv-provider(1) in roff, with the macros of
// man(7). The page has no date: the same source always gives the same page.
func manual(w io.Writer) error {
	var b strings.Builder
	macro := func(name, text string) { fmt.Fprintf(&b, ".%s %s\n", name, text) }
	text := func(text string) {
		for line := range strings.SplitSeq(wrap(text, 80, ""), "\n") {
			if line != "" {
				b.WriteString(roff(line) + "\n")
			}
		}
	}
	entry := func(term, what string) {
		macro("TP", "")
		macro("B", roff(term))
		text(what)
	}

	macro("TH", `HOSTENV\-PROVIDER 1 "" "hostenv\-provider `+roff(versionText())+`" "User Commands"`)
	macro("SH", "NAME")
	text(program + " - plans, gates and deploys the projects of a hosting provider's customers")
	macro("SH", "SYNOPSIS")
	macro("nh", "")
	macro("ad", "l")
	for i, form := range usages {
		if i > 0 {
			macro("br", "")
		}
		b.WriteString(roff(form) + "\n")
	}
	macro("SH", "DESCRIPTION")
	text(introduction)
	for _, part := range []struct {
		title   string
		targets []*Target
	}{{"TARGETS", table}, {"OTHER COMMANDS", own}} {
		macro("SH", part.title)
		for _, t := range part.targets {
			macro("SS", roff(t.usage()))
			for i, paragraph := range strings.Split(respelled(t.Doc), "\n\n") {
				if i > 0 {
					macro("PP", "")
				}
				text(paragraph)
			}
			for _, f := range t.Flags {
				entry(f.usage(), respelled(f.Doc))
			}
		}
	}
	macro("SH", "OPTIONS")
	entry("-v, --verbose", "Print the name of each target before it runs.")
	entry("-t, --timeout DURATION", "Cancel the targets after this time.")
	entry("-l, --list", "List the targets in Mage's spelling.")
	entry("--help", "Print help: of the program, or of the target that it follows.")
	entry("--version", "Print the version.")
	macro("SH", "EXIT STATUS")
	for _, code := range exitCodes {
		entry(code[0], code[1])
	}
	macro("SH", "FILES")
	entry("generated/plan.json", "The plan, which the provider's flake and the other targets read.")
	entry("generated/state.json", "UIDs and host names of every environment, live and retired.")
	_, err := io.WriteString(w, strings.ReplaceAll(b.String(), " \n", "\n"))
	return err
}

// exitCodes are the exit codes of the targets and of the launcher.
var exitCodes = [][2]string{
	{"0", "Success."},
	{"1", "An error. If the target writes files, the last line names those that it wrote."},
	{"2", "The command line cannot be run; with --detailed-exitcode also: there are changes."},
	{"3", "Another run holds the lock, the DNS gate cannot decide, or a part of the deploy failed."},
	{"4", "The plan is older than the state."},
	{"5", "Another deploy is running."},
	{"130", "The deploy was interrupted."},
}

// roff escapes text: a hyphen stays a hyphen, and no line is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "\u00a0", `\ `).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
