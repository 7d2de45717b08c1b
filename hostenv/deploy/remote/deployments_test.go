package remote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
)

// TestRecord: a node keeps the newest deployments, where only the deploy user reads them.
func TestRecord(t *testing.T) { eachShell(t, testRecord) }

func testRecord(t *testing.T, shell string) {
	const folder = "/home/deploy/.hostenv-deploy/"
	m := newMachine(t, shell, "")
	s := m.open(t, lockAs("alice", 0))
	kept := func() []deploy.Deployment {
		t.Helper()
		all, err := s.Deployments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := kept(); len(all) != 0 {
		t.Errorf("a new node has %+v", all)
	}
	deployment := func(i int) deploy.Deployment {
		return deploy.Deployment{
			Node: "n1", Run: fmt.Sprint("run-", i), Time: time.Date(2026, 11, 29, 7, 1, 2, 3, time.UTC),
			Plan: deploy.PlanRecord{Serial: i, Digest: strings.Repeat("0a", 32), Commit: "abc1234-dirty", By: "alice@ci; $(id) 'run' \"7\" * \\n", Time: "2026-11-29T07:01:00Z"},
			Profiles: []deploy.Deployed{
				{Profile: "system", From: "/nix/store/a", To: "/nix/store/b", State: deploy.StateActive},
				{Profile: "site", To: "/nix/store/c", State: deploy.StateFailed, Reason: deploy.ReasonBuild, Error: "it's %s `id` $HOME \\n \u00e9", Checks: "failed"},
			},
		}
	}
	for i := range deploy.KeptDeployments + 5 {
		if err := s.Record(t.Context(), deployment(i)); err != nil {
			t.Fatal(err)
		}
	}
	all := kept()
	if len(all) != deploy.KeptDeployments {
		t.Fatalf("it keeps %d", len(all))
	}
	for i := range all {
		if diff := cmp.Diff(deployment(i+5), all[i]); diff != "" {
			t.Fatalf("number %d (-want +got):\n%s", i, diff)
		}
	}
	if got := m.sh(t, "stat -c '%U %a' "+folder+" "+folder+"deploys"); got != "deploy 700\ndeploy 600\n" {
		t.Errorf("its modes are %q", got)
	}

	// What is no deployment is skipped, and does not stay for ever.
	m.sh(t, "cd "+folder+" && { head -c 5000000 /dev/zero | tr '\\0' x; echo; echo '{'; tail -n 1 deploys; } >d && chown deploy d && mv d deploys")
	if all := kept(); len(all) != 1 {
		t.Errorf("of a broken file it has %d", len(all))
	}
	if err := s.Record(t.Context(), deployment(200)); err != nil {
		t.Fatal(err)
	}
	if all := kept(); len(all) != 2 || all[1].Run != "run-200" {
		t.Errorf("after a broken file it has %+v", all)
	}
	if size := m.sh(t, "stat -c %s "+folder+"deploys"); len(size) > len("4300000\n") {
		t.Errorf("it has %s bytes", size)
	}

	// On a full disk the old deployments stay, and a later record succeeds.
	m.sh(t, "cp -a "+folder+" /home/deploy/saved && mount -t tmpfs -o size=64k,mode=0700,uid=$(id -u deploy) none "+folder+" && tail -n 2 /home/deploy/saved/deploys | tail -n 1 >"+folder+"deploys && chown deploy "+folder+"deploys && { head -c 1000000 /dev/zero >"+folder+"fill || true; } 2>/dev/null")
	err := s.Record(t.Context(), deployment(201))
	var failed *remote.CommandError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "node n1: recording the deployment as deploy ended with exit status 1") || !strings.Contains(failed.Hint(), "make room") {
		t.Errorf("on a full disk: %v", err)
	}
	if all := kept(); len(all) != 1 || all[0].Run != "run-200" {
		t.Errorf("on a full disk it has %+v", all)
	}
	m.sh(t, "rm "+folder+"fill && ! [ -e "+folder+"deploys.new ]")
	if err := s.Record(t.Context(), deployment(202)); err != nil || len(kept()) != 2 {
		t.Errorf("with room again: %v, %d", err, len(kept()))
	}
}

// TestKeptHeld: beside the plan a node has the environments that it holds back.
func TestKeptHeld(t *testing.T) {
	m := newMachine(t, "", "")
	s := m.open(t, lockAs("alice", 0))
	record := deploy.PlanRecord{Serial: 12, Digest: strings.Repeat("0a", 32), By: "alice"}
	for _, held := range [][]string{{"shop-main-1234567", "site"}, nil} {
		if err := s.Keep(t.Context(), record, held, false); err != nil {
			t.Fatal(err)
		}
		want := "12 " + record.Digest + " - - alice\n"
		if held != nil {
			want += "held shop-main-1234567 site\n"
		}
		if got := m.sh(t, "cat /home/deploy/.hostenv-deploy/plan"); got != want {
			t.Errorf("the node has %q", got)
		}
		if o, err := s.Observe(t.Context()); err != nil || o.Plan != record {
			t.Errorf("it is read as %+v, %v", o.Plan, err)
		}
	}
	if err := s.Keep(t.Context(), record, []string{"a b"}, false); err == nil {
		t.Error("a user with a blank is accepted")
	}
}
