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
	// Log gets every batch with what takes it back, before it is sent and once
	// more when it was carried out. If it fails, the batch is not sent.
	Log func(Entry) error
	// Progress, if set, is called after every step.
	Progress func(line string)
	// MaxWait bounds every wait that Cloudflare asks for, beside the context's
	// deadline. 0 means a minute.
	MaxWait time.Duration
	// Sleep waits; nil means by the clock.
	Sleep func(context.Context, time.Duration) error
}

// An Entry of the log.
type Entry struct {
	// Stage is "before" or "after". Without the second, it is not known whether
	// the batch was carried out.
	Stage   string `json:"stage"`
	Batch   Batch  `json:"batch"`
	Inverse Batch  `json:"inverse"`
}

// A Report is the result of a run.
type Report struct {
	Outcomes []Outcome `json:"outcomes"` // one for every wanted name, sorted
	Written  []Batch   `json:"written"`  // what Cloudflare has confirmed
}

// zoneID is what an id of a zone looks like; it becomes part of a path.
var zoneID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// Apply points every wanted name at its target, as [Plan] says: zone by zone it
// lists the records, plans, writes, and lists again until no write is left or
// possible. So every outcome rests on what was listed last.
//
// It returns an error if it cannot read the zones: an *[APIError], that of an
// option, or the context's. Errors of single names are in their outcomes. A cancelled run returns its report.
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
			"copy the zone's id from its overview in Cloudflare's dashboard, or leave the option out: the zone is found by its name")
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
		(&zoneUpdate{update: u, zone: a.Zone, open: a.Wanted}).run(ctx)
	}
	sortOutcomes(u.report.Outcomes)
	return u.report, nil
}

// An update is an Apply at work.
type update struct {
	api     API
	cfg     Config
	opts    Options
	report  *Report
	limited *APIError // once Cloudflare asks for more patience than there is
}

func (u *update) progress(format string, args ...any) {
	if u.opts.Progress != nil {
		u.opts.Progress(fmt.Sprintf(format, args...))
	}
}

// maxTries is how often in a row something is tried that gets no answer.
const maxTries = 4

// read makes a call that only reads, and repeats it if that may help.
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

// wait waits until what failed with e may be tried again; false means that it
// makes no sense, or would take too long.
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

// clone keeps what was reported from what is changed later.
func (b Batch) clone() Batch {
	b.Deletes, b.Patches, b.Posts = slices.Clone(b.Deletes), slices.Clone(b.Patches), slices.Clone(b.Posts)
	return b
}
