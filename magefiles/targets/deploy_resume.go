package targets

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/move"
)

// digest is that of the plan without what a deploy itself writes into it: a run
// that was deployed in part is about the same plan when it is taken up.
func (p *planned) digest() string {
	at := map[string]string{}
	for _, n := range p.fleet {
		for _, profile := range n.Profiles {
			at[profile.Name] = n.Name
		}
	}
	digest := sha256.Sum256(p.document.WithDeployed(at, "").Encode())
	return hex.EncodeToString(digest[:])
}

// takeUp finds the run that is to be resumed, "" for none, and takes over its
// selection and options.
func (r *deployRun) takeUp(p *planned) (id string, err error) {
	if !r.resume {
		return "", nil
	}
	runs := r.hidden("runs")
	ids, err := deploy.Runs(runs)
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", hinted(errors.New("there is no run to resume"), "run `mage deploy`")
	}
	id = ids[len(ids)-1]
	events, err := deploy.ReadJournal(runs, id)
	if err != nil {
		return "", err
	}
	o := deploy.OutcomeOf(events)
	switch {
	case !slices.ContainsFunc(events, func(e deploy.Event) bool { return e.Type == deploy.TypeRun }):
		return "", hinted(fmt.Errorf("the last run, %s, died before it began", id), "run `mage deploy`")
	case o.Ended && o.Code() == deploy.ExitDone && len(p.unrecorded(o.Deployed())) == 0:
		return "", hinted(fmt.Errorf("the last run, %s, came to its end: there is nothing to resume", id), "run `mage deploy`")
	case o.Start.Plan != p.digest():
		return "", hinted(fmt.Errorf("the last run, %s, was about another plan", id), "run `mage deploy`: it asks the nodes what they have, and knows what that run left undecided")
	}
	r.selection = o.Start.Selected
	// What is asked for now comes on top of what was asked for then.
	then, now := o.Start.Options, &r.options
	now.Jobs = cmp.Or(now.Jobs, then.Jobs)
	now.SkipOffline = now.SkipOffline || then.SkipOffline
	now.SkipVerification = now.SkipVerification || then.SkipVerification
	now.RemoteBuild = now.RemoteBuild || then.RemoteBuild
	if m := o.Start.Migrations; m != nil {
		r.migrations = joined(*m, r.migrations, p)
	}
	r.signingKey, r.deployRs = cmp.Or(r.signingKey, o.Start.SigningKey), cmp.Or(r.deployRs, o.Start.DeployRs)
	return id, nil
}

// joined is what is said now of data that move, and what was said then of those
// of which nothing is said now.
func joined(then deploy.Migrations, now move.Options, p *planned) move.Options {
	skip := p.named(now.Skip)
	for user, node := range then.Sources {
		if now.Sources[user] == "" && !slices.Contains(skip, user) {
			now.Sources[user] = node
		}
	}
	for _, user := range p.named(then.Skip) {
		if now.Sources[user] == "" && !slices.Contains(skip, user) {
			skip = append(skip, user)
		}
	}
	now.Skip, now.IgnoreErrors = skip, now.IgnoreErrors || then.IgnoreErrors
	return now
}
