package dnsgate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Explain returns a text with the verdict on a certificate, its evidence, and all
// facts of every name.
func Explain(facts *Facts, request Request) string {
	var b strings.Builder
	v := Judge(facts, request)
	fmt.Fprintf(&b, "%s on %s: %s, %s\n", request.Host, request.Node, v.Result, v.Reason)
	b.WriteString(v.Text("  "))
	if facts == nil {
		return b.String()
	}
	if node := facts.Nodes[request.Node]; node != nil {
		fmt.Fprintf(&b, "node %s\n", node.Name)
		explainLookups(&b, node.A, node.AAAA, node.Servers)
	}
	for _, spelling := range certificateNames(request) {
		own := request
		own.Host, own.Names = spelling, []string{spelling}
		v := Judge(facts, own)
		fmt.Fprintf(&b, "name %s: %s, %s\n", spelling, v.Result, v.Reason)
		name, _, _ := request.query(spelling)
		f := facts.Names[name]
		if f == nil {
			b.WriteString("  not looked up\n")
			continue
		}
		explainLookups(&b, f.A, f.AAAA, f.Servers)
		for _, l := range f.CAA {
			fmt.Fprintf(&b, "  CAA of %s: %s\n", problem.Line(l.Name), describe(l.Lookup))
		}
		if f.Live != nil {
			for _, a := range slices.Sorted(maps.Keys(f.Live.Dials)) {
				fmt.Fprintf(&b, "  port 80 of %s: %s\n", problem.Line(a), f.Live.Dials[a])
			}
			for _, a := range slices.Sorted(maps.Keys(f.Live.Probes)) {
				fmt.Fprintf(&b, "  probe of %s: %s\n", problem.Line(a), describeProbe(f.Live.Probes[a]))
			}
			if f.Live.Own != nil {
				fmt.Fprintf(&b, "  the node itself: %s\n", describeProbe(f.Live.Own))
			}
		}
	}
	return b.String()
}

func explainLookups(b *strings.Builder, a, aaaa Lookup, servers []ServerFacts) {
	fmt.Fprintf(b, "  A: %s\n  AAAA: %s\n", describe(a), describe(aaaa))
	servers = slices.Clone(servers)
	slices.SortFunc(servers, compareServers)
	for _, s := range servers {
		fmt.Fprintf(b, "  %s: A %s; AAAA %s; CNAME %s\n", problem.Line(s.label()), describe(s.A), describe(s.AAAA), describe(s.CNAME))
	}
}

// Text returns the evidence, the fix and the warnings of a verdict, a line each.
func (v Verdict) Text(indent string) string {
	var b strings.Builder
	for _, e := range v.Evidence {
		fmt.Fprintf(&b, "%s%s\n", indent, problem.Line(e.String()))
	}
	if v.Fix != "" {
		fmt.Fprintf(&b, "%sfix: %s\n", indent, problem.Line(v.Fix))
	}
	for _, w := range v.Warnings {
		fmt.Fprintf(&b, "%swarning: %s\n", indent, problem.Line(w))
	}
	return b.String()
}

func (e Evidence) String() string {
	text := e.Name + " " + e.Type + ": " + e.Saw
	if e.Server != "" {
		text += " (" + e.Server + ")"
	}
	return text
}
