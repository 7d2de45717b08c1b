package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxRewrites is how often a name is written that another tool changes back.
const maxRewrites = 3

// A zoneUpdate brings the names of one zone where they shall be.
type zoneUpdate struct {
	*update
	zone Zone
	open []Want // without an outcome yet

	sent    map[string]Kind // what a name would be by the last batch that was sent for it
	maybe   map[string]bool // those of sent whose end is not known
	written map[string]int  // how often a name was written
	raced   map[string]int  // how often the records were not as listed
	limits  map[string]int  // how many names may share a batch with one that was refused
	tries   int             // in a row without an answer
}

// run lists, plans and writes until every name has its outcome.
func (z *zoneUpdate) run(ctx context.Context) {
	z.sent, z.maybe, z.written = map[string]Kind{}, map[string]bool{}, map[string]int{}
	z.raced, z.limits = map[string]int{}, map[string]int{}
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
				break // list again: whose these records are was seen a batch ago
			}
			if !z.write(ctx, b) {
				break
			}
		}
	}
}

// plan gives their outcome to all names that need no write, and returns the
// writes that the others need.
func (z *zoneUpdate) plan(records []Record) []Batch {
	batches, outcomes := planZone(ZoneRecords{z.zone, records}, z.open, z.cfg, z.limits)
	needed := map[string]bool{}
	for _, b := range batches {
		for _, host := range b.Hosts() {
			needed[host] = true
		}
	}
	stays := func(host string) bool { return needed[host] && z.written[host] < maxRewrites }
	for _, o := range outcomes {
		if stays(o.Host) {
			continue
		}
		switch kind, sent := z.sent[o.Host]; {
		case needed[o.Host]:
			o.Kind, o.Reason = Failed, ReasonNotKept
		case sent && o.Kind == Unchanged:
			o.Kind = kind
		}
		z.report.Outcomes = append(z.report.Outcomes, o)
	}
	z.open = slices.DeleteFunc(z.open, func(w Want) bool { return !stays(w.Host) })
	// A batch in which a name has got its outcome is for the next round.
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
		z.sent[host], z.maybe[host] = Upserted, true
	}
	for _, p := range b.Patches {
		if p.Set.Content == nil {
			z.sent[normal(p.Name)] = Adopted
		}
	}
	posted, err := z.api.Write(ctx, b)
	if err != nil {
		z.failed(ctx, err, hosts)
		return false
	}
	z.tries = 0
	for _, host := range hosts {
		z.maybe[host] = false
		z.written[host]++
	}
	done := b.WithPosted(posted)
	z.report.Written = append(z.report.Written, done)
	// It is done; that the ids are not logged must not stop the rest.
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

// failed decides what follows from the error of a write to hosts. What it
// leaves open is listed and planned again.
func (z *zoneUpdate) failed(ctx context.Context, err error, hosts []string) {
	e := (*APIError)(nil)
	if !errors.As(err, &e) || ctx.Err() != nil {
		z.fail(ctx, err)
		return
	}
	if !e.Unknown() { // it is one transaction: nothing was done
		for _, host := range hosts {
			delete(z.sent, host)
			delete(z.maybe, host)
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

// isolate follows upon a batch that Cloudflare refused. Its error does not say
// which operation it is about, so the batch is halved until the name stands
// alone; where the records changed since they were listed, the next list may
// do.
func (z *zoneUpdate) isolate(e *APIError, hosts []string) {
	again := e.raced()
	for _, host := range hosts {
		if again {
			z.raced[host]++
		}
		if !again || z.raced[host] > 1 {
			z.limits[host] = max(len(hosts)/2, 1)
		}
	}
	if len(hosts) > 1 || again && z.raced[hosts[0]] < maxRewrites {
		return
	}
	kind, reason := Refused, ReasonRejected
	switch {
	case e.has(codeRecordIdentical):
		kind, reason = Unchanged, "" // it is there, if not listed
	case again:
		reason = ReasonConflict
	}
	z.settleIf(func(w Want) bool { return w.Host == hosts[0] }, kind, reason, e.Detail())
}

// fail gives all open names the outcome that an error has which ends the zone.
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
		o := Outcome{Host: w.Host, Target: w.Target, Zone: z.zone.Name, Kind: kind, Reason: reason, Detail: detail, Maybe: z.maybe[w.Host]}
		if z.written[w.Host] > 0 && !kind.Settled() && !o.Maybe {
			o.Kind, o.Maybe = Failed, true // written, and not seen since
		}
		z.report.Outcomes = append(z.report.Outcomes, o)
		return true
	})
}
