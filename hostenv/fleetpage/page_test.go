package fleetpage_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

func environment(t *testing.T, p fleetpage.Page, prefix string) fleetpage.Environment {
	t.Helper()
	i := slices.IndexFunc(p.Environments, func(e fleetpage.Environment) bool { return strings.HasPrefix(e.User, prefix) })
	if i < 0 {
		t.Fatalf("no environment %s", prefix)
	}
	return p.Environments[i]
}

func words(badges []fleetpage.Badge) (all []string) {
	for _, b := range badges {
		all = append(all, string(b.Tone)+": "+b.Word)
	}
	return all
}

// Each state of an environment has its words, asked or not.
func TestEnvironments(t *testing.T) {
	for _, test := range []struct {
		reason, user         string
		unasked, asked       []string
		attention, whenAsked bool
	}{
		{"as planned", "site0000-main", []string{"plain: deployed"}, []string{"good: in-sync"}, false, false},
		{"its name leads elsewhere", "site0001-main", []string{"warn: 1 certificate off"}, []string{"good: in-sync", "warn: 1 certificate off"}, true, true},
		{"its last deploy failed", "site0001-staging", []string{"bad: last deploy failed"}, []string{"good: in-sync", "bad: last deploy failed"}, true, true},
		{"it is disabled", "site0001-feature", []string{"plain: disabled"}, []string{"plain: disabled"}, false, false},
		{"it moves", "site0002-main", []string{"plain: moves from node-01"}, []string{"good: in-sync", "plain: moves from node-01"}, false, false},
		{"it is new", "site0002-staging", []string{"plain: not deployed"}, []string{"warn: behind"}, false, true},
		{"its project is held back", "site0003-main", []string{"bad: held back"}, []string{"bad: held back", "good: in-sync"}, true, true},
		{"a node went back", "site0002-feature", []string{"plain: deployed"}, []string{"bad: diverged"}, false, true},
	} {
		unasked := environment(t, fleetpage.Of(sample(10, false, same)), test.user)
		asked := environment(t, fleetpage.Of(sample(10, true, same)), test.user)
		if diff := cmp.Diff(test.unasked, words(unasked.Badges)); diff != "" || unasked.Attention != test.attention {
			t.Errorf("%s (-want +got), attention %v:\n%s", test.reason, unasked.Attention, diff)
		}
		if diff := cmp.Diff(test.asked, words(asked.Badges)); diff != "" || asked.Attention != test.whenAsked {
			t.Errorf("%s, asked (-want +got), attention %v:\n%s", test.reason, asked.Attention, diff)
		}
	}
}

// A row has the source, the limit and the last deploy of its environment.
func TestEnvironment(t *testing.T) {
	p := fleetpage.Of(sample(10, true, same))
	e := environment(t, p, "site0001-staging")
	if e.Source.Ref != "staging" || len(e.Source.Short()) != 12 || e.Source.Repository != "ssh://git@git.example/org0000/site0001.git" {
		t.Errorf("source %+v", e.Source)
	}
	if e.Limit != "CPU 200%, memory 4G" {
		t.Errorf("limit %q", e.Limit)
	}
	d := e.Deploy
	if d == nil || d.By != "ada@office" || d.Commit[:6] != "012345" || d.Uncommitted || d.Ago != "2 days ago" || d.Failed == nil || d.Failed.Run != p.Runs[0].ID {
		t.Errorf("the last deploy is %+v", d)
	}
	if links := []fleetpage.Link{{Text: "0004.hosting.example", ID: "name-0004.hosting.example"}, {Text: "staging.customer0001.example", ID: "name-staging.customer0001.example"}}; !cmp.Equal(links, e.Names) {
		t.Errorf("names %v", e.Names)
	}
}

func TestNodes(t *testing.T) {
	p := fleetpage.Of(sample(10, true, same))
	n := p.Nodes[0]
	if len(n.Environments) != 6 || n.Disabled != 0 || n.Share != 66 || n.FirstUID != 40000 || n.LastUID != 40008 {
		t.Errorf("the load of the first node is %+v", n)
	}
	if n.Projects != 2 || n.CPU.Text != "4 CPUs" || n.Memory.Text != "8 GiB" || n.CPU.Without+n.Memory.Without > 0 {
		t.Errorf("the limits of the first node are %d projects, %+v, %+v", n.Projects, n.CPU, n.Memory)
	}
	if diff := cmp.Diff([]string{"good: system in-sync", "warn: 2 environments not in sync"}, words(n.Badges)); diff != "" {
		t.Error(diff)
	}
	if n.Deploy == nil || n.Deploy.By != "ada@office" || len(n.Leftovers) != 1 {
		t.Errorf("its system's last deploy is %+v, its leftovers %v", n.Deploy, n.Leftovers)
	}
}

