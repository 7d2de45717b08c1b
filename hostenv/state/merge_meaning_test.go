package state_test

import (
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// TestMergeByMeaning merges what the branches of [TestMerge] make, and more.
func TestMergeByMeaning(t *testing.T) {
	main, staging, shop := env("acme/site/main", "a.test"), env("acme/site/staging", "b.test"), env("beta/shop/main", "c.test")
	trunk := planned(t, claims{main, shop, staging}).WithDeployed(map[string]string{"acme-site-main": "n1", "acme-site-staging": "n1", "beta-shop-main": "n1"})
	plan := func(req state.Request) func(state.State) state.State {
		return func(s state.State) state.State { return next(t, s, req).State }
	}
	both := func(steps ...func(state.State) state.State) func(state.State) state.State {
		return func(s state.State) state.State {
			for _, step := range steps {
				s = step(s)
			}
			return s
		}
	}
	deploy := func(user, node string) func(state.State) state.State {
		return func(s state.State) state.State { return s.WithDeployed(map[string]string{user: node}) }
	}
	bare := func(c state.Claim) state.Claim { c.VirtualHosts = nil; return c }
	plus := func(c state.Claim, hosts ...string) state.Claim {
		c.VirtualHosts = append(slices.Clone(c.VirtualHosts), hosts...)
		return c
	}
	newA, newB, newZ := env("acme/aaa/main"), env("beta/bbb/main"), env("zeta/z/main")
	withA, withZ := plan(request(newA, main, shop, staging)), plan(request(main, shop, staging, newZ))
	renamed := plan(moved(request(main, shop, env("acme/site/zzz", "b.test")), [2]string{"acme__site/staging", "acme__site/zzz"}))

	tests := []struct {
		reason         string
		base           state.State
		earlier, later func(state.State) state.State
		uids           string // of what differs from base
		hosts          string // the same
		refused        string
	}{
		{reason: "both add a customer", base: trunk, earlier: withA, later: withZ, uids: "acme-aaa-main 1005, zeta-z-main 1006"},
		{reason: "the earlier one keeps the UID", base: trunk, earlier: withZ, later: withA, uids: "acme-aaa-main 1006, zeta-z-main 1005"},
		{reason: "a deployed one keeps the UID", base: trunk, earlier: withA, later: both(withZ, deploy("zeta-z-main", "n1")), uids: "acme-aaa-main 1006, zeta-z-main 1005"},
		{
			reason: "both are deployed", base: trunk, earlier: both(withA, deploy("acme-aaa-main", "n1")), later: both(withZ, deploy("zeta-z-main", "n1")),
			refused: "the UID 1005 belongs to acme-aaa-main in one branch and to zeta-z-main in the other, and both were deployed",
		},
		{reason: "both add in a new state", base: state.State{}, earlier: func(state.State) state.State { return planned(t, claims{newA}) }, later: func(state.State) state.State { return planned(t, claims{newZ}) }, uids: "acme-aaa-main 1002, zeta-z-main 1003"},
		{reason: "both add several", base: trunk, earlier: plan(request(newA, newB, main, shop, staging)), later: withZ, uids: "acme-aaa-main 1005, beta-bbb-main 1006, zeta-z-main 1007"},
		{
			reason: "both add one, with another UID", base: trunk, earlier: both(withZ, plan(request(newA, main, shop, staging, newZ))), later: withA,
			uids: "acme-aaa-main 1006, zeta-z-main 1005",
		},
		{
			reason: "both add one, which was deployed with the lower UID", base: trunk, later: both(withZ, plan(request(newA, main, shop, staging, newZ))), earlier: both(withA, deploy("acme-aaa-main", "n1")),
			uids: "acme-aaa-main 1005, zeta-z-main 1007",
		},
		{
			reason: "both add one and deploy it, with another UID", base: trunk, earlier: both(withZ, plan(request(newA, main, shop, staging, newZ)), deploy("acme-aaa-main", "n1")), later: both(withA, deploy("acme-aaa-main", "n1")),
			refused: `entry "acme-aaa-main": uid is 1006 in one branch and 1005 in the other, and was deployed with both`,
		},
		{reason: "both add the same", base: trunk, earlier: withA, later: withA, uids: "acme-aaa-main 1005"},
		{
			reason: "both add the same, on two nodes", base: trunk, earlier: withA, later: plan(request(onNode("n2", newA), main, shop, staging)),
			refused: `entry "acme-aaa-main": node is "n1" in one branch, and "n2" in the other`,
		},
		{reason: "both add names to one", base: trunk, earlier: plan(request(plus(main, "x.test"), shop, staging)), later: plan(request(plus(main, "y.test"), shop, staging)), hosts: "x.test acme-site-main, y.test acme-site-main"},
		{
			reason: "two claim one new name", base: trunk, earlier: plan(request(plus(main, "x.test"), shop, staging)), later: plan(request(main, plus(shop, "x.test"), staging)),
			refused: `the host name "x.test" belongs to acme-site-main in one branch, and to beta-shop-main in the other`,
		},
		{reason: "one frees a name, the other hands it over", base: trunk, earlier: plan(request(bare(main), shop, staging)), later: plan(with(request(bare(main), plus(shop, "a.test"), staging), [3]string{"a.test", "acme-site-main", "beta-shop-main"})), hosts: "a.test beta-shop-main"},
		{reason: "one renames, the other adds a name", base: trunk, earlier: renamed, later: plan(request(main, shop, plus(staging, "x.test"))), uids: "acme-site-zzz 1003", hosts: "b.test acme-site-zzz, x.test acme-site-zzz"},
		{
			reason: "both rename one", base: trunk, earlier: renamed, later: plan(moved(request(main, shop, env("acme/site/yyy", "b.test")), [2]string{"acme__site/staging", "acme__site/yyy"})),
			refused: `entry "acme-site-staging": userName is "acme-site-zzz" in one branch, and "acme-site-yyy" in the other`,
		},
		{
			reason: "one renames to a name that the other gives to a new one", base: trunk, earlier: renamed, later: plan(request(main, shop, env("acme/site/zzz"))),
			refused: "the user acme-site-zzz has the UID 1003 in one branch and 1005 in the other: one renamed an environment to the name that the other gave to a new one",
		},
		{reason: "one retires, the other moves", base: trunk, earlier: plan(request(main, shop)), later: plan(request(main, shop, onNode("n2", staging)))},
		{
			reason: "both deploy one, to two nodes", base: trunk, earlier: deploy("acme-site-main", "n2"), later: deploy("acme-site-main", "n3"),
			refused: `entry "acme-site-main": deployedNode is "n2" in one branch, and "n3" in the other`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			earlier, later := tt.earlier(tt.base), tt.later(tt.base)
			merged, err := state.Merge(tt.base, earlier, later)
			if tt.refused != "" {
				if texts := strings.Join(problems(t, err), "; "); !strings.Contains(texts, tt.refused) {
					t.Errorf("not refused by %q, but: %s", tt.refused, texts)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			uid := differences(uids(tt.base), uids(merged), strconv.Itoa)
			if uid != tt.uids {
				t.Errorf("UIDs: %s, want %s", uid, tt.uids)
			}
			if host := differences(owners(tt.base), owners(merged), strings.Clone); host != tt.hosts {
				t.Errorf("host names: %s, want %s", host, tt.hosts)
			}
			checkMerge(t, tt.base, earlier, later)
		})
	}
}

// differences lists the members of after that before does not have.
func differences[V comparable](before, after map[string]V, show func(V) string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if before[key] != after[key] {
			lines = append(lines, key+" "+show(after[key]))
		}
	}
	return strings.Join(lines, ", ")
}

// checkMerge checks what Merge promises for any three states. It returns false if
// the merge is refused.
func checkMerge(t *testing.T, base, a, b state.State) bool {
	t.Helper()
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format+"\nbase %s\nearlier %s\nlater %s", append(args, base.Encode(), a.Encode(), b.Encode())...)
	}
	merged, err := state.Merge(base, a, b)
	swapped, errSwapped := state.Merge(base, b, a)
	if (err == nil) != (errSwapped == nil) {
		bad("in one order %v, in the other %v", err, errSwapped)
	}
	if err != nil {
		problems(t, err)
		return false
	}
	if _, err := state.Decode(merged.Encode()); err != nil {
		bad("the merged state is refused: %v", err)
	}
	highest := max(base.HighestUID(), a.HighestUID(), b.HighestUID())
	if merged.HighestUID() < highest {
		bad("the highest UID was %d, and is %d", highest, merged.HighestUID())
	}
	holders := map[int]string{}
	for user, e := range merged.Entries {
		if other := holders[e.UID]; other != "" {
			bad("%s and %s share the UID %d", user, other, e.UID)
		}
		holders[e.UID] = user
		if uid := e.UID; uid <= highest && a.Entries[user].UID != uid && b.Entries[user].UID != uid {
			bad("%s has the UID %d on neither side", user, uid)
		}
	}
	for _, side := range []state.State{a, b} {
		for user, e := range side.Entries {
			now, ok := merged.Entries[holders[e.UID]]
			if e.DeployedNode != "" && (!ok || now.UserName != user && !slices.Contains(now.FormerNames, user)) {
				bad("the UID %d of %s, deployed, went to %q", e.UID, user, now.UserName)
			}
		}
	}
	renamed := map[string]string{}
	for user, e := range merged.Entries {
		for _, former := range append(e.FormerNames, user) {
			renamed[former] = user
		}
	}
	for _, side := range [][2]state.State{{a, b}, {b, a}} {
		for user := range side[0].Entries {
			_, before := base.Entries[user]
			_, stays := side[1].Entries[user]
			if renamed[user] == "" && (!before || stays) {
				bad("%s of one side is lost", user)
			}
		}
	}
	was, inA, inB := owners(base), owners(a), owners(b)
	for host, user := range owners(merged) {
		if e := merged.Entries[user]; !slices.Contains([]string{inA[host], inB[host]}, user) && !slices.ContainsFunc(e.FormerNames, func(name string) bool { return inA[host] == name || inB[host] == name }) {
			bad("%s belongs to %s on neither side", host, user)
		}
	}
	for host, user := range was {
		if inA[host] == user && inB[host] == user && owners(merged)[host] == "" {
			bad("%s of %s is lost", host, user)
		}
	}

	// In the other order, only UIDs that both gave out differ.
	again := swapped.Clone()
	for user, e := range merged.Entries {
		o := again.Entries[user]
		if o.UID != e.UID && max(o.UID, e.UID) <= highest {
			bad("%s has the UID %d, and %d in the other order", user, e.UID, o.UID)
		}
		o.UID = e.UID
		again.Entries[user] = o
	}
	again.LastAllocated = merged.LastAllocated
	if len(merged.Entries) == len(swapped.Entries) {
		same(t, "in the other order", merged, again)
	} else {
		bad("in the other order, another number of entries")
	}

	for _, tt := range []struct {
		what         string
		one, another state.State
		want         state.State
	}{
		{"with itself", a, a, a},
		{"with the base", base, b, b},
		{"the base with it", b, base, b},
		{"the merged state with the earlier", merged, a, merged},
		{"the merged state with the later", merged, b, merged},
		{"the earlier with the merged state", a, merged, merged},
		{"the later with the merged state", b, merged, merged},
	} {
		if len(base.Entries) == 0 && tt.one.Description == "" || tt.another.Description == "" {
			continue // no base
		}
		got, err := state.Merge(base, tt.one, tt.another)
		if err != nil {
			bad("%s: %v", tt.what, err)
			continue
		}
		same(t, tt.what, tt.want, got)
	}
	return true
}

