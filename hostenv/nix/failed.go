package nix

import (
	"regexp"
	"slices"
	"strings"
)

// A FailedBuild is a derivation whose own build failed, and Nix's message about it.
type FailedBuild struct{ Derivation, Message string }

var (
	blamed = regexp.MustCompile(`'(/[^']+\.drv)'`)
	// Errors of derivations that only depend on a failed one, up to Nix 2.29 and
	// later; and of the whole command.
	dependent = regexp.MustCompile(`^error: (\d+ dependenc(y|ies) of derivation|build of '|some builds failed|build of resolved)`)
	reason    = regexp.MustCompile(`(?m)^\s*Reason: \d+ dependenc(y|ies) failed`)
	// Nix's advice on logs, and output paths.
	aside = regexp.MustCompile(`^\s*(For full logs, run|nix log |Output paths:|/\S+$)`)
)

// FailedBuilds returns the derivations whose own build failed, each with the last
// lines of its log. It leaves out derivations that only depend on a failed one.
func (e *CommandError) FailedBuilds() []FailedBuild {
	log := e.Log
	lines := strings.Split(log, "\n")
	var found []FailedBuild
	for i := 0; i < len(lines); i++ {
		drv := blamed.FindStringSubmatch(lines[i])
		if !strings.HasPrefix(lines[i], "error:") || drv == nil || dependent.MatchString(lines[i]) {
			continue
		}
		end := i + 1
		for end < len(lines) && (strings.HasPrefix(lines[end], " ") && !isLogLine.MatchString(lines[end])) {
			end++
		}
		block := lines[i:end]
		if reason.MatchString(strings.Join(block, "\n")) ||
			slices.ContainsFunc(found, func(c FailedBuild) bool { return c.Derivation == drv[1] }) {
			continue
		}
		message := []string{strings.TrimSpace(strings.TrimPrefix(block[0], "error:"))}
		logged := false
		for _, line := range block[1:] {
			if !aside.MatchString(line) && strings.TrimSpace(line) != "" {
				message = append(message, strings.TrimSpace(line))
				logged = logged || strings.Contains(line, "log lines:")
			}
		}
		if !logged {
			message = append(message, lastLines(lines[:i], drv[1])...)
		}
		found = append(found, FailedBuild{drv[1], strings.Join(message, "\n")})
	}
	return found
}

var isLogLine = regexp.MustCompile(`^[^\s>]+> `)

// lastLines returns the last ten lines that a derivation's builder wrote. The log
// format `bar-with-logs` puts the name of the package before each.
func lastLines(lines []string, derivation string) []string {
	name, _ := PackageOf(strings.TrimSuffix(derivation, ".drv"))
	var last []string
	for _, line := range lines {
		if own, ok := strings.CutPrefix(line, name+"> "); ok {
			last = append(last, "> "+own)
		}
	}
	return last[max(0, len(last)-10):]
}
