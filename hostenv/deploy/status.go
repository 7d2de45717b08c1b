package deploy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Standing is how a profile on a node compares with the plan.
type Standing string

// The standings.
const (
	StandingInSync      Standing = "in-sync"     // the planned path is active
	StandingBehind      Standing = "behind"      // an earlier deploy's path is active, or none yet
	StandingDiverged    Standing = "diverged"    // an operator went back, or activated a path without a deploy
	StandingForeign     Standing = "not-ours"    // the profile's link does not lead to a store path
	StandingUnreachable Standing = "unreachable" // the node does not answer
	StandingBroken      Standing = "broken"      // the planned path is unknown: its evaluation fails
)

// A Status is the standing of one profile.
type Status struct {
	Node     string   `json:"node"`
	Profile  string   `json:"profile"`
	Standing Standing `json:"standing"`
	Planned  string   `json:"planned,omitempty"`
	Active   string   `json:"active,omitempty"`
	Detail   string   `json:"detail,omitempty"`
}

// StatusOf compares the planned path with what the node reports.
func StatusOf(p Profile, seen Observed) Status {
	s := Status{Node: p.Node, Profile: p.Name, Planned: p.Path, Active: seen.Active}
	switch {
	case seen.Linked != "":
		s.Standing, s.Active, s.Detail = StandingForeign, seen.Linked, p.Link+" does not lead to a store path"
	case p.Path == "":
		s.Standing = StandingBroken
		if p.Broken != nil {
			s.Detail = p.Broken.Error()
		}
	case len(seen.Activating) > 0:
		s.Standing, s.Detail = StandingBehind, "an activation is running"
	case seen.Active == p.Path && seen.Running != "":
		s.Standing = StandingBehind
	case seen.Active == p.Path && seen.Activated != p.Path:
		s.Standing, s.Detail = StandingBehind, "its activation failed, or is not finished"
	case seen.Active == p.Path:
		s.Standing = StandingInSync
	case seen.Active == "":
		s.Standing, s.Detail = StandingBehind, "not deployed yet"
	case seen.RolledBack:
		s.Standing, s.Detail = StandingDiverged, "an older generation was made active again on the node"
	case !seen.DeployRs:
		s.Standing, s.Detail = StandingDiverged, "deploy-rs did not install it"
	default:
		s.Standing = StandingBehind
	}
	if seen.Running != "" {
		others := []string{"the node runs another system, " + seen.Running + ": it booted that one, or a switch did not finish"}
		if s.Detail != "" {
			others = append(others, s.Detail)
		}
		s.Detail = strings.Join(others, "; ")
	}
	return s
}

// Survey asks every node for the standing of its profiles. It changes nothing and
// takes no lock. It returns a status for each profile, sorted by node, the system
// first, and beside them the errors of nodes that answer but cannot be examined.
// It calls each function of also with the same session, for several nodes at once.
func Survey(ctx context.Context, remote Remote, nodes []Node, also ...func(context.Context, Node, Session) error) ([]Status, error) {
	var mu sync.Mutex
	var all []Status
	var wrong problem.List
	var group errgroup.Group
	group.SetLimit(maxSessions)
	for _, n := range nodes {
		group.Go(func() error {
			session, err := remote.Open(ctx, n, OpenOptions{})
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				if !errors.As(err, new(*UnreachableError)) {
					wrong.Add(err)
				}
				for _, p := range n.Profiles {
					all = append(all, Status{Node: n.Name, Profile: p.Name, Standing: StandingUnreachable, Planned: p.Path, Detail: err.Error()})
				}
				return nil
			}
			var errs []error
			for _, ask := range also {
				errs = append(errs, ask(ctx, n, session))
			}
			mu.Lock()
			defer mu.Unlock()
			wrong.Add(errs...)
			for _, p := range n.Profiles {
				all = append(all, StatusOf(p, session.Observation().Profiles[p.Name]))
			}
			return session.Close()
		})
	}
	err := group.Wait()
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(rank(a.Profile), rank(b.Profile)), cmp.Compare(a.Profile, b.Profile))
	})
	if err == nil {
		err = wrong.Err()
	}
	return all, err
}

// Drift reports whether any profile is not in sync with the plan.
func Drift(all []Status) bool {
	return slices.ContainsFunc(all, func(s Status) bool { return s.Standing != StandingInSync })
}
