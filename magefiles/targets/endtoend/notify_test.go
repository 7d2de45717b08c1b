package endtoend_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// The provider's command gets what -json prints, in the provider's folder, without the
// provider's secrets. A deploy that only looks does not notify, and a command that fails
// is a warning.
func TestNotify(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1, Inventory: func(inventory map[string]any) {
		inventory["provider"].(map[string]any)["notify"] = []any{"./notify", "a b"}
	}})
	w.env = append(w.env, "SOPS_AGE_KEY=AGE-SECRET-KEY-1", "CF_API_TOKEN=s3cr3t")
	const script = "#!/bin/sh\n" + `mkdir -p told && cat >"told/$HOSTENV_NOTIFY" && printf '%s\n' "$1 $HOSTENV_RUN" >>told/order && env >told/env` + "\n"
	told := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(w.Provider.Dir, "told", name)) // "" if it was not called
		return string(text)
	}
	if err := os.WriteFile(filepath.Join(w.Provider.Dir, "notify"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	w.wants(w.deploy("-plan"), 0)
	if got := told("order"); got != "" {
		t.Errorf("a preview notifies: %q", got)
	}
	user := w.Nodes[0].Users()[0]
	w.Nodes[0].OnActivation(t, user, fleet.Behaviour{Fail: 3})
	r := w.wants(w.deploy("-json"), 3)
	run := w.outcome().Run
	if got, want := told("order"), strings.Repeat("a b "+run+"\n", 3); got != want {
		t.Errorf("it was called with %q, want %q", got, want)
	}
	if told("end") != r.stdout {
		t.Errorf("at the end it got\n%s\nand -json prints\n%s", told("end"), r.stdout)
	}
	if begin, failure := told("start"), told("failure"); strings.Count(begin, "\n") != 2 || !strings.HasPrefix(r.stdout, failure) ||
		!strings.Contains(failure[strings.LastIndex(strings.TrimSpace(failure), "\n"):], `"state":"failed"`) {
		t.Errorf("at the start it got\n%s\nat the failure\n%s", begin, failure)
	}
	if env := told("env"); env == "" || strings.Contains(env, "AGE-SECRET") || strings.Contains(env, "s3cr3t") {
		t.Errorf("its environment is\n%s", env)
	}

	w.Nodes[0].OnActivation(t, user, fleet.Behaviour{})
	if err := os.WriteFile(filepath.Join(w.Provider.Dir, "notify"), []byte("#!/bin/sh\necho it is closed >&2; exit 3\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	r = w.wants(w.deploy("-resume"), 0)
	contains(t, r.stderr, "warning: provider.notify (./notify) failed at the start: exit status 3: it is closed\n", "failed at the end")
	if got, want := w.Nodes[0].Active(t, user), w.Provider.Paths(t)["n1/"+user]; got != want {
		t.Errorf("%s is at %s, want %s", user, got, want)
	}
}
