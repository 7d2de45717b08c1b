package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A market is a provider with customers who distrust each other: acme and beta,
// each with one environment and these host names.
type market struct {
	acme, beta []string
	provider   string // further options, as JSON members with a comma before
	seen       map[string][]string
	declined   bool                // the terms of Let's Encrypt
	certified  bool                // the hosts ask for certificates
	aliases    map[string][]string // by host; they need provider.frontDoor.raw
}

const marketDomain = "hosting.example"

var acmeUser, betaUser = names.UserName("acme", "site", "main"), names.UserName("beta", "site", "main")

func (m market) inventory(t *testing.T) *plan.Inventory {
	t.Helper()
	project := func(organisation, user string, hosts []string) string {
		virtualHosts := map[string]any{}
		for _, host := range hosts {
			options := map[string]any{"enableLetsEncrypt": m.certified}
			if aliases := m.aliases[host]; aliases != nil {
				options["serverAliases"] = aliases
			}
			virtualHosts[host] = options
		}
		text, err := json.Marshal(virtualHosts)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"source": {"original": {"type": "git", "url": "https://git.example/%[1]s"}}, "defaultEnvironment": "main", "environments": {"main": {
			"enable": true, "type": "development", "users": {}, "virtualHosts": %[3]s, "hostenv": {"organisation": %[1]q, "project": "site", "environmentName": "main",
			"gitRef": "main", "hostenvHostname": %[4]q, "userName": %[2]q, "hostname": "%[2]s.%[4]s"}}}}`, organisation, user, text, marketDomain)
	}
	inv, err := plan.DecodeInventory([]byte(fmt.Sprintf(`{"formatVersion": 1, "system": "x86_64-linux", "provider": {"hostenvHostname": %q,
		"letsEncrypt": {"acceptTerms": %t, "adminEmail": "ops@hosting.example"}, "nodeFor": {"default": "n1"}%s},
		"projects": {"acme__site": %s, "beta__site": %s}}`, marketDomain, !m.declined, m.provider, project("acme", acmeUser, m.acme), project("beta", betaUser, m.beta))))
	if err != nil {
		t.Fatal(err)
	}
	inv.Seen = plan.Seen{Records: m.seen, Date: "2026-11-29"}
	return inv
}

func tokens(organisation string) []string {
	return []string{"v=spf1 -all", domains.Token(marketDomain, organisation)}
}

const require = `, "requireDomainProof": true`

func TestDomains(t *testing.T) {
	for _, tt := range []struct {
		reason string
		before market // planned first, if it has names
		market
		errs   []string // a part of each error
		proofs map[string]string
	}{
		{reason: "without proofs asked for, names go to the first claim, as before", market: market{acme: []string{"www.acme.net"}, beta: []string{"x.acme.net"}}},
		{reason: "a new name needs a proof", market: market{acme: []string{"www.victim.net", "*.victim.net"}, provider: require},
			errs: []string{`the domain "victim.net" is not proved to be acme's, and acme claims *.victim.net and www.victim.net`}},
		{reason: "a record proves it", market: market{acme: []string{"www.acme.net", "*.acme.net"}, provider: require, seen: map[string][]string{"acme.net": tokens("acme")}},
			proofs: map[string]string{"acme.net": "acme"}},
		{reason: "a domain that the DNS never has needs no proof", market: market{acme: []string{"www.acme.example", "*.acme.test"}, provider: require}},
		{reason: "a record is for one organisation", market: market{acme: []string{"www.victim.net"}, provider: require, seen: map[string][]string{"victim.net": tokens("beta")}},
			errs: []string{`the domain "victim.net" is not proved to be acme's`}},
		{reason: "a record of another domain proves nothing", market: market{acme: []string{"www.victim.net"}, provider: require, seen: map[string][]string{"acme.net": tokens("acme"), "www.victim.net": tokens("acme"), "net": tokens("acme")}},
			errs: []string{`the domain "victim.net" is not proved to be acme's`}},
		{reason: "the first proof has the domain", before: market{beta: []string{"www.victim.net"}, provider: require, seen: map[string][]string{"victim.net": tokens("beta")}},
			market: market{beta: []string{"www.victim.net"}, acme: []string{"x.victim.net"}, provider: require, seen: map[string][]string{"victim.net": tokens("acme")}},
			errs:   []string{`the domain "victim.net" belongs to beta, and acme claims x.victim.net`}, proofs: map[string]string{"victim.net": "beta"}},
		{reason: "a proof holds without the option", before: market{beta: []string{"www.victim.net"}, provider: require, seen: map[string][]string{"victim.net": tokens("beta")}},
			market: market{beta: []string{"www.victim.net"}, acme: []string{"*.x.victim.net"}},
			errs:   []string{`the domain "victim.net" belongs to beta, and acme claims *.x.victim.net`}},
		{reason: "a proof holds without the record", before: market{beta: []string{"www.victim.net"}, provider: require, seen: map[string][]string{"victim.net": tokens("beta")}},
			market: market{beta: []string{"www.victim.net", "more.victim.net"}, provider: require}, proofs: map[string]string{"victim.net": "beta"}},
		{reason: "two records at once need the provider", market: market{acme: []string{"a.both.net"}, beta: []string{"b.both.net"}, provider: require, seen: map[string][]string{"both.net": append(tokens("acme"), tokens("beta")...)}},
			errs: []string{`the domain "both.net" has TXT records of acme and beta`, `is not proved to be acme's`, `is not proved to be beta's`}},
		{reason: "the provider names the organisation", market: market{acme: []string{"x.victim.net"}, beta: []string{"www.victim.net"}, provider: `, "domains": {"Victim.Net.": "beta"}`},
			errs: []string{`the domain "victim.net" belongs to beta, and acme claims x.victim.net`}},
		{reason: "the provider's word is above a record", market: market{acme: []string{"x.victim.net"}, provider: require + `, "domains": {"victim.net": "beta"}`, seen: map[string][]string{"victim.net": tokens("acme")}},
			errs: []string{`the domain "victim.net" belongs to beta`}},
		{reason: "the provider may give a part of a domain", market: market{acme: []string{"x.shop.victim.net"}, beta: []string{"www.victim.net"}, provider: require + `, "domains": {"victim.net": "beta", "shop.victim.net": "acme"}`}},
		{reason: "names that the state has stay", before: market{acme: []string{"old.victim.net"}},
			market: market{acme: []string{"old.victim.net"}, beta: []string{"www.victim.net"}, provider: require + `, "domains": {"victim.net": "beta"}`}},
		{reason: "a name of the state is no proof for another", before: market{acme: []string{"www.acme.net"}},
			market: market{acme: []string{"www.acme.net", "shop.acme.net"}, provider: require}, errs: []string{`"acme.net" is not proved to be acme's, and acme claims shop.acme.net`}},
		{reason: "a transfer is the provider's word", before: market{beta: []string{"www.victim.net"}},
			market: market{acme: []string{"www.victim.net"}, provider: require + `, "transfers": [{"host": "www.victim.net", "from": "` + betaUser + `", "to": "` + acmeUser + `"}]`}},
		{reason: "below the provider's domain there are only generated names", market: market{acme: []string{"shop.hosting.example", "*.a.hosting.example", "hosting.example", betaUser + ".hosting.example", acmeUser + ".hosting.example"}},
			errs: []string{`the domain "hosting.example" is the provider's, with generated names and nodes below it, and acme claims *.a.hosting.example, hosting.example, shop.hosting.example and ` + betaUser + `.hosting.example`}},
		{reason: "a record proves no name below the provider's domain", market: market{acme: []string{"x.hosting.example"}, provider: require, seen: map[string][]string{"hosting.example": tokens("acme")}},
			errs: []string{`is the provider's`}},
		{reason: "a record proves no public suffix", market: market{acme: []string{"*.github.io", "github.io"}, provider: require, seen: map[string][]string{"github.io": tokens("acme")}},
			errs: []string{`the domain "github.io" is a public suffix, below which anyone registers names, and acme claims *.github.io and github.io`}},
		{reason: "a wildcard below a public suffix is refused", market: market{acme: []string{"*.co.uk"}}, errs: []string{`the domain "co.uk" is a public suffix`}},
		{reason: "a wrong option", market: market{provider: `, "domains": {"*.a.example": "acme", "b..example": "acme", "c.example": "", "D.example": "acme", "d.example": "beta"}`},
			errs: []string{"is a wildcard", "is no domain", "names no organisation", "is the same domain as another entry"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			prior := state.New()
			if len(tt.before.acme)+len(tt.before.beta) > 0 {
				result, err := refusing(plan.Input{Inventory: tt.before.inventory(t), State: prior})
				if err != nil {
					t.Fatal(err)
				}
				if prior, err = state.Decode(result.State.Encode()); err != nil {
					t.Fatal(err)
				}
			}
			inv := tt.inventory(t)
			result, err := refusing(plan.Input{Inventory: inv, State: prior})
			var texts []string
			for _, err := range problem.Leaves(err) {
				texts = append(texts, err.Error())
				if problem.Hint(err) == "" {
					t.Errorf("%v has no hint", err)
				}
			}
			if len(texts) != len(tt.errs) {
				t.Fatalf("got %d errors, want %d:\n%s", len(texts), len(tt.errs), strings.Join(texts, "\n"))
			}
			for _, want := range tt.errs {
				if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, want) }) {
					t.Errorf("no error with %q:\n%s", want, strings.Join(texts, "\n"))
				}
			}
			got := prior.Proofs()
			if err == nil {
				got = result.State.Proofs()
			}
			if tt.proofs != nil {
				proofs := map[string]string{}
				for domain, proof := range got {
					proofs[domain] = proof.Organisation
					if proof.Since != "2026-11-29" {
						t.Errorf("%s was proved on %q", domain, proof.Since)
					}
				}
				if !maps.Equal(proofs, tt.proofs) {
					t.Errorf("the state has the proofs %v, want %v", proofs, tt.proofs)
				}
			}
		})
	}
}

