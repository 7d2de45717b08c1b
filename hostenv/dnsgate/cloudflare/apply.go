package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Options of a run; the zero value is ready to use.
type Options struct {
	// Log, if set, gets every batch with its inverse, before Apply sends it and again
	// after Cloudflare carried it out. Apply does not send a batch that Log refuses.
	Log func(Entry) error
	// Progress, if set, gets a line for every step.
	Progress func(line string)
	// MaxWait limits every wait that Cloudflare asks for; the context's deadline limits
	// it too. 0 means a minute.
	MaxWait time.Duration
	// Sleep waits; nil means with a timer.
	Sleep func(context.Context, time.Duration) error
}

// An Entry of the log.
type Entry struct {
	// Stage is "before" or "after". Without the second entry, it is unknown whether
	// Cloudflare carried the batch out.
	Stage   string `json:"stage"`
	Batch   Batch  `json:"batch"`
	Inverse Batch  `json:"inverse"`
}

// A Report is the result of a run.
type Report struct {
	Outcomes []Outcome `json:"outcomes"` // one for every wanted name, sorted
	Written  []Batch   `json:"written"`  // the batches that Cloudflare confirmed
}

// zoneID matches the id of a zone, which becomes a part of a path.
var zoneID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// Apply points every wanted name at its target, as [Plan] says. In each zone it lists
// the records, plans, writes, and lists again until no write is left or possible. So
// every outcome rests on the last list.
//
// It returns an error if it cannot read the zones: an *[APIError], an error about an
// option, or the context's error. The errors of single names are in their outcomes. A
// cancelled run returns its report.
func Apply(ctx context.Context, api API, wanted []Want, cfg Config, opts Options) (*Report, error) {
	u := &update{api: api, cfg: cfg, opts: opts, report: &Report{Outcomes: []Outcome{}, Written: []Batch{}}}
	if u.opts.MaxWait == 0 {
		u.opts.MaxWait = time.Minute
	}
	if u.opts.Sleep == nil {
		u.opts.Sleep = sleep
	}
	if cfg.ZoneID != "" && !zoneID.MatchString(cfg.ZoneID) {
		return nil, problem.New("provider.cloudflare.zoneId", fmt.Sprintf("is %q, which is not an id", cfg.ZoneID),
			"copy the zone's id from its overview in Cloudflare's dashboard, or omit the option: the gate then finds the zone by its name")
	}
	if len(wanted) == 0 {
		return u.report, nil
	}

	var zones []Zone
	err := u.read(ctx, func() (err error) {
		if cfg.ZoneID == "" {
			zones, err = api.Zones(ctx)
			return err
		}
		zone, err := api.Zone(ctx, cfg.ZoneID)
		zones = []Zone{zone}
		return err
	})
	if err != nil {
		return nil, err
	}
	assigned, outcomes := Assign(zones, wanted, cfg)
	u.report.Outcomes = append(u.report.Outcomes, outcomes...)
	for _, a := range assigned {
		z := &zoneUpdate{update: u, zone: a.Zone, open: a.Wanted, attempts: map[string]*attempt{}}
		for _, w := range a.Wanted {
			z.attempts[w.Host] = &attempt{limit: MaxOperations}
		}
		z.run(ctx)
	}
	sortOutcomes(u.report.Outcomes)
	return u.report, nil
}

// An update is one run of Apply.
type update struct {
	api     API
	cfg     Config
	opts    Options
	report  *Report
	limited *APIError // set when Cloudflare asks for too long a wait
}

func (u *update) progress(format string, args ...any) {
	if u.opts.Progress != nil {
		u.opts.Progress(fmt.Sprintf(format, args...))
	}
}

// maxTries limits the tries of a call that gets no answer.
const maxTries = 4

// read makes a call that only reads, and repeats it if it may then succeed.
func (u *update) read(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		e := (*APIError)(nil)
		if errors.As(err, &e) && try < maxTries && u.wait(ctx, e, try) {
			continue
		}
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
}

// wait waits before the next try of a call that failed with e. It returns false if
// another try is of no use, or would have to wait for too long.
func (u *update) wait(ctx context.Context, e *APIError, try int) bool {
	delay := time.Second << (try - 1)
	switch {
	case e.Limited():
		delay = max(delay, e.RetryAfter)
		if deadline, ok := ctx.Deadline(); delay > u.opts.MaxWait || ok && time.Now().Add(delay).After(deadline) {
			u.limited = e
			return false
		}
	case !e.Unknown():
		return false
	default:
		delay = max(delay, min(e.RetryAfter, u.opts.MaxWait))
	}
	u.progress("%v; waiting %v", e, delay)
	return u.opts.Sleep(ctx, delay) == nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// clone returns a copy that later changes of b do not affect.
func (b Batch) clone() Batch {
	b.Deletes, b.Patches, b.Posts = slices.Clone(b.Deletes), slices.Clone(b.Patches), slices.Clone(b.Posts)
	return b
}
