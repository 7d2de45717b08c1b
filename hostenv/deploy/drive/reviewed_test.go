package drive

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A deploy takes the plan that was reviewed, also after it recorded in it where
// environments are, and no other.
func TestReviewed(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	const scenario = "../../../golden/115-previous-node/"
	dir := t.TempDir()
	folder := generated.Open(filepath.Join(dir, "generated"))
	put := func(name string, text []byte) {
		t.Helper()
		if err := os.MkdirAll(folder.Path(), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder.File(name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"next-state.json": generated.StateFile, "plan.json": generated.PlanFile} {
		text, err := os.ReadFile(scenario + from)
		if err != nil {
			t.Fatal(err)
		}
		put(to, text)
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}, {"-c", "user.name=o", "-c", "user.email=o@provider.test", "commit", "--quiet", "--message=plan"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	read := func() *Plan {
		t.Helper()
		p, err := Read(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := read()
	digest := plan.Digest(p.text)
	for given, refused := range map[string]bool{"": false, digest: false, strings.ToUpper(digest): true, digest[:12]: true, strings.Repeat("0", 64): true} {
		err := p.reviewed(t.Context(), folder, given)
		if (err != nil) != refused || refused && problem.Hint(err) == "" {
			t.Errorf("-reviewed=%s: %v, hint %q", given, err, problem.Hint(err))
		}
	}

	deployed := map[string]string{}
	for user, e := range p.Document.Environments {
		deployed[user] = e.Node
	}
	if err := p.record(t.Context(), folder, deployed); err != nil {
		t.Fatal(err)
	}
	recorded := read()
	if plan.Digest(recorded.text) == digest {
		t.Fatal("nothing was recorded")
	}
	if err := recorded.reviewed(t.Context(), folder, digest); err != nil {
		t.Errorf("after a deploy: %v", err)
	}

	for what, change := range map[string]func(e *plan.Environment){
		"another previous node": func(e *plan.Environment) { e.PreviousNode = "node-z" },
		"another key":           func(e *plan.Environment) { e.AuthorizedKeys = append(e.AuthorizedKeys, "ssh-ed25519 AAAA eve") },
	} {
		document := recorded.Document
		document.Environments = map[string]plan.Environment{}
		for user, e := range recorded.Document.Environments {
			change(&e)
			document.Environments[user] = e
		}
		put(generated.PlanFile, document.Encode())
		s, _, err := folder.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		changed, text, err := folder.Plan(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		other := &Plan{Document: changed, State: s, Nodes: recorded.Nodes, text: text}
		if err := other.reviewed(t.Context(), folder, digest); err == nil {
			t.Errorf("a plan with %s is taken", what)
		}
	}
}