// The readers of today survive the proofs: every key of the document but the
// description is an entry, and nothing else changes.
func TestProofsInState(t *testing.T) {
	m := market{acme: []string{"www.acme.net"}, beta: []string{"www.beta.net"}, provider: require,
		seen: map[string][]string{"acme.net": tokens("acme"), "beta.net": tokens("beta")}}
	result, err := refusing(plan.Input{Inventory: m.inventory(t), State: state.New()})
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(result.State.Encode(), &document); err != nil {
		t.Fatal(err)
	}
	for key, text := range document {
		if key == "_description" {
			continue
		}
		var entry struct {
			UserName     string
			UID          int
			VirtualHosts []string
		}
		if err := json.Unmarshal(text, &entry); err != nil || entry.UID == 0 || entry.VirtualHosts == nil {
			t.Errorf("%s is no entry: %s, %v", key, text, err)
		}
	}
	if got := result.Plan.Domains; !maps.Equal(got, domains.Owners{"acme.net": "acme", "beta.net": "beta"}) {
		t.Errorf("the plan has the domains %v", got)
	}
	again, err := state.Decode(result.State.Encode())
	if err != nil || again.Digest() != result.State.Digest() {
		t.Errorf("the state does not round-trip: %v", err)
	}
	// The proof leaves with the last names of the organisation, not before.
	left := m
	left.acme = nil
	gone, err := refusing(plan.Input{Inventory: left.inventory(t), State: again})
	if err != nil {
		t.Fatal(err)
	}
	if gone.State.Proofs()["acme.net"].Organisation != "acme" {
		t.Error("a proof is gone with a name")
	}
	for domain, want := range map[string]plan.How{"acme.net": plan.ByRecord, "beta.net": plan.ByRecord} {
		i := slices.IndexFunc(plan.Domains(m.inventory(t), again), func(d plan.Domain) bool { return d.Domain == domain })
		if d := plan.Domains(m.inventory(t), again)[i]; d.How != want || d.Since != "2026-11-29" || d.Record != "_hostenv."+domain || len(d.New) > 0 {
			t.Errorf("%+v", d)
		}
	}
}

