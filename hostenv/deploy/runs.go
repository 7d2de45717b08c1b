package deploy

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// newID names a run by the time, so that the newest is the last by name, even if two
// runs begin in one second, or the clock was set back.
func newID(runs string, now time.Time) (string, error) {
	const layout = "20060102T150405.000000Z"
	ids, err := Runs(runs)
	if err != nil {
		return "", err
	}
	at := now.UTC().Truncate(time.Microsecond)
	if len(ids) > 0 {
		last, _, _ := strings.Cut(ids[len(ids)-1], "-")
		if newest, err := time.Parse(layout, last); err == nil && !at.After(newest) {
			at = newest.Add(time.Microsecond)
		}
	}
	random := make([]byte, 3)
	_, _ = rand.Read(random) // never fails
	return at.Format(layout) + "-" + hex.EncodeToString(random), nil
}

// Runs returns the ids of the runs in a folder, the newest last.
func Runs(runs string) ([]string, error) {
	entries, err := os.ReadDir(runs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), ".jsonl"); ok && entry.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// keptRuns is how many runs are kept, with their logs.
const keptRuns = 50

// PruneRuns removes all but the newest runs, with their logs and roots. It keeps a
// run that has a [Doubt] or cannot be read. The caller holds the lock of runs.
func PruneRuns(runs string) error {
	ids, err := Runs(runs)
	if err != nil {
		return err
	}
	for _, id := range ids[:max(len(ids)-keptRuns, 0)] {
		events, err := ReadJournal(runs, id)
		if err != nil || slices.ContainsFunc(OutcomeOf(events).Profiles, func(p ProfileOutcome) bool { return p.Doubt != nil }) {
			continue // the operator has to look at a journal that cannot be read
		}
		// The journal goes last: a folder without a journal belongs to no run, and
		// would never be removed.
		if err := errors.Join(os.RemoveAll(filepath.Join(runs, id)), os.Remove(filepath.Join(runs, id+".jsonl"))); err != nil {
			return err
		}
	}
	return nil
}

// A History is what the earlier runs of a checkout left for the next one.
type History struct {
	Doubts  map[string]Doubt      // activations whose result is unknown, by node/profile
	Arrived map[string]string     // the last node on which each environment had its planned path, by user
	Unasked map[string]Unverified // profiles that were activated but not verified, by node/profile
}

// ReadHistory reads all journals in the folder of runs.
func ReadHistory(runs string) (History, error) {
	ids, err := Runs(runs)
	if err != nil {
		return History{}, err
	}
	var outcomes []Outcome
	for _, id := range ids {
		events, err := ReadJournal(runs, id)
		if err != nil {
			return History{}, err
		}
		o := OutcomeOf(events)
		o.Run = id
		outcomes = append(outcomes, o)
	}
	exits := func(run, node, profile string) *int {
		return ExitStatus(StatusFile(filepath.Join(runs, run), node, profile))
	}
	return History{Doubts: Doubts(outcomes, exits), Arrived: Arrived(outcomes), Unasked: Unasked(outcomes)}, nil
}
