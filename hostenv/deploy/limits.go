package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// restoreTime is the least limit of an activation that restores data. nix/lib/activation.nix
// has it too.
const restoreTime = time.Hour

// endTime is how long a node may take, after the limit of an activation, to end it, to
// go back and to say so.
const endTime = 5 * time.Minute

// mostLog is how much an activation may print, on this machine's disk. The node ends one
// that prints more.
const mostLog = 64 << 20

// An overError reports that an activation was over a limit.
type overError struct {
	error
	late bool // whether it took too long
}

func (e *overError) Unwrap() error { return e.error }

// isLate reports whether an activation took longer than its limit.
func isLate(failure error) bool {
	over := (*overError)(nil)
	return errors.As(failure, &over) && over.late
}

// reasonOf returns the reason of an activation's failure.
func reasonOf(failure error) Reason {
	if isLate(failure) {
		return ReasonTimeout
	}
	return ReasonActivation
}

// limited bounds an activation in time and in what it prints.
//
// The node itself ends an activation at its limit, also if this machine is gone, and goes
// back (nix/lib/activation/frame.sh). So what we wait for here is a node that does not: an
// activation can stop the program that watches it. The error differs from that of a limit
// on the node, because the activation may still run.
func (r *run) limited(ctx context.Context, p *profileRun, log *os.File) (context.Context, context.CancelFunc) {
	cancel := func() {}
	if p.Limit > 0 {
		limit := p.Limit
		if p.from != "" {
			limit = max(limit, restoreTime)
		}
		// The way back has the limit of the old version, which we do not know.
		wait := 2*limit + r.endTime()
		ctx, cancel = context.WithTimeoutCause(ctx, wait, &overError{tooMuch(p.Profile, fmt.Sprintf("took longer than %s, and the node did not end it within %s", limit, wait)), true})
	}
	limited, stop := context.WithCancelCause(ctx)
	begun, _ := log.Seek(0, io.SeekEnd) // 0 without a log
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-limited.Done():
				return
			case <-tick.C:
				if info, err := log.Stat(); err == nil && info.Size()-begun > mostLog {
					stop(&overError{tooMuch(p.Profile, fmt.Sprintf("printed more than %d MiB", mostLog>>20)), false})
				}
			}
		}
	}()
	return limited, func() { stop(nil); cancel() }
}

// endTime returns Options.EndTime, or its default.
func (r *run) endTime() time.Duration {
	if r.Options.EndTime > 0 {
		return r.Options.EndTime
	}
	return endTime
}

func tooMuch(p Profile, what string) error {
	return problem.New("", "its activation "+what, tooMuchHint(p))
}

// tooMuchHint says what to do about an activation that was over its limits.
func tooMuchHint(p Profile) string {
	if p.IsSystem() {
		return "find out what it waited for (`systemctl list-jobs` and `journalctl` on the node), or let it take longer: provider.activationTimeout.system"
	}
	return "the customer must find out what it waited for (`journalctl --user` as the environment's user on the node); to let it take longer, set provider.activationTimeout.environments"
}
