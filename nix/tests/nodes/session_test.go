package nodes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// TestSession opens sessions by a real sshd, PAM and bash, with the files of a
// node's /etc. Each session has the programs of its environment, and the folders
// that hostenv's activation needs.
func TestSession(t *testing.T) {
	testenv.Need(t, "namespaces")
	testenv.Need(t, "ssh")
	testenv.Need(t, "bash")
	testenv.Need(t, "git")
	sshd := testenv.Need(t, "sshd")
	nix := testenv.Need(t, "nix")
	dir := scenario(t, "001")
	plan, err := filepath.Abs(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	document := read(t, plan)
	got, err := evaluate[values](t, "values", map[string]node{"": {
		Plan: plan, Node: nodeName, Provider: provider(t, dir), Sops: true, SecretsPath: secrets(t, document),
		Modules: []string{write(t, "own.nix", `{ hostenv.monitoring.enable = true; }`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	v := got[""]

	files := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		file := filepath.Join(files, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range v.Etc {
		put(name, text)
	}
	put("set-environment.path", v.SetEnvironment)
	// The user has its own Nix, without a daemon.
	put("nix/nix.conf", "experimental-features = nix-command flakes\nsandbox = false\nsubstituters =\nbuild-users-group =\n")
	// Two environments, and a third after `hostenv deploy`.
	const other = "site-staging-d6e4934"
	const builder = "site-foo-bee8c4c"
	put("prepare.sh", `
		user `+user+` 61001; user `+other+` 61002; user `+builder+` 61003
		for name in `+user+` `+other+` `+builder+`; do
			path=/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hostenv-profile-$name
			mkdir -p "$path/bin"
			printf '#!/bin/sh\necho "drush of %s $*"\n' "$name" >"$path/bin/drush"
			chmod +x "$path/bin/drush"
			ln -s "$path" "/nix/var/nix/profiles/per-user/$name/hostenv-1-link"
			ln -s hostenv-1-link "/nix/var/nix/profiles/per-user/$name/hostenv"
		done
		mkdir -p /home/`+builder+`/code
		cat >/home/`+builder+`/code/flake.nix <<-'FLAKE'
		{
			outputs = _: {
				packages.`+platform(t)+`.main = derivation {
					name = "hostenv-profile";
					system = "`+platform(t)+`";
					builder = "/bin/sh";
					PATH = "/usr/bin:/bin";
					args = [ "-c" ''
						mkdir -p $out/bin
						printf '#!/bin/sh\necho "drush deployed by hand"\n' >$out/bin/drush
						printf '#!/bin/sh\nset -eu\nmkdir -p "$XDG_CONFIG_HOME/systemd" "$XDG_STATE_HOME/hostenv"\n' >$out/bin/activate
						chmod +x $out/bin/*
					'' ];
				};
			};
		}
		FLAKE
		chown -R `+builder+` /home/`+builder+`/code /nix/store /nix/var
		ln -sf `+nix+` /nix/nix
	`)

	const (
		where = "/nix/var/nix/profiles/per-user/" + user + "/hostenv/bin/drush"
		xdg   = `printf '%s ' "$XDG_CACHE_HOME" "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" "$XDG_STATE_HOME"`
		theXs = "/home/" + user + "/.cache /home/" + user + "/.config /home/" + user + "/.local/share /home/" + user + "/.local/state "
	)
	tests := []struct{ session, want string }{
		{"ssh " + user + " drush status --uri=x", "0 drush of " + user + " status --uri=x"},
		{"ssh " + user + " command -v drush", "0 " + where},
		{"ssh " + user + " exec drush status", "0 drush of " + user + " status"},
		{"ssh " + user + " " + xdg, "0 " + theXs},
		{"login " + user + " drush status", "0 drush of " + user + " status"},
		{"login " + user + " " + xdg, "0 " + theXs},
		{"manager " + user + " command -v drush", "0 " + where},
		{"manager " + user + " " + xdg, "0 " + theXs},
		{"ssh " + other + " drush", "0 drush of " + other + " "},
		{"manager " + other + " drush", "0 drush of " + other + " "},

		// A customer deploys by hand: the programs of that deploy come first.
		{"ssh " + builder + " drush", "0 drush of " + builder + " "},
		{"ssh " + builder + " cd code && git init -q . && git add flake.nix && git -c user.name=c -c user.email=c@acme.test commit -q -m c && /nix/nix --quiet --quiet build .#main && result/bin/activate && /nix/nix --quiet --quiet profile install .#main", "0 "},
		{"ssh " + builder + " ls -d ~/.config/systemd ~/.local/state/hostenv", "0 /home/" + builder + "/.config/systemd | /home/" + builder + "/.local/state/hostenv"},
		{"ssh " + builder + " drush", "0 drush deployed by hand"},
		{"manager " + builder + " drush", "0 drush deployed by hand"},

		{"ssh " + user + ` printf '%s' "$HOSTENV_ENVIRONMENTS_JSON"`, ""},
	}
	var sessions strings.Builder
	for _, test := range tests {
		sessions.WriteString(test.session + "\n")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "testdata/session.sh", files)
	cmd.Env = append(os.Environ(), "SSHD="+sshd)
	cmd.Stdin = strings.NewReader(sessions.String())
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, log.String())
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(tests) {
		t.Fatalf("%d answers to %d sessions:\n%s%s", len(answers), len(tests), out, log.String())
	}
	last := len(tests) - 1
	for i, test := range tests[:last] {
		if answers[i] != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.session, answers[i], test.want)
		}
	}
	// As in hostenv; it is valid JSON after a shell has read it.
	var environments map[string]map[string]string
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answers[last], "0 ")), &environments); err != nil {
		t.Fatalf("%v in %s", err, answers[last])
	}
	equal(t, "HOSTENV_ENVIRONMENTS_JSON", environments, map[string]map[string]string{
		user: {"env": user, "user": user, "hostname": path(document, "environments", user, "hostenv")["hostname"].(string)},
	})
}

// platform is Nix's name for the platform of this machine.
func platform(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("uname", "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s-linux", bytes.TrimSpace(out))
}
