package realhostenv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/console"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const guide = root + "/docs/migrating.md"

// elsewhere are the guide's commands that a test cannot run: they need another
// network than this machine's, or packages that can be built.
var elsewhere = []string{
	"go get github.com/woolwichweb/hostenv-provider/magefiles/targets@latest",
	"mage dnsGate -dryRun", "mage dnsGate", "mage nodesBuild all", "mage deploy -plan",
}

// TestMigrating follows docs/migrating.md word by word. On a provider with
// hostenv's own flake module, plan and state, it makes the guide's changes and
// runs its commands, and compares their output with the guide.
func TestMigrating(t *testing.T) {
	f := newFleet(t, 2)
	g := pieces(t)
	old := f.oldProvider(g[2].Text)
	mage := filepath.Join(f.dir, "bin/mage")
	if err := testenv.Compile(abs(t, root), mage); err != nil {
		t.Fatal(err)
	}
	f.env = append(f.env, "PATH="+filepath.Dir(mage)+":"+filepath.Dir(f.nix)+":"+os.Getenv("PATH"))
	published := strings.NewReplacer("github:woolwichweb/hostenv-provider", "git+file://"+f.dir+"/hostenv-provider")
	stateBefore := uids(t, filepath.Join(old, "generated/state.json"))

	// The changes of flake.nix. The guide contains each of them.
	edit := func(from, to string) {
		t.Helper()
		file := filepath.Join(old, "flake.nix")
		text := read(t, file)
		if strings.Count(text, from) != 1 {
			t.Fatalf("flake.nix has not one %q:\n%s", from, text)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(text, from, published.Replace(to), 1)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	changes := []func(){
		func() { edit("  inputs = {\n", "  inputs = {\n"+g[0].Text) },
		func() { edit("    imports = [ inputs.hostenv.flakeModules.provider ];\n", g[1].Text) },
		nil, // the options formerly
		func() { edit(g[2].Text, g[3].Text) },
		func() { edit("  inputs = {\n", "  inputs = {\n"+g[4].Text) },
	}
	left, done := slices.Clone(elsewhere), 0
	console.Walk(t, guide, *update, func(c console.Command) string {
		for ; done < len(g) && g[done].At < c.At; done++ {
			if changes[done] != nil {
				changes[done]()
			}
		}
		if at := slices.Index(left, c.Line); at >= 0 {
			left = slices.Delete(left, at, at+1)
			return strings.Join(c.Output, "\n")
		}
		stdout, stderr, err := f.try(old, "bash", "-c", "set -o pipefail; "+published.Replace(c.Line))
		refused := slices.ContainsFunc(c.Output, func(line string) bool { return strings.HasPrefix(line, "error: ") })
		if (err != nil) != refused && !*update {
			t.Fatalf("%s: %v\n%s%s", c.Line, err, stdout, stderr)
		}
		if err != nil {
			return progress.ReplaceAllString(stderr, "")
		}
		return stdout
	})
	if len(left) > 0 {
		t.Errorf("docs/migrating.md does not have the commands %q", left)
	}

	if got := uids(t, filepath.Join(old, "generated/state.json")); !equalUIDs(got, stateBefore) {
		t.Errorf("the UIDs were %v and are %v", stateBefore, got)
	}
	if again := f.run(old, mage, "plan"); !strings.Contains(again, "no changes") {
		t.Errorf("a second plan changes something:\n%s", again)
	}
	if all := f.run(old, mage, "plan", "-compare=../old-plan.json", "-detailedExitcode"); !strings.Contains(all, " 0 unexpected\n") {
		t.Errorf("after the first plan:\n%s", all)
	}
	if left := f.run(old, "git", "status", "--short"); left != "" {
		t.Errorf("after the last commit git status has\n%s", left)
	}
}

// progress matches the progress messages of a target.
var progress = regexp.MustCompile(`(?m)^(evaluating|locking) .*\n`)

// oldProvider makes the repository of a provider with hostenv's own flake module, and
// the options of the guide, from the fleet's. Its generated folder is hostenv's, after
// hostenv's gate turned one certificate off.
func (f *fleet) oldProvider(formerly string) string {
	f.Helper()
	old := filepath.Join(f.dir, "old-provider")
	if err := os.CopyFS(old, os.DirFS(f.provider())); err != nil {
		f.Fatal(err)
	}
	for _, ours := range []string{".git", "flake.lock", "go.mod", "go.sum", "magefiles", ".gitignore", "generated"} {
		if err := os.RemoveAll(filepath.Join(old, ours)); err != nil {
			f.Fatal(err)
		}
	}
	flake := read(f, filepath.Join(f.provider(), "flake.nix"))
	inputs, _, ok := strings.Cut(flake, "  outputs = ")
	if !ok {
		f.Fatalf("flake.nix has no outputs:\n%s", flake)
	}
	inputs = regexp.MustCompile(`(?m)^ *hostenv-provider\.url = .*\n`).ReplaceAllString(inputs, "")
	flake = inputs + "  outputs = inputs: inputs.flake-parts.lib.mkFlake { inherit inputs; } {\n    systems = [ \"x86_64-linux\" ];\n" +
		"    imports = [ inputs.hostenv.flakeModules.provider ];\n" + formerly + "  };\n}\n"

	var options map[string]any
	if err := json.Unmarshal(f.options, &options); err != nil {
		f.Fatal(err)
	}
	options["nodeSshPorts"] = map[string]any{"sample": 2222}
	var err error
	if f.options, err = json.Marshal(options); err != nil {
		f.Fatal(err)
	}
	plan, state := f.reference(nil)
	for name, text := range map[string][]byte{
		"flake.nix": []byte(flake), "generated/plan.json": gated(f, plan, "www.acme.example"), "generated/state.json": state,
		"generated/flake.nix": []byte("{ outputs = _: { }; }\n"), "flake.template.nix": []byte(flake),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(old, name)), 0o777); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(old, name), text, 0o666); err != nil {
			f.Fatal(err)
		}
	}
	f.run(old, "git", "init", "-q", "-b", "main")
	f.run(old, "git", "add", ".")
	f.run(old, f.nix, "flake", "lock")
	f.run(old, "git", "add", ".")
	f.run(old, "git", "commit", "-q", "-m", "what is deployed")
	return old
}

