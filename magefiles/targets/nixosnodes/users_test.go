package nixosnodes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// Environments are added, removed and renamed; a system fails in between. Files stay
// with their UID, and the node removes old data only by command.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a")
	n := s.Node("node-a")
	environment := nixosnode.Environment{Type: "production", Users: map[string]any{
		"dev": map[string]any{"publicKeys": []string{s.Operator.PublicKey}},
	}}
	shop := nixosnode.Customer{Organisation: "acme", Project: "shop", Content: "the shop", Environments: map[string]nixosnode.Environment{"main": environment}}
	s.Provider.Add(t, shop, nixosnode.Customer{Organisation: "beta", Project: "portal"})
	s.mage(0, "plan")
	s.pointAll()
	s.mage(0, "dnsGate")
	s.mage(0, "deploy")
	old, portal := s.user("acme", "shop"), s.user("beta", "portal")
	uid, portalUID := userID(t, n, old), userID(t, n, portal)
	site := "https://" + s.host("acme", "shop")
	s.serves(site+"/", "the shop")
	s.put(site+"/data/order", "an order of the shop")
	s.put("https://"+s.host("beta", "portal")+"/data/page", "a page of the portal")

	t.Log("beta's portal goes: it does not run on, and what it left is reported")
	s.Provider.Remove(t, "beta", "portal")
	s.mage(0, "plan")
	s.mage(0, "deploy")
	if _, err := n.Exec("getent", "passwd", portal); err == nil {
		t.Errorf("%s is still there", portal)
	}
	if processes, err := n.Exec("pgrep", "-U", portalUID); err == nil {
		t.Errorf("%s still has processes: %s", portal, processes)
	}
	left := []string{"/home/" + portal, "/nix/var/nix/profiles/per-user/" + portal, "/run/hostenv/nginx/" + portal, "/run/hostenv/user/" + portal}
	for _, path := range left {
		if owner := n.Run(t, "stat", "-c", "%u", path); owner != portalUID {
			t.Errorf("%s belongs to %s, want %s", path, owner, portalUID)
		}
	}
	contains(t, s.mage(0, "status").Stdout, append(left, portal, portalUID, "retired", "mage leftovers")...)
	contains(t, s.mage(0, "status", "-json").Stdout, `{"leftover":{"node":"node-a","user":"`+portal+`"`)
	list := s.mage(0, "leftovers")
	contains(t, list.Stdout, left...)
	s.shows("provider.md", list)

	// The command needs a name, can be repeated, and refuses what is in use.
	contains(t, s.mage(1, "leftovers", "-remove="+old, "-yes").Stderr, "there are no leftovers of this name")
	preview := s.mage(0, "leftovers", "-remove="+portal)
	contains(t, preview.Stdout, "nothing was removed")
	s.shows("provider.md", preview)
	if _, err := n.Exec("sudo", "-u", "deploy", "sudo", "-n", "hostenv-users", "remove", old, uid); err == nil {
		t.Errorf("the node removed %s, which is in use", old)
	}
	n.Run(t, "test", "-e", "/home/"+portal+"/data/page")
	removed := s.mage(0, "leftovers", "-remove="+portal, "-yes")
	contains(t, removed.Stdout, "removed what "+portal+" left on node-a")
	s.shows("provider.md", removed)
	for _, path := range left {
		if _, err := n.Exec("stat", path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	contains(t, s.mage(0, "leftovers").Stdout, "nothing is left over")
	s.serves(site+"/data/order", "an order of the shop")

	t.Log("acme's shop is the store from now on, by a system that fails")
	s.Provider.Remove(t, "acme", "shop")
	store := shop
	store.Project, store.Content = "store", "the store"
	s.Provider.Set(t, "moved", `[ { from = "acme__shop"; to = "acme__store"; } ]`)
	s.Provider.Module(t, "broken", `{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig = { Type = "oneshot"; ExecStart = "/run/current-system/sw/bin/false"; }; }; }`)
	s.Provider.Add(t, store)
	s.mage(0, "plan")
	s.pointAll()
	now := s.user("acme", "store")
	s.mage(0, "dnsGate")
	before := n.System(t)
	if _, err := s.Operator.SSH(n, old, "echo of a session >session"); err != nil {
		t.Errorf("%s cannot log in: %v", old, err)
	}
	failed := s.mage(1, "deploy")
	contains(t, failed.Stderr, "the user "+old+" is renamed to "+now)
	if system := n.System(t); system != before {
		t.Errorf("the node has %s, want the earlier system, %s", system, before)
	}
	s.isThere(n, old, uid)
	if _, err := n.Exec("getent", "passwd", now); err == nil {
		t.Errorf("%s still exists after the system went back", now)
	}
	s.serves(site+"/data/order", "an order of the shop")

	t.Log("and by one that does not")
	s.Provider.Module(t, "broken", "")
	s.Provider.Commit(t)
	s.mage(0, "plan")
	s.mage(0, "dnsGate")
	s.mage(0, "deploy")
	site = "https://" + s.host("acme", "store")
	check := func() {
		t.Helper()
		s.serves(site+"/", "the store")
		s.serves(site+"/data/order", "an order of the shop")
		s.isThere(n, now, uid)
		if text := n.Run(t, "cat", "/home/"+now+"/session"); text != "of a session" {
			t.Errorf("the file of the session holds %q", text)
		}
		for _, gone := range []string{"/home/" + old, "/run/hostenv/user/" + old, "/var/lib/systemd/linger/" + old, "/nix/var/nix/profiles/per-user/" + old} {
			if _, err := n.Exec("stat", gone); err == nil {
				t.Errorf("%s is still there", gone)
			}
		}
	}
	check()
	contains(t, s.mage(0, "leftovers").Stdout, "nothing is left over")
	n.Reboot(t)
	check()

	t.Log("a new shop of acme has the old name, and nothing of the one before")
	s.Provider.Set(t, "moved", "")
	shop.Content = "another shop"
	s.Provider.Add(t, shop)
	s.mage(0, "plan")
	s.mage(0, "dnsGate")
	s.mage(0, "deploy")
	s.serves("https://"+s.host("acme", "shop")+"/", "another shop")
	if another := userID(t, n, old); another == uid || n.Run(t, "stat", "-c", "%u", "/home/"+old) != another {
		t.Errorf("the new %s has the UID %s, and the renamed one has %s", old, another, uid)
	}
	if out, err := n.Exec("find", "/home/"+old, "-name", "order", "-o", "-name", "session"); err != nil || out != "" {
		t.Errorf("the new %s has %s (%v)", old, out, err)
	}
	s.isThere(n, now, uid)
	s.serves(site+"/data/order", "an order of the shop")
}

// userID returns the UID of a user of a node.
func userID(t *testing.T, n *nixosnode.Node, user string) string {
	t.Helper()
	return n.Run(t, "id", "-u", user)
}

// isThere checks the UID of a user of a node, and that the home, group, profile and
// user manager belong to the user.
func (s *labTest) isThere(n *nixosnode.Node, user, uid string) {
	s.t.Helper()
	if got := n.Run(s.t, "id", user); got != fmt.Sprintf("uid=%s(%s) gid=%s(%s) groups=%[3]s(%[4]s)", uid, user, uid, user) {
		s.t.Errorf("%s is %s, want the UID and GID %s", user, got, uid)
	}
	for _, path := range []string{"/home/" + user, "/home/" + user + "/data/order", "/nix/var/nix/profiles/per-user/" + user} {
		if owner := n.Run(s.t, "stat", "-c", "%u %U %G", path); owner != uid+" "+user+" "+user {
			s.t.Errorf("%s belongs to %s, want %s", path, owner, user)
		}
	}
	if home := strings.Split(n.Run(s.t, "getent", "passwd", user), ":")[5]; home != "/home/"+user {
		s.t.Errorf("the home of %s is %s", user, home)
	}
	n.Run(s.t, "test", "-e", "/var/lib/systemd/linger/"+user)
	nixosnode.Eventually(s.t, "the site of "+user, func() error {
		_, err := n.Exec("setpriv", "--reuid="+uid, "--regid="+uid, "--clear-groups", "env", "XDG_RUNTIME_DIR=/run/user/"+uid,
			"systemctl", "--user", "is-active", "site.service")
		return err
	})
	if logged := n.Run(s.t, "loginctl", "show-user", "--value", "--property=Name", uid); logged != user {
		s.t.Errorf("logind names the UID %s %s, want %s", uid, logged, user)
	}
}

// put writes a file into a site.
func (s *labTest) put(url, text string) {
	s.t.Helper()
	nixosnode.Eventually(s.t, "PUT "+url, func() error {
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, url, strings.NewReader(text))
		if err != nil {
			return err
		}
		response, err := s.Client().Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode >= 300 {
			return fmt.Errorf("the site answers %s", response.Status)
		}
		return nil
	})
}
