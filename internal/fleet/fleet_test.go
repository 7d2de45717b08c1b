package fleet_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func TestMain(m *testing.M) { fleet.Main(m) }

// run runs a command on the deploying machine, and returns its output.
func run(t *testing.T, f *fleet.Fleet, argv ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "env", argv...) // env searches the PATH of cmd.Env
	cmd.Env, cmd.Dir = f.Env(), f.Provider.Dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// sshOptions accept the host keys of the plan.
func sshOptions(t *testing.T, f *fleet.Fleet) []string {
	t.Helper()
	known := ""
	for name, connection := range f.Provider.Plan.NodeConnections {
		known += name + " " + connection.HostKey + "\n"
	}
	config := "BatchMode yes\nStrictHostKeyChecking yes\nUserKnownHostsFile " + write(t, "known_hosts", known) + "\nConnectTimeout 60\n"
	for _, n := range f.Nodes {
		config += "Host " + n.Name + "\nHostName " + n.Address + "\nHostKeyAlias " + n.Name + "\nUser " + fleet.DeployUser + "\n"
	}
	return []string{"-F", write(t, "ssh_config", config)}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ssh runs a command on a node as the deploy user.
func ssh(t *testing.T, f *fleet.Fleet, n *fleet.Node, command string) (string, error) {
	t.Helper()
	return run(t, f, append(append([]string{"ssh"}, sshOptions(t, f)...), n.Name, command)...)
}

// push copies paths to a node as the deploy user.
func push(t *testing.T, f *fleet.Fleet, n *fleet.Node, argv ...string) (string, error) {
	t.Helper()
	options := "NIX_SSHOPTS=" + strings.Join(sshOptions(t, f), " ")
	return run(t, f, append([]string{options, "nix", "copy", "--to", "ssh-ng://" + n.Name}, argv...)...)
}

func sign(t *testing.T, f *fleet.Fleet, paths ...string) {
	t.Helper()
	f.Nix(t, append([]string{"nix", "store", "sign", "--recursive", "--key-file", f.SigningKey}, paths...)...)
}

func mustContain(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("want %q in:\n%s", part, text)
	}
}

func TestNode(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 1})
	n := f.Nodes[0]
	user := n.Users()[0]
	questions := []struct{ command, want string }{
		{"id -un; id -u", "deploy\n990"},
		{"uname -n", "n1"},
		{". /etc/os-release; echo $ID", "nixos"},
		{"command -v nix-store sudo", "/run/current-system/sw/bin/nix-store\n/run/wrappers/bin/sudo"},
		{"echo $PATH", "/run/wrappers/bin:/run/current-system/sw/bin"},
		{"echo /home/*", "/home/" + user},
		{"id -u " + user, "40000"},
		{"stat -c %a:%U /run/hostenv/deploy /run/hostenv/deploy/" + user, "711:root\n700:" + user},
		{"stat -c %a:%U /nix/var/nix/profiles/per-user/" + user, "755:" + user},
		{"ls /nix/store", ""},
		{"nix show-config | grep ^trusted-public-keys", "trusted-public-keys = " + f.PublicKey},
		{"ps -eo args= | grep -c '[l]istener'", "1"}, // no other node's sshd
		{"sudo -n -l -U root >/dev/null 2>&1 || echo refused", "refused"},
	}
	for _, q := range questions {
		if got, err := ssh(t, f, n, q.command); err != nil || got != q.want {
			t.Errorf("%s\n got %s (%v)\nwant %s", q.command, got, err, q.want)
		}
	}
	if got := f.Counts(t)["ssh"]; got != len(questions) {
		t.Errorf("%d ssh processes were counted, want %d", got, len(questions))
	}
	if last := f.Commands(t)[len(questions)-1]; last[len(last)-1] != questions[len(questions)-1].command {
		t.Errorf("the last command was recorded as %q", last)
	}
	n.WaitConnections(t, 0)
	if made, _ := n.Connections(); made != len(questions) {
		t.Errorf("%d connections were made, want %d", made, len(questions))
	}
	// A node's web servers have another address than its sshd.
	if addresses, err := net.LookupHost(n.PublicName); err != nil || len(addresses) != 1 || addresses[0] != n.PublicAddress || n.PublicAddress == n.Address {
		t.Errorf("%s is at %v (%v), want %s", n.PublicName, addresses, err, n.PublicAddress)
	}
	if server, err := net.Listen("tcp", n.PublicAddress+":443"); err != nil {
		t.Error(err)
	} else {
		server.Close()
	}
	// A change to one node does not affect the others.
	if _, err := n.Exec("touch", "/etc/here", "/usr/bin/here"); err != nil {
		t.Error(err)
	}
	for _, file := range []string{"/etc/here", "/usr/bin/here", f.Nodes[1].Path("/etc/here")} {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("%s is there", file)
		}
	}
}

