package nix

import (
	"regexp"
	"strings"
)

var (
	// Colours, and other control sequences of terminals.
	escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	// Lines of source that nix shows around a position: they may contain secrets.
	excerpt = regexp.MustCompile(`^\s*[0-9]*\|`)
	// The position of an error.
	position = regexp.MustCompile(`^\s*at (.+:[0-9]+:[0-9]+):?$`)
	// The user part of a URL; for http it may be a token without a name.
	httpUser = regexp.MustCompile(`\b(https?://)[^/@\s"']+@`)
	password = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://[^/:@\s"']*):[^/@\s"']*@`)
	token    = regexp.MustCompile(`(?i)([?&](?:[a-z_-]*token|password|secret|api_?key)=)[^&\s"']+`)
)

func plain(text string) string { return escapes.ReplaceAllString(text, "") }

// redact removes passwords and tokens from the URLs in a text.
func redact(text string) string {
	text = httpUser.ReplaceAllString(text, "$1")
	text = password.ReplaceAllString(text, "$1@")
	return token.ReplaceAllString(text, "$1...")
}

// message returns the innermost error of a log of nix, without the trace: old
// versions print the trace after the message, new ones before it. It keeps the
// position of the message, and no source text.
func message(log string) string {
	lines := strings.Split(redact(log), "\n")
	start := -1
	var causes []string
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		// A bare "error:" begins a trace, or a message whose first line is empty,
		// as NixOS' failed assertions have it.
		if strings.HasPrefix(trimmed, "error:") && (trimmed != "error:" || start < 0 || !beginsTrace(lines[i+1:])) {
			start = i
		}
		// An error of git.
		if strings.HasPrefix(line, "fatal: ") {
			causes = append(causes, strings.TrimPrefix(line, "fatal: "))
		}
	}
	if start < 0 && causes != nil {
		return strings.Join(causes, "\n")
	}
	if start < 0 {
		return strings.TrimSpace(strings.Join(lines, "\n"))
	}

	kept := []string{strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[start]), "error:"))}
	for _, line := range lines[start+1:] {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "… ") || strings.HasPrefix(trimmed, "(use '--show-trace'") ||
			strings.HasPrefix(line, "fatal: ") || strings.HasPrefix(line, "warning: ") {
			break
		}
		switch where := position.FindStringSubmatch(line); {
		case where != nil:
			kept = append(kept, "at "+where[1])
		case excerpt.MatchString(line):
		default:
			kept = append(kept, dedent(line))
		}
	}
	kept = append(kept, causes...)
	return strings.TrimSpace(blankLines.ReplaceAllString(strings.Join(kept, "\n"), "\n"))
}

func beginsTrace(lines []string) bool {
	for _, line := range lines {
		if trimmed := strings.TrimSpace(line); trimmed != "" {
			return strings.HasPrefix(trimmed, "… ")
		}
	}
	return true
}

var blankLines = regexp.MustCompile(`\n\s*\n+`)

// indentation is what nix puts before all lines of a message but its first:
// the width of "error: ".
const indentation = len("error: ")

func dedent(line string) string {
	have := len(line) - len(strings.TrimLeft(line, " "))
	return strings.TrimRight(line[min(have, indentation):], " ")
}

// Inline returns a message of an evaluation that runs a customer's code. A hint in it
// may be the customer's text, which must not look like a hint of ours: it becomes a
// part of the message.
func Inline(message string) string { return strings.ReplaceAll(message, "\nhint: ", "; ") }

// SplitHint splits a message of our own Nix code into its text and its hint. See
// Inline for messages of others.
func SplitHint(message string) (text, hint string) {
	text, hint, _ = strings.Cut(message, "\nhint: ")
	return text, hint
}
