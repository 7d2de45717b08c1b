package endtoend_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// A ground is a fleet that has three versions of every profile: an ancient one,
// the old one, which is active, and the planned one.
type ground struct {
	*world
	n            *fleet.Node // the node with the fault
	user         string      // the user of its environment
	ancient, old map[string]string
	planned      map[string]string
	keys         []string // of all profiles
	fresh        int      // the number of versions made
	real         bool     // whether deploys use deploy-rs itself

	programs string
	options  fleet.Options
	spoiled  bool // whether a case failed, and so may have left anything
}

func newGround(t *testing.T, programs string, options fleet.Options) *ground {
	t.Helper()
	options.Deployed = true
	g := &ground{real: strings.HasSuffix(t.Name(), "/deploy-rs"), programs: programs, options: options}
	g.begin(t)
	return g
}

// begin makes a ground with a fleet of its own.
func (g *ground) begin(t testing.TB) {
	t.Helper()
	g.world = newWorld(t, g.programs, g.options)
	g.spoiled, g.fresh = false, 0
	g.n = g.Nodes[0]
	g.user = g.n.Users()[0]
	g.ancient = g.Provider.Paths(t)
	g.old = g.version("2")
	// Deploy once, so that the state has the nodes and all locks exist.
	g.planned = g.version("3")
	g.wants(g.deploy(), 0)
	g.keys = slices.Sorted(maps.Keys(g.planned))
}

// try runs one case as a test of its own, on a sound ground. It makes a new fleet
// after a case that failed or left something behind, so that cases do not affect
// each other.
func (g *ground) try(name string, do func(t *testing.T)) {
	g.t.Helper()
	whole := g.t.(*testing.T)
	if wrong := g.unsound(); wrong != nil {
		whole.Logf("a new fleet before %q, for %v", name, wrong)
		g.end()
		g.begin(whole)
		if wrong := g.unsound(); wrong != nil {
			whole.Fatalf("a new fleet is not sound: %v", wrong)
		}
	}
	checkout, ok := g.Provider.Dir, false
	ok = whole.Run(name, func(t *testing.T) {
		w := g.world
		w.t = t
		defer func() { w.t, w.Provider.Dir = whole, checkout }()
		g.Reset(t, g.old)
		do(t)
	})
	g.spoiled = !ok
}

// unsound returns an error if a case must not begin on the ground as it is.
func (g *ground) unsound() error {
	if g.spoiled {
		return errors.New("the previous case failed")
	}
	return g.Check()
}

// version plans a version of all profiles that the nodes already have.
func (g *ground) version(version string) map[string]string {
	g.t.Helper()
	g.Provider.SetVersion(g.t, version)
	paths := g.Provider.Build(g.t)
	for _, n := range g.Nodes {
		var own []string
		for _, profile := range n.Profiles() {
			own = append(own, paths[n.Name+"/"+profile])
		}
		n.Receive(g.t, own...)
	}
	return paths
}

func (g *ground) read(name string) []byte {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.Provider.Dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	return data
}

func (g *ground) write(name string, data []byte) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.Provider.Dir, name), data, 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// edit replaces text in a file of the provider, until the undo.
func (g *ground) edit(name, old, with string) (undo func()) {
	g.t.Helper()
	text := g.read(name)
	if !strings.Contains(string(text), old) {
		g.t.Fatalf("%s has no %q", name, old)
	}
	g.write(name, []byte(strings.Replace(string(text), old, with, 1)))
	return func() { g.write(name, text) }
}

