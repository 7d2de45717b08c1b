package dnsgate

// Renew replaces the resolver's answers for a name by those of its zone's servers, if
// the servers agree and lead to the node, whose name in DNS is node. It reports
// whether it did so. A caller that has just written the name needs it, because the
// resolver may remember for hours that the name did not exist.
func (f *Facts) Renew(name, node string) bool {
	facts := f.Names[name]
	if facts == nil {
		return false
	}
	s := lookUp(f, Request{Node: node}, name)
	if len(s.node.all()) == 0 || !s.serversAgreeOnNode() {
		return false
	}
	facts.A = Lookup{Outcome: OutcomeNoData, Addresses: texts(s.node.v4), Chain: []string{node}}
	facts.AAAA = Lookup{Outcome: OutcomeNoData, Addresses: texts(s.node.v6), Chain: []string{node}}
	for _, l := range []*Lookup{&facts.A, &facts.AAAA} {
		if len(l.Addresses) > 0 {
			l.Outcome = OutcomeAnswer
		}
	}
	return true
}
