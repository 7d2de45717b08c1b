package review_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/internal/console"
)

var update = flag.Bool("update", false, "rewrite what docs/plan.md shows")

const document = "../../docs/plan.md"

// provider300 is a provider with 300 environments of 30 projects of 10 customers.
func provider300(t testing.TB) (*fleet, review.Version) {
	f := newFleet(10, 3, 10, 4)
	return f, f.plan(t, none)
}

// One customer has new commits, one a new key, one removed an environment: docs/plan.md
// shows what is printed of 300 environments.
func TestDocument(t *testing.T) {
	f, before := provider300(t)
	f.revs["org2__site7"] = "4b309ab" + strings.Repeat("0", 33)
	delete(f.at("projects", "org4__site12", "environments"), "env9")
	f.environment("org6__site20", "env0")["users"].(object)["alice"].(object)["publicKeys"] = []any{"ssh-ed25519 AAAA alice", "ssh-ed25519 BBBB alice@laptop"}
	after := f.plan(t, before)
	commits := map[review.Pair]review.Commits{}
	for _, pair := range review.Pairs(before, after) {
		commits[pair] = review.Commits{Number: 14, Subjects: []string{"Redesign the start page", "Let editors schedule news", "Update the forms", "Mend the menu"}}
	}
	r := review.Of(before, after, commits)
	r.Digest = plan.Digest(after.Plan.Encode())
	console.Check(t, document, *update, "mage plan", r.Text(terminal, "")+"wrote generated/state.json\nwrote generated/plan.json\n")
	console.Check(t, document, *update, "mage plan -since=origin/main -format=markdown -limit=65000", r.Markdown(65000))
}

// One customer's project does not evaluate, one claims a name of another, and one has
// new commits: docs/plan.md shows what is printed of 300 environments.
func TestHeldDocument(t *testing.T) {
	f, before := provider300(t)
	f.revs["org2__site7"] = "4b309ab" + strings.Repeat("0", 33)
	breakSite12(f)
	f.environment("org6__site20", "env0")["virtualHosts"].(object)["www.site0-env1.test"] = object{"enableLetsEncrypt": true}
	after := f.plan(t, before)
	commits := map[review.Pair]review.Commits{}
	for _, pair := range review.Pairs(before, after) {
		commits[pair] = review.Commits{Number: 2, Subjects: []string{"Redesign the start page", "Let editors schedule news"}}
	}
	var out strings.Builder
	if err := review.WriteHeld(&out, f.held, 5); err != nil {
		t.Fatal(err)
	}
	out.WriteString(review.Of(before, after, commits).Text(terminal, ""))
	out.WriteString("wrote generated/plan.json\nError: " + review.HeldLine(f.held) + "\n6\n")
	console.Check(t, document, *update, "mage plan || echo $?", out.String())
	if n := strings.Count(out.String(), "\n"); n > terminal {
		t.Errorf("%d lines", n)
	}
}

// breakSite12 lets a project fail to evaluate.
func breakSite12(f *fleet) {
	delete(f.at("projects"), "org4__site12")
	f.failed = []plan.Held{{Project: "org4__site12", Reason: problem.New("", "attribute 'hosts' missing\nat hostenv.nix:12:5",
		"nix eval --show-trace .#lib.hostenvProvider --apply 'p: p.inventoryWith { only = [ \"org4__site12\" ]; }' shows how nix got there")}}
}

