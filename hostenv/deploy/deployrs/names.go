package deployrs

import (
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// What names and paths are held to, as in nix/lib/deploy.nix, here where they
// leave for deploy-rs.
var (
	nodeName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	userName  = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,30}$`)
	storePath = regexp.MustCompile(`^/[A-Za-z0-9._/-]*/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+$`)
	plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
)

// Check refuses names that deploy-rs would make something else of. It looks at
// nothing but its arguments.
func Check(n deploy.Node, p deploy.Profile) error {
	for _, field := range []struct {
		what, value string
		pattern     *regexp.Regexp
	}{
		{"the name of a node", n.Name, nodeName},
		{"the deploy user of node " + n.Name, n.User, userName},
		{"the name of a profile on node " + n.Name, p.Name, userName},
		{"the user of " + p.Key(), p.User, userName},
		{"the store path of " + p.Key(), p.Path, storePath},
		{"the profile's link of " + p.Key(), p.Link, plainPath},
		{"the folder for temporary files of " + p.Key(), p.Temp, plainPath},
	} {
		if !field.pattern.MatchString(field.value) || strings.Contains(field.value, "/..") {
			return &NameError{field.what, field.value}
		}
	}
	return nil
}