// onNode writes a file of a node, until the undo.
func (g *ground) onNode(n *fleet.Node, name string, do func()) (undo func()) {
	g.t.Helper()
	file := n.Path(name)
	link, linkErr := os.Readlink(file)
	data, err := []byte(nil), error(nil)
	if linkErr != nil {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil {
		g.t.Fatal(err)
	}
	do()
	return func() {
		err := os.Remove(file)
		if err == nil && linkErr == nil {
			err = os.Symlink(link, file)
		} else if err == nil {
			err = os.WriteFile(file, data, info.Mode().Perm())
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
}

// script makes a program that takes the place of deploy-rs.
func (g *ground) script(text string) string {
	g.t.Helper()
	file := filepath.Join(g.t.TempDir(), "deploy")
	whole := fmt.Sprintf("#!/bin/sh\nif [ -n \"$HOSTENV_TRY_PATH\" ]; then exec %s \"$@\"; fi\n%s\n", g.deployRs, text)
	if err := os.WriteFile(file, []byte(whole), 0o755); err != nil {
		g.t.Fatal(err)
	}
	return file
}

// crash ends all connections and processes of a node except its daemons, as a power
// failure does. The node cannot be reached until StartSSH.
func crash(t testing.TB, n *fleet.Node) {
	n.StopSSH(t)
	pids := []string{"-9"}
	for pid, command := range n.Processes(t) {
		if !strings.Contains(command, "nix-daemon") {
			pids = append(pids, pid)
		}
	}
	// Some processes may have ended meanwhile.
	_, _ = n.Exec(append([]string{"kill"}, pids...)...)
	canaries, _ := filepath.Glob(n.Path("/run/hostenv/deploy") + "/*/deploy-rs-canary-*")
	for _, canary := range canaries { // on a tmpfs
		_ = os.Remove(canary)
	}
}

// A faultCase is a fault on the first node, while a deploy activates its system and
// its environment from the old to the planned path. The system of the other node
// is in sync, so the deploy activates only the environment.
type faultCase struct {
	reason string
	args   []string
	new    bool // the environment was never deployed
	empty  bool // nor was the system deployed
	fresh  bool // the node does not have the planned paths
	fault  func(g *ground) (undo func())
	// during is called while the deploy runs.
	during func(g *ground, p *process)
	code   int
	want   [2]string // states of the system and of the environment; "" for none
	other  string    // of the other node's environment, "active" if empty
	// noRun expects that no run begins.
	noRun bool
	// anew converges by a new run instead of -resume.
	anew    bool
	foreign bool // the environment's link leads to no store path
	// both also tests the case with the real deploy-rs.
	both bool
}

func (g *ground) fails(profile func(g *ground) string, b fleet.Behaviour) func() {
	name := profile(g)
	g.n.OnActivation(g.t, name, b)
	return func() { g.n.OnActivation(g.t, name, fleet.Behaviour{}) }
}

func environment(g *ground) string { return g.user }
func system(*ground) string        { return deploy.SystemProfile }

func failing(profile func(g *ground) string, b fleet.Behaviour) func(g *ground) func() {
	return func(g *ground) func() { return g.fails(profile, b) }
}

func blocked(profile func(g *ground) string) func(g *ground) func() {
	return failing(profile, fleet.Behaviour{Block: true})
}

// whenBlocked calls do in the middle of an activation.
func whenBlocked(profile func(g *ground) string, do func(g *ground, p *process)) func(g *ground, p *process) {
	return func(g *ground, p *process) {
		g.n.WaitBlocked(g.t, profile(g))
		do(g, p)
	}
}

func whenRetrying(do func(g *ground, p *process)) func(g *ground, p *process) {
	return func(g *ground, p *process) {
		if p.until("another attempt", func() bool {
			return slices.ContainsFunc(p.events(), func(e deploy.Event) bool { return e.State == deploy.StateRetrying && e.Node == g.n.Name })
		}) {
			g.t.Errorf("the run ended without another attempt: %s", p.result())
		}
		do(g, p)
	}
}

func goOn(profile func(g *ground) string) func(g *ground, p *process) {
	return func(g *ground, _ *process) { g.n.OnActivation(g.t, profile(g), fleet.Behaviour{}) }
}

func goWrong(profile func(g *ground) string) func(g *ground, p *process) {
	return func(g *ground, _ *process) {
		g.n.OnActivation(g.t, profile(g), fleet.Behaviour{Fail: 7})
		g.n.WaitEnded(g.t, profile(g))
		g.n.OnActivation(g.t, profile(g), fleet.Behaviour{})
	}
}

func steps(all ...func(g *ground, p *process)) func(g *ground, p *process) {
	return func(g *ground, p *process) {
		for _, do := range all {
			do(g, p)
		}
	}
}

func cut(g *ground, _ *process)      { g.n.Cut() }
func powerOff(g *ground, _ *process) { crash(g.t, g.n) }
func powerOn(g *ground, _ *process)  { g.n.StartSSH(g.t) }
func ended(profile func(g *ground) string) func(g *ground, p *process) {
	return func(g *ground, _ *process) { g.n.WaitEnded(g.t, profile(g)) }
}

// stopTwice sends two Ctrl-C, the second after the program reacts to the first.
func stopTwice(g *ground, p *process) {
	p.signal(syscall.SIGINT)
	p.until("the answer to a first Ctrl-C", func() bool { return strings.Contains(p.result().stderr, "interrupted") })
	p.signal(syscall.SIGINT)
}

func none(*ground) func() { return func() {} }

var (
	bothActive  = [2]string{"active", "active"}
	systemFails = [2]string{"failed", "skipped"}
	envFails    = [2]string{"active", "failed"}
	refused     = [2]string{}
)

func faultCases() []faultCase {
	refuses := func(reason string, code int, fault func(g *ground) func(), args ...string) faultCase {
		return faultCase{reason: reason, code: code, fault: fault, args: args}
	}
	account := func(change func(g *ground)) func(g *ground) func() {
		return func(g *ground) func() {
			uid := g.n.Deploy().Profiles[1].UID
			change(g)
			return func() { g.n.AddUser(g.t, g.user, uid) }
		}
	}
	return []faultCase{
		refuses("unreachable, refused", 1, func(g *ground) func() { g.n.StopSSH(g.t); return func() { g.n.StartSSH(g.t) } }),
		{reason: "unreachable, silent", code: 1, anew: true, fault: func(g *ground) func() {
			g.sshOpts("-o", "ConnectTimeout=3") // so that a connection fails soon
			g.n.Blackhole(g.t)
			return func() { g.n.Thaw(g.t); g.sshOpts() }
		}},
		{reason: "unreachable, and left out", args: []string{"-skipOffline"}, code: 3, want: [2]string{"unreachable", "unreachable"},
			fault: func(g *ground) func() { g.n.StopSSH(g.t); return func() { g.n.StartSSH(g.t) } }},
		refuses("another host key", 1, func(g *ground) func() {
			var undo []func()
			for _, name := range []string{"/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"} {
				undo = append(undo, g.onNode(g.n, name, func() {}))
			}
			key := g.n.HostKey
			g.n.ChangeHostKey(g.t)
			return func() {
				for _, u := range undo {
					u()
				}
				g.n.HostKey = key
				g.n.StopSSH(g.t)
				g.n.StartSSH(g.t)
			}
		}),
		{reason: "the link is cut in mid-copy", fresh: true, code: 3, want: [2]string{"failed", "failed"}, both: true,
			fault: func(g *ground) func() { g.n.CutAfter(300 << 10); return func() { g.n.CutAfter(0) } }},
		{reason: "the link is cut in mid-copy, once", fresh: true, code: 0, want: bothActive,
			fault:  func(g *ground) func() { g.n.CutAfter(300 << 10); return func() { g.n.CutAfter(0) } },
			during: whenRetrying(func(g *ground, _ *process) { g.n.CutAfter(0) })},
		{reason: "the node's sshd starts late", code: 0, want: bothActive,
			fault:  func(g *ground) func() { g.n.StopSSH(g.t); return func() {} },
			during: whenRetrying(func(g *ground, _ *process) { g.n.StartSSH(g.t) })},
		{reason: "the disk is full", fresh: true, code: 3, want: [2]string{"failed", "failed"},
			fault: func(g *ground) func() { g.n.FillDisk(g.t, 300<<10); return func() { g.n.FreeDisk(g.t) } }},
		{reason: "frozen in mid-activation, and thawed", code: 0, want: bothActive, both: true, fault: blocked(environment),
			during: whenBlocked(environment, steps(func(g *ground, _ *process) { g.n.Freeze() }, goOn(environment), ended(environment), func(g *ground, _ *process) { g.n.Thaw(g.t) }))},
		// The new path is active, even though the process that waited for it is gone.
		{reason: "cut in mid-activation", code: 0, want: bothActive, both: true, fault: blocked(environment), during: whenBlocked(environment, steps(cut, goOn(environment)))},
		{reason: "cut in an activation that fails", code: 3, want: envFails, both: true, fault: blocked(environment), during: whenBlocked(environment, steps(cut, goWrong(environment)))},
		{reason: "cut in a first activation that fails", new: true, code: 3, want: envFails, fault: blocked(environment), during: whenBlocked(environment, steps(cut, goWrong(environment)))},
		{reason: "cut in the first activation", new: true, code: 0, want: bothActive, fault: blocked(environment), during: whenBlocked(environment, steps(cut, goOn(environment)))},
		{reason: "cut while the system is activated", code: 0, want: bothActive, fault: blocked(system), during: whenBlocked(system, steps(cut, goOn(system)))},
		{reason: "cut while much is printed", code: 0, want: bothActive, fault: failing(environment, fleet.Behaviour{Print: 20000, Block: true}),
			during: func(g *ground, p *process) {
				p.until("an activation", func() bool { return len(g.n.Activations(g.t, g.user)) > 0 })
				g.n.Cut()
				g.n.WaitBlocked(g.t, g.user)
				g.n.OnActivation(g.t, g.user, fleet.Behaviour{})
			}},
		{reason: "the power fails in mid-activation, and returns", code: 3, want: envFails, both: true, fault: blocked(environment),
			during: whenBlocked(environment, steps(powerOff, goOn(environment), powerOn))},
		{reason: "the power fails in the first activation, and returns", new: true, code: 3, want: envFails, fault: blocked(environment),
			during: whenBlocked(environment, steps(powerOff, goOn(environment), powerOn))},
		{reason: "the power fails while the system is activated, and returns", code: 3, want: systemFails, fault: blocked(system),
			during: whenBlocked(system, steps(powerOff, goOn(system), powerOn))},
		{reason: "the power fails in mid-activation, and stays away", code: 130, want: [2]string{"active", "unknown"}, fault: blocked(environment),
			during: whenBlocked(environment, steps(powerOff, goOn(environment), stopTwice, func(_ *ground, p *process) { p.wait() }, powerOn))},
		{reason: "the activation hangs, and is stopped", code: 130, want: [2]string{"active", "unknown"}, both: true, fault: blocked(environment),
			during: whenBlocked(environment, stopTwice)},
		{reason: "the first activation fails", new: true, code: 3, want: envFails, both: true, fault: failing(environment, fleet.Behaviour{Fail: 7})},
		{reason: "an activation fails after a good one", code: 3, want: envFails, both: true, fault: failing(environment, fleet.Behaviour{Fail: 7, Print: 50})},
		{reason: "the system fails", code: 3, want: systemFails, both: true, fault: failing(system, fleet.Behaviour{Fail: 4})},
		{reason: "the system fails the first time", new: true, empty: true, code: 3, want: systemFails, fault: failing(system, fleet.Behaviour{Fail: 4})},
		{reason: "the rollback goes astray", code: 3, want: envFails, both: true, fault: func(g *ground) func() {
			undo := failing(environment, fleet.Behaviour{Fail: 7})(g)
			g.must(g.n.Activate(g.user, g.ancient["n1/"+g.user]))
			// The active path is no longer the newest generation.
			if _, err := g.n.ExecAs(g.user, "nix-env", "-p", "/nix/var/nix/profiles/per-user/"+g.user+"/hostenv", "--rollback"); err != nil {
				g.t.Fatal(err)
			}
			return undo
		}},
		{reason: "the canary of another activation is left", code: 0, want: bothActive, both: true, fault: func(g *ground) func() {
			if _, err := g.n.ExecAs(g.user, "touch", g.canary()); err != nil {
				g.t.Fatal(err)
			}
			return blocked(environment)(g)
		}, during: whenBlocked(environment, steps(func(g *ground, p *process) {
			p.until("the end of the canary", func() bool {
				_, err := os.Lstat(g.n.Path(g.canary()))
				return errors.Is(err, os.ErrNotExist)
			})
		}, goOn(environment)))},
		refuses("the node does not know the key", 1, func(g *ground) func() {
			g.n.Trust(g.t, "other-1:BBBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
			return func() { g.n.Trust(g.t, g.PublicKey) }
		}),
		{reason: "neither flake nor node has the key", code: 1, anew: true, fault: func(g *ground) func() {
			g.n.Trust(g.t, "other-1:BBBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
			g.trusts(nil)
			return func() { g.n.Trust(g.t, g.PublicKey); g.trusts([]any{g.PublicKey}) }
		}},
		{reason: "the plan does not know the key", code: 1, anew: true, fault: func(g *ground) func() {
			g.n.Trust(g.t, "other-1:BBBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
			g.trusts(nil)
			undo := g.edit("flake.nix", "inherit deploy;", `inherit deploy; lib.hostenvProvider.inventoryWith = _: { provider.nixSigning.trustedPublicKeys = [ "`+g.PublicKey+`" ]; };`)
			return func() { undo(); g.n.Trust(g.t, g.PublicKey); g.trusts([]any{g.PublicKey}) }
		}},
		{reason: "the key is taken back in the midst of it", fresh: true, code: 3, want: [2]string{"failed", "failed"}, fault: none, during: func(g *ground, p *process) {
			p.until("the building", func() bool { return g.entered(p, deploy.StateBuilding) })
			g.n.Trust(g.t, "other-1:BBBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
			p.wait()
			g.n.Trust(g.t, g.PublicKey)
		}},
		refuses("the UID is another's", 1, func(g *ground) func() {
			uid := g.n.Deploy().Profiles[1].UID
			g.n.RemoveUser(g.t, g.user)
			g.n.AddUser(g.t, "bob", uid)
			return func() { g.n.RemoveUser(g.t, "bob"); g.n.AddUser(g.t, g.user, uid) }
		}),
		refuses("the UID differs", 1, account(func(g *ground) { g.n.AddUser(g.t, g.user, 45000) })),
		{reason: "the user is missing, and the system is excluded", new: true, code: 1, fault: account(func(g *ground) { g.n.RemoveUser(g.t, g.user) }), args: []string{"-exclude=system"}, anew: true},
		{reason: "the user is missing, and the system does not create it", new: true, code: 3, want: envFails, fault: account(func(g *ground) { g.n.RemoveUser(g.t, g.user) })},
		refuses("the temporary folder is open", 1, func(g *ground) func() {
			g.n.OpenTemp(g.t, deploy.SystemProfile)
			return func() { g.must(os.Chmod(g.n.Path("/run/hostenv/deploy"), 0o711)) }
		}),
		refuses("the temporary folder is missing", 1, func(g *ground) func() {
			undo := g.n.Path("/run/hostenv/deploy")
			g.must(os.Rename(undo, undo+".away"))
			return func() { g.must(os.Rename(undo+".away", undo)) }
		}),
		refuses("no NixOS", 1, func(g *ground) func() { return g.onNode(g.n, "/etc/os-release", func() { g.n.OtherOS(g.t) }) }),
		refuses("no Nix", 1, func(g *ground) func() {
			return g.onNode(g.n, "/run/current-system/sw/bin/nix", func() { g.n.Program(g.t, "nix", "#!/bin/sh\nexit 127\n") })
		}),
		{reason: "processes are hidden", code: 0, want: bothActive, fault: func(g *ground) func() {
			g.n.HidePID(g.t)
			return func() {
				_, err := g.n.Exec("/usr/bin/mount", "-o", "remount,hidepid=0", "/proc")
				g.must(err)
			}
		}},
		{reason: "the link leads to no store path", foreign: true, code: 1, fault: func(g *ground) func() {
			link := g.n.Path("/nix/var/nix/profiles/per-user/" + g.user + "/hostenv")
			to, err := os.Readlink(link)
			g.must(err)
			g.must(os.Remove(link))
			g.must(os.Symlink("/etc/passwd", link))
			return func() { g.must(os.Remove(link)); g.must(os.Symlink(to, link)) }
		}},
		refuses("another deploy has the node", 5, func(g *ground) func() {
			free, ok := takeLock(g.t, g.n)
			if !ok {
				g.t.Fatal("the lock is held")
			}
			return free
		}),
		{reason: "an environment cannot be evaluated", code: 3, want: envFails, fault: func(g *ground) func() {
			return g.edit("flake.nix", "(user: environment: base {", `(user: environment: if user == "`+g.user+`" then throw "the customer is wrong" else base {`)
		}},
		{reason: "an environment cannot be built", code: 3, want: envFails, both: true, fault: func(g *ground) func() {
			return g.edit("flake.nix", `program = "activate";`, `program = if user == "`+g.user+`" then "no/such/folder" else "activate";`)
		}},
		{reason: "the system cannot be built", code: 3, want: systemFails, fault: func(g *ground) func() {
			return g.edit("flake.nix", `program = "switch-to-configuration";`, `program = if node == "n1" then "no/such/folder" else "switch-to-configuration";`)
		}},
		{reason: "there is no deploy-rs", args: []string{"-deployRs=/nowhere/deploy"}, code: 3, want: systemFails, other: "failed", fault: none},
		{reason: "deploy-rs does nothing", args: []string{"-deployRs=script:exit 0"}, code: 3, want: systemFails, other: "failed", fault: none},
		{reason: "deploy-rs fails after a success", args: []string{"-deployRs=script:$deploy \"$@\"; exit 1"}, code: 0, want: bothActive, fault: none},
		{reason: "deploy-rs does not say that it failed", args: []string{"-deployRs=script:$deploy \"$@\"; exit 0"}, code: 3, want: envFails, fault: failing(environment, fleet.Behaviour{Fail: 7})},
		{reason: "deploy-rs dies", args: []string{"-deployRs=script:kill -9 $$"}, code: 3, want: systemFails, other: "failed", fault: none},
		{reason: "no signing key", code: 1, noRun: true, fault: func(g *ground) func() {
			away := g.SigningKey + ".away"
			g.must(os.Rename(g.SigningKey, away))
			g.must(os.WriteFile(g.SigningKey, []byte("nonsense"), 0o600))
			return func() { g.must(os.Rename(away, g.SigningKey)) }
		}},
		{reason: "the plan is older than the state", code: 4, noRun: true, anew: true, fault: func(g *ground) func() {
			return g.edit("generated/state.json", `"node": "n1"`, `"node": "n2"`)
		}},
		{reason: "the plan has bad names", code: 1, noRun: true, anew: true, fault: func(g *ground) func() {
			return g.edit("generated/plan.json", g.n.Address, "$(reboot)")
		}},
		{reason: "the environment does not work", code: 3, want: bothActive, anew: true, fault: func(g *ground) func() {
			g.verified(map[string]any{"enable": true, "enforce": true, "checks": []any{map[string]any{
				"name":        "home",
				"request":     map[string]any{"virtualHost": g.user + "." + fleet.Domain, "path": "/", "timeoutSeconds": 2},
				"constraints": map[string]any{"minHttpStatus": 200, "maxHttpStatus": 299},
			}}})
			return func() { g.verified(nil) }
		}},
	}
}

func (g *ground) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// canary returns the canary of the environment's planned path.
func (g *ground) canary() string {
	hash := strings.TrimPrefix(g.planned["n1/"+g.user], "/nix/store/")[:32]
	return "/run/hostenv/deploy/" + g.user + "/deploy-rs-canary-" + hash
}

// entered reports whether a profile of the node reached a state.
func (g *ground) entered(p *process, state deploy.State) bool {
	return slices.ContainsFunc(p.events(), func(e deploy.Event) bool { return e.Node == g.n.Name && e.State == state })
}

// sshOpts plans ssh options for the node.
func (g *ground) sshOpts(options ...any) {
	g.t.Helper()
	g.Provider.Replan(g.t, func(all map[string]any) {
		n := all["provider"].(map[string]any)["nodes"].(map[string]any)[g.n.Name].(map[string]any)
		delete(n, "sshOpts")
		if len(options) > 0 {
			n["sshOpts"] = options
		}
	})
}

// trusts plans the keys that the node trusts.
func (g *ground) trusts(keys []any) {
	g.t.Helper()
	if keys == nil {
		keys = []any{}
	}
	g.Provider.Replan(g.t, func(all map[string]any) {
		all["provider"].(map[string]any)["nixSigning"] = map[string]any{"trustedPublicKeys": keys}
	})
}

// verified plans the checks of the environment after its activation.
func (g *ground) verified(what map[string]any) {
	g.t.Helper()
	g.Provider.Replan(g.t, func(all map[string]any) {
		e := all["projects"].(map[string]any)["acme__s1e1"].(map[string]any)["environments"].(map[string]any)["main"].(map[string]any)
		delete(e, "deploymentVerification")
		if what != nil {
			e["deploymentVerification"] = what
		}
	})
}

// After each fault, every report agrees with the nodes. Once the fault is repaired a
// deploy converges, and does not activate a good version again.
func TestReportsAreTrue(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		g := newGround(t, programs, fleet.Options{Nodes: 2, Environments: 1, Payload: 512 << 10})
		cases := 0
		for _, c := range faultCases() {
			if g.real && !c.both {
				continue
			}
			cases++
			g.try(c.reason, func(t *testing.T) {
				began := time.Now()
				g.fault(c)
				t.Logf("%.1f s", time.Since(began).Seconds())
			})
		}
		t.Logf("%d cases", cases)
	})
}

// A run records in the plan what it deployed. The plan still belongs to the run:
// -resume deploys the rest.
func TestResumesTheVeryFirst(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 1})
	n, user := w.Nodes[0], w.Nodes[0].Users()[0]
	paths := w.Provider.Paths(t)
	n.OnActivation(t, user, fleet.Behaviour{Fail: 1})
	w.agrees(w.wants(w.deploy(), deploy.ExitPartial), paths)
	n.OnActivation(t, user, fleet.Behaviour{})
	w.agrees(w.wants(w.deploy("-resume"), 0), paths)
	w.statusAgrees(paths)
	if got := n.Activated(t, user, paths[n.Name+"/"+user]); got != 2 {
		t.Errorf("%s was activated %d times", user, got)
	}
	for _, n := range w.Nodes {
		if got := w.deployedNode(n.Users()[0]); got != n.Name {
			t.Errorf("the state has %s on %q", n.Users()[0], got)
		}
	}
}

func (g *ground) fault(c faultCase) {
	g.t.Helper()
	system, env, other := "n1/"+deploy.SystemProfile, "n1/"+g.user, "n2/"+g.Nodes[1].Users()[0]
	was := maps.Clone(g.old)
	was["n2/system"] = g.planned["n2/system"]
	if c.want == refused { // one accepted profile is enough to begin a run
		was[system], was[other] = g.planned[system], g.planned[other]
	}
	if c.new {
		delete(was, env)
	}
	if c.empty {
		delete(was, system)
	}
	g.Reset(g.t, was)
	planned := g.planned
	if c.fresh {
		g.fresh++
		for _, key := range []string{system, env} {
			g.Provider.SetVersion(g.t, fmt.Sprintf("4.%d", g.fresh), key)
		}
		planned = g.Provider.Paths(g.t)
		defer g.Provider.SetVersion(g.t, "3", system, env)
	}
	args := []string{}
	program := g.deployRs
	for _, arg := range c.args {
		if text, ok := strings.CutPrefix(arg, "-deployRs=script:"); ok {
			program = g.script(strings.ReplaceAll(text, "$deploy", g.deployRs))
		} else if path, ok := strings.CutPrefix(arg, "-deployRs="); ok {
			program = path
		} else {
			args = append(args, arg)
		}
	}

	undo := c.fault(g)
	run, _ := g.newest()
	faulty := maps.Clone(planned)
	switch {
	case strings.HasSuffix(c.reason, "cannot be evaluated"):
		faulty[env] = ""
	case strings.HasSuffix(c.reason, "cannot be built"):
		faulty = g.Provider.Paths(g.t)
	}
	p := g.start(append([]string{"deploy", "-deployRs=" + program}, args...)...)
	if c.during != nil {
		c.during(g, p)
	}
	r := p.wait()
	if r.code != c.code {
		g.t.Errorf("want exit code %d, got %s", c.code, r)
	}
	var but []string
	if c.foreign {
		but = []string{env}
	}
	first := g.truth(but...)
	got := map[string]string{}
	if c.noRun {
		if now, _ := g.newest(); now != run && g.outcome().Profiles != nil {
			g.t.Errorf("a run began: %s", r)
		}
	} else {
		o := g.agrees(r, faulty, but...)
		g.statusAgrees(faulty, but...)
		for _, p := range o.Profiles {
			got[p.Node+"/"+p.Profile] = string(p.State)
		}
	}
	want := map[string]string{}
	if c.want != refused {
		want = map[string]string{system: c.want[0], env: c.want[1], "n2/system": "in-sync", other: "active"}
		if c.other != "" {
			want[other] = c.other
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("states (-want +got) %s\n%s", diff, r)
	}
	// Every profile is where it was, or at the plan. A profile that is not reported as
	// changed is where it was.
	for key, at := range first {
		switch {
		case at == faulty[key] && at != "" && (got[key] == "active" || got[key] == "in-sync" || got[key] == "unknown"):
		case at == faulty[key] && c.empty && key == system: // there is no earlier system
		case at == was[key]:
		default:
			g.t.Errorf("%s is at %q after %s, and was at %q", key, at, got[key], was[key])
		}
	}
	before := g.counts(planned)
	for key, count := range before {
		if touched := got[key] == "active" || got[key] == "failed" || got[key] == "unknown"; !touched && count > 0 {
			g.t.Errorf("%s is %q, and was activated %d times", key, got[key], count)
		}
	}

	// The fault is repaired.
	undo()
	g.n.OnActivation(g.t, g.user, fleet.Behaviour{})
	g.n.OnActivation(g.t, deploy.SystemProfile, fleet.Behaviour{})
	how := []string{"-resume", "-lockWait=1h"}
	if c.anew || c.noRun || c.code == 0 {
		how = []string{"-lockWait=1h"}
	}
	second := g.deploy(how...)
	if second.code != 0 {
		g.t.Fatalf("the deploy does not converge: %s\nafter %s", second, r)
	}
	o := g.agrees(second, planned)
	for _, key := range g.keys {
		if at := g.truth()[key]; at != planned[key] {
			g.t.Errorf("%s is at %q, want the planned %q", key, at, planned[key])
		}
	}
	after := g.counts(planned)
	for _, p := range o.Profiles {
		key := p.Node + "/" + p.Profile
		good := got[key] == "active" || got[key] == "in-sync"
		if good && after[key] != before[key] {
			g.t.Errorf("%s was good, but was activated again", key)
		}
		// One activation that failed or was lost, and one that succeeded.
		if most := 2; after[key] > most || after[key] > 1 && got[key] != "failed" && got[key] != "unknown" {
			g.t.Errorf("%s was activated %d times", key, after[key])
		}
	}
}
