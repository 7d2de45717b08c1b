package main

import (
	"encoding/json"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// dnsFacts returns the DNS facts of the hosts, in the form that `mage dnsGate
// -facts` reads: each name has one address.
func dnsFacts(nodes, hosts map[string]string) ([]byte, error) {
	facts := dnsgate.Facts{
		FormatVersion: 1, Taken: "2026-03-01T12:00:00Z",
		Nodes: map[string]*dnsgate.NodeFacts{}, Names: map[string]*dnsgate.NameFacts{},
	}
	noData := dnsgate.Lookup{Outcome: dnsgate.OutcomeNoData}
	for name, address := range nodes {
		facts.Nodes[name] = &dnsgate.NodeFacts{Name: name, A: at(address), AAAA: noData}
	}
	for name, address := range hosts {
		labels := strings.Split(name, ".")
		zone := strings.Join(labels[len(labels)-3:], ".")
		host := &dnsgate.NameFacts{
			Name: name, A: at(address), AAAA: noData, Zone: zone,
			Servers: []dnsgate.ServerFacts{{Name: "ns1." + zone, Address: "192.4.0.53:53", A: at(address), AAAA: noData, CNAME: noData}},
		}
		for i := range labels {
			host.CAA = append(host.CAA, dnsgate.CAALookup{Name: strings.Join(labels[i:], "."), Lookup: noData})
		}
		facts.Names[name] = host
	}
	data, err := json.MarshalIndent(facts, "", "  ")
	return append(data, '\n'), err
}

func at(address string) dnsgate.Lookup {
	return dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Addresses: []string{address}}
}
