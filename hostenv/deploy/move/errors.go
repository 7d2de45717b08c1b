package move

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// backupError reports why the data of an environment were not moved.
func backupError(user, from string, problems []string) error {
	all := strings.Join(problems, "; ")
	cause := "fix it on " + from
	if strings.Contains(all, "unknown user") || strings.Contains(all, "command not found") || strings.Contains(all, "password is required") {
		// sudo has these words if the user, the program or the rule is missing.
		cause = from + " must still have the environment's user, and " + program + ", which its system has from nix/modules/move.nix: see docs/deploy-moves.md"
	}
	return problem.New("", "move the data of "+user+" from "+from+": "+all,
		fmt.Sprintf("the new node was not changed. %s; or leave the data there: -skipMigrations=%s; or name another node that has them: -migrationSource=%s=NODE", cause, user, user))
}

// heldError reports that an environment has older data on its new node, for example
// because it returns to that node: it would start with those, and lose the data of
// the node that it leaves. The paths prevent a restore.
func heldError(user, from, node string, paths []string) error {
	return problem.New(user,
		fmt.Sprintf("has older data on %s, and would start with those instead of restoring from %s: %s",
			node, from, control.ReplaceAllString(strings.Join(paths, ", "), " | ")),
		fmt.Sprintf("move them aside, on %s as %s: systemctl --user stop mysql.service; mkdir ~/before-move && mv PATH... ~/before-move/; then deploy again. Or start with the older data: -skipMigrations=%s",
			node, user, user))
}

// sourceError reports that it is not clear which node has the data of an
// environment. nodes are the candidates, if there are any.
func sourceError(user, reason string, nodes ...string) error {
	of := ""
	if len(nodes) > 0 {
		of = ", NODE being one of " + strings.Join(nodes, ", ")
	}
	return problem.New("the node with the data of "+user, "is not clear: "+reason,
		fmt.Sprintf("name it: -migrationSource=%s=NODE%s; or move no data: -skipMigrations=%s", user, of, user))
}

var (
	// restic prints the URL of a repository, which may hold a password.
	userinfo = regexp.MustCompile(`://[^/@\s]*@`)
	control  = regexp.MustCompile(`[\x00-\x1f\x7f]+`)
)

// nodeError returns an error of a node as "what: err".
func nodeError(what string, err error) error {
	return problem.New("", what+": "+shown(err), problem.Hint(err))
}

const maxShown = 2000

// shown returns the end of an error's text in one line, without passwords.
func shown(err error) string {
	text := control.ReplaceAllString(strings.TrimSpace(userinfo.ReplaceAllString(err.Error(), "://***@")), " | ")
	if len(text) > maxShown {
		text = "..." + strings.ToValidUTF8(text[len(text)-maxShown:], "")
	}
	return text
}
