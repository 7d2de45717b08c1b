package launcher

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const plan = `{
	"nodes": {"web1": {}, "web2": {}, "db1": {}, "-rf": {}, "a,b": {}},
	"environments": {
		"shop-main": {"virtualHosts": {"shop.example": {}, "-x.example": {}}, "hostenv": {"organisation": "acme", "project": "shop"}},
		"shop-dev": {"virtualHosts": {"*.example": {}}, "hostenv": {"organisation": "-rf", "project": "$(touch owned)"}},
		"$(touch owned)": {}, "-rf": {}, "a,b": {}, "a=b": {}
	}
}`

const stateOfPlan = `{"old-main": {"retired": true}, "-rf": {"retired": true}, "shop-main": {"uid": 1002}}`

// completions are lines up to the cursor, and the candidates for their last word.
// They are the same in every shell.
var completions = []struct{ line, want string }{
	{"pl", "plan"},
	{"dns", "dns-gate"},
	{"dnsG", "dnsGate"},
	{"sta", "state status"},
	{"state ", "init list merge prune"},
	{"state:l", "state:list"},
	{"plan sta", "state status"},
	{"plan --d", "--detailed-exitcode --diff --dry-run"},
	{"plan --dry-run --d", "--detailed-exitcode --diff"},
	{"plan -dr", "-dryRun"},
	{"plan -inv", "-inventory="},
	{"deploy --node ", "db1 web1 web2"},
	{"deploy --node web1,", "web1,db1 web1,web2"},
	{"deploy --node=w", "--node=web1 --node=web2"},
	{"deploy -node=web1,w", "-node=web1,web2"},
	{"deploy -n d", "db1"},
	{"deploy --node web1 --nod", "--node"},
	{"deploy --env sh", "shop-dev shop-main"},
	{"deploy --env ", "shop-dev shop-main system"},
	{"deploy --out elsewhere --node ", "n9"},
	{"dns-gate --explain ", "shop.example"},
	{"dns-gate --on-unknown k", "keep"},
	{"nodes-build w", "web1 web2"},
	{"nodes build d", "db1"},
	{"state prune --user ", "old-main"},
	{"plan --project ", "acme__shop"},
	{"plan --inventory -", ""},
	{"plan --inventory inv", "inventory.json inventory/"},
	{"plan --inventory inventory/", "inventory/a.json"},
	{"completion ", "bash fish zsh"},
	{"deploy --out nowhere --node ", ""},
	{"deploy --out broken --node ", ""},
	{"deploy --jobs ", ""},
	{"bogus ", ""},
	{"plan --bogus=", ""},
}

