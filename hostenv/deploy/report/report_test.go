package report_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

const (
	old     = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-shop-1"
	planned = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-shop-2"
)

func event(profile string, state deploy.State, reason deploy.Reason) deploy.Event {
	return deploy.Event{Type: deploy.TypeProfile, Node: "n1", Profile: profile, State: state, Reason: reason, Want: planned}
}

// story is a run in which everything happens.
func story() []deploy.Event {
	failed := event("shop", deploy.StateFailed, deploy.ReasonActivation)
	failed.Active, failed.Error, failed.Hint, failed.Log = old, "deploy-rs ended with 1\nmore of it", "look at the log", "runs/1/n1/shop.log"
	activating := event("shop", deploy.StateActivating, deploy.ReasonChanged)
	activating.Was = old
	active := event("system", deploy.StateActive, "")
	active.Active = planned
	return []deploy.Event{
		{Type: deploy.TypeVersion, Events: "1.0"},
		{Type: deploy.TypeNode, Node: "n1", State: deploy.StateRetrying, Error: "attempt 2 of 3 in 2s: node n1 is unreachable: Connection refused"},
		{Type: deploy.TypeNode, Node: "n1", State: deploy.StateReached},
		{Type: deploy.TypeFinding, Node: "n1", Finding: &deploy.Finding{Level: deploy.Warning, Code: "no-host-key", Message: "no host key", Hint: "name one"}},
		event("system", deploy.StatePending, deploy.ReasonChanged), event("shop", deploy.StatePending, deploy.ReasonChanged),
		event("blog", deploy.StateInSync, ""), event("new", deploy.StatePending, deploy.ReasonNew),
		event("system", deploy.StateActivating, ""), active,
		activating, failed,
		event("new", deploy.StateActivating, ""), event("new", deploy.StateActive, ""),
		{Type: deploy.TypeVerification, Node: "n1", Profile: "new", Verification: &deploy.Verification{Enforce: true, Checks: []deploy.Check{
			{VirtualHost: "new.test", URL: "https://new.test/", Status: 200, OK: true}, {VirtualHost: "new.test", URL: "https://new.test/shop", Status: 500, Problem: "status 500"}}}},
		{Type: deploy.TypeMove, Node: "n1", Profile: "new", Moved: &deploy.Moved{From: "n2", Snapshots: map[string]string{"db": "abc"}}},
		{Type: deploy.TypeEnd, End: &deploy.End{Code: 3}},
	}
}