// While programs start, their recorded command lines are complete, even long ones.
func TestCommandsAtStart(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1})
	long := slices.Repeat([]string{strings.Repeat("x", 200)}, 500)
	const runs = 20
	done := make(chan struct{})
	var ended atomic.Int32
	go func() {
		defer close(done)
		for range runs {
			_, _ = run(t, f, append([]string{"git", "--version"}, long...)...)
			ended.Add(1)
		}
	}()
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
		}
		before := int(ended.Load())
		all := f.Commands(t)
		if len(all) < before {
			t.Fatalf("%d commands are recorded, and %d have ended", len(all), before)
		}
		for _, argv := range all {
			if !slices.Equal(argv[2:], long) {
				t.Fatalf("the journal has the command %.100q", argv)
			}
		}
	}
	if n := f.Counts(t)["git"]; n != runs {
		t.Errorf("%d commands are recorded, want %d", n, runs)
	}
}

// The provider has the files that the tools read, and its specification is the one that
// deploy-rs gets.
func TestProvider(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 2})
	p := f.Provider
	document, err := os.ReadFile(filepath.Join(p.Dir, "generated", "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.DecodeDocument(document); err != nil {
		t.Error(err)
	}
	if err := plan.CheckFresh(document, p.State); err != nil {
		t.Error(err)
	}
	var nodes map[string]struct {
		Hostname      string
		SSHOpts       []string
		ProfilesOrder []string
		Profiles      map[string]struct{ Path, User, SSHUser, ProfilePath, TempPath string }
	}
	if err := json.Unmarshal([]byte(f.Nix(t, "nix", "eval", "--json", ".#deploy.nodes")), &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 2 {
		t.Fatalf("want two nodes: %+v", nodes)
	}
	for _, n := range f.Nodes {
		node, want := nodes[n.Name], n.Deploy()
		if node.Hostname != n.Address || len(node.SSHOpts) == 0 || len(node.ProfilesOrder) != 3 || len(want.Profiles) != 3 {
			t.Errorf("%s is %+v, and %+v", n.Name, node, want)
		}
		for _, profile := range want.Profiles {
			got := node.Profiles[profile.Name]
			if got.User != profile.User || got.SSHUser != want.User || got.ProfilePath != profile.Link || got.TempPath != profile.Temp {
				t.Errorf("%s is %+v, and %+v", profile.Key(), got, profile)
			}
		}
	}
	// A new version changes only the named profiles.
	before := p.Build(t)
	p.SetVersion(t, "2", "n1/system")
	after := p.Build(t)
	for profile := range before {
		if changed := before[profile] != after[profile]; changed != (profile == "n1/system") {
			t.Errorf("%s: %s, then %s", profile, before[profile], after[profile])
		}
	}
	p.SetVersion(t, "1")
	if again := p.Paths(t); again["n1/system"] != before["n1/system"] {
		t.Errorf("version 1 was %s, and is %s", before["n1/system"], again["n1/system"])
	}
	// A new plan keeps the UIDs.
	users := f.Nodes[0].Users()
	p.Replan(t, func(inventory map[string]any) {
		inventory["provider"].(map[string]any)["placement"].(map[string]any)["acme__s1e1"] = "n2"
	})
	moved := p.Plan.Environments[users[0]]
	if moved.Node != "n2" || p.State.Entries[users[0]].UID != f.Nodes[0].Deploy().Profiles[1].UID {
		t.Errorf("the environment moved to %+v", moved)
	}
}

// The node's Nix checks signatures, for any version of Nix on the deploying machine.
func TestSignatures(t *testing.T) {
	for _, nix := range testenv.NixBinaries(t) {
		t.Run(strings.ReplaceAll(strings.Trim(nix, "/"), "/", "-"), func(t *testing.T) {
			f := fleet.Start(t, fleet.Options{Nodes: 2, Nix: nix})
			n, other := f.Nodes[0], f.Nodes[1]
			path := f.Provider.Build(t)["n1/system"]
			for _, flags := range [][]string{nil, {"--no-check-sigs"}} {
				out, err := push(t, f, n, append(flags, path)...)
				if err == nil || n.Has(path) {
					t.Errorf("an unsigned path was taken")
				}
				mustContain(t, out, "lacks a")
			}
			sign(t, f, path)
			if out, err := push(t, f, n, path); err != nil || !n.Has(path) {
				t.Fatalf("a signed path was refused: %v\n%s", err, out)
			}
			if other.Has(path) {
				t.Error("another node has it too")
			}
			other.Trust(t)
			if out, err := push(t, f, other, path); err == nil {
				t.Errorf("a signature of a key that is not trusted did: %s", out)
			}
			other.TrustDeployUser(t)
			if out, err := push(t, f, other, "--no-check-sigs", path); err != nil {
				t.Errorf("the deploy user is not trusted: %v\n%s", err, out)
			}
		})
	}
}

// The deploy user can run activate-rs as the owner of the profile, and no other
// program. The test uses the stand-in and, if it is installed, deploy-rs's own.
func TestActivate(t *testing.T) {
	programs := map[string]string{"stand-in": ""}
	if dir := testenv.Find("deploy-rs"); dir != "" {
		programs["deploy-rs"] = filepath.Join(dir, "activate")
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 2, Deployed: true, ActivateRS: program})
			n := f.Nodes[0]
			before := n.Active(t, "system")
			f.Provider.SetVersion(t, "2")
			paths := f.Provider.Build(t)
			all := []string{}
			for _, path := range paths {
				all = append(all, path)
			}
			sign(t, f, all...)
			if out, err := push(t, f, n, all...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			activate := func(p deploy.Profile, as string, flags ...string) (string, error) {
				path := paths[p.Key()]
				return ssh(t, f, n, strings.Join(append([]string{"sudo -n -u", as, path + "/activate-rs activate", path,
					"--profile-path", p.Link, "--temp-path", p.Temp, "--confirm-timeout 30"}, flags...), " "))
			}
			profiles := n.Deploy().Profiles
			system, first, second := profiles[0], profiles[1], profiles[2]
			for _, p := range []deploy.Profile{system, first} {
				if out, err := activate(p, p.User, "--dry-activate"); err != nil || n.Activated(t, p.Name, paths[p.Key()]) != 0 {
					t.Errorf("%v: %s", err, out)
				}
				if out, err := activate(p, p.User, "--auto-rollback"); err != nil {
					t.Errorf("%v: %s", err, out)
				}
				if n.Active(t, p.Name) != paths[p.Key()] || n.Activated(t, p.Name, paths[p.Key()]) != 1 {
					t.Errorf("%s: active is %s after %+v", p.Key(), n.Active(t, p.Name), n.Activations(t, p.Name))
				}
				for _, a := range n.Activations(t, p.Name) {
					if a.User != p.User || !a.Ended || a.Status != 0 {
						t.Errorf("%s: %+v", p.Key(), a)
					}
				}
			}
			for _, as := range []string{"root", first.User} {
				if out, err := activate(second, as); err == nil || !strings.Contains(out, "a password is required") {
					t.Errorf("as %s: %v: %s", as, err, out)
				}
			}
			if len(n.Activations(t, second.Name)) != 0 {
				t.Error("the other environment was activated")
			}
			// A failure rolls back: the previously active profile is activated again.
			n.OnActivation(t, second.Name, fleet.Behaviour{Fail: 7})
			old := n.Active(t, second.Name)
			if out, err := activate(second, second.User, "--auto-rollback"); err == nil {
				t.Errorf("it did not fail: %s", out)
			}
			if got := n.Activations(t, second.Name); n.Active(t, second.Name) != old || len(got) != 2 || got[0].Status != 7 || got[1].Path != old {
				t.Errorf("active is %s after %+v", n.Active(t, second.Name), got)
			}
			// Set the system back by its path, as a restore does.
			if out, err := ssh(t, f, n, "sudo -n nix-env -p "+system.Link+" --set "+before+" && sudo -n "+before+"/bin/switch-to-configuration switch"); err != nil || n.Active(t, "system") != before {
				t.Errorf("%v: %s", err, out)
			}
			if got := n.Activations(t, "system"); got[len(got)-1].Path != before {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The node waits for the canary, and it is confirmed as by deploy-rs.
func TestMagicRollback(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1, Deployed: true})
	n := f.Nodes[0]
	p := n.Deploy().Profiles[1]
	path := n.Active(t, p.Name)
	var activated error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, activated = ssh(t, f, n, "sudo -n -u "+p.User+" "+path+"/activate-rs activate "+path+" --profile-path "+p.Link+" --temp-path "+p.Temp+" --confirm-timeout 600 --magic-rollback --auto-rollback")
	}()
	out, err := ssh(t, f, n, "sudo -n -u "+p.User+" "+path+"/activate-rs wait "+path+" --temp-path "+p.Temp)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	hash, _, _ := strings.Cut(filepath.Base(path), "-")
	if out, err := ssh(t, f, n, "sudo -n -u "+p.User+" rm "+p.Temp+"/deploy-rs-canary-"+hash); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if <-done; activated != nil || n.Active(t, p.Name) != path {
		t.Error(activated)
	}
}

