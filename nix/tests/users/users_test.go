// Package users_test runs nix/modules/hostenv-users.sh on a simulated machine in a
// mount namespace. It checks the effects on users, homes and profiles, also after a
// power cut. magefiles/targets/nixosnodes tests the same on NixOS.
package users_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// run runs a story with the functions of testdata/node.sh, and returns its output and
// the messages of hostenv-users.
func run(t *testing.T, story string) (out, messages string) {
	t.Helper()
	testenv.Need(t, "namespaces")
	bash := testenv.Need(t, "bash")
	text, err := os.ReadFile("../../modules/hostenv-users.sh")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "hostenv-users")
	made := strings.NewReplacer("@path@", "/run/bin:"+os.Getenv("PATH")+":/usr/sbin:/sbin", "@table@", "/run/table",
		"@profiles@", "/nix/var/nix/profiles/per-user", "@link@", "hostenv",
		"@runtimes@", "/run/hostenv/user", "@upstreams@", "/run/hostenv/nginx", "@temp@", "/run/hostenv/deploy").Replace(string(text))
	if err := os.WriteFile(script, []byte(made), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", bash, "testdata/node.sh", script)
	cmd.Stdin = strings.NewReader(story)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, output, stderr.String())
	}
	return string(output), stderr.String()
}

func same(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")); diff != "" {
		t.Error(diff)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}

const (
	before = `
old="environment site-main 40001 - /home/site-main"
new="environment www-main 40001 site-main /home/www-main"
system "$old"; site site-main hello
ln -s /home/site-main/.local/state/nix/profiles/profile-1-link /nix/var/nix/gcroots/auto/one
ln -s /home/other /nix/var/nix/gcroots/auto/other
ln -s /home/site-main/.local/state/nix/profiles/profile /home/site-main/.nix-profile
chown -h 40001 /home/site-main/.nix-profile
printf '{"admin":100000,"site-main":165536}' >/var/lib/nixos/auto-subuid-map
`
	asOld = `
site-main is 40001 with /home/site-main
group site-main is 40001
/home/site-main of 40001: hello
profiles site-main of 40001: /nix/store/hello
runs: 40001
lingers: site-main
`
	asNew = `
www-main is 40001 with /home/www-main
group www-main is 40001
/home/www-main of 40001: hello
profiles www-main of 40001: /nix/store/hello
runs: 40001
lingers: www-main
`
)

// A renamed environment keeps its UID, group, home and profiles, and the links into
// them. Processes under the old name are stopped. An older system restores the old
// name.
func TestRename(t *testing.T) {
	t.Parallel()
	got, messages := run(t, before+`
touch /run/hostenv/user/site-main/socket
system "$new"; show
readlink /nix/var/nix/gcroots/auto/one /nix/var/nix/gcroots/auto/other /home/www-main/.nix-profile
cat /var/lib/nixos/auto-subuid-map; echo
grep -h main /etc/shadow
cat /run/calls; ls /run/hostenv/user
`)
	same(t, asNew+`/home/www-main/.local/state/nix/profiles/profile-1-link
/home/other
/home/www-main/.local/state/nix/profiles/profile
{"admin":100000,"www-main":165536}

www-main:!:1::::::
systemctl stop -- user@40001.service
www-main`, got)
	contains(t, messages, "renaming the user site-main to www-main", "moved /home/site-main to /home/www-main")

	got, _ = run(t, before+`system "$new"; system "$old"; show; system "$old"; system "$new"; show; system "$new"; show`)
	same(t, asOld+asNew[1:]+asNew[1:], got)
}