// gated returns a plan in which hostenv's gate turned the certificate of a
// virtual host off.
func gated(t testing.TB, plan []byte, host string) []byte {
	t.Helper()
	var document map[string]any
	decoder := json.NewDecoder(bytes.NewReader(plan))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(any)
	walk = func(v any) {
		object, _ := v.(map[string]any)
		for name, inner := range object {
			virtualHost, _ := inner.(map[string]any)
			for _, option := range []string{"enableLetsEncrypt", "enableACME", "forceSSL"} {
				if _, ok := virtualHost[option]; ok && name == host {
					virtualHost[option] = false
					found++
				}
			}
			walk(inner)
		}
	}
	walk(document)
	if found != 3 {
		t.Fatalf("the plan asks in %d places for the certificate of %s, not in 3", found, host)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// uids returns the UIDs of a state, by user.
func uids(t testing.TB, file string) map[string]int {
	t.Helper()
	var entries map[string]json.RawMessage
	if err := json.Unmarshal([]byte(read(t, file)), &entries); err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for user, text := range entries {
		var entry struct{ UID int }
		if json.Unmarshal(text, &entry) == nil && !strings.HasPrefix(user, "_") {
			all[user] = entry.UID
		}
	}
	if len(all) != 6 {
		t.Fatalf("%s has %d users", file, len(all))
	}
	return all
}

func equalUIDs(a, b map[string]int) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// pieces returns the guide's pieces of Nix: the input, the import, and the options
// formerly and now.
func pieces(t testing.TB) []console.Block {
	t.Helper()
	nix := slices.DeleteFunc(console.Parse(read(t, guide)).Blocks, func(b console.Block) bool { return b.Language != "nix" })
	if len(nix) != 5 {
		t.Fatalf("docs/migrating.md has %d pieces of Nix, want 5", len(nix))
	}
	return nix
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func abs(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
