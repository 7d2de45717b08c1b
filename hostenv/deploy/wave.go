package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Waves are the order in which a run activates profiles.
type Waves struct {
	// Order has the profiles of each wave, as node/profile: see
	// [github.com/woolwichweb/hostenv-provider/hostenv/plan.Document.InWaves]. What is in
	// none is in the last.
	Order    [][]string
	Pause    time.Duration // between two waves
	Failures int           // how many profiles of a wave may fail; more end the run
}

// A Wave is what a run activates at once. It has no profiles that the run does not
// activate; they do not count.
type Wave struct {
	Number   int      `json:"number"` // from 1
	Of       int      `json:"of"`
	Profiles []string `json:"profiles"` // node/profile, sorted
}

func (w Wave) String() string { return fmt.Sprintf("wave %d of %d", w.Number, w.Of) }

// waveRun is a wave with its state in a run.
type waveRun struct {
	Wave
	profiles []*profileRun
	begun    chan struct{} // closed when its profiles may be activated, or the run gives it up
	over     error         // why the run gives it up, nil if it does not; set before begun is closed
}

// arrange puts the profiles that are undecided into waves. One wave alone needs no order,
// and then there is none.
func (r *run) arrange() {
	at := map[*profileRun]int{}
	listed := map[string]int{}
	for i, keys := range r.Waves.Order {
		for _, key := range keys {
			listed[key] = i
		}
	}
	for _, n := range r.nodes {
		for _, p := range n.profiles {
			if !n.reached || !p.undecided() {
				continue
			}
			i, ok := listed[p.Key()]
			if !ok || r.Options.NoWaves {
				i = len(r.Waves.Order)
			}
			at[p] = i
		}
	}
	r.delay(at)
	byNumber := map[int]*waveRun{}
	for p, i := range at {
		if byNumber[i] == nil {
			byNumber[i] = &waveRun{begun: make(chan struct{})}
		}
		p.wave = byNumber[i]
		p.wave.profiles = append(p.wave.profiles, p)
		p.wave.Profiles = append(p.wave.Profiles, p.Key())
	}
	for i := range len(r.Waves.Order) + 1 {
		if w := byNumber[i]; w != nil {
			slices.Sort(w.Profiles)
			r.waves = append(r.waves, w)
		}
	}
	for i, w := range r.waves {
		w.Number, w.Of = i+1, len(r.waves)
	}
}

// delay moves systems behind the environments that leave their nodes, for which they
// wait, and environments behind their systems.
func (r *run) delay(at map[*profileRun]int) {
	for changed := true; changed; {
		changed = false
		behind := func(p, other *profileRun) {
			i, here := at[p]
			least, there := at[other]
			if here && there && i < least {
				at[p], changed = least, true
			}
		}
		for _, n := range r.nodes {
			system := n.profile(SystemProfile)
			for to, users := range r.leaving(n.Name) {
				for _, user := range users {
					behind(system, r.all[to].profile(user))
				}
			}
			for _, p := range n.profiles {
				behind(p, system)
			}
		}
	}
}

// announceWaves records the waves before the first.
func (r *run) announceWaves() error {
	if len(r.waves) < 2 {
		return nil
	}
	var events []Event
	for _, w := range r.waves {
		events = append(events, Event{Type: TypeWave, State: StatePending, Wave: &w.Wave})
	}
	return r.Journal.Append(events...)
}

// direct begins one wave after the other, until ctx or gentle ends. If a wave fails, it
// gives up all that follow.
func (r *run) direct(ctx, gentle context.Context) error {
	var over error
	for i, w := range r.waves {
		alone := len(r.waves) == 1
		if w.over = over; over != nil || gentle.Err() != nil {
			close(w.begun)
			continue
		}
		if i > 0 && r.Waves.Pause > 0 {
			select {
			case <-time.After(r.Waves.Pause):
			case <-gentle.Done():
			}
		}
		if !alone && gentle.Err() == nil {
			if err := r.Journal.Append(Event{Type: TypeWave, State: StateActivating, Wave: &w.Wave}); err != nil {
				return err
			}
		}
		close(w.begun)
		for _, p := range w.profiles {
			select {
			case <-p.settled:
			case <-ctx.Done():
			}
		}
		if alone || r.stopping(ctx) {
			continue
		}
		e := Event{Type: TypeWave, State: StateActive, Wave: &w.Wave}
		if over = r.failed(w); over != nil {
			e.State, e.Error = StateFailed, over.Error()
		}
		if err := r.Journal.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// failed returns why no wave may follow this one, nil if one may: more of its profiles
// failed on their nodes than may. What could not be evaluated or built does not count. It
// reached no node, and a project that is broken must not keep others from their versions.
func (r *run) failed(w *waveRun) error {
	var failed []string
	for _, p := range OutcomeOf(r.Journal.Events()).Profiles {
		if key := p.Node + "/" + p.Profile; slices.Contains(w.Profiles, key) && p.failedThere(r.Options.SkipOffline) {
			failed = append(failed, key)
		}
	}
	if len(failed) <= r.Waves.Failures {
		return nil
	}
	const most = 5
	shown := strings.Join(failed[:min(len(failed), most)], ", ")
	if len(failed) > most {
		shown += fmt.Sprintf(" and %d more", len(failed)-most)
	}
	return fmt.Errorf("%s failed: %s; provider.waveFailures is %d", w, shown, r.Waves.Failures)
}

// failedThere reports whether a version failed on its node: it is not active, or does not
// pass its enforced checks.
func (p ProfileOutcome) failedThere(skipOffline bool) bool {
	switch p.State {
	case StateFailed:
		return !slices.Contains([]Reason{ReasonEvaluation, ReasonBuild, ReasonSign}, p.Reason)
	case StateUnreachable:
		return !skipOffline
	case StateSkipped:
		return false // for another profile's failure, which counts
	default:
		return !p.Good()
	}
}

// giveUp records that profiles stay as they are, because of a wave before theirs.
func (r *run) giveUp(list []*profileRun, over error) error {
	for _, p := range list {
		err := r.set(p, Event{State: StateSkipped, Reason: ReasonWave, Active: p.active(), Error: over.Error(),
			Hint: "fix what failed, and run `mage deploy -resume`; -noWaves deploys all nodes at once"})
		if err != nil {
			return err
		}
	}
	return nil
}
