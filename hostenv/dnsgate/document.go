package dnsgate

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// A Certificate is one that a plan asks for: that of a virtual host which is
// served by a node.
type Certificate struct {
	Host string // the virtual host, by its key in the plan
	User string // the environment's user name
	Node string // the node, by its key in the plan
	// NodeName is the node's name in DNS, <node>.<hostenvHostname>.
	NodeName string
	// Names are those in the certificate: serverName, or else the host, and
	// serverAliases.
	Names []string
	// Asked is what the environment asks for, whatever the gate did since.
	Asked Asked
}

// Asked is what an environment asks of its virtual host.
type Asked struct {
	EnableACME bool `json:"enableACME"`
	ForceSSL   bool `json:"forceSSL"`
}

// Request is what [Judge] is asked of a certificate.
func (c Certificate) Request() Request {
	return Request{Host: c.Host, Names: c.Names, Node: c.NodeName}
}

// Filter narrows a run. An empty list means all.
type Filter struct {
	Nodes []string // by their key in the plan
	Users []string // environments, by their user name
}

func (f Filter) holds(c Certificate) bool {
	return (len(f.Nodes) == 0 || slices.Contains(f.Nodes, c.Node)) && (len(f.Users) == 0 || slices.Contains(f.Users, c.User))
}

// Certificates returns the certificates that a decoded plan.json asks for, by
// host. A virtual host that asks for none, or stands on no node, has none. A
// filter that names what the plan does not have is a *FilterError.
func Certificates(plan map[string]any, filter Filter) ([]Certificate, error) {
	if err := filter.check(plan); err != nil {
		return nil, err
	}
	var all []Certificate
	for _, c := range wanted(plan) {
		if filter.holds(c) && objectAt(plan, "nodes", c.Node, "services", "nginx", "virtualHosts", c.Host) != nil {
			all = append(all, c)
		}
	}
	return all, nil
}

func (f Filter) check(plan map[string]any) error {
	var e FilterError
	for _, node := range f.Nodes {
		if objectAt(plan, "nodes", node) == nil {
			e.Nodes = append(e.Nodes, node)
		}
	}
	for _, user := range f.Users {
		if objectAt(plan, "environments", user) == nil {
			e.Users = append(e.Users, user)
		}
	}
	if len(e.Nodes)+len(e.Users) > 0 {
		return &e
	}
	return nil
}

// wanted returns what environments ask for, on a node or not, by host.
func wanted(plan map[string]any) []Certificate {
	zone, _ := plan["hostenvHostname"].(string)
	entries := objectAt(plan, "dnsGate")
	var all []Certificate
	for user, v := range objectAt(plan, "environments") {
		environment := object(v)
		node, _ := environment["node"].(string)
		for host, v := range object(environment["virtualHosts"]) {
			fields := object(v)
			asked := askedOf(fields, readEntry(entries[host]))
			if !asked.EnableACME {
				continue
			}
			all = append(all, Certificate{
				Host: host, User: user, Node: node, NodeName: node + "." + zone,
				Names: namesOf(host, fields), Asked: asked,
			})
		}
	}
	slices.SortFunc(all, func(a, b Certificate) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.User, b.User)) })
	return all
}

// askedOf tells what was asked for from what stands in the plan: the gate may
// have turned it off.
func askedOf(fields map[string]any, e *entry) Asked {
	acme, _ := fields["enableACME"].(bool)
	force, _ := fields["forceSSL"].(bool)
	if e != nil && !e.On && !acme {
		return e.Asked
	}
	return Asked{acme, force}
}