// Limits that have no size in CPUs or bytes are counted, not left out of sight.
func TestLimits(t *testing.T) {
	f := fleetpage.Facts{Plan: plan.Document{Nodes: map[string]plan.Node{"n": {Carried: plan.Carried{{Name: "systemd", Value: value(map[string]any{"slices": map[string]any{
		"user-a-a": map[string]any{"sliceConfig": map[string]any{"CPUQuota": "150%", "MemoryMax": "512M"}},
		"user-a-b": map[string]any{"sliceConfig": map[string]any{"CPUQuota": "100%", "MemoryMax": "infinity"}},
		"user-a-c": map[string]any{"sliceConfig": map[string]any{"CPUQuota": "100%", "MemoryMax": "50%"}},
		"user-a-":  map[string]any{},
	}})}}}}}}
	n := fleetpage.Of(f).Nodes[0]
	if n.Projects != 3 || n.CPU != (fleetpage.Load{Text: "3.5 CPUs"}) || n.Memory != (fleetpage.Load{Text: "0.5 GiB", Without: 2}) {
		t.Errorf("%d projects, %+v, %+v", n.Projects, n.CPU, n.Memory)
	}
}

func TestNames(t *testing.T) {
	p := fleetpage.Of(sample(10, true, same))
	name := func(host string) fleetpage.Name {
		return p.Names[slices.IndexFunc(p.Names, func(n fleetpage.Name) bool { return n.Host == host })]
	}
	if n := name("main.customer0000.example"); n.Verdict != (fleetpage.Badge{Tone: fleetpage.Good, Word: "pass"}) || n.Certificate.Word != "on" || n.OnNode.Word != "valid until 2027-01-28" || n.Attention {
		t.Errorf("a name that passes: %+v", n)
	}
	off := name("main.customer0001.example")
	if !off.Off || !off.Attention || off.Certificate.Word != "off" || off.Verdict.Word != "fail" || off.Fix == "" || off.Since.Text() != "2026-11-20 06:00 UTC" {
		t.Errorf("a name that fails: %+v", off)
	}
	if want := "main.customer0001.example A from ns1.customer.example 192.0.2.99"; off.Evidence[0] != want {
		t.Errorf("its evidence is %q", off.Evidence)
	}
	if n := name("staging.customer0001.example"); n.Order == nil || !strings.HasPrefix(n.Order.Text, "3 orders failed") || n.Order.Hint == "" || !n.Attention {
		t.Errorf("a name whose order failed: %+v", n)
	}
	if n := name("feature-search.customer0001.example"); n.Certificate.Word != "not served" {
		t.Errorf("a name of a disabled environment: %+v", n)
	}
	if n := name("0000.hosting.example"); n.Verdict.Word != "not judged" {
		t.Errorf("a name without an entry: %+v", n)
	}
}

// The first things that an operator reads are what it has to do.
func TestNotices(t *testing.T) {
	titles := func(p fleetpage.Page) (all []string) {
		for _, n := range p.Notices {
			all = append(all, n.Title)
		}
		return all
	}
	if diff := cmp.Diff([]string{
		"Held back", "Certificates whose order failed, or that expired", "The last deploy", "Not in sync with the plan", "Names whose certificate is off", "For you to do on nodes",
		"Names whose verdict is unknown", "Moves that the next deploy makes", "What former environments left on nodes",
	}, titles(fleetpage.Of(sample(10, true, same)))); diff != "" {
		t.Error(diff)
	}
	p := fleetpage.Of(sample(1000, false, same))
	off := p.Notices[slices.IndexFunc(p.Notices, func(n fleetpage.Notice) bool { return n.Title == "Names whose certificate is off" })]
	if off.Count != 25 || len(off.Items) != 10 || off.More != 15 {
		t.Errorf("of %d names %d are shown, and %d more", off.Count, len(off.Items), off.More)
	}
	if fine := fleetpage.Of(fleetpage.Facts{Now: now, Plan: plan.Document{HostenvHostname: "h.example"}, State: state.New()}); len(fine.Notices) > 0 {
		t.Errorf("an empty provider: %+v", fine.Notices)
	}
}

// What is held back has its reasons, a project that no plan had as well.
func TestHeldBack(t *testing.T) {
	p := fleetpage.Of(sample(10, true, same))
	e := environment(t, p, "site0003-main")
	want := []fleetpage.Item{
		{Label: e.User, Link: e.ID, Text: "attribute 'x' missing; enable is a string"},
		{Label: "new0009__site", Text: "has 21 environments and may have 20"},
	}
	if diff := cmp.Diff(want, p.Notices[0].Items); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, other := range p.Environments {
		if (other.Held != nil) != (other.User == e.User) {
			t.Errorf("%s is held back: %+v", other.User, other.Held)
		}
	}
	i := slices.IndexFunc(p.Tiles, func(tile fleetpage.Tile) bool { return tile.Label == "Held back" })
	if tile := p.Tiles[i]; tile.Value != "2" || tile.Tone != fleetpage.Bad {
		t.Errorf("the figure is %+v", tile)
	}
}

