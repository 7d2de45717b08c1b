package state_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// The outcomes of a merge of two branches that both changed state.json.
const (
	conflict  = "conflict"   // git leaves markers, and Decode refuses them
	loadError = "load error" // git merges, and Decode refuses the result
	clean     = "clean"      // git merges, and the result is valid
)

// A fork is a state, and the states of two branches that start from it.
type fork struct{ base, ours, theirs state.State }

// merge merges every fork with git, and returns the outcome and the state of each.
func merge(t *testing.T, forks []fork) (outcomes []string, merged []state.State) {
	git, dir := testenv.Need(t, "git"), t.TempDir()
	run := func(stdin []byte, args ...string) (string, error) {
		cmd := exec.Command(git, append([]string{"-c", "user.name=t", "-c", "user.email=t@host.test", "-c", "merge.conflictStyle=merge"}, args...)...)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(stdin []byte, args ...string) {
		if out, err := run(stdin, args...); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	var stream bytes.Buffer
	commit := func(branch, from string, s state.State) {
		fmt.Fprintf(&stream, "commit refs/heads/%s\ncommitter t <t@host.test> 0 +0000\ndata 0\n", branch)
		if from != "" {
			fmt.Fprintf(&stream, "from refs/heads/%s\n", from)
		}
		fmt.Fprintf(&stream, "M 644 inline state.json\ndata %d\n%s\n", len(s.Encode()), s.Encode())
	}
	for i, f := range forks {
		base := fmt.Sprintf("base%d", i)
		commit(base, "", f.base)
		commit(fmt.Sprintf("ours%d", i), base, f.ours)
		commit(fmt.Sprintf("theirs%d", i), base, f.theirs)
	}
	must(nil, "init", "-q")
	must(stream.Bytes(), "fast-import", "--quiet")
	for i, f := range forks {
		must(nil, "checkout", "-q", "-f", fmt.Sprintf("ours%d", i))
		out, mergeErr := run(nil, "merge", "-q", "--no-edit", fmt.Sprintf("theirs%d", i))
		data, err := os.ReadFile(filepath.Join(dir, "state.json"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := state.Decode(data)
		outcome := clean
		switch {
		case mergeErr != nil && !strings.Contains(out, "CONFLICT"):
			t.Fatalf("git merge: %v\n%s", mergeErr, out)
		case mergeErr != nil:
			outcome = conflict
			if err == nil {
				t.Errorf("fork %d: Decode accepts a file with conflicts:\n%s", i, data)
			}
			hint(t, err)
		case err != nil:
			outcome = loadError
			problems(t, err)
		default:
			f.check(t, i, s)
		}
		outcomes, merged = append(outcomes, outcome), append(merged, s)
	}
	return outcomes, merged
}

// check checks a clean merge: it has each UID of both sides, every UID and name
// has the owner of one side, and a name that both sides leave keeps its owner.
func (f fork) check(t *testing.T, i int, s state.State) {
	bad := func(format string, args ...any) {
		t.Errorf("fork %d: %s\nbase %s\nours %s\ntheirs %s\nmerged %s", i, fmt.Sprintf(format, args...), f.base.Encode(), f.ours.Encode(), f.theirs.Encode(), s.Encode())
	}
	ours, theirs, base := uids(f.ours), uids(f.theirs), uids(f.base)
	holders := map[int]string{}
	for user, uid := range uids(s) {
		if ours[user] != uid && theirs[user] != uid {
			bad("%s has the UID %d on neither side", user, uid)
		}
		if other, ok := holders[uid]; ok {
			bad("%s and %s share the UID %d", user, other, uid)
		}
		holders[uid] = user
	}
	for _, side := range []map[string]int{ours, theirs, base} {
		for user, uid := range side {
			if holders[uid] == "" {
				bad("the UID %d of %s is lost", uid, user)
			}
		}
	}
	if highest := max(f.ours.HighestUID(), f.theirs.HighestUID()); s.HighestUID() != highest {
		bad("the highest UID is %d, and was %d", s.HighestUID(), highest)
	}
	a, b, was := owners(f.ours), owners(f.theirs), owners(f.base)
	for host, user := range owners(s) {
		if a[host] != user && b[host] != user && holders[f.ours.Entries[a[host]].UID] != user && holders[f.theirs.Entries[b[host]].UID] != user {
			bad("%s belongs to %s on neither side", host, user)
		}
	}
	for host, user := range was {
		if got := owners(s)[host]; a[host] == user && b[host] == user && got != user && got != holders[f.base.Entries[user].UID] {
			bad("%s belongs to %s on both sides, and to %q now", host, user, got)
		}
	}
	if err := s.Validate(); err != nil {
		bad("%v", err)
	}
}

// onNode returns c placed on node.
func onNode(node string, c state.Claim) state.Claim {
	c.Node = node
	return c
}

func TestMerge(t *testing.T) {
	main, staging, shop, old := env("acme/site/main", "a.test"), env("acme/site/staging", "b.test"), env("beta/shop/main", "c.test"), env("cond/x/old", "d.test")
	all := []claims{{main, old, shop, staging}, {main, shop, staging}}
	base := planned(t, all...).WithDeployed(map[string]string{"acme-site-main": "n1", "acme-site-staging": "n1", "beta-shop-main": "n1", "cond-x-old": "n1"})
	legacyBase := decode(t, document(entry("acme-site-main", 1002, `"a.test"`), entry("acme-site-staging", 1003, `"b.test"`), entry("beta-shop-main", 1004, `"c.test"`)))
	plan := func(req state.Request) func(state.State) state.State {
		return func(s state.State) state.State { return next(t, s, req).State }
	}
	prune := func(s state.State) state.State {
		s, _, err := s.Prune()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	deployed := func(s state.State) state.State {
		return s.WithDeployed(map[string]string{"acme-site-main": "n2"})
	}
	bare := func(c state.Claim) state.Claim { c.VirtualHosts = nil; return c }
	plus := func(c state.Claim, hosts ...string) state.Claim {
		c.VirtualHosts = append(slices.Clone(c.VirtualHosts), hosts...)
		return c
	}
	newA, newZ := env("acme/aaa/main"), env("zeta/z/main")
	renamed := [2]string{"acme__site/staging", "acme__site/zzz"}
	zzz := env("acme/site/zzz", "b.test")

	tests := []struct {
		reason       string
		base         state.State
		ours, theirs func(state.State) state.State
		want         []string // allowed outcomes
	}{
		{
			"both allocate, for entries far apart in the file: one UID for two users", base,
			plan(request(newA, main, shop, staging)), plan(request(main, shop, staging, newZ)), []string{conflict},
		},
		{
			"both allocate on a state of the legacy generator", legacyBase,
			plan(request(newA, main, shop, staging)), plan(request(main, shop, staging, newZ)), []string{conflict},
		},
		{
			"both allocate in a new state", state.New(),
			plan(request(newA)), plan(request(newZ)), []string{conflict},
		},
		{
			"both allocate the same user: the same bytes", base,
			plan(request(newA, main, shop, staging)), plan(request(newA, main, shop, staging)), []string{clean},
		},
		{
			"both allocate the same user, on different nodes", base,
			plan(request(newA, main, shop, staging)), plan(request(onNode("n2", newA), main, shop, staging)), []string{conflict},
		},
		{
			"both allocate the same user, and one also a second that sorts before it", base,
			plan(request(newZ, main, shop, staging)), plan(request(newA, newZ, main, shop, staging)), []string{conflict},
		},
		{
			"both claim one new name", base,
			plan(request(plus(main, "new.test"), shop, staging)), plan(request(main, plus(shop, "new.test"), staging)), []string{loadError},
		},
		{
			"both claim one new name for the same environment", base,
			plan(request(plus(main, "new.test"), shop, staging)), plan(request(plus(main, "new.test"), shop, staging)), []string{clean},
		},
		{
			"both add names to one environment", base,
			plan(request(plus(main, "a1.test"), shop, staging)), plan(request(plus(main, "a2.test"), shop, staging)), []string{conflict},
		},
		{
			"retire against a move of nodes", base,
			plan(request(main, shop)), plan(request(main, shop, onNode("n2", staging))), []string{clean, conflict},
		},
		{
			"retire against rename", base,
			plan(request(main, shop)), plan(moved(request(main, shop, zzz), renamed)), []string{clean, conflict},
		},
		{
			"retire against a move of its name within the project", base,
			plan(request(main, shop)), plan(request(plus(main, "b.test"), shop, bare(staging))), []string{clean, conflict},
		},
		{
			"prune against revive", base,
			prune, plan(request(main, shop, staging, old)), []string{clean, conflict},
		},
		{
			"prune and a claim of the name against revive", base,
			func(s state.State) state.State { return plan(request(plus(main, "d.test"), shop, staging))(prune(s)) },
			plan(request(main, shop, staging, old)), []string{clean, conflict},
		},
		{
			"prune and a claim of the name against revive with a new name", base,
			func(s state.State) state.State { return plan(request(plus(main, "d.test"), shop, staging))(prune(s)) },
			plan(request(main, shop, staging, plus(old, "d2.test"))), []string{conflict, loadError},
		},
		{
			"allocate against a rename of the newest allocation", base,
			plan(request(main, shop, staging, newZ)), plan(moved(request(main, env("beta/shop/zzz", "c.test"), staging), [2]string{"beta-shop-main", "beta-shop-zzz"})), []string{conflict, clean},
		},
		{
			"allocate against prune", base,
			plan(request(newA, main, shop, staging)), prune, []string{clean},
		},
		{
			"one environment renamed in two ways", base,
			plan(moved(request(main, shop, zzz), renamed)), plan(moved(request(main, shop, env("acme/aaa/main", "b.test")), [2]string{"acme-site-staging", "acme-aaa-main"})), []string{conflict, loadError},
		},
		{
			"rename against a new environment next to the old name in the file", base,
			plan(moved(request(main, shop, zzz), renamed)), plan(request(main, shop, staging, env("acme/site/stb"))), []string{conflict, clean},
		},
		{
			"rename against a move of nodes", base,
			plan(moved(request(main, shop, zzz), renamed)), plan(request(main, shop, onNode("n2", staging))), []string{conflict, clean},
		},
		{
			"transfer against drop", base,
			plan(with(request(bare(main), plus(shop, "a.test"), staging), [3]string{"a.test", "acme-site-main", "beta-shop-main"})),
			plan(request(bare(main), shop, staging)), []string{clean},
		},
		{
			"transfer to one and to another", base,
			plan(with(request(bare(main), plus(shop, "a.test"), staging), [3]string{"a.test", "acme-site-main", "beta-shop-main"})),
			plan(request(bare(main), shop, plus(staging, "a.test"))), []string{loadError},
		},
		{
			"drop against a drop and another's claim of the name", base,
			plan(request(bare(main), shop, staging)),
			func(s state.State) state.State {
				return plan(request(bare(main), plus(shop, "a.test"), staging))(plan(request(bare(main), shop, staging))(s))
			}, []string{clean},
		},
		{
			"deploy against a move of nodes", base,
			deployed, plan(request(onNode("n3", main), shop, staging)), []string{clean, conflict},
		},
		{
			"both adopt a state of the legacy generator", legacyBase,
			plan(request(main, shop, staging)), plan(request(main, shop, staging)), []string{clean},
		},
	}
	forks := make([]fork, len(tests))
	for i, tt := range tests {
		forks[i] = fork{tt.base, tt.ours(tt.base), tt.theirs(tt.base)}
	}
	outcomes, _ := merge(t, forks)
	for i, tt := range tests {
		t.Logf("%-80s %s", tt.reason, outcomes[i])
		if !slices.Contains(tt.want, outcomes[i]) {
			t.Errorf("%s: %s, want %s", tt.reason, outcomes[i], strings.Join(tt.want, " or "))
		}
	}
}

// TestMergeOfHistories merges branches of random histories. No user may get the
// UID of another, and no name a second owner.
func TestMergeOfHistories(t *testing.T) {
	const pairs = 60
	forks := make([]fork, pairs)
	for i := range forks {
		r := rand.New(rand.NewSource(int64(i)))
		trunk := newHistory(t, randomTape(r, 150+r.Intn(300)))
		trunk.run()
		branch := func() state.State {
			b := *trunk
			b.tape, b.inputs = randomTape(r, 20+r.Intn(60)), trunk.inputs.clone()
			b.run()
			return b.state
		}
		forks[i] = fork{trunk.state, branch(), branch()}
	}
	if t.Failed() {
		t.FailNow()
	}
	outcomes, merged := merge(t, forks)
	count := map[string]int{}
	for i, outcome := range outcomes {
		count[outcome]++
		if outcome == clean {
			afterMerge(t, i, merged[i])
		}
	}
	t.Logf("%d merges: %v", pairs, count)
	if len(slices.Collect(maps.Keys(count))) < 2 {
		t.Errorf("all merges have the outcome %v", count)
	}
}

// afterMerge checks that a plan on a merged state allocates a new UID.
func afterMerge(t *testing.T, i int, s state.State) {
	req := request(env("zeta/new/main"))
	step := next(t, s, req)
	if got := step.State.Entries["zeta-new-main"].UID; got <= s.HighestUID() {
		t.Errorf("fork %d: a new environment got the UID %d, not above %d", i, got, s.HighestUID())
	}
}
