package conformance

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// A Situation is a host name and its zones. In its texts {z} is the situation's own
// domain, which differs in each run, {t} a second domain, {node} the node's name, and
// {n4}, {e6} and so on the address of a host.
type Situation struct {
	Name string `json:"name"`
	// Host is the name to judge; empty is www.{z}.
	Host string `json:"host,omitempty"`
	// Aliases are the other names of the certificate.
	Aliases []string `json:"aliases,omitempty"`
	// Node is the node that should serve it; empty is n1.
	Node  string `json:"node,omitempty"`
	Zones []Zone `json:"zones"`
	// Domain is the domain above {z}; empty is com.
	Domain string `json:"domain,omitempty"`
	// Live makes the gate do its live checks.
	Live bool `json:"live,omitempty"`
	// Proxies are ranges of reverse proxies that the gate knows.
	Proxies []string `json:"proxies,omitempty"`
	// Redirects are the places to which the hosts c4 and c6 redirect, one after the other: a
	// request whose query is "hop=N" gets the redirect N, and one without a query the first.
	// {path} is the path of the request, {host} its host, {hop} a query that leads to the
	// next redirect.
	Redirects []string `json:"redirects,omitempty"`
	// Before are the records of the first zone that the gate's resolver remembers.
	Before string `json:"before,omitempty"`
	// NoAccount hides the account from the gate.
	NoAccount bool `json:"noAccount,omitempty"`
	// Why explains the situation to readers.
	Why string `json:"why,omitempty"`
}

var counter atomic.Int64

// Instance is a situation with all names set.
type Instance struct {
	Situation
	domain string
	other  string
}

// NodeName returns the node's name in DNS.
func (i Instance) NodeName() string { return i.Node + "." + strings.TrimSuffix(hostingDomain, ".") }

// Names returns all names of the certificate.
func (i Instance) Names() []string { return append([]string{i.Host}, i.Aliases...) }

// Instance gives the situation domains that no other instance has.
func (s Situation) Instance() Instance {
	n := counter.Add(1)
	inst := Instance{Situation: s}
	if inst.Domain == "" {
		inst.Domain = "com"
	}
	if inst.Host == "" {
		inst.Host = "www.{z}"
	}
	if inst.Node == "" {
		inst.Node = "n1"
	}
	inst.domain, inst.other = fmt.Sprintf("s%d.%s", n, inst.Domain), fmt.Sprintf("t%d.net", n)
	pairs := []string{"{z}", inst.domain, "{Z}", strings.ToUpper(inst.domain), "{t}", inst.other, "{node}", inst.NodeName()}
	for host, addr := range hosts {
		pairs = append(pairs, "{"+host+"}", addr)
	}
	set := strings.NewReplacer(pairs...).Replace
	inst.Host = set(inst.Host)
	inst.Aliases = nil
	for _, alias := range s.Aliases {
		inst.Aliases = append(inst.Aliases, set(alias))
	}
	inst.Before = set(s.Before)
	inst.Redirects = nil
	for _, to := range s.Redirects {
		inst.Redirects = append(inst.Redirects, set(to))
	}
	inst.Zones = nil
	for _, z := range s.Zones {
		zone := z
		if zone.Origin == "" {
			zone.Origin = "{z}"
		}
		if zone.Servers == nil {
			zone.Servers = []string{"ns1", "ns2"}
		}
		zone.Origin, zone.Records = set(zone.Origin), set(zone.Records)
		zone.At = map[string]string{}
		for server, text := range z.At {
			zone.At[server] = set(text)
		}
		zone.Faults = nil
		for _, fault := range z.Faults {
			fault.Name = set(fault.Name)
			zone.Faults = append(zone.Faults, fault)
		}
		inst.Zones = append(inst.Zones, zone)
	}
	return inst
}

// Remembered returns the first zone as it was before: with the records of Before, at all
// servers, and a TTL of an hour.
func (i Instance) Remembered() (z Zone, ok bool) {
	if i.Before == "" || len(i.Zones) == 0 {
		return Zone{}, false
	}
	z = i.Zones[0]
	return Zone{Origin: z.Origin, Servers: z.Servers, Records: "$TTL 3600\n" + i.Before}, true
}

// Install adds the zones to the fleet, and what its hosts answer to the web; remove
// removes them.
func (i Instance) Install(f *Fleet, w *Web) (remove func(), err error) {
	var added []string
	leave := w.Serve(i)
	remove = func() {
		leave()
		f.Remove(added...)
	}
	for _, zone := range i.Zones {
		if err := f.Add(zone); err != nil {
			remove()
			return nil, fmt.Errorf("situation %q: %w", i.Name, err)
		}
		added = append(added, zone.Origin)
	}
	return remove, nil
}
