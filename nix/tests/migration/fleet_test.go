// Package migration_test holds ours against hostenv's own newest generator, on
// a fleet of providers and customers of the real hostenv: it records what that
// makes of the fleet for golden/, and walks docs/migrating.md from there.
//
// The fleet is built by a tool beside the repository (testenv's real-hostenv),
// for no line of hostenv is in this one.
package migration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const root = "../../.."

// A fleet is a folder with a provider's repository, locked and not yet planned,
// and those of its inputs.
type fleet struct {
	testing.TB
	dir     string
	nix     string
	env     []string
	options json.RawMessage // what hostenv's generator is given
}

// newFleet builds one with so many customers, whose hostenv-provider is this
// working tree.
func newFleet(t testing.TB, customers int) *fleet {
	t.Helper()
	tool, mirrors := testenv.Need(t, "real-hostenv"), testenv.Need(t, "mirrors")
	for _, program := range []string{"git", "jq", "python3"} {
		testenv.Need(t, program)
	}
	f := &fleet{TB: t, nix: newestNix(t)}
	own := testenv.NixDir(t)
	f.dir = filepath.Join(own, "fleet")
	f.env = append(testenv.NixEnv(own),
		"NIX="+f.nix, "NIX_REMOTE="+filepath.Join(f.dir, "store"), "CUSTOMERS="+strconv.Itoa(customers),
		"PATH="+filepath.Dir(f.nix)+":"+os.Getenv("PATH"),
		// Commits of one date have one hash, run after run.
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
	)
	checkout := filepath.Join(own, "checkout")
	f.copyTree(checkout)
	f.run(own, "bash", filepath.Join(tool, "setup.sh"), mirrors, checkout, f.dir)
	said, err := os.ReadFile(filepath.Join(f.dir, "fleet.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Provider json.RawMessage }
	if err := json.Unmarshal(said, &document); err != nil {
		t.Fatal(err)
	}
	f.options = document.Provider
	return f
}

// newestNix returns a Nix that can lock hostenv, whose lock file only Nix from
// 2.26 on reads.
func newestNix(t testing.TB) string {
	t.Helper()
	newest, most := "", 0
	for _, binary := range testenv.NixBinaries(t) {
		out, err := exec.Command(binary, "--version").Output()
		if err != nil {
			t.Fatalf("%s --version: %v", binary, err)
		}
		var major, minor int
		fields := strings.Fields(string(out))
		if _, err := fmt.Sscanf(fields[len(fields)-1], "%d.%d", &major, &minor); err != nil {
			t.Fatalf("%s --version: %s", binary, out)
		}
		if version := 1000*major + minor; version > most {
			newest, most = binary, version
		}
	}
	if most < 2026 {
		testenv.Need(t, "newer-nix")
		t.Skipf("left out, for no Nix here can lock hostenv: 2.26 can, and %s is older", newest)
	}
	return newest
}

// copyTree makes a repository of the working tree, with what is not committed.
func (f *fleet) copyTree(to string) {
	f.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		f.Fatal(err)
	}
	files := f.run(abs, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for _, name := range strings.Split(strings.TrimSuffix(files, "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(abs, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed so
		}
		if err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(abs, name))
		if err != nil {
			f.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o777); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, info.Mode().Perm()); err != nil {
			f.Fatal(err)
		}
	}
	f.run(to, "git", "init", "-q", "-b", "main")
	f.run(to, "git", "add", "-A", "-f")
	f.run(to, "git", "commit", "-q", "-m", "the working tree")
}

// try runs a program and returns what it writes.
func (f *fleet) try(in, program string, args ...string) (stdout, stderr string, err error) {
	f.Helper()
	cmd := exec.CommandContext(f.Context(), program, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = in, f.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run is try for what must succeed.
func (f *fleet) run(in, program string, args ...string) string {
	f.Helper()
	stdout, stderr, err := f.try(in, program, args...)
	if err != nil {
		f.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

func (f *fleet) provider() string { return filepath.Join(f.dir, "provider") }

// inventory evaluates the provider's, as `mage plan` does.
func (f *fleet) inventory() []byte {
	f.Helper()
	return []byte(f.run(f.provider(), f.nix, "eval", "--offline", "--json", ".#lib.hostenvProvider.inventory"))
}

// reference returns hostenv's own plan and state; before is the state that it
// begins with, nil for none.
func (f *fleet) reference(before []byte) (plan, state []byte) {
	f.Helper()
	expression, err := filepath.Abs("reference.nix")
	if err != nil {
		f.Fatal(err)
	}
	statePath := "null"
	if before != nil {
		file := filepath.Join(f.dir, "reference-state.json")
		if err := os.WriteFile(file, before, 0o666); err != nil {
			f.Fatal(err)
		}
		statePath = file
	}
	made := f.run(f.dir, f.nix, "eval", "--impure", "--offline", "--json", "--expr", fmt.Sprintf(
		"import %s { provider = %q; options = builtins.fromJSON (builtins.readFile %s); statePath = %s; }",
		expression, "git+file://"+f.provider(), f.write("reference-options.json", f.options), statePath))
	var documents struct{ Plan, State json.RawMessage }
	if err := json.Unmarshal([]byte(made), &documents); err != nil {
		f.Fatal(err)
	}
	return documents.Plan, documents.State
}

func (f *fleet) write(name string, data []byte) string {
	f.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.WriteFile(file, data, 0o666); err != nil {
		f.Fatal(err)
	}
	return file
}

// source is how a flake's source stands in a document: where Nix keeps it on
// the machine that evaluated.
var source = regexp.MustCompile(`"[^"]*/nix/store/[0-9a-z]{32}-source"`)

// portable returns a document without what belongs to this machine: roots are
// relative to the project's source, as in the inventory, and repositories lie
// in /srv/fleet. It fails where a path of the store, or of the fleet, is left.
func (f *fleet) portable(document []byte) []byte {
	f.Helper()
	document = source.ReplaceAll(document, []byte(`"."`))
	document = bytes.ReplaceAll(document, []byte(f.dir), []byte("/srv/fleet"))
	var value any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		f.Fatal(err)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		f.Fatal(err)
	}
	for _, ours := range []string{"/nix/store", filepath.Dir(f.dir), os.TempDir() + "/"} {
		if i := bytes.Index(text.Bytes(), []byte(ours)); i >= 0 {
			f.Fatalf("a path of this machine is left: %.160s", text.Bytes()[max(0, i-40):])
		}
	}
	return text.Bytes()
}
