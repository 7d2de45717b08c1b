package dnsgate

// Renew replaces what the resolver says of a name by what its zone's servers
// say, if these agree and lead to the node of that name in DNS, and reports
// whether it did. It is for a caller that has just written the name: the
// resolver was asked before, and may remember for hours that there is no such
// name.
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
