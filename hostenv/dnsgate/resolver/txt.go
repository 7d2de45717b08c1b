package resolver

import (
	"context"
	"fmt"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// A TXT is the TXT records of a name, or why they are not known.
type TXT struct {
	Texts []string
	Error dnsgate.LookupError // "" if the name has no record
}

// TXT asks the resolver for the TXT records of names. It does not follow CNAMEs: a
// wildcard of a zone may lead every name below it to another customer's zone, which
// must prove nothing about the first. It returns an error if the [Config] has no
// resolver, or if the context ends.
func (r *Resolver) TXT(ctx context.Context, names []string) (map[string]TXT, error) {
	resolvers, err := r.config.resolvers()
	if err != nil {
		return nil, err
	}
	x := newExchange(ctx, r.config.Timeouts)
	defer x.close()
	c := newCollection(x, r.config, resolvers)
	names = unique(names)
	stopProgress := c.report(len(names))
	found := make([]TXT, len(names))
	each(len(names), r.config.Concurrency, func(i int) {
		switch a := c.cache.lookup(names[i], dns.TypeTXT).wait(); {
		case a.Failed():
			found[i].Error = a.Error
		case len(a.Chain) == 0:
			if a.texts != nil {
				found[i].Texts = *a.texts
			}
		}
		c.count.Add(1)
	})
	stopProgress()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("look up %d TXT records: %w", len(names), err)
	}
	all := make(map[string]TXT, len(names))
	for i, name := range names {
		all[name] = found[i]
	}
	return all, nil
}