// provider makes a provider's folder, with files to complete.
func provider(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"generated/plan.json": plan, "generated/state.json": stateOfPlan,
		"elsewhere/plan.json": `{"nodes": {"n9": {}}}`, "broken/plan.json": `{"nodes": {"n9": {}}`,
		"inventory.json": "", "inventory/a.json": "", "-rf": "",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestComplete(t *testing.T) {
	t.Chdir(provider(t))
	for _, test := range completions {
		var out bytes.Buffer
		complete(&out, append(table, own...), strings.Split(test.line, " "))
		var got []string
		for line := range strings.Lines(out.String()) {
			text, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			got = append(got, text)
		}
		if !sameWords(strings.Join(got, " "), test.want) {
			t.Errorf("%q is completed by %q, not %q", test.line, got, test.want)
		}
	}
}

// FuzzComplete: every candidate begins as typed, and needs no quotes.
func FuzzComplete(f *testing.F) {
	for _, test := range completions {
		f.Add(test.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		var out bytes.Buffer
		complete(&out, append(table, own...), words)
		for candidate := range strings.Lines(out.String()) {
			text, _, _ := strings.Cut(strings.TrimSuffix(candidate, "\n"), "\t")
			if !strings.HasPrefix(text, words[len(words)-1]) || !safe.MatchString(text) {
				t.Errorf("%q is completed by %q", line, text)
			}
		}
	})
}

// Each shell completes lines by the script for it. The scripts print a line for
// each test: its candidates, with spaces between.
func TestShells(t *testing.T) {
	for shell, driver := range map[string]string{
		"bash": `source "$SCRIPT"
			compopt() { :; }
			while IFS= read -r line; do
				COMP_LINE="hostenv-provider $line" COMP_POINT=${#COMP_LINE}; COMP_POINT=${#COMP_LINE} COMPREPLY=()
				_hostenv_provider hostenv-provider
				echo "${COMPREPLY[*]}"
			done`,
		"fish": `source "$SCRIPT"
			for line in (cat)
				echo (complete --do-complete "hostenv-provider $line" | string replace -r '\t.*' '')
			end`,
	} {
		t.Run(shell, func(t *testing.T) {
			dir := provider(t)
			for i, got := range strings.Split(runShell(t, dir, testenv.Need(t, shell), shell, driver), "\n") {
				if i >= len(completions) {
					break
				}
				test := completions[i]
				want := test.want
				if shell == "bash" { // it replaces what follows = and : alone
					last := test.line[strings.LastIndex(test.line, " ")+1:]
					if j := strings.LastIndexAny(last, "=:"); j >= 0 {
						want = strings.ReplaceAll(want, last[:j+1], "")
					}
				}
				if !sameWords(got, want) {
					t.Errorf("%q is completed by %q, not %q", test.line, got, want)
				}
			}
		})
	}
	// zsh completes in a terminal alone: one of its own, which it types to.
	t.Run("zsh", func(t *testing.T) {
		dir := provider(t)
		// The line is never accepted: between two lines the terminal would edit the
		// words that are typed ahead.
		driver := `zmodload zsh/zpty
			await() { until [[ -s found && "$(<found)" == *DONE ]]; do zpty -r -t z REPLY; sleep 0.01; done }
			zpty z zsh -f -i
			zpty -w z "autoload -Uz compinit; compinit -u -D; source $SCRIPT
				compadd() { local -a all; builtin compadd -O all \"\$@\"; print -rl -- \$all >>found }
				record() { _hostenv-provider; compstate[insert]= compstate[list]=; print DONE >>found }
				zle -C record complete-word record; bindkey '^T' record
				zle-line-init() { print DONE >>found }; zle -N zle-line-init"
			await
			while IFS= read -r line; do
				: >found
				zpty -w -n z $'\x15'"hostenv-provider $line"$'\x14'
				await
				echo ${${(f)"$(<found)"}:#DONE}
			done`
		got := strings.Split(runShell(t, dir, testenv.Need(t, "zsh"), "zsh", driver), "\n")
		for i, test := range completions {
			if !sameWords(got[i], test.want) {
				t.Errorf("%q is completed by %q, not %q", test.line, got[i], test.want)
			}
		}
	})
}

// runShell runs a driver in a folder, with the lines of completions as its input.
func runShell(t *testing.T, dir, shell, name, driver string) string {
	t.Helper()
	bin := filepath.Dir(compiled(t))
	script, err := exec.CommandContext(t.Context(), compiled(t), "completion", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, script, 0o666); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, test := range completions {
		lines.WriteString(test.line + "\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", driver)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(lines.String())
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SCRIPT=" + path, "TERM=xterm", "LC_ALL=C.UTF-8"}
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil || log.Len() > 0 {
		t.Fatalf("%s: %v\n%s%s", name, err, out, log.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "owned")); err == nil {
		t.Error("a name of the plan was run as a command")
	}
	return string(out)
}

func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, word := range strings.Fields(a) {
		count[word]++
	}
	for _, word := range strings.Fields(b) {
		count[word]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// The manual page is correct for the programs that read it.
func TestManual(t *testing.T) {
	var page bytes.Buffer
	if err := manual(&page); err != nil {
		t.Fatal(err)
	}
	for tool, args := range map[string][]string{"mandoc": {"-T", "lint", "-W", "warning"}, "groff": {"-man", "-Tutf8", "-ww", "-z"}} {
		t.Run(tool, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), testenv.Need(t, tool), args...)
			cmd.Stdin = bytes.NewReader(page.Bytes())
			out, _ := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if !strings.Contains(line, "missing date") {
					t.Error(line)
				}
			}
		})
	}
	t.Run("man", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hostenv-provider.1")
		if err := os.WriteFile(path, page.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, width := range []string{"80", "60", "40"} {
			cmd := exec.CommandContext(t.Context(), testenv.Need(t, "man"), "-l", path)
			cmd.Env = append(os.Environ(), "MANWIDTH="+width, "LC_ALL=C.UTF-8", "MANPAGER=cat")
			out, err := cmd.Output()
			for _, want := range []string{"--dry-run", "state prune", "EXIT STATUS", "`hostenv-provider", "[TARGET [FLAGS]] ...\n", "[--timeout 5m]"} {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("at %s columns man shows no %s: %v\n%s", width, want, err, out)
				}
			}
		}
	})
}

func TestOverview(t *testing.T) {
	for _, width := range []int{40, 60, 80} {
		var b strings.Builder
		if err := overview(&b, width); err != nil {
			t.Fatal(err)
		}
		usage, _, _ := strings.Cut(b.String(), "\n\n")
		if !strings.Contains(usage, "[TARGET [FLAGS]] ...\n") {
			t.Errorf("at %d columns the usage breaks within a pair of brackets:\n%s", width, usage)
		}
		for line := range strings.Lines(usage) {
			if len(strings.TrimSpace(line)) > width {
				t.Errorf("%q is wider than %d", line, width)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, width := range []int{1, 20, 40, 80, 200} {
		text := wrap("a few words with anunusuallylongwordamongthem, and more", width, "  ")
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%q is wider than %d", line, width)
			}
		}
	}
}