// TestDomainsHistories plans random histories of two organisations that claim names
// of few domains, with random records, words of the provider and switches of the
// option. After every plan that is accepted, a name is with an organisation only if
// it was there before, or if the domain is that organisation's.
func TestDomainsHistories(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	hosts := []string{"a.net", "www.a.net", "*.a.net", "x.y.a.net", "b.net", "www.b.net", "shop.co.uk", "*.co.uk", "www.shop.co.uk",
		"hosting.example", "x.hosting.example", "*.x.hosting.example", acmeUser + ".hosting.example", betaUser + ".hosting.example"}
	all := []string{"a.net", "b.net", "shop.co.uk", "co.uk", "hosting.example"}
	pick := func(list []string, chance int) (picked []string) {
		for _, s := range list {
			if random.IntN(100) < chance {
				picked = append(picked, s)
			}
		}
		return picked
	}
	accepted, refused := 0, 0
	for range 400 {
		prior := state.New()
		for range 8 {
			m := market{acme: pick(hosts, 7), beta: pick(hosts, 7), seen: map[string][]string{}}
			required := random.IntN(2) == 0
			if required {
				m.provider = require
			}
			provided := map[string]string{}
			for _, domain := range pick(all, 10) {
				provided[domain] = []string{"acme", "beta"}[random.IntN(2)]
			}
			text, err := json.Marshal(provided)
			if err != nil {
				t.Fatal(err)
			}
			m.provider += `, "domains": ` + string(text)
			for _, domain := range pick(all, 40) {
				m.seen[domain] = tokens([]string{"acme", "beta", "gamma"}[random.IntN(3)])
			}
			result, err := refusing(plan.Input{Inventory: m.inventory(t), State: prior})
			if err != nil {
				refused++
				continue
			}
			accepted++
			proofs, before := result.State.Proofs(), prior.Proofs()
			for domain, proof := range before {
				if proofs[domain] != proof {
					t.Fatalf("%s was %v, and is %v", domain, proof, proofs[domain])
				}
			}
			for domain, proof := range proofs {
				if _, old := before[domain]; !old && !slices.Contains(m.seen[domain], tokens(proof.Organisation)[1]) {
					t.Fatalf("%s is proved by no record", domain)
				}
			}
			for user, e := range result.State.Entries {
				for _, host := range e.VirtualHosts {
					bare := strings.TrimPrefix(host, "*.")
					domain := domains.Registrable(host)
					owner := provided[domain]
					if owner == "" {
						owner = proofs[domain].Organisation
					}
					generated := host == user+".hosting.example"
					own := provided["hosting.example"] == "" && (bare == "hosting.example" || strings.HasSuffix(bare, ".hosting.example"))
					switch {
					case slices.Contains(prior.Entries[user].VirtualHosts, host), generated:
					case strings.HasSuffix(bare, "hosting.example") || own:
						t.Fatalf("%s has %s, below the provider's domain", user, host)
					case owner != "" && owner != e.Organisation && provided["co.uk"] == "":
						t.Fatalf("%s has %s, and the domain is %s's", user, host, owner)
					case required && owner == "" && provided["co.uk"] == "":
						t.Fatalf("%s has %s without a proof", user, host)
					}
				}
			}
			if prior, err = state.Decode(result.State.Encode()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d plans accepted, %d refused", accepted, refused)
	}
}
