package move_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// document is a plan of the nodes old, new and far, and emptied, which has no
// environment any more, with the environment shop on
// new: more is put into it.
func document(t *testing.T, more string) plan.Document {
	t.Helper()
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "hostenvHostname": "hosting.test",
		"nodes": {"old": {}, "new": {}, "far": {}}, "nodeConnections": {"new": {}, "emptied": {}},
		"environments": {
			"shop": {"node": "new", "hostenv": {"hostname": "shop.hosting.test"},
				"virtualHosts": {"shop.hosting.test": {}, "www.shop.test": {}, "*.shop.test": {}}` + more + `},
			"blog": {"node": "new", "hostenv": {"hostname": "blog.hosting.test"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const moved = `, "previousNode": "old", "migrations": ["drupal-migrate"]`

var (
	newNode = deploy.Node{Name: "new", PublicName: "new.hosting.test"}
	shop    = deploy.Profile{Node: "new", Name: "shop", User: "shop", UID: 40001}
)

// A session answers command lines from memory, and keeps what was asked.
type session struct {
	deploy.Session
	answers map[string]answer
	asked   []string
	input   string
}

type answer struct {
	out string
	err string
}

func (s *session) Run(_ context.Context, user string, input []byte, argv ...string) ([]byte, error) {
	line, ok := strings.CutPrefix(strings.Join(argv, " "), "hostenv-move ")
	if user != "shop" || !ok {
		return nil, fmt.Errorf("%s may not run %q", user, argv)
	}
	s.asked = append(s.asked, line)
	s.input += string(input)
	a, ok := s.answers[line]
	switch {
	case !ok:
		return nil, errors.New("exit status 1: error: shop has nothing for " + line)
	case a.err != "":
		return nil, errors.New(a.err)
	}
	return []byte(a.out), nil
}

const (
	id    = "44bbcd7af517df21513a5cd997e7dd6299c0b646d41d1e7e0d3c9859bd6eb0eb"
	other = "ad7b935bcd2aa4eea4b883c2bb519bf1a008c8f5f51e6ca3175d97c3637d71f1"
	since = "since 1795406260.500000000\n" // 2026-11-23T03:57:40.5Z
)

func listed(id, time string) string { return `{"id":"` + id + `","time":"` + time + `","tags":null}` }

var (
	fresh = "[" + listed(id, "2026-11-23T04:57:40.553754335+01:00") + "]"
	stale = "[" + listed(other, "2026-11-23T03:57:40.4Z") + "]"
	both  = "[" + listed(id, "2026-11-23T03:57:41Z") + "," + listed(other, "2026-11-23T03:57:39Z") + "]"
	// old made our snapshot; far made another one meanwhile, with the same tag.
	twoHosts = strings.NewReplacer(`"tags":null}`+",", `"hostname":"old"},`, `"tags":null}]`, `"hostname":"far"}]`).Replace(twoNew)
	twoNew   = "[" + listed(id, "2026-11-23T03:57:41Z") + "," + listed(other, "2026-11-23T03:57:42Z") + "]"
)

// TestSnapshot finds the snapshot of a backup, or reports every attempt that failed.
func TestSnapshot(t *testing.T) {
	const (
		backup, tagged, all = "backup drupal-migrate", "snapshots drupal-migrate tagged", "snapshots drupal-migrate all"
		baseBackup          = "backup drupal"
		baseTagged, baseAll = "snapshots drupal tagged", "snapshots drupal all"
		journal             = "journal drupal-migrate 1795406260"
	)
	type answers = map[string]answer
	tests := []struct {
		reason  string
		answers answers
		asked   []string
		want    string // the snapshot, or a part of the error
	}{
		{"by its tag", answers{backup: {out: since}, tagged: {out: fresh}}, []string{backup, tagged}, id},
		{"the newest of several", answers{backup: {out: since}, tagged: {out: both}}, []string{backup, tagged}, id},
		{"no tag", answers{backup: {out: since}, tagged: {out: "null\n"}, all: {out: both}}, []string{backup, tagged, all}, id},
		{"an old one of that tag is not it", answers{backup: {out: since}, tagged: {out: stale}, all: {out: fresh}}, []string{backup, tagged, all}, id},
		{"no wrapper for it", answers{backup: {out: since}, baseAll: {out: fresh}}, []string{backup, tagged, all, baseAll}, id},
		{"no wrapper, but the journal", answers{backup: {out: since}, journal: {out: "using parent snapshot 00000000\nsnapshot 0badcafe saved\nsnapshot 44bbcd7a saved\nsnapshots removed\n"}},
			[]string{backup, tagged, all, baseAll, journal}, "44bbcd7a"},
		{"which one is not known without a tag", answers{backup: {out: since}, tagged: {out: "[]"}, all: {out: twoNew}, baseAll: {out: twoNew}, journal: {out: "snapshot 44bbcd7a saved\n"}},
			[]string{backup, tagged, all, baseAll, journal}, "44bbcd7a"},
		{"two nodes made one", answers{backup: {out: since}, tagged: {out: twoHosts}, all: {out: twoHosts}, baseAll: {out: twoHosts}, journal: {out: "snapshot 44bbcd7a saved\n"}},
			[]string{backup, tagged, all, baseAll, journal}, "44bbcd7a"},
		{"two nodes made one, and no tag tells them apart", answers{backup: {out: since}, tagged: {out: twoHosts}, all: {out: twoHosts}, baseAll: {out: twoHosts}, journal: {out: ""}},
			[]string{backup, tagged, all, baseAll, journal}, "snapshots tagged drupal-migrate: several hosts made one since then: far and old"},
		{"one node made two", answers{backup: {out: since}, tagged: {out: twoNew}}, []string{backup, tagged}, other},
		{"there was only the base then", answers{backup: {out: "missing\n"}, baseBackup: {out: since}, baseTagged: {out: "[]"}, baseAll: {out: fresh}},
			[]string{backup, baseBackup, baseTagged, baseAll}, id},

		{"neither", answers{backup: {out: "missing\n"}, baseBackup: {out: "missing\n"}}, []string{backup, baseBackup},
			"its user has no restic-backups-drupal-migrate.service nor restic-backups-drupal.service"},
		{"it fails, and an older one is no substitute", answers{backup: {err: "exit status 1: error: restic-backups-drupal-migrate.service failed (exit-code). It said:\nFatal: s3:https://key:s3cret@s3.example.com/x: wrong password"}},
			[]string{backup}, "(exit-code). It said: | Fatal: s3:https://***@s3.example.com/x: wrong password"},
		{"its user is not there any more", answers{backup: {err: "sudo: unknown user shop"}}, []string{backup}, "backup drupal-migrate: sudo: unknown user shop"},
		{"none was made", answers{backup: {out: since}, tagged: {out: stale}, all: {out: stale}, baseAll: {err: "no"}, journal: {out: "skipped\n"}}, []string{backup, tagged, all, baseAll, journal},
			"it succeeded, but its snapshot was not found (snapshots tagged drupal-migrate: the newest is of 2026-11-23T03:57:40Z, before this backup began; all snapshots: the newest is of 2026-11-23T03:57:40Z, before this backup began; all snapshots by restic-drupal: no; the journal of its service: it names none)"},
		{"a list that is none", answers{backup: {out: since}, tagged: {out: "bash: warning\n" + fresh}}, []string{backup, tagged, all, baseAll, journal}, "restic's list of snapshots cannot be read: invalid character"},
		{"an id that is none", answers{backup: {out: since}, tagged: {out: "[" + listed("$(reboot)", "2026-11-23T03:57:41Z") + "]"}}, []string{backup, tagged, all, baseAll, journal}, "one without id or time"},
		{"a journal with an id that is none", answers{backup: {out: since}, journal: {out: "snapshot latest saved\nsnapshot 44bbcd7a saved as evidence\n"}}, []string{backup, tagged, all, baseAll, journal}, "it names none"},
		{"an answer that is none", answers{backup: {out: "since ever"}}, []string{backup}, `hostenv-move printed "since ever"`},
	}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			m, err := move.New(document(t, moved), move.Options{})
			if err != nil {
				t.Fatal(err)
			}
			from, to := &session{answers: test.answers}, &session{}
			got, err := m.Backup(t.Context(), from, newNode, shop)
			if diff := cmp.Diff(test.asked, from.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if err != nil {
				if !strings.Contains(err.Error(), test.want) || got != nil || !strings.Contains(problem.Hint(err), "-skipMigrations=shop") {
					t.Errorf("got %v\nwant %s", err, test.want)
				}
				if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
					t.Errorf("not fit to be shown: %v", err)
				}
				return
			}
			if diff := cmp.Diff(&deploy.Moved{From: "old", Snapshots: map[string]string{"drupal-migrate": test.want}}, got); diff != "" {
				t.Error(diff)
			}
			if len(to.asked) > 0 {
				t.Errorf("the new node was asked for %q", to.asked)
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	m, err := move.New(document(t, `, "previousNode": "old", "migrations": ["a", "b-migrate", "a"]`), move.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from := &session{answers: map[string]answer{
		"backup a": {out: since}, "snapshots a tagged": {out: fresh},
		"backup b-migrate": {out: since}, "snapshots b-migrate tagged": {out: both},
	}}
	const text = `{"sourceNode":"old","snapshots":{"a":"` + id + `","b-migrate":"` + id + `"}}` + "\n"
	write := fmt.Sprintf("plan %d", len(text))
	const holdsA, holdsB = "holds a", "holds b-migrate"
	to := &session{answers: map[string]answer{holdsA: {}, holdsB: {}, write: {}}}
	got, err := m.Prepare(t.Context(), from, to, newNode, shop)
	if err != nil || got == nil || got.From != "old" || len(got.Snapshots) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if to.input != text || len(to.asked) != 3 || to.asked[2] != write {
		t.Errorf("%q got\n%s", to.asked, to.input)
	}

	// The new node has older data, which a restore must not overwrite.
	to.answers[holdsB] = answer{out: "/home/shop/.local/state/hostenv/restored/b\n/home/shop/.local/share/mysql\n"}
	to.answers[holdsA], to.asked = answer{out: "/home/shop/.local/share/mysql\n"}, nil
	got, err = m.Prepare(t.Context(), from, to, newNode, shop)
	if got != nil || err == nil || len(to.asked) != 2 {
		t.Fatalf("%+v, %v, %q", got, err, to.asked)
	}
	if text := err.Error() + problem.Hint(err); !strings.Contains(text, "shop has older data on new") || !strings.Contains(text, ": /home/shop/.local/share/mysql, /home/shop/.local/state/hostenv/restored/bmove them") || !strings.Contains(text, "-skipMigrations=shop") {
		t.Error(text)
	}
	// The new node does not answer whether it has older data.
	to.answers[holdsA] = answer{err: "sudo: a password is required"}
	if got, err := m.Prepare(t.Context(), from, to, newNode, shop); got != nil || err == nil || !strings.HasPrefix(err.Error(), "look for older data of shop: ") {
		t.Errorf("%+v, %v", got, err)
	}

	// The new node rejects the restore plan.
	to.answers = map[string]answer{holdsA: {}, holdsB: {}, write: {err: "exit status 1: error: there is no /run/hostenv/user/shop, which the node's system makes"}}
	if got, err := m.Prepare(t.Context(), from, to, newNode, shop); got != nil || err == nil || !strings.HasPrefix(err.Error(), "write the restore plan of shop: exit status 1") {
		t.Errorf("%+v, %v", got, err)
	}
	// One of two backups fails, and no plan is written.
	to.asked = nil
	delete(from.answers, "backup a")
	if got, err := m.Prepare(t.Context(), from, to, newNode, shop); got != nil || err == nil || len(to.asked) > 0 {
		t.Errorf("%+v, %v, %q", got, err, to.asked)
	}
	// The old node cannot be reached.
	if got, err := m.Prepare(t.Context(), nil, to, newNode, shop); got != nil || err == nil || !strings.Contains(err.Error(), "from old: the node cannot be reached") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestHostenvMigrations: the names may stand with what hostenv has computed.
func TestHostenvMigrations(t *testing.T) {
	d, err := plan.DecodeDocument([]byte(`{"formatVersion": 1, "nodes": {"old": {}, "new": {}}, "environments": {
		"shop": {"node": "new", "previousNode": "old", "hostenv": {"migrations": ["a"]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	m, err := move.New(d, move.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from := &session{answers: map[string]answer{"backup a": {out: since}, "snapshots a tagged": {out: fresh}}}
	if got, err := m.Backup(t.Context(), from, newNode, shop); err != nil || got == nil || got.Snapshots["a"] != id {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestIgnoreErrors(t *testing.T) {
	var warnings []string
	m, err := move.New(document(t, `, "previousNode": "old", "migrations": ["a", "b"]`), move.Options{
		IgnoreErrors: true, Warn: func(user string, err error) { warnings = append(warnings, user+": "+err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	from := &session{answers: map[string]answer{"backup b": {out: since}, "snapshots b tagged": {out: fresh}}}
	got, err := m.Backup(t.Context(), from, newNode, shop)
	if err != nil || got == nil || len(got.Snapshots) != 1 || len(warnings) != 1 || !strings.Contains(warnings[0], "backup a: ") {
		t.Errorf("%+v, %v, %q", got, err, warnings)
	}
	if got, err := m.Prepare(t.Context(), from, &session{}, newNode, shop); err != nil || got != nil || len(warnings) != 3 {
		t.Errorf("%+v, %v, %q", got, err, warnings)
	}
	if got, err := m.Prepare(t.Context(), nil, &session{}, newNode, shop); err != nil || got != nil || len(warnings) != 4 {
		t.Errorf("%+v, %v, %q", got, err, warnings)
	}
	// An interruption is not such an error.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Prepare(ctx, from, &session{}, newNode, shop); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestDiscard(t *testing.T) {
	m, err := move.New(document(t, moved), move.Options{Skip: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	to := &session{answers: map[string]answer{"discard": {}}}
	if err := m.Discard(t.Context(), to, shop); err != nil || len(to.asked) != 1 {
		t.Errorf("%v, %q", err, to.asked)
	}
	if err := m.Discard(t.Context(), failing{err: errors.New("lost")}, shop); err == nil || err.Error() != "remove the restore plan of shop: lost" {
		t.Errorf("%v", err)
	}
	// An environment that is skipped causes no request.
	if got, err := m.Prepare(t.Context(), to, to, newNode, shop); got != nil || err != nil || len(to.asked) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

type failing struct {
	deploy.Session
	err error
}

func (f failing) Run(context.Context, string, []byte, ...string) ([]byte, error) { return nil, f.err }

// TestRefuses: names with a meaning for a shell, sudo or systemd never get to a
// node, and one error holds every mistake.
func TestRefuses(t *testing.T) {
	for _, name := range []string{"", "a b", "a;id", "$(id)", "`id`", "-rf", "../x", "a/b", "a\nb", "a'b", "a@b", "é", ".hidden", strings.Repeat("a", 101), "a%n"} {
		quoted := fmt.Sprintf("%q", name)
		if _, err := move.New(document(t, `, "migrations": ["fine", `+quoted+`]`), move.Options{}); err == nil || !strings.Contains(err.Error(), "which is not the name of a backup") {
			t.Errorf("%s: %v", quoted, err)
		}
	}
	_, err := move.New(document(t, `, "migrations": ["a b", "7;"], "previousNode": "old"`), move.Options{
		Skip:    []string{"missing", "blog"},
		Sources: map[string]string{"no": "old", "shop": "nowhere", "blog": "old"},
	})
	var got []string
	for _, err := range problem.Leaves(err) {
		got = append(got, err.Error())
	}
	want := []string{
		`plan.environments.shop.migrations holds "a b", which is not the name of a backup`,
		`plan.environments.shop.migrations holds "7;", which is not the name of a backup`,
		`-skipMigrations=missing is not an environment of the plan`,
		`-migrationSource=blog=old names an environment without backups (its migrations in the plan)`,
		`-migrationSource=no=old is not an environment of the plan`,
		`-migrationSource=shop=nowhere is not a node of the plan`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, o := range []move.Options{
		{Sources: map[string]string{"shop": "new"}},
		{Sources: map[string]string{"shop": "far"}, Skip: []string{"shop"}},
	} {
		if _, err := move.New(document(t, moved), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