func TestLines(t *testing.T) {
	var got strings.Builder
	for _, e := range story() {
		if line := report.Line(e); line != "" {
			got.WriteString(line + "\n")
		}
	}
	want := `n1: trying again: attempt 2 of 3 in 2s: node n1 is unreachable: Connection refused
n1: reached
warning: no host key
hint: name one
n1 system: to be activated (changed)
n1 shop: to be activated (changed)
n1 blog: in sync
n1 new: to be activated (new)
n1 system: activating
n1 system: active
n1 shop: activating
n1 shop: activation failed: deploy-rs ended with 1
n1 new: activating
n1 new: active
n1 new: 1 of 2 checks failed
n1 new: moves its data from n2 (1 snapshots)
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestSummary(t *testing.T) {
	var got strings.Builder
	if err := report.Summary(&got, deploy.OutcomeOf(story())); err != nil {
		t.Fatal(err)
	}
	want := `NODE  PROFILE  STATE                  ACTIVE
n1    system   active                 1123456-shop-2
n1    blog     in-sync                1123456-shop-2
n1    new      active, does not work  1123456-shop-2
n1    shop     failed (activation)    0123456-shop-1

n1 new: 1 of 2 checks failed
- https://new.test/shop: status 500

n1 shop: deploy-rs ended with 1
  more of it
hint: look at the log
log: runs/1/n1/shop.log
2 activated, 1 in sync, 1 failed
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// What the checks decided is shown with the checks, also for what failed before.
func TestHealth(t *testing.T) {
	check := func(before, unknown bool, problem string) deploy.Check {
		return deploy.Check{URL: "https://shop.test/" + problem, Problem: problem, OK: problem == "", FailedBefore: before, Unknown: unknown}
	}
	found := func(kind deploy.Type, profile string, checks ...deploy.Check) deploy.Event {
		return deploy.Event{Type: kind, Node: "n1", Profile: profile, Verification: &deploy.Verification{Enforce: true, Checks: checks}}
	}
	failed := event("shop", deploy.StateFailed, deploy.ReasonHealth)
	failed.Active, failed.Error, failed.Hint = old, "1 of 2 checks failed after the activation, and not before it", "the customer must fix it"
	events := []deploy.Event{
		found(deploy.TypeBaseline, "shop", check(false, false, "slow"), check(false, false, "")), event("shop", deploy.StateVerifying, ""),
		found(deploy.TypeVerification, "shop", check(true, false, "slow"), check(false, false, "broken")),
		event("shop", deploy.StateRestoring, deploy.ReasonHealth), found(deploy.TypeRecheck, "shop", check(false, false, "slow"), check(false, false, "")), failed,
		found(deploy.TypeVerification, "blog", check(true, false, "slow")), event("blog", deploy.StateActive, ""),
		found(deploy.TypeVerification, "site", check(false, true, "refused")), event("site", deploy.StateActive, ""),
	}
	var got strings.Builder
	for _, e := range events {
		if line := report.Line(e); line != "" {
			got.WriteString(line + "\n")
		}
	}
	if err := report.Summary(&got, deploy.OutcomeOf(events)); err != nil {
		t.Fatal(err)
	}
	want := `n1 shop: before the activation 1 of 2 checks fail
n1 shop: checking
n1 shop: 2 of 2 checks failed, 1 of them before the activation as well
n1 shop: going back to the previous path: its checks fail
n1 shop: back at the version before: 1 of 2 checks failed
n1 shop: health failed: 1 of 2 checks failed after the activation, and not before it
n1 blog: 1 of 1 checks failed, as before the activation
n1 blog: active
n1 site: 1 of 1 checks failed, which shows nothing about the version
n1 site: active
NODE  PROFILE  STATE                             ACTIVE
n1    blog     active, does not work, as before  1123456-shop-2
n1    shop     failed (health)                   0123456-shop-1
n1    site     active, does not work             1123456-shop-2

n1 blog: 1 of 1 checks failed, as before the activation
- https://shop.test/slow: slow

n1 shop: 1 of 2 checks failed after the activation, and not before it
hint: the customer must fix it

n1 shop: 2 of 2 checks failed, 1 of them before the activation as well
- https://shop.test/slow: slow
- https://shop.test/broken: broken
back at the version before: 1 of 2 checks failed

n1 site: 1 of 1 checks failed, which shows nothing about the version
- https://shop.test/refused: refused
2 activated, 1 failed
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// A cause that several profiles of a node share is written once.
func TestSummaryShowsCauseOnce(t *testing.T) {
	lost := func(profile, text string) deploy.Event {
		e := event(profile, deploy.StateUnreachable, "")
		e.Error, e.Hint = text, "start it"
		return e
	}
	var got strings.Builder
	if err := report.Summary(&got, deploy.OutcomeOf([]deploy.Event{lost("blog", "no route"), lost("shop", "no route"), lost("www", "refused")})); err != nil {
		t.Fatal(err)
	}
	want := `
n1 blog and shop: no route
hint: start it

n1 www: refused
hint: start it
3 unreachable
`
	if _, details, _ := strings.Cut(got.String(), "unknown\n\n"); "\n"+details != want {
		t.Error(cmp.Diff(want, "\n"+details))
	}
}

func TestPreview(t *testing.T) {
	pending := event("shop", deploy.StatePending, deploy.ReasonChanged)
	pending.Active = old
	fresh := event("new", deploy.StatePending, deploy.ReasonNew)
	diff := &deploy.Diff{Profile: "shop", Added: []deploy.PackageChange{{Name: "php", New: []string{"8.4"}}}, Removed: []deploy.PackageChange{{Name: "perl", Old: []string{"5"}}},
		Changed: []deploy.PackageChange{{Name: "nginx", Old: []string{"1.26"}, New: []string{"1.28"}}}, Copy: 3 << 20, Paths: 4, Size: 5 << 30, Delta: -2048}
	var got strings.Builder
	err := report.Preview(&got, deploy.OutcomeOf([]deploy.Event{event("system", deploy.StateInSync, ""), pending, {Type: deploy.TypeDiff, Node: "n1", Profile: "shop", Diff: diff}, fresh}))
	if err != nil {
		t.Fatal(err)
	}
	want := `n1 new: pending (new)
  - nothing
  + ` + planned + `
n1 shop: pending (changed)
  - ` + old + `
  + ` + planned + `
  + php 8.4
  - perl 5
  ~ nginx 1.26 -> 1.28
  3.0 MiB to copy in 4 paths, closure 5.0 GiB (-2.0 KiB)
1 in sync, 2 to be activated
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// A preview lists the waves, each node with its system first and at most four profiles.
func TestPreviewOfWaves(t *testing.T) {
	wave := func(number int, profiles ...string) deploy.Event {
		return deploy.Event{Type: deploy.TypeWave, State: deploy.StatePending, Wave: &deploy.Wave{Number: number, Of: 2, Profiles: profiles}}
	}
	var got strings.Builder
	err := report.Preview(&got, deploy.OutcomeOf([]deploy.Event{
		event("system", deploy.StatePending, deploy.ReasonChanged),
		wave(1, "n2/acme", "n2/system"), wave(2, "n1/a", "n1/b", "n1/c", "n1/d", "n1/system", "n3/system"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, waves, _ := strings.Cut(got.String(), planned+"\n")
	want := `wave 1 of 2: n2 (system, acme)
wave 2 of 2: n1 (system, a, b, c and 1 more), n3 (system)
1 to be activated
`
	if diff := cmp.Diff(want, waves); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	var got strings.Builder
	err := report.Status(&got, []deploy.Status{
		{Node: "n1", Profile: "system", Standing: deploy.StandingInSync, Planned: planned, Active: planned},
		{Node: "n1", Profile: "shop", Standing: deploy.StandingBehind, Planned: planned, Detail: "not deployed yet"},
		{Node: "n2", Profile: "system", Standing: deploy.StandingUnreachable, Planned: planned, Detail: "node n2 is unreachable\nmore"},
		{Node: "n2", Profile: "blog", Standing: deploy.StandingUnreachable, Planned: planned, Detail: "node n2 is unreachable\nmore"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `NODE  PROFILE  STANDING     PLANNED         ACTIVE          DETAIL
n1    system   in-sync      1123456-shop-2  1123456-shop-2  
n1    shop     behind       1123456-shop-2  nothing         not deployed yet
n2    system   unreachable  1123456-shop-2  unknown         node n2 is unreachable
n2    blog     unreachable  1123456-shop-2  unknown         
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// The output of nodes, programs and customers' builds never goes to a terminal
// unchanged: it could set the clipboard, erase the lines above it, or look like the
// line of another profile.
func TestLeftovers(t *testing.T) {
	var b strings.Builder
	if err := report.Leftovers(&b, nil); err != nil || b.Len() > 0 {
		t.Errorf("of nothing the output is %q, %v", b.String(), err)
	}
	err := report.Leftovers(&b, []deploy.Leftover{
		{Node: "n1", User: "shop", UID: 40001, Why: deploy.FateRetired, Running: true, Paths: []string{"/home/shop", "/run/hostenv/user/shop"}},
		{Node: "n1", User: "site", UID: 40002, Why: deploy.FateRenamed, Now: "www", Paths: []string{"/home/site"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "NODE  LEFT OVER  UID    WHY                     PATHS\n" +
		"n1    shop       40001  retired, still running  /home/shop /run/hostenv/user/shop\n" +
		"n1    site       40002  renamed to www          /home/site\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNoControlCharacters(t *testing.T) {
	const hostile = "fine\x1b]52;c;cm0gLXJmIC8=\x07\x1b[2J\rgone\u009b1A\x00\x7f\u202e\xff é\nn1    system   active"
	failed := event("shop", deploy.StateFailed, deploy.ReasonBuild)
	failed.Error, failed.Hint, failed.Log = hostile, hostile, hostile
	changed := event("blog", deploy.StatePending, deploy.ReasonChanged)
	story := []deploy.Event{failed, changed,
		{Type: deploy.TypeDiff, Node: "n1", Profile: "blog", Diff: &deploy.Diff{Added: []deploy.PackageChange{{Name: hostile, New: []string{hostile}}}}},
		{Type: deploy.TypeFinding, Node: "n1", Finding: &deploy.Finding{Level: deploy.Warning, Message: hostile, Hint: hostile}},
		{Type: deploy.TypeNode, Node: "n1", State: deploy.StateWaiting, Error: hostile},
		{Type: deploy.TypeVerification, Node: "n1", Profile: "shop", Verification: &deploy.Verification{Checks: []deploy.Check{{URL: hostile, Problem: hostile}}}}}
	var shown strings.Builder
	l := report.NewLive(&shown, nil, time.Now)
	for _, e := range story {
		l.Show(e)
	}
	l.Note(hostile)
	l.Close()
	o := deploy.OutcomeOf(story)
	if err := errors.Join(report.Summary(&shown, o), report.Preview(&shown, o), report.Status(&shown, []deploy.Status{{Node: "n1", Profile: "shop", Standing: deploy.StandingForeign, Active: hostile, Detail: hostile}})); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(shown.String(), func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 || !utf8.ValidString(shown.String()) {
		t.Errorf("%q", shown.String())
	}
	const want = `fine\u001b]52;c;cm0gLXJmIC8=\u0007\u001b[2J\u000dgone\u009b1A\u0000\u007f\u202e` + "\ufffd é"
	if n := strings.Count(shown.String(), want); n < 12 || strings.Count(shown.String(), "fine") != n {
		t.Errorf("%d times %q in:\n%s", n, want, shown.String())
	}
	if strings.Contains(shown.String(), "\nn1    system") {
		t.Errorf("a line is feigned:\n%s", shown.String())
	}
}

// screen is a terminal: it knows as much of escape codes as is written to it.
type screen struct {
	t     *testing.T
	lines []string
	at    int
}

func (s *screen) Write(text []byte) (int, error) {
	rest := string(text)
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "\x1b[") && strings.Contains(rest, "A\r\x1b[J"):
			var up int
			if _, err := fmt.Sscanf(rest, "\x1b[%dA", &up); err != nil || up > s.at {
				s.t.Fatalf("went up %d of %d lines: %v", up, s.at, err)
			}
			s.at -= up
			s.lines = s.lines[:s.at]
			_, rest, _ = strings.Cut(rest, "\x1b[J")
		default:
			line, after, found := strings.Cut(rest, "\n")
			if !found {
				s.t.Fatalf("wrote half a line: %q", rest)
			}
			s.lines, s.at, rest = append(s.lines, line), s.at+1, after
		}
	}
	return len(text), nil
}

// A profile that the run works on has a live line, and results stay above it. No
// line wraps, and no live line remains at the end.
//
// The clock of the bubble does not advance, so that the test controls the output.
func TestLiveOnTerminal(t *testing.T) { synctest.Test(t, testLiveOnTerminal) }

func testLiveOnTerminal(t *testing.T) {
	s := &screen{t: t}
	now := time.Unix(0, 0)
	l := report.NewLive(s, func() (int, int) { return 30, 5 }, func() time.Time { return now })
	for i := range 6 {
		l.Show(event(fmt.Sprintf("environment-with-a-long-name-%d", i), deploy.StateBuilding, ""))
		now = now.Add(time.Second)
	}
	if len(s.lines) != 3 || s.lines[2] != "and 4 more" {
		t.Errorf("of six rows a terminal of five shows %q", s.lines)
	}
	for _, line := range s.lines {
		if len(line) >= 30 {
			t.Errorf("%q does not fit", line)
		}
	}
	l.Show(event("environment-with-a-long-name-0", deploy.StateActive, ""))
	if want := "n1 environment-with-a-long-name-0: active"; s.lines[0] != want {
		t.Errorf("got %q, want %q first", s.lines, want)
	}
	l.Close()
	if diff := cmp.Diff([]string{"n1 environment-with-a-long-name-0: active"}, s.lines); diff != "" {
		t.Error(diff)
	}
}

// Notes stay too. A profile that a preview has finished with has no live line.
func TestLiveNote(t *testing.T) {
	s := &screen{t: t}
	l := report.NewLive(s, func() (int, int) { return 80, 25 }, func() time.Time { return time.Unix(0, 0) })
	l.Show(event("a", deploy.StateBuilding, ""))
	l.Show(event("b", deploy.StateBuilding, ""))
	l.Note("interrupted")
	if diff := cmp.Diff([]string{"interrupted", "n1 a: building 0s", "n1 b: building 0s"}, s.lines); diff != "" {
		t.Error(diff)
	}
	l.Show(event("b", deploy.StateActivating, ""))
	l.Show(event("a", deploy.StatePending, deploy.ReasonChanged))
	if diff := cmp.Diff([]string{"interrupted", "n1 b: activating 0s"}, s.lines); diff != "" {
		t.Error(diff)
	}
	l.Close()
	l.Note("the end")
	if diff := cmp.Diff([]string{"interrupted", "the end"}, s.lines); diff != "" {
		t.Error(diff)
	}
}

func TestLiveWithoutTerminal(t *testing.T) {
	var b strings.Builder
	l := report.NewLive(&b, nil, time.Now)
	for _, e := range story() {
		l.Show(e)
	}
	l.Note("warning: of something else")
	l.Close()
	if !strings.HasSuffix(b.String(), "\nwarning: of something else\n") {
		t.Errorf("got %q", b.String())
	}
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "n1 shop: activating\nn1 shop: activation failed") {
		t.Errorf("got %q", b.String())
	}
}
