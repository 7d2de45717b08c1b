package nix_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func TestAdvice(t *testing.T) {
	const source = "/nix/store/s8f5kjxgzb28aayb8xxiq2lxy0jg1pkp-source"
	for message, want := range map[string]string{
		"getting status of '" + source + "/flake.nix': No such file or directory":         "`git add` it",
		"path '" + source + "/nodes/node-a/configuration.nix' does not exist":             "`git add` it",
		"unable to download 'https://git.example/a': Couldn't resolve host name (6)":      "finds the host in DNS",
		"ssh: Could not resolve hostname git.example: Name or service not known":          "finds the host in DNS",
		"The option `provider.nodefor' does not exist. Definition values:":                "docs/options.md",
		"A definition for option `provider.uidRange.min' is not of type `int'":            "docs/options.md",
		"writing to file: No space left on device":                                        "make room on this machine",
		"executing SQLite statement: database or disk is full":                            "make room on this machine",
		"fatal: detected dubious ownership in repository at '/p'":                         "safe.directory",
		"The option `services.nginx' does not exist":                                      "",
		"opening file '/home/operator/key': No such file or directory":                    "",
		"flake 'git+file:///p' requires lock file changes but they're not allowed due to": "nix flake lock",
	} {
		if got := hostnix.Advice(message); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s\ngot %q, want %q", message, got, want)
		}
	}
}

// What every Nix prints about a repository of another user, and about one that uses
// SHA-256, has a hint: at the provider's own repository, and at a customer's.
func TestAdviceOfRepositories(t *testing.T) {
	site := repository(t, "main")
	sha256 := realTempDir(t)
	gitOutput(t, sha256, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
	commit(t, sha256, "main")
	others := repository(t, "main")
	if os.Getuid() == 0 {
		err := filepath.WalkDir(others, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, 4711, 4711)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	each(t, func(t *testing.T, n nix) {
		for dir, want := range map[string]string{sha256: "Nix reads no git repository with SHA-256", others: "safe.directory"} {
			if dir == others && os.Getuid() != 0 {
				continue
			}
			for of, ask := range map[string]func() error{
				"the provider's": func() error {
					_, err := n.runner(dir).Inventory(t.Context())
					return err
				},
				"a customer's": func() error {
					_, err := n.runner(site).LockSources(t.Context(), []map[string]any{git(dir, "main")})
					return err
				},
			} {
				err := ask()
				var hints []string
				for _, leaf := range problem.Leaves(err) {
					hints = append(hints, problem.Hint(leaf))
				}
				if err == nil || !strings.Contains(strings.Join(hints, "\n"), want) {
					t.Errorf("%s: %v\nhints %q, want %q", of, err, hints, want)
				}
			}
		}
	})
}
