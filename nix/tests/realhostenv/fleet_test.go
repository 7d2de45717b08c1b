package realhostenv_test

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
// and with the repositories of its inputs.
type fleet struct {
	testing.TB
	dir     string
	nix     string
	env     []string
	options json.RawMessage // the options for hostenv's generator
}

// newFleet builds a fleet with a number of customers. Its hostenv-provider is this
// working tree.
func newFleet(t testing.TB, customers int) *fleet {
	t.Helper()
	tool, _ := needs(t)
	return fleetOf(t, tool, customers)
}

// fleetOf is newFleet, made by a copy of the tool.
func fleetOf(t testing.TB, tool string, customers int) *fleet {
	t.Helper()
	_, mirrors := needs(t)
	able := lockers(t)
	f := &fleet{TB: t, nix: able[len(able)-1]}
	own := testenv.NixDir(t)
	f.dir = filepath.Join(own, "fleet")
	f.env = append(testenv.NixEnv(own),
		"NIX="+f.nix, "NIX_REMOTE="+filepath.Join(f.dir, "store"), "CUSTOMERS="+strconv.Itoa(customers),
		"PATH="+filepath.Dir(f.nix)+":"+os.Getenv("PATH"),
		// With a fixed date, commits have the same hash in every run.
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
	)
	f.run(own, "bash", filepath.Join(tool, "setup.sh"), mirrors, checkout(t), f.dir)
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

// try runs a program and returns its output.
func (f *fleet) try(in, program string, args ...string) (stdout, stderr string, err error) {
	f.Helper()
	cmd := exec.CommandContext(f.Context(), program, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = in, f.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run is try for a program that must succeed.
func (f *fleet) run(in, program string, args ...string) string {
	f.Helper()
	stdout, stderr, err := f.try(in, program, args...)
	if err != nil {
		f.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

func (f *fleet) provider() string { return filepath.Join(f.dir, "provider") }

// inventory evaluates the provider's inventory, as `mage plan` does.
func (f *fleet) inventory() []byte {
	f.Helper()
	return []byte(f.run(f.provider(), f.nix, "eval", "--offline", "--json", ".#lib.hostenvProvider.inventory"))
}

// reference returns hostenv's own plan and state. It begins with the state before,
// or without a state if that is nil.
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

// source matches the source of a flake in a document: its path in the store of the
// machine that evaluated.
var source = regexp.MustCompile(`"[^"]*/nix/store/[0-9a-z]{32}-source"`)

// portable returns a document without paths of this machine: roots are relative to the
// project's source, as in the inventory, and repositories are in /srv/fleet. It fails
// if a path of the store or of the fleet is left.
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