// TestMergeOfRandomHistories merges branches of random histories by meaning.
func TestMergeOfRandomHistories(t *testing.T) {
	const pairs = 100
	count := map[bool]int{}
	for i := range pairs {
		r := rand.New(rand.NewSource(int64(i)))
		trunk := newHistory(t, randomTape(r, 50+r.Intn(300)))
		trunk.run()
		branch := func() state.State {
			b := *trunk
			b.tape, b.inputs = randomTape(r, 20+r.Intn(120)), trunk.inputs.clone()
			b.run()
			return b.state
		}
		a, b := branch(), branch()
		ok := checkMerge(t, trunk.state, a, b)
		count[ok]++
		if t.Failed() {
			t.Fatalf("pair %d", i)
		}
		if !ok {
			continue
		}
		// Of three branches, in any order.
		c := branch()
		merged, _ := state.Merge(trunk.state, a, b)
		checkMerge(t, trunk.state, merged, c)
		// Both sides merged, each keeping its own: their common ancestors are both branches.
		swapped, _ := state.Merge(trunk.state, b, a)
		checkMerge(t, a, merged, swapped)
		checkMerge(t, b, merged, swapped)
		if t.Failed() {
			t.Fatalf("pair %d, with a third", i)
		}
	}
	t.Logf("%d merged, %d refused", count[true], count[false])
	if count[true] < pairs/4 || count[false] < 5 {
		t.Errorf("%d merged, %d refused", count[true], count[false])
	}
}

// FuzzMerge merges branches of a history, from tapes of the fuzzer: a merge that is not
// refused loses no entry, gives no UID twice, and keeps the UIDs of what was deployed.
func FuzzMerge(f *testing.F) {
	for seed := range int64(5) {
		r := rand.New(rand.NewSource(2000 + seed))
		f.Add(randomTape(r, 80), randomTape(r, 40), randomTape(r, 40))
	}
	f.Fuzz(func(t *testing.T, trunk, one, another []byte) {
		if len(trunk)+len(one)+len(another) > 400 {
			t.Skip("longer histories take long and find no more")
		}
		h := newHistory(t, trunk)
		h.run()
		branch := func(tape []byte) state.State {
			b := *h
			b.tape, b.inputs = tape, h.inputs.clone()
			b.run()
			return b.state
		}
		checkMerge(t, h.state, branch(one), branch(another))
	})
}