func TestBehaviour(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1, Deployed: true})
	n := f.Nodes[0]
	user := n.Users()[0]
	path := n.Active(t, user)
	n.OnActivation(t, user, fleet.Behaviour{Block: true, Print: 3, Fail: 4})
	cmd := exec.CommandContext(t.Context(), "ssh", append(sshOptions(t, f), n.Name, "sudo -n -u "+user+" "+path+"/activate-rs activate "+path+" --profile-path "+n.Deploy().Profiles[1].Link+" --temp-path "+n.Deploy().Profiles[1].Temp+" --confirm-timeout 30")...)
	cmd.Env = f.Env()
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if a := n.WaitBlocked(t, user); a.Path != path || a.Ended {
		t.Errorf("%+v", a)
	}
	activating := 0
	for _, line := range n.Processes(t) {
		if strings.Contains(line, "activate-rs activate "+path) {
			activating++
		}
	}
	if activating == 0 {
		t.Errorf("no process activates among %v", n.Processes(t))
	}
	n.OnActivation(t, user, fleet.Behaviour{Fail: 5})
	if a := n.WaitEnded(t, user); a.Status != 5 {
		t.Errorf("%+v", a)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the failure was not told")
	}
	if strings.Count(out.String(), "an activation with much output") != 3 {
		t.Error(out.String())
	}
	if len(n.Activations(t, user)) != 1 || n.Activated(t, user, path) != 1 {
		t.Errorf("%+v", n.Activations(t, user))
	}
}

