package targets

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// mageIsSlow is how long Mage takes to register for Ctrl-C; on a busy machine it
// takes several times as long.
const mageIsSlow = time.Second / 2

// interrupts takes Ctrl-C and SIGTERM over from Mage, which would end the process
// five seconds later. The first signal ends gentle, the context of work that can
// stop at any time; the second ends ctx. It cannot prevent that Mage ends the
// process when the time of -t is up.
//
// The process also continues after the reader of a pipe ends, as with `| head`.
// Its writes fail then, and the journal has all events.
func interrupts(mage context.Context, say func(string)) (ctx, gentle context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(mage))
	gentle, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	signals := make(chan os.Signal, 2)
	take := func() {
		signal.Ignore(os.Interrupt) // removes Mage's handler, and does not end the process
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	}
	take()
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Mage starts a target and then registers for the signal itself, on a busy
	// machine after the lines above.
	wait := mageIsSlow
	again := time.NewTimer(wait)
	// Go ends a process that writes to a pipe without a reader, unless the process
	// registers for SIGPIPE. Stay registered until the end, because error texts may
	// go to the pipe as well. SIGPIPE still ends child processes.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go func() {
		for count := 0; ; {
			select {
			case <-ended:
				again.Stop()
				return
			case <-again.C:
				take()
				if wait *= 2; wait <= 16*mageIsSlow {
					again.Reset(wait)
				}
				continue
			case <-signals:
				count++
			}
			switch count {
			case 1:
				stop()
				say("interrupted: a running activation is completed, and no other begins; interrupt again to stop at once")
			default:
				cancel()
			}
		}
	}()
	return ctx, gentle, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}
