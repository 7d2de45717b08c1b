package review_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// terminal is how many lines fit.
const terminal = 40

// The first plan of 200 environments fits on a terminal, however they are divided,
// and says what it leaves out.
func TestFirstPlan(t *testing.T) {
	for _, shape := range [][4]int{{5, 4, 10, 10}, {200, 1, 1, 3}, {200, 1, 1, 100}, {1, 200, 1, 20}, {1, 20, 10, 10}, {50, 2, 2, 50}} {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			f := newFleet(shape[0], shape[1], shape[2], shape[3])
			r := review.Of(none, f.plan(t, none), nil)
			text := r.Text(terminal, "`mage plan -since=HEAD | less` shows them")
			if n := strings.Count(text, "\n"); n > terminal {
				t.Errorf("%d lines:\n%s", n, text)
			}
			want := fmt.Sprintf("first plan: 200 environments of %d project", shape[0]*shape[1])
			if !strings.HasPrefix(text, want) || !strings.Contains(text, "UIDs 40000 to 40199") {
				t.Errorf("there is no %q:\n%s", want, text)
			}
			whole := r.Text(0, "")
			if cut := strings.Contains(text, "-since=HEAD"); cut == (text == whole) {
				t.Errorf("cut %v, and the whole text has %d lines:\n%s", cut, strings.Count(whole, "\n"), text)
			}
		})
	}
}

