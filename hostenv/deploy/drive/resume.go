package drive

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// resume returns the run to resume, "" for none, and adopts its selection and
// options.
func (d *driver) resume() (id string, err error) {
	if !d.Resume {
		return "", nil
	}
	ids, err := deploy.Runs(d.runs)
	if err != nil {
		return "", err
	}
	const again = "run `mage deploy`"
	if len(ids) == 0 {
		return "", problem.New("", "there is no run to resume", again)
	}
	id = ids[len(ids)-1]
	events, err := deploy.ReadJournal(d.runs, id)
	if err != nil {
		return "", err
	}
	o := deploy.OutcomeOf(events)
	subject := "the last run, " + id + ","
	switch {
	case !slices.ContainsFunc(events, func(e deploy.Event) bool { return e.Type == deploy.TypeRun }):
		return "", problem.New(subject, "ended before it began", again)
	case o.Ended && (o.Code() == deploy.ExitDone || o.Code() == deploy.ExitHeld) && len(d.plan.unrecorded(o.Deployed())) == 0:
		return "", problem.New(subject, "is complete: there is nothing to resume", again)
	case o.Start.Plan != d.plan.Document.Digest():
		return "", problem.New(subject, "was for another plan", again+": it asks the nodes what they have, and knows which activations that run left undecided")
	}
	d.Selection = o.Start.Selected
	then, now := o.Start.Options, &d.Options.Options
	now.Jobs = cmp.Or(now.Jobs, then.Jobs)
	now.SkipOffline = now.SkipOffline || then.SkipOffline
	now.SkipVerification = now.SkipVerification || then.SkipVerification
	now.Keep = now.Keep || then.Keep
	now.RemoteBuild = now.RemoteBuild || then.RemoteBuild
	now.NoWaves = now.NoWaves || then.NoWaves
	now.AllowOlder = cmp.Or(now.AllowOlder, then.AllowOlder)
	if m := o.Start.Migrations; m != nil {
		d.Migrations = d.plan.joined(*m, d.Migrations)
	}
	d.SigningKey, d.DeployRs = cmp.Or(d.SigningKey, o.Start.SigningKey), cmp.Or(d.DeployRs, o.Start.DeployRs)
	return id, nil
}

// joined returns the exceptions of now, and those of then for all environments
// that now does not name.
func (p *Plan) joined(then, now deploy.Migrations) deploy.Migrations {
	skip := slices.Clone(p.users(now.Skip))
	sources := map[string]string{}
	for user, node := range now.Sources {
		sources[user] = node
	}
	for user, node := range then.Sources {
		if sources[user] == "" && !slices.Contains(skip, user) {
			sources[user] = node
		}
	}
	for _, user := range p.users(then.Skip) {
		if sources[user] == "" && !slices.Contains(skip, user) {
			skip = append(skip, user)
		}
	}
	return deploy.Migrations{Skip: skip, Sources: sources, IgnoreErrors: now.IgnoreErrors || then.IgnoreErrors}
}

// journal begins a journal, or opens the one of the run to resume.
func (d *driver) journal(ctx context.Context, resumed string) (*deploy.Journal, error) {
	if d.Mode != deploy.Deploy {
		return deploy.NewMemoryJournal(d.sink.Event), nil
	}
	if resumed != "" {
		j, err := deploy.OpenJournal(d.runs, resumed, d.sink.Event)
		if err != nil {
			return nil, err
		}
		return j, j.Append(deploy.Event{Type: deploy.TypeResume})
	}
	if err := deploy.PruneRuns(d.runs); err != nil {
		return nil, err
	}
	start := deploy.Start{Plan: d.plan.Document.Digest(), Serial: d.plan.Document.Serial.Number, By: d.Holder, Selected: d.Selection, Options: d.Options.Options, SigningKey: d.SigningKey, DeployRs: d.DeployRs}
	start.Commit, start.Uncommitted = d.Folder.Commit(ctx)
	if m := d.Migrations; m.IgnoreErrors || len(m.Skip)+len(m.Sources) > 0 {
		start.Migrations = &m
	}
	return deploy.CreateJournal(d.runs, time.Now(), d.sink.Event, deploy.Event{Type: deploy.TypeRun, Start: &start})
}
