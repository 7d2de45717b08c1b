package move

import (
	"fmt"
	"regexp"
	"strings"
)

// An Error says why an environment's data were not taken along.
type Error struct {
	User, From string
	Problems   []string
}

func (e *Error) Error() string {
	return "take the data of " + e.User + " along from " + e.From + ": " + strings.Join(e.Problems, "; ")
}

// Hint says what to do.
func (e *Error) Hint() string {
	cause := "mend it on " + e.From
	if all := strings.Join(e.Problems, "\n"); strings.Contains(all, "unknown user") || strings.Contains(all, "command not found") || strings.Contains(all, "password is required") {
		// What sudo says where user, program or rule are not there.
		cause = e.From + " must still have the environment's user, and " + program + " from its system, for which it was deployed once with nix/modules/move.nix: see docs/deploy-moves.md"
	}
	return fmt.Sprintf("nothing was changed on the new node. %s; or leave the data there: -skipMigrations=%s; or say that they are on another node: -migrationSource=%s=NODE", cause, e.User, e.User)
}

// A HeldError says that an environment has older data on its new node, as one that
// comes back to a node has: it would start with those, and what it has on the node
// that it comes from would be left behind.
type HeldError struct {
	User, From, Node string
	Paths            []string // that keep it from restoring
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s has older data on %s, and would start with those rather than restore what is on %s: %s",
		e.User, e.Node, e.From, control.ReplaceAllString(strings.Join(e.Paths, ", "), " | "))
}

// Hint says what to do.
func (e *HeldError) Hint() string {
	return fmt.Sprintf("set them aside, on %s as %s: systemctl --user stop mysql.service; mkdir ~/before-move && mv PATH... ~/before-move/; and deploy again. Or start with the older data: -skipMigrations=%s",
		e.Node, e.User, e.User)
}

// A SourceError says that it is not clear which node an environment's data are
// on.
type SourceError struct {
	User, Problem string
	Nodes         []string // that it may be, if any
}

func (e *SourceError) Error() string {
	return "which node the data of " + e.User + " are on is not clear: " + e.Problem
}

// Hint says what to do.
func (e *SourceError) Hint() string {
	of := ""
	if len(e.Nodes) > 0 {
		of = ", NODE being one of " + strings.Join(e.Nodes, ", ")
	}
	return fmt.Sprintf("say which: -migrationSource=%s=NODE%s; or that there are none to take along: -skipMigrations=%s", e.User, of, e.User)
}

var (
	// restic shows a repository by its URL, which may hold a password.
	userinfo = regexp.MustCompile(`://[^/@\s]*@`)
	control  = regexp.MustCompile(`[\x00-\x1f\x7f]+`)
)

// A nodeError is one that a node gave, behind what was asked of it.
type nodeError struct {
	what string
	err  error
}

func (e *nodeError) Error() string { return e.what + ": " + told(e.err) }
func (e *nodeError) Unwrap() error { return e.err }

const maxTold = 2000

// told is what a node said, fit to be shown: the end of it, in one line.
func told(err error) string {
	text := control.ReplaceAllString(strings.TrimSpace(userinfo.ReplaceAllString(err.Error(), "://***@")), " | ")
	if len(text) > maxTold {
		text = "..." + strings.ToValidUTF8(text[len(text)-maxTold:], "")
	}
	return text
}