// What is on hold says why, and needs no operator.
func TestOnHold(t *testing.T) {
	facts := sample(10, true, same)
	before := environment(t, fleetpage.Of(facts), "site0002-main")
	hostenv := facts.Plan.Environments[before.User].Hostenv
	facts.Plan.OnHold = map[string]string{hostenv.Organisation + "__" + hostenv.Project: "the <shop> closes"}
	e := environment(t, fleetpage.Of(facts), before.User)
	if e.OnHold != "the <shop> closes" || e.Badges[0] != (fleetpage.Badge{Tone: fleetpage.Plain, Word: "on hold"}) || e.Attention != before.Attention {
		t.Errorf("it is %+v", e)
	}
	var page bytes.Buffer
	if err := fleetpage.Write(&page, facts); err != nil || !strings.Contains(page.String(), "<small><bdi>the &lt;shop&gt; closes</bdi></small>") {
		t.Errorf("the page does not show it: %v", err)
	}
}

// An activation whose result is unknown stays in sight until a later run knows it.
func TestDoubts(t *testing.T) {
	doubt := deploy.ProfileOutcome{Node: "n", Profile: "u", State: deploy.StateUnknown, Doubt: &deploy.Doubt{}}
	runs := []fleetpage.Run{{ID: "1", Outcome: deploy.Outcome{Ended: true, Profiles: []deploy.ProfileOutcome{doubt}}}}
	open := func() bool {
		return slices.ContainsFunc(fleetpage.Of(fleetpage.Facts{Runs: runs}).Notices, func(n fleetpage.Notice) bool { return strings.Contains(n.Title, "unknown") })
	}
	if !open() {
		t.Error("an unknown activation is not shown")
	}
	runs = append(runs, fleetpage.Run{ID: "2", Outcome: deploy.Outcome{Ended: true, Profiles: []deploy.ProfileOutcome{{Node: "n", Profile: "u", State: deploy.StateInSync}}}})
	if open() {
		t.Error("it is shown after a run that knew it")
	}
}

// A run is what its journal says, resumed or not.
func TestRunOf(t *testing.T) {
	at := func(minute int) string { return now.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339Nano) }
	events := []deploy.Event{
		{Type: deploy.TypeVersion, Events: "1.0"},
		{Type: deploy.TypeRun, Time: at(0), Start: &deploy.Start{By: "ada@office, process 12", Commit: "c0ffee"}},
		{Type: deploy.TypeProfile, Time: at(1), Node: "n", Profile: "u", State: deploy.StateActive},
		{Type: deploy.TypeEnd, Time: at(2), End: &deploy.End{}},
		{Type: deploy.TypeResume, Time: at(10)},
		{Type: deploy.TypeProfile, Time: at(11), Node: "n", Profile: "v", State: deploy.StateFailed, Error: "no"},
	}
	r := fleetpage.RunOf("id", events)
	if !r.Begun.Equal(now) || !r.Ended.IsZero() || !r.Activated["n/u"].Equal(now.Add(time.Minute)) {
		t.Errorf("%+v", r)
	}
	row := fleetpage.Of(fleetpage.Facts{Now: now.Add(time.Hour), Runs: []fleetpage.Run{r}}).Runs[0]
	if row.Result.Word != "did not end" || row.By != "ada@office" || row.Ago != "1 hour ago" || len(row.Failures) != 1 || row.Commit != "c0ffee" {
		t.Errorf("a run that was resumed: %+v", row)
	}
	r = fleetpage.RunOf("id", append(events, deploy.Event{Type: deploy.TypeEnd, Time: at(12), End: &deploy.End{}}))
	row = fleetpage.Of(fleetpage.Facts{Now: now.Add(time.Hour), Runs: []fleetpage.Run{r}}).Runs[0]
	if row.Result.Word != "done in part" || row.Took != "12m0s" || len(row.Counts) != 2 || row.Counts[0].Width != 50 || row.Counts[1].From != 50 {
		t.Errorf("a run that ended: %+v", row)
	}
}

// A plan of every scenario has a page, the same each time.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../../golden/*/plan.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d plans, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document, err := plan.DecodeDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		f := fleetpage.Facts{Now: now, Plan: document, State: state.New(), Asked: &fleetpage.Answers{At: now, Errors: []error{errors.New("node n: cannot read")}}}
		var first, second bytes.Buffer
		if err := errors.Join(fleetpage.Write(&first, f), fleetpage.Write(&second, f)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two pages differ", file)
		}
		for user := range document.Environments {
			if !strings.Contains(first.String(), `id="env-`+user+`"`) {
				t.Errorf("%s: the page does not have %s", file, user)
			}
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	f := sample(1000, true, same)
	for b.Loop() {
		var page bytes.Buffer
		if err := fleetpage.Write(&page, f); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(page.Len()))
	}
}
