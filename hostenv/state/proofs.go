package state

import (
	"maps"
	"slices"
	"strings"
)

// Proofs returns the organisation of each domain that a TXT record proved, with the
// date. Of two organisations, which only a merge can leave, the earlier one has it.
func (s State) Proofs() map[string]DomainProof {
	proofs := map[string]DomainProof{}
	for _, user := range s.names() {
		e := s.Entries[user]
		for domain, since := range e.Domains {
			if first, ok := proofs[domain]; !ok || since < first.Since || since == first.Since && e.Organisation < first.Organisation {
				proofs[domain] = DomainProof{e.Organisation, since}
			}
		}
	}
	return proofs
}

// A DomainProof is the organisation that proved a domain, and the date.
type DomainProof struct{ Organisation, Since string }

// WithProof returns the state with a proof, in the first entry of the organisation
// that has a name of the domain. Without such an entry it is s.
func (s State) WithProof(domain string, proof DomainProof) State {
	s = s.Clone()
	s.keepProofs(proof.Organisation, map[string]string{domain: proof.Since})
	return s
}

// keepProofs adds proofs to entries of the organisation that have names of their
// domains, and drops the others: no name of them is left.
func (s State) keepProofs(organisation string, proofs map[string]string) {
	for _, domain := range slices.Sorted(maps.Keys(proofs)) {
		for _, user := range s.names() {
			e := s.Entries[user]
			if e.Organisation != organisation || !slices.ContainsFunc(e.VirtualHosts, func(host string) bool { return below(host, domain) }) {
				continue
			}
			e.Domains = maps.Clone(e.Domains)
			if e.Domains == nil {
				e.Domains = map[string]string{}
			}
			e.Domains[domain] = proofs[domain]
			s.Entries[user] = e
			break
		}
	}
}

// below reports whether a host name or wildcard is a domain or below it.
func below(host, domain string) bool {
	host = strings.TrimPrefix(host, "*.")
	return host == domain || strings.HasSuffix(host, "."+domain)
}
