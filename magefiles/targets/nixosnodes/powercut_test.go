package nixosnodes_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

var powerSeed = flag.Uint64("seed", 0, "of the moments at which TestPowerCuts cuts the power; 0 takes the time")

// Deploys take a node from one version to another and back. At random moments its
// power is cut, and sometimes the operator's program is killed with it. After each
// cut the node starts, with each profile whole and at one of the two versions, and
// runs what its profile has. A deploy that survives reports what the node has. One
// more deploy then brings the node to the version.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	const cuts = 20
	seed := *powerSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("moments of -seed=%d", seed)
	p := powercuts{labTest: begin(t, "node-a"), random: rand.New(rand.NewPCG(seed, 0))}
	p.node = p.Node("node-a")
	// ssh gives up soon on a node that is off.
	p.Provider.Set(t, "nodes", fmt.Sprintf(`{ node-a = { system = "x86_64-linux"; hostKey = %q; sshOpts = [ "-o" "ServerAliveInterval=1" ]; }; }`, p.node.HostKey))
	for i, name := range []string{"one", "two"} {
		p.Provider.Add(t, overHTTP("acme", "shop", name))
		p.machine(p.node, fmt.Sprintf(`systemd.services.version = { wantedBy = [ "multi-user.target" ]; serviceConfig = { Type = "oneshot"; RemainAfterExit = true; }; script = "echo %s"; };`, name))
		p.mage(0, "plan")
		p.pointAll()
		p.mage(0, "deploy")
		p.user = p.labTest.user("acme", "shop")
		p.Operator.Run(t, "git", "commit", "--quiet", "--all", "--message", "version "+name)
		p.Operator.Run(t, "git", "branch", name)
		p.versions[i] = version{name, map[string]string{"system": p.node.Profile(t, "system"), p.user: p.node.Profile(t, p.user)}}
	}
	begun := time.Now()
	for cut := range cuts {
		p.cut(cut + 1)
	}
	p.wait()
	t.Logf("%d power cuts took %s", cuts, time.Since(begun).Round(time.Second))

	p.begin("deploy")
	if code := p.wait(); code != 0 {
		t.Fatalf("the deploy after all power cuts ended with %d", code)
	}
	for name, path := range p.versions[p.to].paths {
		if now := p.node.Profile(t, name); now != path {
			t.Errorf("%s is at %s in the end, not at %s", name, now, path)
		}
	}
	p.serves("http://"+p.host("acme", "shop")+"/", p.versions[p.to].name)
	p.mage(0, "status")
}

// A version is a set of paths that the node's profiles can have.
type version struct {
	name  string
	paths map[string]string
}

type powercuts struct {
	*labTest
	random   *rand.Rand
	node     *nixosnode.Node
	user     string
	versions [2]version
	to       int // the version that is deployed

	deploy *nixosnode.Process // nil while none runs
	runs   int                // the number of runs before it
}

// cut cuts the power once: a random while after a random event of a deploy.
func (p *powercuts) cut(number int) {
	p.t.Helper()
	if p.deploy != nil && p.ended() {
		p.wait()
	}
	if p.deploy == nil {
		p.next()
	}
	seen := len(p.events())
	// With two profiles a deploy has 18, of which the push is the tenth; one that
	// outlived a cut has a few more.
	event := 8 + p.random.IntN(9)
	if seen > 0 {
		event = p.random.IntN(2)
	}
	while := time.Duration(p.random.Int64N(int64(1500 * time.Millisecond)))
	nixosnode.Eventually(p.t, "an event of the deploy", func() error {
		if n := len(p.events()) - seen; n <= event && !p.ended() {
			return fmt.Errorf("there are %d new events, not %d", n, event+1)
		}
		return nil
	})
	time.Sleep(while)
	last := "nothing yet"
	if events := p.events(); len(events) > 0 {
		e := events[len(events)-1]
		last = strings.TrimSpace(string(e.Type) + " " + e.Profile + " " + string(e.State))
	}
	p.node.PowerCut(p.t)
	killed := !p.ended() && p.random.IntN(3) == 0
	if killed {
		p.deploy.Signal(syscall.SIGKILL)
		<-p.deploy.Done()
	}
	p.t.Logf("cut %d: %s after %q, the program killed: %v", number, while.Round(time.Millisecond), last, killed)
	// The node stays cut off until the test has checked it.
	p.node.CutOff(p.t)
	p.node.Start(p.t)
	p.node.WaitUp(p.t)
	p.whole()
	p.node.Rejoin(p.t)
	if killed {
		p.deploy = nil
		p.again()
	}
}

