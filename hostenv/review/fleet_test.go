package review_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A fleet is a provider with customers of the same size. Its inventory can be changed
// before it is planned.
type fleet struct {
	inventory map[string]any
	revs      map[string]string // by project, such as org0__site0; the default is all zeros
	failed    []plan.Held       // that do not evaluate
	held      []plan.Held       // by the last plan
}

type object = map[string]any

// newFleet makes customers with projects with environments each, placed on nodes in
// turn.
func newFleet(customers, projects, environments, nodes int) *fleet {
	const host = "hosting.test"
	f := &fleet{revs: map[string]string{}}
	all, placement, listed := object{}, object{}, object{}
	for i := range nodes {
		listed[fmt.Sprintf("node-%d", i)] = object{"system": "x86_64-linux"}
	}
	for i := range customers * projects {
		organisation, project := fmt.Sprintf("org%d", i/projects), fmt.Sprintf("site%d", i)
		own := object{}
		for j := range environments {
			name := fmt.Sprintf("env%d", j)
			user := fmt.Sprintf("%s-%s-%s", project, name, hash(organisation+"-"+project+"-"+name+"\n"))
			own[name] = object{
				"enable": true, "type": "production",
				"hostenv": object{"organisation": organisation, "project": project, "environmentName": name, "gitRef": name,
					"userName": user, "hostname": user + "." + host, "hostenvHostname": host},
				"users": object{"alice": object{"email": "alice@test", "publicKeys": []any{"ssh-ed25519 AAAA alice"}}},
				"virtualHosts": object{
					user + "." + host: object{"enableLetsEncrypt": true, "allowIndexing": false},
					fmt.Sprintf("www.%s-%s.test", project, name): object{"enableLetsEncrypt": true, "globalRedirect": nil},
				},
			}
		}
		input := organisation + "__" + project
		placement[input] = fmt.Sprintf("node-%d", i%nodes)
		all[input] = object{
			"defaultEnvironment": "env0", "environments": own,
			"source": object{"original": object{"type": "git", "url": "ssh://git@git.test/" + input + ".git"}},
		}
	}
	f.inventory = object{
		"formatVersion": 1, "system": "x86_64-linux", "projects": all,
		"provider": object{
			"hostenvHostname": host, "letsEncrypt": object{"acceptTerms": true, "adminEmail": "ops@test"},
			"deployPublicKeys": []any{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIpV594cTdpe+o1y0IiFHricBDmVkjMpBQoyJeYIqCeo deploy"}, "nodes": listed, "placement": placement,
			"uidRange": object{"min": 40000, "max": 59999}, "limits": object{},
		},
	}
	return f
}

// at returns a part of the inventory.
func (f *fleet) at(path ...string) object {
	o := f.inventory
	for _, name := range path {
		o = o[name].(object)
	}
	return o
}

func (f *fleet) environment(input, name string) object {
	return f.at("projects", input, "environments", name)
}

// plan plans the fleet from a version.
func (f *fleet) plan(t testing.TB, before review.Version) review.Version {
	t.Helper()
	text, err := json.Marshal(f.inventory)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := plan.DecodeInventory(text)
	if err != nil {
		t.Fatal(err)
	}
	sources := plan.Sources{}
	for _, request := range inv.SourceRequests() {
		input, _, _ := strings.Cut(request.Environments[0], "/")
		rev := f.revs[input]
		if rev == "" {
			rev = strings.Repeat("0", 40)
		}
		sources[request.Key] = plan.Locked{Rev: rev, NarHash: "sha256-" + rev}
	}
	result, err := plan.Compute(plan.Input{Inventory: inv, Sources: sources, State: before.State, Last: before.Plan, Failed: f.failed})
	if err != nil {
		t.Fatal(err)
	}
	f.held = result.Held
	return review.Version{Plan: &result.Plan, State: result.State}
}

var none = review.Version{State: state.New()}

// hash is the last part of a user name.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:7]
}