// After a power cut at any step, both the new system and the old one find all data of
// the environment when they start.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	got, _ := run(t, `
n=0
while :; do
  n=$((n + 1))
  for after in new old; do
    fresh
    `+before+`
    cut_at $n
    if system "$new" 2>/dev/null; then echo "$n steps"; exit; fi
    boot
    system "${!after}" 2>/dev/null
    printf 'cut before step %s, then the %s system\n' "$n" "$after"
    show
    readlink /nix/var/nix/gcroots/auto/one /home/*/.nix-profile
  done
done
`)
	blocks := strings.Split(strings.TrimSpace(got), "cut before step ")
	if len(blocks) < 2*10 {
		t.Fatalf("there were too few steps: %s", got)
	}
	for _, block := range blocks[1:] {
		title, rest, _ := strings.Cut(block, "\n")
		rest, _, _ = strings.Cut(rest, " steps")
		want, name := asNew, "www-main"
		if strings.Contains(title, "old") {
			want, name = asOld, "site-main"
		}
		want += "/home/" + name + "/.local/state/nix/profiles/profile-1-link\n/home/" + name + "/.local/state/nix/profiles/profile"
		lines := strings.Split(strings.TrimSpace(rest), "\n")
		if i := len(lines) - 1; strings.Trim(lines[i], "0123456789") == "" { // the number of steps
			lines = lines[:i]
		}
		if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), lines); diff != "" {
			t.Errorf("power cut before step %s: %s", title, diff)
		}
	}
}

// Environments that exchange names, or take the former name of another one, keep their
// own data and get no other data.
func TestNames(t *testing.T) {
	t.Parallel()
	got, _ := run(t, `
system "environment a 40001 - /home/a" "environment b 40002 - /home/b"; site a one; site b two
system "environment b 40001 a /home/b" "environment a 40002 b /home/a"; show
`)
	same(t, `
a is 40002 with /home/a
b is 40001 with /home/b
group a is 40002
group b is 40001
/home/a of 40002: two
/home/b of 40001: one
profiles a of 40002: /nix/store/two
profiles b of 40001: /nix/store/one
runs: 40001 40002
lingers: a b
`, got)

	got, _ = run(t, `
system "environment a 40001 - /home/a"; site a one
touch /run/hostenv/user/a/secret
system "environment b 40001 a /home/b" "environment a 40003 - /home/a"; show; ls /run/hostenv/user/a
`)
	same(t, `
a is 40003 with /home/a
b is 40001 with /home/b
group a is 40003
group b is 40001
/home/a of 40003: nothing
/home/b of 40001: one
profiles a of 40003: none
profiles b of 40001: /nix/store/one
runs: 40001 40003
lingers: a b
`, got)
}

// A new environment never gets the data of an older one with the same name. The old
// data is set aside, and restored if the older environment is deployed again.
func TestSetAside(t *testing.T) {
	t.Parallel()
	got, messages := run(t, `
system "environment a 40001 - /home/a"; site a one
system
system "environment a 40002 - /home/a"; show
system "environment b 40001 a /home/b" "environment a 40002 - /home/a"; show
`)
	same(t, `
a is 40002 with /home/a
group a is 40002
/home/a of 40002: nothing
/home/a.40001 of 40001: one
profiles a of 40002: none
profiles a.40001 of 40001: /nix/store/one
runs: 40002
lingers: a
a is 40002 with /home/a
b is 40001 with /home/b
group a is 40002
group b is 40001
/home/a of 40002: nothing
/home/b of 40001: one
profiles a of 40002: none
profiles b of 40001: /nix/store/one
runs: 40001 40002
lingers: a b
`, got)
	contains(t, messages, "/home/a belonged to UID 40001, not to 40002: renamed it to /home/a.40001")
}

// A plan whose state was lost assigns UIDs to other environments. Then the activation
// fails, and renames no user and moves no home.
func TestLostState(t *testing.T) {
	t.Parallel()
	for _, after := range []string{
		`system "environment b 40001 - /home/b"`,                         // a's UID, a exists
		`system; system "environment b 40001 - /home/b"`,                 // a's UID, a was removed
		`system "environment a 40002 - /home/a"`,                         // another UID for a
		`rm -r /var/lib/hostenv; system "environment b 40001 - /home/b"`, // on a node without a record
	} {
		got, messages := run(t, `system "environment a 40001 - /home/a"; site a one; `+after+`; show`)
		contains(t, got, "it failed with 1", "/home/a of 40001: one", "profiles a of 40001: /nix/store/one")
		contains(t, messages, "error: the ")
	}
}

// Processes of a removed environment are stopped, and those of others are not. Its
// files stay until an operator removes them by name. Files in use are never removed.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	got, messages := run(t, `
a="environment a 40001 - /home/a" b="environment b 40002 - /home/b" admin="user admin 1000 - /home/admin"
touch /run/systemd/users/1000
system "$a" "$b" "$admin"; site a one; site b two
mkdir /home/mine; chown 1000 /home/mine
hostenv_users list
system "$b" "$admin"; show
hostenv_users list
for what in "b 40002" "a 40002" "admin 1000" "c 40009" "../b 40002" "mine 1000"; do hostenv_users remove $what || echo "refused $what"; done
hostenv_users remove a 40001; hostenv_users list; show
system "$b" "disabled a 40001 - /home/a" "$admin"; hostenv_users list
`)
	same(t, `
{"leftovers":[]}
b is 40002 with /home/b
group b is 40002
/home/a of 40001: one
/home/b of 40002: two
/home/mine of 1000: nothing
profiles a of 40001: /nix/store/one
profiles b of 40002: /nix/store/two
runs: 1000 40002
lingers: b
{"leftovers":[{"user":"a","uid":40001,"now":"","running":false,"paths":["/home/a","/nix/var/nix/profiles/per-user/a","/run/hostenv/user/a","/run/hostenv/nginx/a","/run/hostenv/deploy/a"]}]}
refused b 40002
refused a 40002
refused admin 1000
refused c 40009
refused ../b 40002
refused mine 1000
removed /home/a
removed /nix/var/nix/profiles/per-user/a
removed /run/hostenv/user/a
removed /run/hostenv/nginx/a
removed /run/hostenv/deploy/a
{"leftovers":[]}
b is 40002 with /home/b
group b is 40002
/home/b of 40002: two
/home/mine of 1000: nothing
profiles b of 40002: /nix/store/two
runs: 1000 40002
lingers: b
{"leftovers":[]}
`, got)
	contains(t, messages, "the environment a (UID 40001) was removed from this node: stopping its processes", "b is in use on this node")

	// A disabled environment has no leftovers and no processes.
	got, _ = run(t, `
system "environment a 40001 - /home/a"; site a one
system "disabled a 40001 - /home/a"; show; hostenv_users list; hostenv_users remove a 40001 || echo refused
system "environment b 40001 a /home/b"; show
`)
	same(t, `
/home/a of 40001: one
profiles a of 40001: /nix/store/one
runs:
lingers:
{"leftovers":[]}
refused
b is 40001 with /home/b
group b is 40001
/home/b of 40001: one
profiles b of 40001: /nix/store/one
runs: 40001
lingers: b
`, got)

	// On a node that was deployed before there was a record, the program finds
	// environments by their profiles, and one by its running services.
	got, _ = run(t, `
system "environment a 40001 - /home/a"; site a one; rm -r /var/lib/hostenv; nixos; touch /run/systemd/users/40001
echo >/run/table; hostenv_users list; hostenv_users remove a 40001; hostenv_users list; show
`)
	contains(t, got, `"user":"a","uid":40001,"now":"","running":true,"paths":["/home/a",`, "removed /home/a\n", `{"leftovers":[]}`, "runs:\n")
}

// An existing home is never overwritten: the old home stays beside it, as a leftover.
func TestNothingIsReplaced(t *testing.T) {
	t.Parallel()
	got, messages := run(t, before+`
mkdir /home/www-main; echo mine >/home/www-main/data; chown -R 40001 /home/www-main
system "$new"; show; hostenv_users list; hostenv_users remove site-main 40001; show
`)
	same(t, `
www-main is 40001 with /home/www-main
group www-main is 40001
/home/site-main of 40001: hello
/home/www-main of 40001: mine
profiles www-main of 40001: /nix/store/hello
runs: 40001
lingers: www-main
{"leftovers":[{"user":"site-main","uid":40001,"now":"www-main","running":false,"paths":["/home/site-main"]}]}
removed /home/site-main
www-main is 40001 with /home/www-main
group www-main is 40001
/home/www-main of 40001: mine
profiles www-main of 40001: /nix/store/hello
runs: 40001
lingers: www-main
`, got)
	contains(t, messages, "warning: /home/site-main was not moved, because /home/www-main exists")
}

// `nixos-rebuild dry-activate` prints the changes, and does not make them.
func TestDryActivation(t *testing.T) {
	t.Parallel()
	got, messages := run(t, before+`
printf '%s\n' "$new" >/run/table; NIXOS_ACTION=dry-activate hostenv_users activate; show
`)
	same(t, asOld, got)
	contains(t, messages, "renaming the user site-main to www-main")
}
