package dnsgate

import (
	"cmp"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A Certificate is the certificate that a plan asks for a virtual host of a node.
type Certificate struct {
	Host string // the virtual host, by its key in the plan
	User string // the environment's user name
	// Organisation and Project are the environment's, "" if the plan does not say.
	Organisation, Project string
	Node                  string // the node, by its key in the plan
	// NodeName is the node's name in DNS, <node>.<hostenvHostname>.
	NodeName string
	// Names are the names in the certificate: serverName (the host if it is empty) and
	// serverAliases.
	Names []string
	// Profile is the profile that its order names, "" for none.
	Profile plan.CertificateProfile
	// Asked is what the environment asks for, before the gate's decision. A certificate by
	// DNS-01 is Asked.Shared.
	Asked plan.TLS
}

// Request returns the request to [Judge] the certificate.
func (c Certificate) Request() Request {
	return Request{Host: c.Host, Names: c.Names, Node: c.NodeName, DNS: c.Asked.Shared == plan.WildcardCertificate(c.Host), Profile: c.Profile}
}

// Filter limits a run to some nodes and environments. An empty list means all.
type Filter struct {
	Nodes []string // by their key in the plan
	Users []string // environments, by their user name
}

func (f Filter) holds(c Certificate) bool {
	return (len(f.Nodes) == 0 || slices.Contains(f.Nodes, c.Node)) && (len(f.Users) == 0 || slices.Contains(f.Users, c.User))
}

// Certificates returns the certificates that a plan asks for, sorted by host. A virtual
// host that no node serves has none. Certificates returns an error if the filter names
// a node or an environment that the plan does not have.
func Certificates(d plan.Document, filter Filter) ([]Certificate, error) {
	if err := filter.check(d); err != nil {
		return nil, err
	}
	var all []Certificate
	for _, c := range wanted(d) {
		if filter.holds(c) && isServed(d, c) {
			all = append(all, c)
		}
	}
	return all, nil
}

// isServed reports whether the node serves the virtual host of a certificate.
func isServed(d plan.Document, c Certificate) bool {
	_, served := d.Nodes[c.Node].Services.Nginx.VirtualHosts[c.Host]
	return served
}

func (f Filter) check(d plan.Document) error {
	var unknown problem.List
	for _, node := range f.Nodes {
		if _, known := d.Nodes[node]; !known {
			unknown.Addf("the plan", "its nodes are "+listed(slices.Sorted(maps.Keys(d.Nodes))), "has no node %q", node)
		}
	}
	for _, user := range f.Users {
		if _, known := d.Environments[user]; !known {
			unknown.Addf("the plan", "`mage state:list` shows the user names", "has no environment %q", user)
		}
	}
	return unknown.Err()
}

// wanted returns the certificates that environments ask for, on a node or not, sorted
// by host. That of generated names is none of theirs.
func wanted(d plan.Document) []Certificate {
	_, shared := plan.GeneratedWildcard(d.HostenvHostname)
	return certificatesOf(d, func(host string, asked plan.TLS) (plan.TLS, bool) {
		// The gate may have turned it off.
		if entry, ok := entryOf(d, host); ok && entry.Decision == plan.GateOff && !asked.EnableACME && asked.Shared == "" {
			asked = entry.Asked.TLS()
		}
		return asked, asked.EnableACME || asked.Shared != "" && asked.Shared != shared
	})
}

// certificatesOf returns the certificates of virtual hosts with what they ask for, if
// that says that they have one, sorted by host.
func certificatesOf(d plan.Document, asks func(host string, planned plan.TLS) (plan.TLS, bool)) []Certificate {
	var all []Certificate
	names := map[string][]string{} // of the certificates by DNS-01
	for _, w := range d.Wildcards {
		names[w.Certificate] = w.Names
	}
	for user, e := range d.Environments {
		for host, v := range e.VirtualHosts {
			if asked, ok := asks(host, v.TLS()); ok {
				certified := v.CertificateNames(host)
				if of := names[asked.Shared]; of != nil && asked.Shared == plan.WildcardCertificate(host) { // not that of generated names
					certified = of
				}
				all = append(all, Certificate{
					Host: host, User: user, Organisation: e.Hostenv.Organisation, Project: e.Hostenv.Project, Node: e.Node, NodeName: e.Node + "." + d.HostenvHostname,
					Names: certified, Profile: d.CertificateProfile, Asked: asked,
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b Certificate) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.User, b.User)) })
	return all
}

// entryOf returns the gate's entry of a host. It ignores an entry whose decision this
// program does not know.
func entryOf(d plan.Document, host string) (plan.GateEntry, bool) {
	entry := d.DNSGate[host]
	return entry, entry.Decision == plan.GateOn || entry.Decision == plan.GateOff
}

// QuestionOf returns the question to a [Collector] about certificates. It omits names
// that no certificate can have: [Judge] needs no facts for them. Of a wildcard by DNS-01
// it asks for the name that it is below.
func QuestionOf(certificates []Certificate, live LiveChecks) Question {
	q := Question{NodesOf: map[string][]string{}, Live: live}
	for _, c := range certificates {
		q.Nodes = append(q.Nodes, c.NodeName)
		for _, spelling := range c.Names {
			request := c.Request()
			name, _, err := request.query(spelling)
			if err != nil {
				continue
			}
			q.Names = append(q.Names, name)
			if !request.DNS && !slices.Contains(q.NodesOf[name], c.NodeName) {
				q.NodesOf[name] = append(q.NodesOf[name], c.NodeName)
			}
		}
	}
	slices.Sort(q.Nodes)
	slices.Sort(q.Names)
	q.Nodes, q.Names = slices.Compact(q.Nodes), slices.Compact(q.Names)
	return q
}

// entry returns the plan's entry for a decision that begins now.
func (d Decision) entry(now string) plan.GateEntry {
	e := plan.GateEntry{
		Asked: plan.Asked{EnableACME: d.Asked.EnableACME, ForceSSL: d.Asked.ForceSSL, UseACMEHost: d.Asked.Shared}, Decision: plan.GateOff, Node: d.Node,
		Verdict: string(d.Verdict.Result), Reason: string(d.Verdict.Reason), Name: d.Verdict.Name, Fix: d.Verdict.Fix, Since: now, KeepUntil: d.KeepUntil,
	}
	if d.On {
		e.Decision = plan.GateOn
	}
	for _, seen := range d.Verdict.Evidence {
		e.Evidence = append(e.Evidence, plan.Evidence{Name: seen.Name, Type: seen.Type, Server: seen.Server, Saw: seen.Saw})
	}
	return e
}

// withAsked returns an entry with another Asked.
func withAsked(e plan.GateEntry, asked plan.TLS) plan.GateEntry {
	e.Asked.EnableACME, e.Asked.ForceSSL, e.Asked.UseACMEHost = asked.EnableACME, asked.ForceSSL, asked.Shared
	return e
}

// orders collects the options of virtual hosts, by user and host: as the environment
// asks, or all off.
type orders map[string]map[string]plan.TLS

func (o orders) set(c Certificate, turnOn bool) {
	if o[c.User] == nil {
		o[c.User] = map[string]plan.TLS{}
	}
	if o[c.User][c.Host] = (plan.TLS{}); turnOn {
		o[c.User][c.Host] = c.Asked
	}
}
