package nix_test

import (
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
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
		"The option `services.nginx' does not exist":                                      "",
		"opening file '/home/operator/key': No such file or directory":                    "",
		"flake 'git+file:///p' requires lock file changes but they're not allowed due to": "nix flake lock",
	} {
		if got := hostnix.Advice(message); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s\ngot %q, want %q", message, got, want)
		}
	}
}
