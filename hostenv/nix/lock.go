package nix

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

//go:embed lock-sources.nix
var lockSources []byte

// maxBatch is how many sources one nix process fetches.
const maxBatch = 50

// Locked is the content of a source at the time of the lock.
type Locked struct {
	Rev          string `json:"rev"` // "" for a source that has none, such as a path
	NarHash      string `json:"narHash"`
	LastModified int64  `json:"lastModified"` // seconds since 1970
}

// LockSources fetches sources, given as attributes of Nix's fetchTree, and
// returns the lock of each, in their order. It asks the remote for each git ref,
// and refuses a cached answer. It ignores the flake's `dir`, which is not part of
// a source. A relative path counts from the provider's folder.
//
// It fetches equal sources once. Several processes fetch at the same time, but
// only one from each repository. If sources fail, LockSources returns the locks of all
// others, and a *[FailedSources]; any other error comes without locks.
func (r *Runner) LockSources(ctx context.Context, sources []map[string]any) ([]Locked, error) {
	if len(sources) == 0 {
		return nil, nil
	}
	var (
		distinct []*source
		byKey    = map[string]*source{}
		asked    = make([]*source, len(sources))
	)
	for i, attributes := range sources {
		s, err := r.sourceOf(attributes)
		if err != nil {
			return nil, fmt.Errorf("lock source %d: %w", i, err)
		}
		if byKey[s.key] == nil {
			byKey[s.key] = s
			distinct = append(distinct, s)
		}
		asked[i] = byKey[s.key]
	}

	events := &counter{runner: r, phase: Fetch, total: len(distinct)}
	var group errgroup.Group
	group.SetLimit(r.Parallel())
	for _, inTurn := range batches(distinct, r.Parallel()) {
		group.Go(func() error {
			for _, batch := range inTurn {
				if err := r.lockBatch(ctx, events, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	failed := &FailedSources{byIndex: make([]error, len(sources))}
	for _, s := range distinct {
		failed.each.Add(s.failed)
	}
	locked := make([]Locked, len(sources))
	for i, s := range asked {
		if failed.byIndex[i] = s.failed; s.failed == nil {
			locked[i] = s.locked
		}
	}
	if len(failed.each) > 0 {
		return locked, failed
	}
	return locked, nil
}

// FailedSources holds the sources that cannot be locked.
type FailedSources struct {
	byIndex []error
	each    problem.List
}

func (f *FailedSources) Error() string { return f.each.Err().Error() }

// Unwrap returns an error for each source that failed, in their order.
func (f *FailedSources) Unwrap() []error { return f.each }

// Of returns why the source with an index in the list is not locked, nil if it is.
func (f *FailedSources) Of(i int) error {
	if i >= len(f.byIndex) {
		return nil
	}
	return f.byIndex[i]
}

// lockBatch fetches a batch in one process. If that fails, it fetches each source
// in its own process: one failure must not hide the next.
func (r *Runner) lockBatch(ctx context.Context, events *counter, batch []*source) error {
	err := r.fetch(ctx, events, batch)
	failed := (*CommandError)(nil)
	if late := (*LateError)(nil); errors.As(err, &late) {
		if len(batch) == 1 {
			batch[0].fail(fmt.Sprintf("it could not be fetched within %s: its server does not answer, or is too slow", late.After))
			batch[0].late = true
			return nil
		}
		failed = &CommandError{Err: err}
		err = failed
	}
	switch {
	case err == nil:
		for _, s := range batch {
			if s.needsRev() && strings.Trim(s.locked.Rev, "0") == "" { // Nix cannot fetch it again
				s.fail("it has no commit: its working tree has changes")
			}
		}
		return nil
	case !errors.As(err, &failed):
		return err
	case len(batch) == 1:
		text, _ := SplitHint(failed.Error())
		if errors.Is(failed, errStale) {
			text = errStale.Error() + "\n" + text
		}
		batch[0].fail(cmp.Or(r.missingRef(ctx, batch[0]), text))
		return nil
	}
	for i, s := range batch {
		// A repository whose server does not answer costs its time once.
		if j := slices.IndexFunc(batch[:i], func(other *source) bool { return other.late && other.repository == s.repository }); j >= 0 {
			s.fail(fmt.Sprintf("%s of the same repository could not be fetched", batch[j].label))
			continue
		}
		if err := r.lockBatch(ctx, nil, []*source{s}); err != nil {
			return err
		}
	}
	return nil
}

// fetchTime returns FetchTime, or its default.
func (r *Runner) fetchTime() time.Duration { return cmp.Or(r.FetchTime, 10*time.Minute) }

// fetch runs one nix process for sources and records their locks.
func (r *Runner) fetch(ctx context.Context, events *counter, batch []*source) (err error) {
	type entry struct {
		Label string         `json:"label"`
		Tree  map[string]any `json:"tree"`
	}
	var list []entry
	for _, s := range batch {
		list = append(list, entry{Label: s.label, Tree: s.tree})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("write the list of sources: %w", err)
	}

	// Sources may contain credentials: only our user can read the folder, and we
	// remove it afterwards.
	dir, err := os.MkdirTemp("", "hostenv-sources-")
	if err != nil {
		return fmt.Errorf("write the list of sources: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	expression := filepath.Join(dir, "lock-sources.nix")
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "sources.json"), text, 0o600),
		os.WriteFile(expression, lockSources, 0o600),
	); err != nil {
		return fmt.Errorf("write the list of sources: %w", err)
	}

	// Without --refresh Nix answers from a cache, which may be an hour old.
	limits := Command{Time: r.fetchTime(), Env: []string{"GIT_HTTP_LOW_SPEED_LIMIT=1000", "GIT_HTTP_LOW_SPEED_TIME=60"}}
	out, log, err := r.commandFor(ctx, events, limits, "eval", "--impure", "--refresh", "--file", expression)
	if err != nil {
		return err
	}
	if isStale(log) {
		return &CommandError{Log: redact(log), Err: errStale}
	}
	var locked []Locked
	if err := decodeJSON(out, &locked); err != nil {
		return err
	}
	if len(locked) != len(batch) {
		return fmt.Errorf("read what nix locked: %d answers for %d sources", len(locked), len(batch))
	}
	for i, s := range batch {
		s.locked = locked[i]
	}
	return nil
}

// errStale reports that nix could not reach a source and answered from its cache.
// A plan with that answer could have an old commit, or a branch that is gone.
var errStale = errors.New("it could not be asked, and an answer of an earlier time is not taken")

// isStale reports whether nix answered from its cache, by the messages of nix and
// git. Nix 2.26 itself prints no message then, but git prints its error.
func isStale(log string) bool {
	return strings.Contains(log, "continuing with the most recent version") ||
		strings.Contains(log, "; using cached version") ||
		strings.HasPrefix(log, "fatal: ") || strings.Contains(log, "\nfatal: ")
}

// batches divides sources among processes that run at the same time. Each process
// gets all sources of its repositories, as lists that it fetches in turn.
func batches(sources []*source, processes int) [][][]*source {
	size := min(maxBatch, (len(sources)+processes-1)/processes)

	var repositories []string
	of := map[string][]*source{}
	for _, s := range sources {
		if of[s.repository] == nil {
			repositories = append(repositories, s.repository)
		}
		of[s.repository] = append(of[s.repository], s)
	}
	// Start with the largest, so that it does not run alone at the end.
	slices.SortStableFunc(repositories, func(a, b string) int { return len(of[b]) - len(of[a]) })

	var all [][][]*source
	var open []*source
	for _, repository := range repositories {
		group := of[repository]
		if len(group) > size {
			all = append(all, slices.Collect(slices.Chunk(group, maxBatch)))
			continue
		}
		if len(open)+len(group) > size {
			all = append(all, [][]*source{open})
			open = nil
		}
		open = append(open, group...)
	}
	if open != nil {
		all = append(all, [][]*source{open})
	}
	return all
}
