package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxRewrites limits the writes of a name that another tool changes back.
const maxRewrites = 3

// A zoneUpdate points the names of one zone at their targets.
type zoneUpdate struct {
	*update
	zone     Zone
	open     []Want              // names without an outcome yet
	attempts map[string]*attempt // by host
	tries    int                 // writes without an answer, in a row
}

// An attempt records the writes of one name.
type attempt struct {
	kind    Kind // the outcome if the last batch is carried out, "" without one
	maybe   bool // it is unknown whether Cloudflare carried the last batch out
	written int  // batches that Cloudflare carried out
	raced   int  // batches that failed because the records had changed
	limit   int  // how many names may share a batch with this one
}

// run lists, plans and writes until every name has its outcome.
func (z *zoneUpdate) run(ctx context.Context) {
	for len(z.open) > 0 {
		if z.limited != nil {
			z.settle(Failed, ReasonRateLimited, z.limited.Detail())
			return
		}
		var records []Record
		err := z.read(ctx, func() (err error) {
			records, err = z.api.Records(ctx, z.zone.ID)
			return err
		})
		if err != nil {
			z.fail(ctx, err)
			return
		}
		batches := z.plan(records)
		for i, b := range batches {
			if i > 0 && len(b.Deletes)+len(b.Patches) > 0 {
				break // list again: the owner of these records may have changed
			}
			if !z.write(ctx, b) {
				break
			}
		}
	}
}

// plan reports the outcomes of the names that need no write, and returns the writes
// for the others.
func (z *zoneUpdate) plan(records []Record) []Batch {
	batches, outcomes := planZone(ZoneRecords{z.zone, records}, z.open, z.cfg, func(host string) int { return z.attempts[host].limit })
	needed := map[string]bool{}
	for _, b := range batches {
		for _, host := range b.Hosts() {
			needed[host] = true
		}
	}
	stays := func(host string) bool { return needed[host] && z.attempts[host].written < maxRewrites }
	for _, o := range outcomes {
		if stays(o.Host) {
			continue
		}
		switch kind := z.attempts[o.Host].kind; {
		case needed[o.Host]:
			o.Kind, o.Reason = Failed, ReasonNotKept
		case kind != "" && o.Kind == Unchanged:
			o.Kind = kind
		}
		z.report.Outcomes = append(z.report.Outcomes, o)
	}
	z.open = slices.DeleteFunc(z.open, func(w Want) bool { return !stays(w.Host) })
	// The next round plans a batch again in which a name has its outcome now.
	return slices.DeleteFunc(batches, func(b Batch) bool {
		return slices.ContainsFunc(b.Hosts(), func(host string) bool { return !stays(host) })
	})
}

// write sends one batch. It returns false if the records must be listed before
// the next.
func (z *zoneUpdate) write(ctx context.Context, b Batch) bool {
	hosts := b.Hosts()
	if err := z.log(Entry{Stage: "before", Batch: b.clone(), Inverse: b.Inverse()}); err != nil {
		z.settle(Refused, ReasonLogFailed, err.Error())
		return false
	}
	z.progress("%s: writing %d names", z.zone.Name, len(hosts))
	for _, host := range hosts {
		z.attempts[host].kind, z.attempts[host].maybe = Upserted, true
	}
	for _, p := range b.Patches {
		if p.Set.Content == nil {
			z.attempts[normal(p.Name)].kind = Adopted
		}
	}
	posted, err := z.api.Write(ctx, b)
	if err != nil {
		z.failed(ctx, err, hosts)
		return false
	}
	z.tries = 0
	for _, host := range hosts {
		z.attempts[host].maybe = false
		z.attempts[host].written++
	}
	done := b.WithPosted(posted)
	z.report.Written = append(z.report.Written, done)
	// The batch is carried out. The rest goes on without a log of its ids.
	if err := z.log(Entry{Stage: "after", Batch: done, Inverse: done.Inverse()}); err != nil {
		z.progress("%s: %v", z.zone.Name, err)
	}
	return true
}

func (z *zoneUpdate) log(e Entry) error {
	if z.opts.Log == nil {
		return nil
	}
	if err := z.opts.Log(e); err != nil {
		return fmt.Errorf("log the batch: %w", err)
	}
	return nil
}

// failed handles the error of a write to hosts. Names that it leaves open are listed
// and planned again.
func (z *zoneUpdate) failed(ctx context.Context, err error, hosts []string) {
	e := (*APIError)(nil)
	if !errors.As(err, &e) || ctx.Err() != nil {
		z.fail(ctx, err)
		return
	}
	if !e.Unknown() { // a batch is one transaction, so it changed no record
		for _, host := range hosts {
			z.attempts[host].kind, z.attempts[host].maybe = "", false
		}
	}
	switch {
	case e.Unknown() || e.Limited():
		if z.tries++; z.tries >= maxTries || !z.wait(ctx, e, z.tries) {
			z.fail(ctx, err)
		}
	case e.Unauthorized():
		z.fail(ctx, err)
	default:
		z.isolate(e, hosts)
	}
}

// isolate handles a batch that Cloudflare refused. The error does not name the
// operation, so isolate halves the batch until one name is left. If the records changed
// after we listed them, it first tries another list.
func (z *zoneUpdate) isolate(e *APIError, hosts []string) {
	again := e.raced()
	for _, host := range hosts {
		a := z.attempts[host]
		if again {
			a.raced++
		}
		if !again || a.raced > 1 {
			a.limit = max(len(hosts)/2, 1)
		}
	}
	if len(hosts) > 1 || again && z.attempts[hosts[0]].raced < maxRewrites {
		return
	}
	kind, reason := Refused, ReasonRejected
	switch {
	case e.has(codeRecordIdentical):
		kind, reason = Unchanged, "" // the record exists, though it is not listed
	case again:
		reason = ReasonConflict
	}
	z.settleIf(func(w Want) bool { return w.Host == hosts[0] }, kind, reason, e.Detail())
}

// fail ends the zone with an error, which gives all open names their outcome.
func (z *zoneUpdate) fail(ctx context.Context, err error) {
	e := (*APIError)(nil)
	switch {
	case ctx.Err() != nil:
		z.settle(Failed, ReasonInterrupted, context.Cause(ctx).Error())
	case !errors.As(err, &e):
		z.settle(Failed, ReasonUnreachable, err.Error())
	case e.Unauthorized():
		z.settle(Refused, ReasonNoRights, e.Detail())
	case e.Limited():
		z.settle(Failed, ReasonRateLimited, e.Detail())
	case e.Unknown():
		z.settle(Failed, ReasonUnreachable, e.Detail())
	default:
		z.settle(Refused, ReasonRejected, e.Detail())
	}
}

func (z *zoneUpdate) settle(kind Kind, reason, detail string) {
	z.settleIf(func(Want) bool { return true }, kind, reason, detail)
}

func (z *zoneUpdate) settleIf(which func(Want) bool, kind Kind, reason, detail string) {
	z.open = slices.DeleteFunc(z.open, func(w Want) bool {
		if !which(w) {
			return false
		}
		a := z.attempts[w.Host]
		o := Outcome{Host: w.Host, Target: w.Target, Zone: z.zone.Name, Kind: kind, Reason: reason, Detail: detail, Maybe: a.maybe}
		if a.written > 0 && !kind.Settled() && !o.Maybe {
			o.Kind, o.Maybe = Failed, true // written, but not listed afterwards
		}
		z.report.Outcomes = append(z.report.Outcomes, o)
		return true
	})
}