// situations are what an operator meets in the morning. Before is what had to be done
// with what a plan printed formerly.
var situations = []struct {
	name, before, now string
	first             bool
	change            func(f *fleet)
}{
	{"nothing changed", "nothing", "nothing", false, func(*fleet) {}},
	{"a customer pushed to one of its projects", "find the commit in the difference, guess the rest", "read the subjects of the commits", false, func(f *fleet) { f.revs["org2__site7"] = strings.Repeat("4", 40) }},
	{"every customer pushed", "the same for each", "read the subjects; `-since=HEAD` has those that do not fit", false, func(f *fleet) {
		for i := range 30 {
			f.revs[fmt.Sprintf("org%d__site%d", i/3, i)] = fmt.Sprintf("%07d%033d", i+1, 0)
		}
	}},
	{"a customer added a key", "find it in the difference, once for the user and once for the node", "ask whose key it is", false, func(f *fleet) {
		f.environment("org6__site20", "env0")["users"].(object)["alice"].(object)["publicKeys"] = []any{"ssh-ed25519 AAAA alice", "ssh-ed25519 BBBB alice@laptop"}
	}},
	{"a virtual host redirects to another host", "find it in the difference", "read the line", false, func(f *fleet) {
		f.environment("org6__site20", "env0")["virtualHosts"].(object)["www.site20-env0.test"].(object)["globalRedirect"] = "a.test"
	}},
	{"an environment left the inputs", "find the `-` among the lines", "read the first customer: it is retired", false, func(f *fleet) { delete(f.at("projects", "org4__site12", "environments"), "env9") }},
	{"a project goes to another node", "count the lines", "read one line for its ten environments", false, func(f *fleet) { f.at("provider", "placement")["org4__site12"] = "node-1" }},
	{"the limits of all projects change", "find them in the difference, once for each node and project", "read one line for all customers", false, func(f *fleet) { f.at("provider")["limits"] = object{"memoryMax": "8G"} }},
	{"a customer's project does not evaluate", "mend it with the customer: until then there is no plan for any other", "write to the customer; all others are planned", false, breakSite12},
	{"the first plan", "scroll", "read the summary, and a line for each project", true, func(*fleet) {}},
}

const (
	tableBegin = "<!-- table: TestSituations in hostenv/review -->\n"
	tableEnd   = "<!-- end -->\n"
)

// docs/plan.md compares what a dry run prints now with what it printed formerly: the
// difference of both files, and a line for each change of the state.
func TestSituations(t *testing.T) {
	var b strings.Builder
	b.WriteString("| situation | formerly | | now | |\n|---|---|---|---|---|\n")
	for _, s := range situations {
		f, before := provider300(t)
		var oldPlan, oldState []byte
		if s.first {
			f, before = newFleet(10, 3, 10, 4), none
		} else {
			oldPlan, oldState = before.Plan.Encode(), before.State.Encode()
		}
		s.change(f)
		after := f.plan(t, before)
		former := 1 + len(plan.StateChanges(before.State, after.State))
		former += strings.Count(string(diff.Diff("a", oldPlan, "b", after.Plan.Encode()))+string(diff.Diff("a", oldState, "b", after.State.Encode())), "\n")
		now := strings.Count(review.Of(before, after, nil).Text(terminal, "`mage plan -since=HEAD | less` shows them"), "\n")
		if len(f.held) > 0 { // formerly the only output
			var errors, held strings.Builder
			if err := problem.Write(&errors, problem.Leaves(f.held[0].Reason), 5); err != nil {
				t.Fatal(err)
			}
			if err := review.WriteHeld(&held, f.held, 5); err != nil {
				t.Fatal(err)
			}
			former = strings.Count(errors.String(), "\n")
			now += strings.Count(held.String(), "\n") + 1 // the last line
		}
		if now > terminal {
			t.Errorf("%s: %d lines", s.name, now)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.name, lines(former), s.before, lines(now), s.now)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), tableBegin)
	table, tail, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatalf("%s has no table", document)
	}
	if want := b.String(); table != want && *update {
		if err := os.WriteFile(document, []byte(head+tableBegin+want+tableEnd+tail), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("%s has another table; -update writes\n%s", document, want)
	}
}

func lines(n int) string {
	switch {
	case n == 1:
		return "1 line"
	case n >= 1000:
		return fmt.Sprintf("%d,%03d lines", n/1000, n%1000)
	}
	return fmt.Sprintf("%d lines", n)
}