// namesOf are the names for which NixOS orders a certificate
// (nixos/modules/services/web-servers/nginx).
func namesOf(host string, fields map[string]any) []string {
	first := host
	if name, _ := fields["serverName"].(string); name != "" {
		first = name
	}
	names := []string{first}
	aliases, _ := fields["serverAliases"].([]any)
	for _, alias := range aliases {
		if name, ok := alias.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// QuestionOf is what a [Collector] has to find out for certificates. Names that
// nobody would issue are left out: they are judged without facts.
func QuestionOf(certificates []Certificate, live bool) Question {
	q := Question{NodesOf: map[string][]string{}, Live: live}
	for _, c := range certificates {
		q.Nodes = append(q.Nodes, c.NodeName)
		for _, spelling := range c.Names {
			name, err := QueryName(spelling)
			if err != nil {
				continue
			}
			q.Names = append(q.Names, name)
			if !slices.Contains(q.NodesOf[name], c.NodeName) {
				q.NodesOf[name] = append(q.NodesOf[name], c.NodeName)
			}
		}
	}
	slices.Sort(q.Nodes)
	slices.Sort(q.Names)
	q.Nodes, q.Names = slices.Compact(q.Nodes), slices.Compact(q.Names)
	return q
}

// entry is what plan.json holds of one virtual host in dnsGate. It is
// written when a verdict begins, and stays as it is while the verdict lasts.
type entry struct {
	Asked    Asked
	On       bool   // whether the certificate is ordered
	Node     string // for which the verdict was taken
	Result   Result
	Reason   Reason
	Name     string
	Evidence []Evidence
	Fix      string
	Since    string
	// Ordered is since when the certificate is ordered for this node; "" if it was
	// before the gate, or is off.
	Ordered string
}

const on, off = "on", "off"

// readEntry returns nil for what is no entry: a gate that cannot read what was
// decided has no history.
func readEntry(v any) *entry {
	fields := object(v)
	decision, _ := fields["decision"].(string)
	if decision != on && decision != off {
		return nil
	}
	text := func(name string) string { s, _ := fields[name].(string); return s }
	asked := object(fields["asked"])
	e := &entry{
		On: decision == on, Node: text("node"), Result: Result(text("verdict")), Reason: Reason(text("reason")),
		Name: text("name"), Fix: text("fix"), Since: text("since"), Ordered: text("ordered"),
	}
	e.Asked.EnableACME, _ = asked["enableACME"].(bool)
	e.Asked.ForceSSL, _ = asked["forceSSL"].(bool)
	return e
}

// value returns the entry as it stands in the plan.
func (e *entry) value() map[string]any {
	decision := off
	if e.On {
		decision = on
	}
	v := map[string]any{
		"asked":    map[string]any{"enableACME": e.Asked.EnableACME, "forceSSL": e.Asked.ForceSSL},
		"decision": decision, "node": e.Node, "verdict": string(e.Result), "reason": string(e.Reason),
	}
	for name, text := range map[string]string{"name": e.Name, "fix": e.Fix, "since": e.Since, "ordered": e.Ordered} {
		if text != "" {
			v[name] = text
		}
	}
	if len(e.Evidence) > 0 {
		list := make([]any, len(e.Evidence))
		for i, seen := range e.Evidence {
			list[i] = seen.value()
		}
		v["evidence"] = list
	}
	return v
}

func (e Evidence) value() map[string]any {
	v := map[string]any{"saw": e.Saw}
	for name, text := range map[string]string{"name": e.Name, "type": e.Type, "server": e.Server} {
		if text != "" {
			v[name] = text
		}
	}
	return v
}

// Encode returns the canonical bytes of a plan.
func Encode(plan map[string]any) []byte { return canonjson.Encode(plan) }

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func objectAt(doc map[string]any, path ...string) map[string]any {
	for _, name := range path {
		doc = object(doc[name])
	}
	return doc
}

// editor changes a document without changing the value that it was made from:
// whatever it touches it copies first, once.
type editor struct {
	doc map[string]any
	own map[string]map[string]any
}

func edit(doc map[string]any) *editor {
	return &editor{doc: maps.Clone(doc), own: map[string]map[string]any{}}
}

// at returns the object at path for writing, nil if there is none.
func (e *editor) at(path ...string) map[string]any {
	if len(path) == 0 {
		return e.doc
	}
	key := strings.Join(path, "\x00")
	if m, ok := e.own[key]; ok {
		return m
	}
	last := len(path) - 1
	parent := e.at(path[:last]...)
	child, ok := parent[path[last]].(map[string]any)
	if !ok {
		return nil
	}
	child = maps.Clone(child)
	parent[path[last]], e.own[key] = child, child
	return child
}

// order turns the certificate of a virtual host on, as it was asked for, or
// off, at both places where a plan has it.
func (e *editor) order(c Certificate, turnOn bool) {
	acme, force := c.Asked.EnableACME && turnOn, c.Asked.ForceSSL && turnOn
	for _, path := range [][]string{
		{"environments", c.User, "virtualHosts", c.Host},
		{"nodes", c.Node, "services", "nginx", "virtualHosts", c.Host},
	} {
		now := objectAt(e.doc, path...)
		if now == nil || now["enableACME"] == acme && now["forceSSL"] == force {
			continue
		}
		host := e.at(path...)
		host["enableACME"], host["forceSSL"] = acme, force
	}
}
