package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

const newSystem, oldSystem = "/nix/store/11111111111111111111111111111111-nixos", "/nix/store/00000000000000000000000000000000-nixos"

var errExit = errors.New("deploy-rs failed to activate n1/system")

// The log of a failed activation gives its error message.
func TestActivationFailure(t *testing.T) {
	const begin, end = "activating system: " + newSystem + "\n", "activation of system ended with exit status "
	const back = "activating system: " + oldSystem + "\n" + end + "0\n"
	tests := []struct {
		reason, log, want string
		hint              string // a part of it
	}{
		{"a unit, and no other line", "pushing\n" + begin + "warning: the following units failed\nfailed unit: ledger.service\nfailed unit| no ledger\nfailed unit| Failed with result 'exit-code'.\n" + end + "4\n" + back,
			"unit ledger.service failed\n| ledger.service: no ledger\n| ledger.service: Failed with result 'exit-code'.", "fix the unit"},
		{"two units", begin + "failed unit: a.service\nfailed unit| one\nfailed unit: b.service\nfailed unit| \nfailed unit: a.service\n" + end + "4\n",
			"units a.service, b.service failed\n| a.service: one", "fix the unit"},
		{"a status", begin + "the ledger is lost\n\n" + end + "2\n" + back + "deploy-rs: rolled back\n",
			"its activation ended with exit status 2\n| the ledger is lost", ""},
		{"no new connection", begin + "fine\n" + end + "0\nssh: connection refused\n" + back,
			"it started, but no new connection reached the node, so the node went back by itself", "sshd"},
		{"it came up, and the node did not go back", begin + "fine\n" + end + "0\nssh: connection refused\n",
			"deploy-rs failed to activate n1/system\n| fine", ""},
		{"cut off", begin + "stopping units\nssh: closed by remote host\n",
			"its activation was cut off: the connection was lost before it ended\n| stopping units\n| ssh: closed by remote host", "restarted"},
		{"it did not begin", "nix-env: database or disk is full\n",
			"deploy-rs failed to activate n1/system\n| nix-env: database or disk is full", ""},
		{"an empty log", "", "deploy-rs failed to activate n1/system", ""},
		{"an older activation of the same path", begin + "older\n" + end + "1\n" + begin + "newer\n" + end + "3\n",
			"its activation ended with exit status 3\n| newer", ""},
		{"the lines of another profile", begin + "activating shop: " + oldSystem + "\nactivation of shop ended with exit status 0\nlost\n" + end + "1\n",
			"its activation ended with exit status 1\n| activating shop: " + oldSystem + "\n| activation of shop ended with exit status 0\n| lost", ""},
		{"what the node checks", begin + "starting\nfailed check: sshd does not answer at 127.0.0.1 22\nfailed check: nginx does not answer at 127.0.0.1 80\n" + end + "1\n" + back,
			"it started, but sshd does not answer at 127.0.0.1 22 and nginx does not answer at 127.0.0.1 80", "correct the node's configuration"},
		{"names that are not of a unit", begin + "failed unit: a b; rm -rf /\nfailed unit| x\n" + end + "1\n",
			"its activation ended with exit status 1\n| failed unit: a b; rm -rf /\n| failed unit| x", ""},
		{"too long", begin + "starting units\nhanging unit: slow.service\nJob for slow.service canceled.\n\nactivation of system took longer than 3600 seconds, and was ended\nfailed unit: slow.service\n" + end + "124\n" + back,
			"its activation took longer than 3600 seconds, and the node ended it; it waited for slow.service\n| starting units\n| Job for slow.service canceled.", "provider.activationTimeout.system"},
		{"too much", begin + "y\n\nactivation of system printed more than 64 MiB, and was ended\n" + end + "124\n" + back,
			"its activation printed more than 64 MiB, and the node ended it\n| y", "find out"},
		{"control characters", begin + "\x1b[2Jall is fine\r\u202e\xff\tx\n" + end + "1\n",
			"its activation ended with exit status 1\n| " + `\u001b[2Jall is fine\u202e` + "\ufffd x", ""},
	}
	for _, test := range tests {
		p := deploy.Profile{Node: "n1", Name: "system", Path: newSystem}
		err := deploy.ActivationFailure(p, test.log, errExit)
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%s: %s", test.reason, diff)
		}
		if hint := problem.Hint(err); !strings.Contains(hint, test.hint) || test.hint == "" && hint != "" {
			t.Errorf("%s: the hint is %q", test.reason, hint)
		}
	}
}

// If a customer's unit fails, the hint says that the customer must repair it.
func TestActivationFailureOfEnvironment(t *testing.T) {
	p := deploy.Profile{Node: "n1", Name: "shop-main-4f7240c", Path: "/nix/store/11111111111111111111111111111111-env"}
	log := "activating shop-main-4f7240c: " + p.Path + "\nfailed unit: site.service\nfailed unit| no\nactivation of shop-main-4f7240c ended with exit status 1\n"
	err := deploy.ActivationFailure(p, log, errExit)
	if err.Error() != "unit site.service failed\n| site.service: no" || !strings.Contains(problem.Hint(err), "the customer must") {
		t.Errorf("%v\nhint: %s", err, problem.Hint(err))
	}
}

// A message stays short, however long the log is.
func TestActivationFailureIsShort(t *testing.T) {
	p := deploy.Profile{Node: "n1", Name: "system", Path: newSystem}
	var units, lines strings.Builder
	for range 50 {
		for _, c := range "abcdefgh" {
			units.WriteString("failed unit: " + string(c) + ".service\n" + strings.Repeat("failed unit| "+strings.Repeat("é", 1000)+"\n", 50))
		}
		lines.WriteString(strings.Repeat("x", 100_000) + "\n")
	}
	for _, log := range []string{units.String(), lines.String()} {
		text := deploy.ActivationFailure(p, "activating system: "+newSystem+"\n"+log, errExit).Error()
		if n := len([]rune(text)); n > 15_000 || strings.Count(text, "\n") > 60 {
			t.Errorf("%d characters, %d lines", n, strings.Count(text, "\n"))
		}
	}
}