// next deploys the other version.
func (p *powercuts) next() {
	p.t.Helper()
	p.to = 1 - p.to
	p.Operator.Run(p.t, "git", "checkout", "--quiet", "--detach", p.versions[p.to].name)
	p.begin("deploy")
}

// again does what an operator does after the program was killed: it starts another
// run, which may resume the one before.
func (p *powercuts) again() {
	p.t.Helper()
	last := deploy.OutcomeOf(p.events())
	if last.Start.Plan != "" && !last.Ended && p.random.IntN(2) == 0 {
		p.begin("deploy", "-resume")
		return
	}
	if p.random.IntN(2) == 0 {
		p.next()
		return
	}
	p.begin("deploy")
}

func (p *powercuts) begin(args ...string) {
	p.t.Helper()
	p.runs = len(p.journals())
	// Wait for what the deploy-rs of a killed run still does. Every other version is older
	// than that of the node.
	p.deploy = p.Operator.Begin(p.t, append(args, "-lockWait=3m", "-allowOlder=power is cut")...)
	if slices.Contains(args, "-resume") {
		p.runs--
	}
}

func (p *powercuts) ended() bool {
	select {
	case <-p.deploy.Done():
		return true
	default:
		return false
	}
}

// wait waits until the deploy ends, and compares its report with the node.
func (p *powercuts) wait() (code int) {
	p.t.Helper()
	if p.deploy == nil {
		return 0
	}
	result := p.deploy.Wait(p.t)
	p.deploy = nil
	if !slices.Contains([]int{deploy.ExitDone, deploy.ExitFailed, deploy.ExitPartial}, result.Code) {
		p.t.Errorf("the deploy ended with an unexpected result: %s", result)
	}
	for _, o := range deploy.OutcomeOf(p.events()).Profiles {
		says := o.Active
		switch o.State {
		case deploy.StateActive, deploy.StateInSync:
			says = o.Want
		case deploy.StateUnknown, deploy.StateUnreachable:
			continue
		default:
		}
		if has := p.node.Profile(p.t, o.Profile); has != says {
			p.t.Errorf("the deploy reports that %s is %s at %s, but the node has %s:\n%s", o.Profile, o.State, says, has, result)
		}
	}
	if result.Code == deploy.ExitDone {
		// Collect garbage, as nodes do every night, so that the next deploy copies paths.
		p.node.Run(p.t, "nix-collect-garbage", "--delete-old")
	}
	return result.Code
}

// whole checks that a node that has just started is in a state that a power cut
// may leave.
func (p *powercuts) whole() {
	p.t.Helper()
	for name := range p.versions[0].paths {
		path := p.node.Profile(p.t, name)
		if path != p.versions[0].paths[name] && path != p.versions[1].paths[name] {
			p.t.Fatalf("%s is at %q, want one of the versions %+v", name, path, p.versions)
		}
		p.node.Run(p.t, "nix-store", "--verify-path", path)
		p.node.Run(p.t, "sh", "-euc", `for path in $(nix-store --query --requisites "$1"); do [ -e "$path" ] || { echo "$path is not there" >&2; exit 1; }; done`, "sh", path)
	}
	// The path that deploy-rs activates has links to NixOS's own files.
	of := p.node.Run(p.t, "readlink", "-f", "/nix/var/nix/profiles/system/activate")
	if runs := p.node.System(p.t); runs != filepath.Dir(of) {
		p.t.Fatalf("the node runs %s, but its profile is %s", runs, of)
	}
	if output, err := p.node.Exec("su", p.user, "-c", "XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user is-active site.service"); err != nil {
		p.t.Fatalf("the environment is not up: %v, %s", err, output)
	}
}

func (p *powercuts) journals() []string {
	files, err := filepath.Glob(p.Operator.Path("/srv/provider/generated/.hostenv/runs/*.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// events returns the events of the deploy, once it has a journal.
func (p *powercuts) events() []deploy.Event {
	files := p.journals()
	if len(files) <= p.runs {
		return nil
	}
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		p.t.Fatal(err)
	}
	var events []deploy.Event
	for line := range strings.Lines(string(text)) {
		var e deploy.Event
		if json.Unmarshal([]byte(line), &e) == nil { // the last line may be incomplete
			events = append(events, e)
		}
	}
	return events
}
