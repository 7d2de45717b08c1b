package nixosnodes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// What deploys did, good and bad, is in the node's record, in its metrics and in what the
// provider's program is given. No environment can read the record.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	a := s.Node("node-a")
	s.Provider.Module(t, "metrics", `{ hostenv.monitoring.textfile.enable = true; }`)
	s.Provider.Set(t, "notify", `[ "sh" "-c" "echo $HOSTENV_NOTIFY >>/tmp/notified; grep -c . >>/tmp/notified" ]`)
	shop := checked("shop", "good 1")
	s.Provider.Add(t, shop, overHTTP("acme", "blog", "the blog"))
	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "deploy")
	user, blog := s.user("acme", "shop"), s.user("acme", "blog")

	// metrics waits until the node's file has lines.
	metrics := func(lines ...string) {
		t.Helper()
		nixosnode.Eventually(t, "the metrics", func() error {
			text, err := a.Exec("cat", "/var/lib/prometheus-node-exporter/hostenv.prom")
			if err != nil {
				return err
			}
			for _, line := range lines {
				if !strings.Contains("\n"+text, "\n"+line+"\n") {
					return fmt.Errorf("there is no line %s:\n%s", line, text)
				}
			}
			return nil
		})
	}
	success := func(profile string, value int) string {
		return fmt.Sprintf("hostenv_deploy_success{profile=%q} %d", profile, value)
	}
	serial := func() string {
		return fmt.Sprintf("hostenv_plan_serial %d", s.Provider.Plan(t).Serial.Number)
	}
	metrics(success("system", 1), success(user, 1), success(blog, 1), serial())

	shop.Content = "broken 2"
	s.Provider.Add(t, shop)
	s.mage(0, "plan")
	s.mage(1, "deploy", "-env="+user)
	metrics(success(user, 0), success(blog, 1), serial())

	// The record on the node, and what any machine of the provider's shows of it.
	history := s.mage(0, "history", "-node=node-a", "-env="+user).Stdout
	contains(t, history, "node-a: plan ", user, "active", "health failed")
	if strings.Contains(history, blog) {
		t.Errorf("-env shows other environments:\n%s", history)
	}
	if before, _, _ := strings.Cut(history, "\n"); !strings.Contains(before, fmt.Sprintf("plan %d ", s.Provider.Plan(t).Serial.Number)) {
		t.Errorf("the newest deploy is not the first:\n%s", history)
	}
	const record = "~deploy/.hostenv-deploy/deploys"
	if lines := strings.TrimSpace(a.Run(t, "sh", "-c", "wc -l < "+record)); lines != "2" {
		t.Errorf("the record has %s lines, want one for each deploy", lines)
	}
	if got := a.Run(t, "su", user, "-c", "cat "+record+" 2>/dev/null || true"); got != "" {
		t.Errorf("a customer reads %q", got)
	}
	var told []string
	for line := range strings.Lines(s.Operator.Run(t, "cat", "/tmp/notified")) {
		if line = strings.TrimSpace(line); strings.Trim(line, "0123456789") != "" {
			told = append(told, line)
		} else if line == "0" {
			t.Error("the program was given no events")
		}
	}
	if got := strings.Join(told, " "); got != "start end start failure end" {
		t.Errorf("the provider's program was run for: %s", got)
	}

	// A deploy of the mended version is a success again, and the record keeps the rest.
	shop.Content = "good 3"
	s.Provider.Add(t, shop)
	s.mage(0, "plan")
	s.mage(0, "deploy")
	metrics(success(user, 1), serial())
	a.Reboot(t)
	contains(t, s.mage(0, "history", "-node=node-a").Stdout, "health failed")
	metrics(success("system", 1), success(user, 1), serial())
}