// Each kind of change is there with its reason, and nothing else is.
func TestChanges(t *testing.T) {
	const input, env = "org0__site0", "env0"
	rev := strings.Repeat("a1", 20)
	for _, tt := range []struct {
		reason string
		change func(f *fleet)
		want   []string // kind, action, reason, fields
	}{
		{"nothing", func(*fleet) {}, nil},
		{"a new commit", func(f *fleet) { f.revs[input] = rev }, []string{"source update new-commits [ref rev] > [ref rev]"}},
		{"another branch", func(f *fleet) { f.environment(input, env)["hostenv"].(object)["gitRef"] = "next" }, []string{"source update other-ref [ref rev] > [ref rev]"}},
		{"another repository", func(f *fleet) {
			f.at("projects", input, "source", "original")["url"] = "ssh://git@git.test/other.git"
		}, []string{"source update other-source [ref rev source] > [ref rev source]"}},
		{"a key of a user", func(f *fleet) {
			f.environment(input, env)["users"].(object)["alice"].(object)["publicKeys"] = []any{"ssh-ed25519 AAAA alice", "ssh-ed25519 BBBB eve"}
		}, []string{"option update configuration [] > [users.alice.publicKeys]"}},
		{"a user", func(f *fleet) {
			f.environment(input, env)["users"].(object)["bob"] = object{"publicKeys": []any{}}
		}, []string{"option update configuration [] > [users.bob]"}},
		{"a redirect", func(f *fleet) {
			f.environment(input, env)["virtualHosts"].(object)["www.site0-env0.test"].(object)["globalRedirect"] = "a.test"
		}, []string{`option update configuration [] > [virtualHosts."www.site0-env0.test".globalRedirect]`}},
		{"a header, with a new commit", func(f *fleet) {
			f.revs[input] = rev
			f.environment(input, env)["virtualHosts"].(object)["www.site0-env0.test"].(object)["security"] = object{"csp": "default-src 'none'"}
		}, []string{`option update source [] > [virtualHosts."www.site0-env0.test".security]`, "source update new-commits [ref rev] > [ref rev]"}},
		{"no certificate", func(f *fleet) {
			f.environment(input, env)["virtualHosts"].(object)["www.site0-env0.test"].(object)["enableLetsEncrypt"] = false
		}, []string{
			`option update configuration [virtualHosts."www.site0-env0.test".enableACME] > [virtualHosts."www.site0-env0.test".enableACME]`,
			`option update configuration [virtualHosts."www.site0-env0.test".forceSSL] > [virtualHosts."www.site0-env0.test".forceSSL]`,
		}},
		{"disabled", func(f *fleet) { f.environment(input, env)["enable"] = false }, []string{"option update configuration [enable] > [enable]"}},
		{"limits", func(f *fleet) { f.at("provider")["limits"] = object{"memoryMax": "1G"} }, []string{"limits update provider [MemoryMax node] > [MemoryMax node]"}},
		{"the account of certificates", func(f *fleet) { f.at("provider", "letsEncrypt")["adminEmail"] = "x@test" }, []string{"provider update provider [nodes.node-0.security.acme.defaults.email] > [nodes.node-0.security.acme.defaults.email]"}},
		{"a node's address", func(f *fleet) { f.at("provider", "nodes", "node-0")["address"] = "192.0.2.1" }, []string{"provider update provider [nodeConnections.node-0.hostname] > [nodeConnections.node-0.hostname]"}},
		{"trusted keys", func(f *fleet) {
			f.at("provider")["nixSigning"] = object{"trustedPublicKeys": []any{"k-1:" + strings.Repeat("A", 43) + "="}}
		}, []string{"provider update provider [] > [nixSigning.trustedPublicKeys]"}},
	} {
		f := newFleet(1, 1, 1, 1)
		before := f.plan(t, none)
		tt.change(f)
		after := f.plan(t, before)
		r := review.Of(before, after, nil)
		var got []string
		for _, c := range r.Changes {
			got = append(got, fmt.Sprintf("%s %s %s %v > %v", c.Kind, c.Action, c.Reason, names(c.Before), names(c.After)))
			if c.Kind != review.KindProvider && c.Organisation != "org0" {
				t.Errorf("%s: %+v has no customer", tt.reason, c)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
		if r.Empty() != bytes.Equal(before.Plan.Encode(), after.Plan.Encode()) {
			t.Errorf("%s: %d changes, and the plans are equal or not", tt.reason, len(got))
		}
	}
}

func names(fields state.Fields) []string {
	list := []string{}
	for name := range fields {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Environments with the same story are one line; what many customers share is said
// once; the worst is first.
func TestText(t *testing.T) {
	f := newFleet(6, 1, 2, 2)
	before := f.plan(t, none)
	rev := strings.Repeat("b", 40)
	f.revs["org1__site1"] = rev
	f.revs["org2__site2"] = rev
	delete(f.at("projects", "org3__site3", "environments"), "env1")
	f.at("provider", "placement")["org4__site4"] = "node-1"
	f.at("provider")["limits"] = object{"cpuQuota": "100%"}
	after := f.plan(t, before)
	pairs := review.Pairs(before, after)
	if len(pairs) != 2 {
		t.Fatalf("pairs %v", pairs)
	}
	commits := map[review.Pair]review.Commits{pairs[0]: {Number: 5, Subjects: []string{"Redesign the start page", "x\nhint: rm -rf /", "three", "four", "five"}}}
	got := review.Of(before, after, commits).Text(0, "")
	want := `changes: 7 environments of 6 projects of 6 customers
  retired                1 environment of 1 project
  moved to another node  2 environments of 1 project
  new limits             5 projects
  new source             4 environments of 2 projects

org3
  - site3/env1: retired from node-1; its UID and host names stay reserved
org4
  ~ site4/env0, site4/env1: moves from node-0 to node-1
5 customers
  ~ org0__site0, org1__site1, org2__site2 and 2 more: CPUQuota: 200% -> 100%
org1
  ~ site1/env0, site1/env1: 5 new commits, 0000000 -> bbbbbbb
      | Redesign the start page
      | x hint: rm -rf /
      | three
      | and 2 more
org2
  ~ site2/env0, site2/env1: new commits, 0000000 -> bbbbbbb
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An alias that becomes a virtual host, and a rename, are no other changes.
func TestRename(t *testing.T) {
	f := newFleet(1, 1, 2, 1)
	before := f.plan(t, none)
	environments := f.at("projects", "org0__site0", "environments")
	moved := environments["env1"].(object)
	delete(environments, "env1")
	environments["next"] = moved
	sum := hash("org0-site0-next\n")
	user := "site0-next-" + sum
	old := moved["hostenv"].(object)["userName"].(string)
	moved["hostenv"].(object)["userName"], moved["hostenv"].(object)["hostname"], moved["hostenv"].(object)["environmentName"] = user, user+".hosting.test", "next"
	hosts := moved["virtualHosts"].(object)
	hosts[user+".hosting.test"] = hosts[old+".hosting.test"]
	delete(hosts, old+".hosting.test")
	f.at("provider")["moved"] = []any{object{"from": "org0__site0/env1", "to": "org0__site0/next"}}
	text := review.Of(before, f.plan(t, before), nil).Text(0, "")
	for _, want := range []string{"renamed: its user was " + old + ", and is " + user, "new host name " + user, "is free again"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "_upstream") || strings.Contains(text, "configuration only") {
		t.Errorf("what follows from the name is shown:\n%s", text)
	}
}

func TestEncode(t *testing.T) {
	f := newFleet(1, 1, 1, 1)
	before := f.plan(t, none)
	f.revs["org0__site0"] = strings.Repeat("c", 40)
	after := f.plan(t, before)
	pair := review.Pairs(before, after)[0]
	r := review.Of(before, after, map[review.Pair]review.Commits{pair: {Number: 1, Subjects: []string{"one"}}})
	r.Digest = plan.Digest(after.Plan.Encode())
	var document struct {
		Digest  string
		Changes []struct {
			Kind, Key, Organisation, Project, Environment string
			Before, After                                 map[string]any
			Commits                                       struct {
				Number   int
				Subjects []string
			}
		}
	}
	if err := json.Unmarshal(r.Encode(nil), &document); err != nil {
		t.Fatal(err)
	}
	c := document.Changes[0]
	if len(document.Changes) != 1 || len(document.Digest) != 64 || c.Organisation+c.Project+c.Environment != "org0site0env0" || c.Commits.Number != 1 || c.After["rev"] != strings.Repeat("c", 40) {
		t.Errorf("%s", r.Encode(nil))
	}
}

// FuzzMarkdown holds that a review is never longer than its limit, that its first
// line has the digest, that folds are closed and not nested, and that no text of a
// customer is an element of Markdown or HTML.
func FuzzMarkdown(f *testing.F) {
	f.Add("</details><script>", "a\n<details>", "[x](javascript:y) @all #1", uint16(0), uint64(1))
	f.Add("`\\`", "\u202e\x1b[2J\x00", strings.Repeat("日", 900), uint16(4000), uint64(2))
	f.Add("--- ", "    code", "<!-- ", uint16(9), uint64(3))
	f.Fuzz(func(t *testing.T, one, two, three string, extra uint16, seed uint64) {
		limit := review.MinLimit + int(extra)
		r := random(seed, []string{one, two, three, "acme", "site"})
		text := r.Markdown(limit)
		if len(text) > limit {
			t.Fatalf("%d bytes, and the limit is %d", len(text), limit)
		}
		checkMarkdown(t, text, r)
		checkMarkdown(t, r.Markdown(0), r)
		for i, c := range r.Text(0, "") {
			if c != '\n' && !unicode.IsGraphic(c) {
				t.Fatalf("%U at %d", c, i)
			}
		}
	})
}

var (
	first   = regexp.MustCompile("^\\*\\*Plan `[0-9a-f]{64}`\\*\\*: [^<>]*\\.$")
	summary = regexp.MustCompile(`^<details><summary>[^<>]*</summary>$`)
	item    = regexp.MustCompile(`^(?:    |  )?- (.*)$`)
	left    = regexp.MustCompile(`^Left out, because they do not fit: (.*)$`)
	// escaped is text in which each character that Markdown reads is escaped.
	escaped = regexp.MustCompile("^(?:[^\\\\`*_{}\\[\\]<>#|~&$@]|\\\\.)*$")
)

func checkMarkdown(t *testing.T, text string, r *review.Review) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatal("it is not UTF-8")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if !first.MatchString(lines[0]) || !strings.HasPrefix(lines[1], "- Customers: ") || !strings.HasPrefix(lines[2], "- Provider: ") {
		t.Fatalf("it begins with\n%s", strings.Join(lines[:3], "\n"))
	}
	open, folds := false, 0
	for i, line := range lines[1:] {
		match := item.FindStringSubmatch(line)
		if match == nil {
			match = left.FindStringSubmatch(line)
		}
		switch {
		case line == "":
		case summary.MatchString(line) && !open && lines[i+2] == "":
			open, folds = true, folds+1
		case line == "</details>" && open && lines[i] == "":
			open = false
		case match == nil || !escaped.MatchString(match[1]):
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
	if open {
		t.Fatal("a fold is not closed")
	}
	if n := len(r.Changes); n > 0 && folds == 0 && !strings.Contains(text, "Left out") {
		t.Fatalf("%d changes and no fold", n)
	}
}

// random returns a review of random changes whose texts are of a list.
func random(seed uint64, texts []string) *review.Review {
	rng := rand.New(rand.NewPCG(seed, 1))
	pick := func() string { return texts[rng.IntN(len(texts))] }
	kinds := []state.Kind{state.KindEnvironment, state.KindHostname, state.KindNode, review.KindSource, review.KindOption, review.KindLimits, review.KindProvider}
	actions := []state.Action{state.Create, state.Update, state.Move, state.HandOver, state.Retire, state.Revive, state.Release}
	reasons := []state.Reason{state.ReasonNew, state.ReasonPlacement, state.ReasonRenamed, review.ReasonCommits, review.ReasonRef, review.ReasonRepository, review.ReasonConfiguration}
	r := &review.Review{Digest: plan.Digest([]byte(texts[0]))}
	for range rng.IntN(60) {
		fields := func() state.Fields {
			return state.Fields{pick(): pick(), "rev": pick(), "ref": pick(), "node": pick(), "owner": pick(), "keys": []string{pick(), pick()}}
		}
		c := review.Change{
			Change:       state.Change{Kind: kinds[rng.IntN(len(kinds))], Key: pick(), Action: actions[rng.IntN(len(actions))], Reason: reasons[rng.IntN(len(reasons))], Before: fields(), After: fields()},
			Organisation: pick() + fmt.Sprint(rng.IntN(30)), Project: pick(), Environment: pick(),
		}
		if c.Kind != state.KindNode && c.Kind != review.KindProvider {
			c.User = fmt.Sprint(pick(), rng.IntN(50))
		}
		if c.Kind == review.KindSource {
			c.Commits = &review.Commits{Number: rng.IntN(9), Dropped: rng.IntN(2), Subjects: []string{pick(), pick(), pick(), pick()}}
		}
		r.Changes = append(r.Changes, c)
	}
	return r
}

// What does not fit is left out by whole customers, and counted.
func TestMarkdownLimit(t *testing.T) {
	f := newFleet(60, 1, 3, 2)
	r := review.Of(none, f.plan(t, none), nil)
	r.Digest = plan.Digest(nil)
	whole := r.Markdown(0)
	checkMarkdown(t, whole, r)
	text := r.Markdown(len(whole) / 2)
	checkMarkdown(t, text, r)
	folds := strings.Count(text, "<details>") - 1 // one is the provider's
	want := fmt.Sprintf("Left out, because they do not fit: %d more customers", 60-folds)
	if strings.Contains(whole, "Left out") || folds < 20 || folds > 40 || !strings.Contains(text, want) {
		t.Errorf("%d folds, and no %q:\n%s", folds, want, text[len(text)-300:])
	}
}

// What a plan holds back is no change. The summary for a merge request and the JSON
// document say it.
func TestHeld(t *testing.T) {
	f := newFleet(2, 1, 1, 2)
	before := f.plan(t, none)
	after := f.plan(t, before)
	after.Plan.HeldBack = map[string]plan.HeldBack{"org0__site0": {Reasons: []string{"a reason"}}}
	r := review.Of(before, after, nil)
	if !r.Empty() {
		t.Errorf("the changes are %+v", r.Changes)
	}
	if text := r.Markdown(0); !strings.Contains(text, `- Customers: **held back**: org0\_\_site0.`) {
		t.Errorf("the summary does not say it:\n%s", text)
	}
	if text := string(r.Encode(nil)); !strings.Contains(text, `"project": "org0__site0"`) || !strings.Contains(text, "a reason") {
		t.Errorf("the document does not say it:\n%s", text)
	}
}

// What is on hold is in each form of a review, with its reason.
func TestOnHold(t *testing.T) {
	holds := map[string]string{"acme__site": "a *sale*\x1b\nuntil Friday"}
	before, after := plan.Document{OnHold: holds}, plan.Document{OnHold: holds}
	of := func() *review.Review {
		return review.Of(review.Version{Plan: &before, State: state.New()}, review.Version{Plan: &after, State: state.New()}, nil)
	}
	if got, want := of().Text(0, ""), "no changes\n  on hold: acme__site: a *sale*\\u001b until Friday\n"; got != want {
		t.Errorf("the text is %q, want %q", got, want)
	}
	if got := of().Markdown(0); !strings.Contains(got, `- Customers: on hold: acme\_\_site \(a \*sale\*`) || strings.Count(got, "\n") != 3 {
		t.Errorf("the Markdown is %q", got)
	}
	if got := string(of().Encode(nil)); !strings.Contains(got, `"onHold": [`) || !strings.Contains(got, `"project": "acme__site"`) {
		t.Errorf("the JSON is %s", got)
	}
	var told strings.Builder
	if err := review.WriteHolds(&told, after.Holds()); err != nil || told.String() != "on hold: acme__site: a *sale*\\u001b until Friday\n" {
		t.Errorf("a run says %q, %v", told.String(), err)
	}
	before.OnHold = nil
	if got := of().Text(0, ""); !strings.Contains(got, "  ~ provider: hold: now {") {
		t.Errorf("the text is %q", got)
	}
	before.OnHold = holds
	for i := range 9 {
		holds[fmt.Sprintf("b%d__site", i)] = "x"
	}
	if got := of().Text(0, ""); strings.Count(got, "\n") != 10 || !strings.HasSuffix(got, "  and 2 more on hold\n") {
		t.Errorf("the text is %q", got)
	}
}
