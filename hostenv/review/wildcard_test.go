package review_test

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// The virtual hosts of environments change by provider.wildcard, and not by their
// customers.
func TestWildcard(t *testing.T) {
	f := newFleet(1, 1, 1, 1)
	before := f.plan(t, none)
	f.at("provider")["wildcard"] = object{"enable": true, "apiTokenSecret": "cloudflare/acme_token"}
	options := 0
	for _, c := range review.Of(before, f.plan(t, before), nil).Changes {
		if c.Reason != review.ReasonProvider {
			t.Errorf("%+v", c)
		}
		if c.Kind == review.KindOption {
			options++
		}
	}
	if options != 2 { // enableACME and useACMEHost
		t.Errorf("%d changes of the environment, want 2", options)
	}
}

// The gate turns the certificate of a customer's wildcard off, and on again.
func TestWildcardOfTheGate(t *testing.T) {
	const host = "*.acme.net"
	at := func(decision string, tls plan.TLS) review.Version {
		v := plan.VirtualHost{}.WithTLS(tls)
		return review.Version{State: state.New(), Plan: &plan.Document{
			Environments: map[string]plan.Environment{"site-main-b7ea262": {VirtualHosts: map[string]plan.VirtualHost{host: v}}},
			DNSGate:      map[string]plan.GateEntry{host: {Decision: decision}},
		}}
	}
	on, off := at(plan.GateOn, plan.TLS{ForceSSL: true, Shared: plan.WildcardCertificate(host)}), at(plan.GateOff, plan.TLS{})
	for _, change := range [][2]review.Version{{on, off}, {off, on}} {
		options := 0
		for _, c := range review.Of(change[0], change[1], nil).Changes {
			if c.Kind != review.KindOption {
				continue
			}
			if options++; c.Reason != review.ReasonGate {
				t.Errorf("%+v", c)
			}
		}
		if options != 2 { // forceSSL and useACMEHost
			t.Errorf("%d changes of the environment, want 2", options)
		}
	}
}
