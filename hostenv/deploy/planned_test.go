package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func document(t *testing.T, text string) plan.Document {
	t.Helper()
	d, err := plan.DecodeDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// complete has the options that every connection of a plan has.
const complete = `"system": "x86_64-linux", "profileLink": "/nix/var/nix/profiles/system", "tempPath": "/run/hostenv/deploy", "remoteBuild": false, "autoRollback": true, "magicRollback": true, "activationTimeout": 3600`

// paths has the paths that every profile of a plan has.
const paths = `"profileLink": "/nix/var/nix/profiles/per-user/site-main-b7ea262/hostenv", "tempPath": "/run/hostenv/deploy/site-main-b7ea262", "activationTimeout": 900`

// planOf returns a plan with one node and one environment. parts replaces parts of
// the default plan.
func planOf(parts map[string]string) string {
	part := func(name, usual string) string {
		if text, ok := parts[name]; ok {
			return text
		}
		return usual
	}
	return fmt.Sprintf(`{"formatVersion": 1, "deployUser": %s, "hostenvHostname": "hosting.example",
		"nodes": {%s: {}, "n2": {}}, "nodeConnections": {%[2]s: %s, "n2": {"hostname": "2001:db8::1", `+complete+`}, "old": {"hostname": "old.hosting.example", `+complete+`}},
		"environments": {%s: %s, "off": {"enable": false, "node": "gone"}},
		"profiles": {%[4]s: %[6]s}}`,
		part("deployUser", `"deploy"`), part("node", `"n1"`), part("connection", `{"hostname": "n1.hosting.example", `+complete+`}`),
		part("user", `"site-main-b7ea262"`), part("environment", `{"enable": true, "node": "n1", "uid": 40000}`), part("profile", `{`+paths+`}`))
}

func TestPlanned(t *testing.T) {
	nodes, err := deploy.Planned(document(t, planOf(map[string]string{
		"connection": `{"hostname": "192.0.2.7", "sshPort": 2222, "hostKey": "ssh-ed25519 AAAA n1", "sshOpts": ["-o", "Compression=yes"],
			"system": "aarch64-linux", "profileLink": "/nix/var/nix/profiles/system", "tempPath": "/run/x", "remoteBuild": true, "autoRollback": false, "magicRollback": false, "activationTimeout": 7200, "unknown": 7}`,
	})))
	if err != nil {
		t.Fatal(err)
	}
	want := []deploy.Node{{
		Name: "n1", Address: "192.0.2.7", Port: 2222, User: "deploy", HostKey: "ssh-ed25519 AAAA n1",
		SSHOptions: []string{"-o", "Compression=yes"}, Platform: "aarch64-linux", PublicName: "n1.hosting.example",
		TempPath: "/run/x", RemoteBuild: true,
		Profiles: []deploy.Profile{
			{Node: "n1", Name: "system", User: "root", Link: "/nix/var/nix/profiles/system", Temp: "/run/x", Limit: 2 * time.Hour},
			{Node: "n1", Name: "site-main-b7ea262", User: "site-main-b7ea262", UID: 40000,
				Link: "/nix/var/nix/profiles/per-user/site-main-b7ea262/hostenv", Temp: "/run/hostenv/deploy/site-main-b7ea262", Limit: 15 * time.Minute},
		},
	}, {
		Name: "n2", Address: "2001:db8::1", User: "deploy", Platform: "x86_64-linux", PublicName: "n2.hosting.example",
		TempPath: "/run/hostenv/deploy", AutoRollback: true, MagicRollback: true,
		Profiles: []deploy.Profile{{Node: "n2", Name: "system", User: "root", Link: "/nix/var/nix/profiles/system", Temp: "/run/hostenv/deploy", Limit: time.Hour}},
	}, { // environments may move away from it
		Name: "old", Address: "old.hosting.example", User: "deploy", Platform: "x86_64-linux", PublicName: "old.hosting.example",
		TempPath: "/run/hostenv/deploy", AutoRollback: true, MagicRollback: true,
	}}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

func TestPlannedRefuses(t *testing.T) {
	for _, c := range []struct{ reason, part, text, want string }{
		{"a shell would run it", "user", `"$(reboot)"`, "is not the name of a user"},
		{"sudo would take it for an option", "user", `"-rf"`, "is not the name of a user"},
		{"a number is a UID", "user", `"1234"`, "is not the name of a user"},
		{"it would be root's profile", "user", `"root"`, "cannot be the user root"},
		{"it would be the node's", "user", `"system"`, "cannot be the user system"},
		{"it would be the deploy user", "user", `"deploy"`, "cannot be the user deploy"},
		{"the plan would lie", "environment", `{"node": "n1", "uid": 1, "hostenv": {"userName": "other"}}`, `has the hostenv.userName "other"`},
		{"a plan of an older version", "profile", `{}`, "does not have all of profileLink, tempPath and activationTimeout"},
		{"the node is gone", "environment", `{"node": "n9", "uid": 1}`, `"n9", which is not in the plan`},
		{"deploy-rs cannot quote", "node", `"n\"1"`, "is not the name of a node"},
		{"ssh would take it for an option", "node", `"-oProxyCommand=x"`, "is not the name of a node"},
		{"more than one line", "node", `"n1\nHost *"`, "is not the name of a node"},
		{"ssh would take it for an option", "connection", `{"hostname": "-oProxyCommand=reboot", ` + complete + `}`, "neither a host name nor an IP address"},
		{"more than one line", "connection", `{"hostname": "n1\nProxyCommand x", ` + complete + `}`, "neither a host name nor an IP address"},
		{"a plan of an older version", "connection", `{"hostname": "n"}`, "does not have all of system, profileLink, tempPath"},
		{"two keys", "connection", `{"hostname": "n", "hostKey": "ssh-ed25519 AAAA\n* ssh-rsa BBBB", ` + complete + `}`, "which is not a public key"},
		{"Nix splits at spaces", "connection", `{"hostname": "n", "sshOpts": ["-o", "A b"], ` + complete + `}`, "every option must be one word"},
	} {
		t.Run(c.reason+" "+c.text, func(t *testing.T) {
			nodes, err := deploy.Planned(document(t, planOf(map[string]string{c.part: c.text})))
			if err == nil || !strings.Contains(err.Error(), c.want) || nodes != nil {
				t.Fatalf("got %v, %v; want an error with %q", nodes, err, c.want)
			}
			if hinter := interface{ Hint() string }(nil); !errors.As(err, &hinter) || hinter.Hint() == "" {
				t.Errorf("no hint: %v", err)
			}
		})
	}
}

func TestPlannedRefusesAllAtOnce(t *testing.T) {
	_, err := deploy.Planned(document(t, planOf(map[string]string{
		"deployUser": `"A"`, "node": `"-n"`, "user": `"B"`, "connection": `{"hostname": "n", "system": "x86_64-linux", "profileLink": "/p", "tempPath": "x", "sshPort": -1, "remoteBuild": false, "autoRollback": true, "magicRollback": true, "activationTimeout": -1}`, "environment": `{"node": "-n"}`,
	})))
	if len(problem.Leaves(err)) != 7 {
		t.Errorf("want seven problems, got %v", err)
	}
}

// A deploy accepts every plan that we compute.
func TestPlannedGolden(t *testing.T) {
	files, err := filepath.Glob("../../golden/*/plan.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden plans: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := document(t, string(data))
			nodes, err := deploy.Planned(d)
			if err != nil {
				t.Fatal(err)
			}
			enabled, profiles, deployed := 0, 0, 0
			for _, e := range d.Environments {
				if e.Runs() {
					enabled++
				}
			}
			for _, n := range nodes {
				if _, own := d.Nodes[n.Name]; !own {
					if len(n.Profiles) > 0 {
						t.Errorf("%s, to which nothing is deployed, has %v", n.Name, n.Profiles)
					}
					continue
				}
				deployed++
				profiles += len(n.Profiles)
				if !n.Profiles[0].IsSystem() {
					t.Errorf("%s: the system does not come first: %v", n.Name, n.Profiles)
				}
			}
			if want := len(d.Nodes); deployed != want || profiles != want+enabled {
				t.Errorf("%d nodes with %d profiles, want %d with %d", deployed, profiles, want, want+enabled)
			}
		})
	}
}
