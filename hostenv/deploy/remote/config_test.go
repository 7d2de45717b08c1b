package remote_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const someKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEz0nBlCVtx5+ymVBS1cS3VPdPFmpLV0cZLhR+Bsz0pC"

// understood returns the settings that ssh reads for a node, by `ssh -G`.
func understood(t testing.TB, c *remote.Config, node string) map[string]string {
	t.Helper()
	settings := map[string]string{}
	for line := range strings.Lines(run(t, "ssh", "-F", c.Path, "-G", "--", node)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, ok := settings[key]; !ok {
			settings[key] = value
		}
	}
	return settings
}

func TestConfig(t *testing.T) {
	testenv.Need(t, "ssh")
	home := t.TempDir()
	t.Setenv("HOME", home)
	include := filepath.Join(t.TempDir(), "more")
	if err := os.WriteFile(include, []byte("IdentityAgent /run/agent\nUser mallory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := func(change func(*deploy.Node)) deploy.Node {
		n := deploy.Node{Name: "node-a", Address: "a.example.org", User: "deploy", HostKey: someKey + " of a"}
		change(&n)
		return n
	}
	options := func(words ...string) deploy.Node {
		return base(func(n *deploy.Node) { n.SSHOptions = words })
	}
	tests := []struct {
		node deploy.Node
		want map[string]string
	}{
		{options(), map[string]string{"hostname": "a.example.org", "user": "deploy", "port": "22", "batchmode": "yes", "stricthostkeychecking": "true",
			"hostkeyalias": "node-a", "globalknownhostsfile": "/dev/null", "controlmaster": "false", "requesttty": "false", "updatehostkeys": "false",
			"connecttimeout": "10", "serveraliveinterval": "10", "forwardagent": "no", "clearallforwardings": "yes"}},
		{base(func(n *deploy.Node) { n.HostKey = "" }), map[string]string{"stricthostkeychecking": "accept-new", "hostkeyalias": ""}},
		{base(func(n *deploy.Node) { n.Port = 2222; n.SSHOptions = []string{"-p", "23"} }), map[string]string{"port": "2222"}},
		{base(func(n *deploy.Node) { n.Address = "fe80::1%eth0" }), map[string]string{"hostname": "fe80::1%eth0"}},
		{base(func(n *deploy.Node) { n.Address = "2001:db8::1" }), map[string]string{"hostname": "2001:db8::1"}},
		{base(func(n *deploy.Node) { n.Name = "Node.A" }), map[string]string{"hostname": "a.example.org", "hostkeyalias": "node.a"}},
		{options("-p", "23", "-i", "/id", "-J", "u@jump:2200", "-4C"), map[string]string{"port": "23", "identityfile": "/id", "proxyjump": "u@jump:2200", "addressfamily": "inet", "compression": "yes"}},
		{options("-p23", "-oConnectTimeout=77", "-o", "SetEnv=A=b=c", "-6", "-A", "-l", "deploy"), map[string]string{"port": "23", "connecttimeout": "77", "setenv": "A=b=c", "addressfamily": "inet6", "forwardagent": "yes"}},
		{options("-F", include), map[string]string{"identityagent": "/run/agent", "user": "deploy"}},
		{options("-oControlMaster=no", "-oBatchMode=yes"), map[string]string{"batchmode": "yes"}},
		{options("-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"), map[string]string{"stricthostkeychecking": "true"}},
	}
	for _, test := range tests {
		c := config(t, base(func(n *deploy.Node) { n.Name = "first" }), test.node, base(func(n *deploy.Node) { n.Name = "last" }))
		got := understood(t, c, test.node.Name)
		for key, want := range test.want {
			if got[key] != want {
				t.Errorf("%q: %s is %q, and should be %q", test.node.SSHOptions, key, got[key], want)
			}
		}
		if got := understood(t, c, "last"); got["port"] != "22" || got["identityagent"] != "" {
			t.Errorf("%q: another node has them too", test.node.SSHOptions)
		}
		for _, file := range []struct {
			path string
			mode os.FileMode
		}{{filepath.Dir(c.Path), 0o700 | os.ModeDir}, {c.Path, 0o600}} {
			if info, err := os.Stat(file.path); err != nil || info.Mode() != file.mode {
				t.Errorf("%s is %v: %v", file.path, info.Mode(), err)
			}
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	testenv.Need(t, "ssh")
	base := deploy.Node{Name: "n1", Address: "a.example.org", User: "deploy"}
	bad := map[string]deploy.Node{}
	for _, name := range []string{"", "-x", "a b", "*", "!n", "n1\nHost *", "a,b", "1", "n?"} {
		n := base
		n.Name = name
		bad["name "+name] = n
	}
	for _, address := range []string{"", "-oProxyCommand=id", "a b", "a\nb", "a;b", "$(id)", "a\"b", "%h/"} {
		n := base
		n.Address = address
		bad["address "+address] = n
	}
	for _, user := range []string{"", "-l", "a b", "root;id", "12", "A"} {
		n := base
		n.User = user
		bad["user "+user] = n
	}
	for _, key := range []string{"ssh-ed25519", "ssh-ed25519 !", "ssh-rsa " + strings.Fields(someKey)[1], someKey + "\nevil " + someKey, "* " + someKey} {
		n := base
		n.HostKey = key
		bad["key "+key] = n
	}
	for _, words := range [][]string{{"id"}, {"-"}, {"--"}, {"-p"}, {"-o"}, {"-N"}, {"-f"}, {"-M"}, {"-tt"}, {"-v"}, {"-L", "1:b:2"}, {"-w", "0"}, {"-y"},
		{"-o", "x"}, {"-o", "A b=c"}, {"-o", "Port=2 3"}, {"-o", "Port=\"2\""}, {"-i", "a'b"}, {"-i", "a\nHost *"}, {"-oRemoteCommand=id"}, {"-oControlMaster=auto"},
		{"-oBatchMode=no"}, {"-oHost=x"}, {"-oMatch=all"}, {"-l", "root"}, {"-oUser=root"}, {"-oHostName=x"}, {"-oHostKeyAlias=x"}, {"-F", "/no/such"}, {"-i", "#x"},
		{"-oNoSuchOption=1"}, {"-oPort=x"}, {"-4z"}} {
		n := base
		n.SSHOptions = words
		bad[fmt.Sprintf("options %q", words)] = n
	}
	fine := deploy.Node{Name: "n0", Address: "b.example.org", User: "deploy"}
	for what, n := range bad {
		parent := t.TempDir()
		c, err := remote.Write(t.Context(), parent, []deploy.Node{fine, n})
		var refused *problem.Problem
		if !errors.As(err, &refused) || refused.Subject != fmt.Sprintf("node %q:", n.Name) || refused.Fix == "" {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			_ = c.Close()
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("%s: %v is left", what, left)
		}
		// A session refuses a node that the file refuses.
		if _, err := remote.New(&remote.Config{Path: "/dev/null"}).Open(t.Context(), n, deploy.OpenOptions{}); err == nil {
			t.Errorf("%s: it is connected to", what)
		}
	}
	if _, err := remote.Write(t.Context(), "", []deploy.Node{fine, fine}); err == nil {
		t.Error("a name may be two nodes'")
	}
	if _, err := remote.Write(t.Context(), "/tmp/a b", nil); err == nil {
		t.Error("the path may hold a blank")
	}
}

// FuzzConfig checks that ssh reads the options as they were given, unless Write
// refuses them.
func FuzzConfig(f *testing.F) {
	testenv.Need(f, "ssh")
	f.Add("node-a", "a.example.org", "deploy", 22, "/id")
	f.Add("N.1", "fe80::1%eth0", "d_-", 0, "%d/x")
	f.Add("n1\nHost *", "a b", "u\tv", 70000, "a'b")
	f.Add("n", "a%%h", "x", 1, "~/x")
	f.Add("n", "a", "x", 1, "ä#b=c\u00a0")
	f.Fuzz(func(t *testing.T, name, address, user string, port int, identity string) {
		n := deploy.Node{Name: name, Address: address, User: user, Port: port, HostKey: someKey, SSHOptions: []string{"-F", "none", "-o", "IdentityAgent=" + identity}}
		// In paths ssh expands ~, %d and ${HOME}, and ends where it cannot.
		expands := strings.ContainsAny(identity, "~%$")
		c, err := remote.Write(t.Context(), "", []deploy.Node{n})
		if err != nil {
			if !errors.As(err, new(*problem.Problem)) && !expands {
				t.Fatal(err)
			}
			return
		}
		defer c.Close()
		got := understood(t, c, name)
		if port == 0 {
			port = 22
		}
		want := map[string]string{"hostname": address, "user": user, "port": fmt.Sprint(port), "stricthostkeychecking": "true"}
		if net.ParseIP(got["hostname"]) != nil {
			delete(want, "hostname") // written in full: 127.1 is 127.0.0.1
		}
		for key, value := range want {
			if !strings.EqualFold(got[key], value) { // ssh takes names in lower case
				t.Errorf("%s is %q, and should be %q", key, got[key], value)
			}
		}
		if !expands && got["identityagent"] != identity {
			t.Errorf("identityagent is %q, and should be %q", got["identityagent"], identity)
		}
	})
}
