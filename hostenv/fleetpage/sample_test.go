package fleetpage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

var now = time.Date(2026, 11, 29, 7, 30, 0, 0, time.UTC)

func value(v any) jsontext.Value {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return jsontext.Value(text)
}

// same leaves texts as they are.
func same(text string) string { return text }

// sample returns the facts of a fleet with environments in every state. Every text in
// it that is of a customer, a node or a program goes through said.
func sample(environments int, asked bool, said func(string) string) fleetpage.Facts {
	yes, no := true, false
	f := fleetpage.Facts{Now: now, Plan: plan.Document{
		HostenvHostname: said("hosting.example"), Environments: map[string]plan.Environment{}, Nodes: map[string]plan.Node{},
		NodeConnections: map[string]plan.Connection{}, DNSGate: map[string]plan.GateEntry{}, HeldBack: map[string]plan.HeldBack{},
	}, State: state.New()}
	nodes := max(2, environments/60)
	node := func(i int) string { return said(fmt.Sprintf("node-%02d", i%nodes)) }
	slices, services := make([]map[string]any, nodes), make([]map[string]any, nodes)
	for i := range nodes {
		slices[i], services[i] = map[string]any{"user-parent-": map[string]any{}}, map[string]any{}
	}
	first := deploy.Outcome{Ended: true, Start: deploy.Start{By: said("ada@office"), Commit: said("0123456789abcdef0123456789abcdef01234567"), Plan: strings.Repeat("5", 64)}}
	second := deploy.Outcome{Ended: true, Start: deploy.Start{By: said("grace@laptop"), Commit: said("fedcba9876543210fedcba9876543210fedcba98"), Uncommitted: true, Plan: strings.Repeat("6", 64), Selected: deploy.Selection{Nodes: []string{said("node-0*")}}}}
	activated := map[string]time.Time{}
	then := now.Add(-50 * time.Hour)
	var answers fleetpage.Answers
	answers.At = now.Add(-2 * time.Minute)
	branches := []string{"main", "staging", "feature/search"}
	for i := range environments {
		customer, branch := i/3, branches[i%3]
		user := said(fmt.Sprintf("site%04d-%s-%07x", customer, strings.ReplaceAll(branch, "/", "-"), 0xabc1234+i))
		host := said(fmt.Sprintf("%s.customer%04d.example", strings.ReplaceAll(branch, "/", "-"), customer))
		own := said(fmt.Sprintf("%04d.hosting.example", i))
		at, uid := node(customer), 40000+i
		modified := then.Add(-time.Duration(i) * time.Hour).Unix()
		e := plan.Environment{
			UID: uid, Node: at, Hostenv: plan.Identity{Organisation: said(fmt.Sprintf("org%04d", customer/2)), Project: said(fmt.Sprintf("site%04d", customer)), EnvironmentName: said(branch)},
			VirtualHosts: map[string]plan.VirtualHost{
				host: {EnableACME: &yes, ForceSSL: &yes, ServerAliases: []string{said("www." + host)}},
				own:  {EnableACME: &yes, ForceSSL: &yes},
			},
			Source:  &plan.Source{Rev: fmt.Sprintf("%08x%032x", 0x9e3779b1*uint32(i+1), i), LastModified: &modified, Attrs: plan.Carried{{Name: "ref", Value: value(said(branch))}, {Name: "url", Value: value(said(fmt.Sprintf("ssh://git@git.example/org%04d/site%04d.git", customer/2, customer)))}}},
			Carried: plan.Carried{{Name: "type", Value: value(said(map[bool]string{true: "production", false: "testing"}[i%3 == 0]))}},
		}
		entry := state.Entry{UserName: user, UID: uid, Node: at, DeployedNode: at, VirtualHosts: []string{host, own}}
		gate := plan.GateEntry{Asked: plan.Asked{EnableACME: true, ForceSSL: true}, Decision: plan.GateOn, Node: at, Verdict: "pass", Reason: said("a-match"), Since: "2026-11-20T06:00:00Z"}
		outcome := deploy.ProfileOutcome{Node: at, Profile: user, State: deploy.StateActive, Want: "/nix/store/x"}
		later := deploy.ProfileOutcome{Node: at, Profile: user, State: deploy.StateInSync, Want: "/nix/store/x"}
		status := deploy.Status{Node: at, Profile: user, Standing: deploy.StandingInSync, Planned: "/nix/store/x", Active: "/nix/store/x"}
		certificate := deploy.Certificate{Node: at, Name: host, State: deploy.CertificateValid, Issuer: deploy.IssuerCA, NotAfter: now.Add(60 * 24 * time.Hour)}
		switch i % 40 {
		case 3: // a name that leads elsewhere
			gate.Decision, gate.Verdict, gate.Reason = plan.GateOff, "fail", said("a-mismatch")
			gate.Evidence = []plan.Evidence{{Name: host, Type: "A", Server: said("ns1.customer.example"), Saw: said("192.0.2.99")}, {Name: at + ".hosting.example", Type: "A", Saw: said("198.51.100.7")}}
			gate.Fix = "point " + host + " at the node"
			e.VirtualHosts[host] = plan.VirtualHost{EnableACME: &no, ForceSSL: &no}
			certificate.State = deploy.CertificateWaiting
		case 4:
			gate.Verdict, gate.Reason = "unknown", said("lookup-failed")
			later.State, later.Error, later.Hint = deploy.StateFailed, said("the activation failed: unit app.service has failed"), "run `systemctl --user status`"
			certificate.State, certificate.Failure = deploy.CertificateFailed, &deploy.OrderFailure{Since: then, Last: now.Add(-time.Hour), Times: 3, Exit: "1", Output: []string{said("acme: error: 403 :: unauthorized")}}
		case 5:
			e.Enable = &no
		case 6:
			e.PreviousNode, entry.DeployedNode = node(customer+1), node(customer+1)
		case 7:
			entry.DeployedNode = ""
			outcome.State, outcome.Reason, later.State = deploy.StateSkipped, deploy.ReasonInterrupted, deploy.StateSkipped
			status.Standing, status.Detail = deploy.StandingBehind, "not deployed yet"
		case 8:
			status.Standing, status.Detail = deploy.StandingDiverged, said("an older generation was made active again on the node")
		case 9: // of a project that is held back, as is one that no plan had
			e.Hostenv.Organisation, e.Hostenv.Project = fmt.Sprintf("org%04d", customer/2), fmt.Sprintf("site%04d", customer)
			f.Plan.HeldBack[e.Hostenv.Organisation+"__"+e.Hostenv.Project] = plan.HeldBack{Reasons: []string{said("attribute 'x' missing"), said("enable is a string")}}
			f.Plan.HeldBack[fmt.Sprintf("new%04d__site", i)] = plan.HeldBack{Reasons: []string{said("has 21 environments and may have 20")}}
		}
		f.Plan.Environments[user], f.State.Entries[user], f.Plan.DNSGate[host] = e, entry, gate
		slice := fmt.Sprintf("user-org%04d-site%04d", customer/2, customer)
		slices[customer%nodes][slice] = map[string]any{"sliceConfig": map[string]any{"CPUQuota": "200%", "MemoryMax": "4G"}}
		services[customer%nodes][fmt.Sprintf("user@%d", uid)] = map[string]any{"serviceConfig": map[string]any{"Slice": fmt.Sprintf("%s-%d.slice", slice, uid)}}
		first.Profiles = append(first.Profiles, outcome)
		second.Profiles = append(second.Profiles, later)
		if outcome.State == deploy.StateActive {
			activated[at+"/"+user] = then.Add(time.Duration(i) * time.Second)
		}
		if e.Runs() {
			answers.Statuses = append(answers.Statuses, status)
			answers.Certificates = append(answers.Certificates, certificate)
		}
	}
	for i := range nodes {
		f.Plan.Nodes[node(i)] = plan.Node{Carried: plan.Carried{{Name: "systemd", Value: value(map[string]any{"slices": slices[i], "services": services[i]})}}}
		f.Plan.NodeConnections[node(i)] = plan.Connection{Hostname: said(fmt.Sprintf("198.51.100.%d", i+1)), System: said("x86_64-linux")}
		answers.Statuses = append(answers.Statuses, deploy.Status{Node: node(i), Profile: deploy.SystemProfile, Standing: deploy.StandingInSync})
		first.Profiles = append(first.Profiles, deploy.ProfileOutcome{Node: node(i), Profile: deploy.SystemProfile, State: deploy.StateActive})
		activated[node(i)+"/"+deploy.SystemProfile] = then.Add(-time.Minute)
	}
	gone := said("gone0000-main-0000000")
	f.State.Entries[gone] = state.Entry{UserName: gone, UID: 39999, Node: node(0), DeployedNode: node(0), VirtualHosts: []string{said("gone.example")}, Retired: true}
	answers.Leftovers = []deploy.Leftover{{Node: node(0), User: gone, UID: 39999, Why: deploy.FateRetired}}
	answers.Findings = []deploy.Event{{Node: node(1), Finding: &deploy.Finding{Level: deploy.Warning, Code: deploy.FindingNginxOlder, Message: "nginx runs with older settings than its unit has now", Hint: "run `systemctl restart nginx` as root at a quiet time"}}}
	if asked {
		f.Asked = &answers
	}
	for i := range 12 { // the runs of the weeks before
		begun := then.Add(-time.Duration(12-i) * 31 * time.Hour)
		f.Runs = append(f.Runs, fleetpage.Run{ID: begun.Format("20060102T150405.000000Z-") + "0000ab", Begun: begun, Ended: begun.Add(time.Minute),
			Outcome: deploy.Outcome{Ended: true, Start: deploy.Start{By: said("ada@office")}, Profiles: []deploy.ProfileOutcome{{Node: node(0), Profile: deploy.SystemProfile, State: deploy.StateInSync}}}})
	}
	f.Runs = append(f.Runs,
		fleetpage.Run{ID: "20261127T053000.000000Z-0000ac", Begun: then, Ended: then.Add(time.Hour), Outcome: first, Activated: activated},
		fleetpage.Run{ID: "20261127T063000.000000Z-0000ad", Unreadable: errors.New(said("line 3: unexpected end of JSON input"))},
		fleetpage.Run{ID: "20261128T053000.000000Z-0000ae", Begun: now.Add(-20 * time.Hour), Ended: now.Add(-20*time.Hour + 3*time.Minute), Outcome: second},
	)
	return f
}
