package move

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// backupError reports why the data of an environment were not taken along.
func backupError(user, from string, problems []string) error {
	all := strings.Join(problems, "; ")
	cause := "fix it on " + from
	if strings.Contains(all, "unknown user") || strings.Contains(all, "command not found") || strings.Contains(all, "password is required") {
		// What sudo says where user, program or rule are not there.
		cause = from + " must still have the environment's user, and " + program + ", which its system has from nix/modules/move.nix: see docs/deploy-moves.md"
	}
	return problem.New("", "move the data of "+user+" from "+from+": "+all,
		fmt.Sprintf("the new node was not changed. %s; or leave the data there: -skipMigrations=%s; or name another node that has them: -migrationSource=%s=NODE", cause, user, user))
}

// heldError reports that an environment has older data on its new node, as one
// that comes back to a node has: it would start with those, and what it has on the
// node that it comes from would be left behind. The paths keep it from restoring.
func heldError(user, from, node string, paths []string) error {
	return problem.New(user,
		fmt.Sprintf("has older data on %s, and would start with those instead of restoring from %s: %s",
			node, from, control.ReplaceAllString(strings.Join(paths, ", "), " | ")),
		fmt.Sprintf("move them aside, on %s as %s: systemctl --user stop mysql.service; mkdir ~/before-move && mv PATH... ~/before-move/; then deploy again. Or start with the older data: -skipMigrations=%s",
			node, user, user))
}

// sourceError reports that it is not clear which node the data of an environment
// are on. nodes are those that it may be, if any.
func sourceError(user, reason string, nodes ...string) error {
	of := ""
	if len(nodes) > 0 {
		of = ", NODE being one of " + strings.Join(nodes, ", ")
	}
	return problem.New("the node with the data of "+user, "is not clear: "+reason,
		fmt.Sprintf("name it: -migrationSource=%s=NODE%s; or move no data: -skipMigrations=%s", user, of, user))
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
