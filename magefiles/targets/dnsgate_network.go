package targets

import (
	"context"
	"fmt"
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/resolver"
)

// collect asks DNS.
func (r *gateRun) collect(ctx context.Context, question dnsgate.Question) (*dnsgate.Facts, error) {
	show, done := counting("looking up names")
	defer done()
	var collector dnsgate.Collector = resolver.New(resolver.Config{
		Resolver: r.resolver, Private: r.private,
		Progress: func(p resolver.Progress) { show(p.Done, p.Total) },
	})
	return collector.Collect(ctx, question)
}

// counting shows the progress of a step: on a terminal in one line that it
// overwrites, elsewhere only the beginning.
func counting(what string) (show func(done, total int), done func()) {
	if !terminal(os.Stderr) {
		fmt.Fprintln(stderr(), what)
		return func(int, int) {}, func() {}
	}
	const erase = "\r\x1b[K"
	return func(done, total int) {
			fmt.Fprint(os.Stderr, erase, fitting(fmt.Sprintf("%s (%d of %d)", what, done, total)))
		}, func() {
			fmt.Fprint(os.Stderr, erase)
		}
}
