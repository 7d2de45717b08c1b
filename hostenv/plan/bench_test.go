package plan_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// fleet makes the inventory of n environments with 3 virtual hosts each and all other
// values that hostenv evaluates. It has ten environments to a project, and 10 nodes.
func fleet(n int) []byte {
	const host = "hosting.test"
	nodes, placement, projects := map[string]any{}, map[string]any{}, map[string]any{}
	for i := range 10 {
		nodes[fmt.Sprintf("node-%d", i)] = map[string]any{"system": "x86_64-linux"}
	}
	for i := range (n + 9) / 10 {
		organisation, project := fmt.Sprintf("org%d", i/4), fmt.Sprintf("site%d", i)
		environments := map[string]any{}
		for j := range min(10, n-10*i) {
			name := fmt.Sprintf("env%d", j)
			sum := sha256.Sum256([]byte(organisation + "-" + project + "-" + name + "\n"))
			user := fmt.Sprintf("%s-%s-%s", project, name, hex.EncodeToString(sum[:])[:7])
			hostenv := map[string]any{
				"organisation": organisation, "project": project, "environmentName": name, "safeEnvironmentName": name,
				"gitRef": name, "userName": user, "hostname": user + "." + host, "hostenvHostname": host, "root": ".",
				"projectNameHash": hex.EncodeToString(sum[:]), "backupsRepoHost": "s3:https://s3.test",
			}
			for _, dir := range []string{"backupsEnvFile", "backupsSecretFile", "cacheDir", "dataDir", "stateDir", "runtimeDir", "upstreamRuntimeDir"} {
				hostenv[dir] = "/run/hostenv/" + user + "/" + dir
			}
			virtualHosts := map[string]any{}
			for _, name := range []string{user + "." + host, fmt.Sprintf("www.%s-%s.test", project, name), fmt.Sprintf("%s-%s.test", project, name)} {
				virtualHosts[name] = map[string]any{
					"allowIndexing": j == 0, "enableLetsEncrypt": true, "globalRedirect": nil, "redirectCode": int64(301),
					"basicAuthFile": nil, "locations": map[string]any{"/old": map[string]any{"return": "301 /new"}},
				}
			}
			environments[name] = map[string]any{
				"enable": true, "type": "production", "hostenv": hostenv, "virtualHosts": virtualHosts,
				"users": map[string]any{"alice": map[string]any{"email": "alice@test", "publicKeys": []any{"ssh-ed25519 AAAA alice", "ssh-ed25519 BBBB alice"}}},
			}
		}
		input := organisation + "__" + project
		placement[input] = fmt.Sprintf("node-%d", i%10)
		projects[input] = map[string]any{
			"defaultEnvironment": "env0", "environments": environments,
			"source": map[string]any{"original": map[string]any{"type": "git", "url": "ssh://git@git.test/" + input + ".git"}},
		}
	}
	return canonjson.Encode(map[string]any{
		"formatVersion": 1, "system": "x86_64-linux", "projects": projects,
		"provider": map[string]any{
			"hostenvHostname": host, "letsEncrypt": map[string]any{"acceptTerms": true, "adminEmail": "ops@test"},
			"deployPublicKeys": []any{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo deploy"}, "nodes": nodes, "placement": placement,
			"uidRange": map[string]any{"min": 100000, "max": 199999},
		},
	})
}

// BenchmarkCompute computes a fleet from a full prior state.
func BenchmarkCompute(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000, 20_000} {
		b.Run(fmt.Sprintf("environments=%d", n), func(b *testing.B) {
			inv, err := plan.DecodeInventory(fleet(n))
			if err != nil {
				b.Fatal(err)
			}
			prior := compute(b, fleet(n), state.New()).State
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Compute(plan.Input{Inventory: inv, State: prior}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPlan measures a whole run without Nix and files: from the bytes of
// inventory and state to those of plan and state.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000, 20_000} {
		b.Run(fmt.Sprintf("environments=%d", n), func(b *testing.B) {
			inventory := fleet(n)
			prior := compute(b, inventory, state.New()).State.Encode()
			var highest uint64
			b.ReportAllocs()
			for b.Loop() {
				s, err := state.Decode(prior)
				if err != nil {
					b.Fatal(err)
				}
				result := compute(b, inventory, s)
				written := len(result.Plan.Encode()) + len(result.State.Encode())
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				highest = max(highest, m.HeapInuse)
				if written == 0 {
					b.Fatal("nothing was written")
				}
			}
			b.ReportMetric(float64(highest)/1e6, "heap-MB")
		})
	}
}