func TestReset(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1, Environments: 1, Deployed: true})
	n := f.Nodes[0]
	user := n.Users()[0]
	old := f.Provider.Paths(t)
	f.Provider.SetVersion(t, "2")
	paths := f.Provider.Build(t)
	n.Receive(t, paths["n1/system"], paths["n1/"+user])
	for _, profile := range n.Profiles() {
		if err := n.Activate(profile, paths["n1/"+profile]); err != nil {
			t.Fatal(err)
		}
		if g := n.Generations(t, profile); len(g) != 2 || g["1"] != old["n1/"+profile] || g["2"] != paths["n1/"+profile] {
			t.Errorf("generations of %s are %v", profile, g)
		}
	}
	if out, err := run(t, f, "nix", "--version"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	f.Reset(t, map[string]string{"n1/" + user: old["n1/"+user]})
	if n.Active(t, "system") != "" || n.Active(t, user) != old["n1/"+user] || len(n.Generations(t, user)) != 1 || len(f.Commands(t)) != 0 {
		t.Errorf("active are %q and %q, generations %v, commands %q", n.Active(t, "system"), n.Active(t, user), n.Generations(t, user), f.Commands(t))
	}
	// Nix accepts the profile as its own.
	if err := n.Activate(user, paths["n1/"+user]); err != nil || len(n.Generations(t, user)) != 2 {
		t.Errorf("%v, generations %v", err, n.Generations(t, user))
	}
	if _, err := n.ExecAs(user, "nix-env", "-p", "/nix/var/nix/profiles/per-user/"+user+"/hostenv", "--rollback"); err != nil || n.Active(t, user) != old["n1/"+user] {
		t.Errorf("%v, active is %s", err, n.Active(t, user))
	}
}

// A node can build its own profiles, and then needs no signature.
func TestRemoteBuild(t *testing.T) {
	f := fleet.Start(t, fleet.Options{Nodes: 1})
	n := f.Nodes[0]
	path := f.Provider.Paths(t)["n1/system"]
	derivation := f.Nix(t, "nix", "eval", "--raw", ".#deploy.nodes.n1.profiles.system.path", "--apply", "path: builtins.head (builtins.attrNames (builtins.getContext path))")
	if out, err := push(t, f, n, "--derivation", derivation); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := ssh(t, f, n, "nix-store --realise "+derivation); err != nil || !n.Has(path) {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("it was built here")
	}
}
