package nix_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// agreement guards what tests of several versions of Nix share.
var agreement sync.Mutex

var update = flag.Bool("update", false, "rewrite the recorded inventory of the example")

// makeExample makes the example provider for one Nix, and returns its folder.
func makeExample(t *testing.T, n nix) string {
	t.Helper()
	testenv.Need(t, "git")
	dest := filepath.Join(realTempDir(t), "example")
	if err := examples.Make(t.Context(), dest, examples.Options{Nix: n.binary, Env: n.env}); err != nil {
		t.Fatal(err)
	}
	return dest
}

// realTempDir returns t.TempDir() without symbolic links, as Nix writes paths.
func realTempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (n nix) runner(dir string) *hostnix.Runner {
	return &hostnix.Runner{Dir: dir, Nix: n.binary, Env: n.env, Jobs: 2}
}

// Every Nix evaluates the recorded inventory, which machines without Nix use.
func TestExampleIsRecorded(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dest := makeExample(t, n)
		runner := n.runner(filepath.Join(dest, "provider"))
		var events []hostnix.Event
		runner.Progress = func(e hostnix.Event) { events = append(events, e) }
		got, err := runner.Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		got = bytes.ReplaceAll(got, []byte("file://"+dest), []byte(examples.Placeholder))
		value, err := canonjson.Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		got = canonjson.Encode(value)
		const file = "../../examples/provider/inventory.json"
		if *update {
			if err := os.WriteFile(file, got, 0o666); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(string(examples.Inventory()), string(got)); diff != "" {
			t.Errorf("%s is not what Nix evaluates (-recorded +evaluated); go test ./hostenv/nix -update rewrites it:\n%s", file, diff)
		}

		want := []hostnix.Event{
			{Phase: hostnix.Evaluate, Subject: "acme__site", Number: 1},
			{Phase: hostnix.Evaluate, Subject: "beta__portal", Number: 2},
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
}

// Every environment of the example can be locked: its git ref is a branch with its
// own commit, and all versions of Nix lock it to the same value, in any folder.
func TestExampleCanBeLocked(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dest := makeExample(t, n)
		var inventory struct {
			Projects map[string]struct {
				Source struct {
					Original map[string]any `json:"original"`
				} `json:"source"`
				Environments map[string]struct {
					Hostenv struct {
						GitRef string `json:"gitRef"`
					} `json:"hostenv"`
				} `json:"environments"`
			} `json:"projects"`
		}
		if err := json.Unmarshal(examples.Inventory(), &inventory); err != nil {
			t.Fatal(err)
		}
		var sources []map[string]any
		var want []string
		for _, project := range inventory.Projects {
			url := strings.Replace(project.Source.Original["url"].(string), examples.Placeholder, "file://"+dest, 1)
			for _, environment := range project.Environments {
				sources = append(sources, map[string]any{"type": "git", "url": url, "ref": environment.Hostenv.GitRef, "dir": ".hostenv"})
				want = append(want, gitOutput(t, strings.TrimPrefix(url, "file://"), "rev-parse", "refs/heads/"+environment.Hostenv.GitRef))
			}
		}
		locked, err := n.runner(filepath.Join(dest, "provider")).LockSources(t.Context(), sources)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range locked {
			got = append(got, l.Rev)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("revs (-git +nix):\n%s", diff)
		}
		if slices.Sort(want); len(slices.Compact(want)) != 5 {
			t.Errorf("the branches have no commits of their own: %s", want)
		}
	})
}

func gitOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@t.example", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@t.example")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The customers' repositories have the same commits at every time and place.
func TestExampleIsReproducible(t *testing.T) {
	testenv.Need(t, "git")
	heads := func() string {
		dest := filepath.Join(t.TempDir(), "example")
		if err := examples.Make(t.Context(), dest, examples.Options{Nix: "no-such-nix"}); err != nil {
			t.Fatal(err)
		}
		return gitOutput(t, filepath.Join(dest, "acme-site"), "show-ref") + gitOutput(t, filepath.Join(dest, "beta-portal"), "show-ref")
	}
	if first, second := heads(), heads(); first != second {
		t.Errorf("commits differ:\n%s\n%s", first, second)
	}
}

// Each project has the same copy of the file that stands for hostenv.
func TestStandInIsTheSame(t *testing.T) {
	read := func(project string) string {
		text, err := os.ReadFile("../../examples/projects/" + project + "/.hostenv/evaluate.nix")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(read("acme-site"), read("beta-portal")); diff != "" {
		t.Errorf("acme-site's and beta-portal's evaluate.nix differ:\n%s", diff)
	}
}

// Make refuses a folder that is not empty.
func TestExampleWantsAnEmptyFolder(t *testing.T) {
	dest := t.TempDir()
	if err := os.WriteFile(filepath.Join(dest, "mine"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := examples.Make(t.Context(), dest, examples.Options{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Make in a folder that holds a file: %v", err)
	}
}

func TestLargeExample(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dest := filepath.Join(realTempDir(t), "large")
		if err := examples.MakeLarge(t.Context(), dest, 3, 4, examples.Options{Nix: n.binary, Env: n.env}); err != nil {
			t.Fatal(err)
		}
		document, err := n.runner(filepath.Join(dest, "provider")).Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if projects, names := bytes.Count(document, []byte(`"source":`)), bytes.Count(document, []byte(`"gitRef":`)); projects != 3 || names != 12 {
			t.Errorf("%d projects with %d environments, want 3 with 12", projects, names)
		}
		branches := gitOutput(t, filepath.Join(dest, "org002"), "for-each-ref", "--format=%(refname:short)")
		if want := "feature-001\nfeature-002\nfeature-003\nmain"; branches != want {
			t.Errorf("branches %q, want %q", branches, want)
		}
	})
}
