package targets

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// mageIsSlow is how long Mage takes to ask for Ctrl-C, and on a busy machine some
// times as long.
const mageIsSlow = time.Second / 2

// interrupts takes Ctrl-C and SIGTERM over from Mage, which would end the
// process five seconds later. The first one ends gentle, for what can be given up
// at any time; the second one ends ctx. When the time of Mage's -t is up it ends
// the process at once, which this package cannot prevent.
//
// The process also goes on when the reader of a pipe is gone, as with `| head`:
// its writes fail then, and the journal has everything.
func interrupts(mage context.Context, say func(string)) (ctx, gentle context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(mage))
	gentle, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	signals := make(chan os.Signal, 2)
	take := func() {
		signal.Ignore(os.Interrupt) // which takes it from Mage, and ends no process
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	}
	take()
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Mage starts a target, and then asks for the signal itself: on a busy machine
	// that is after all this.
	wait := mageIsSlow
	again := time.NewTimer(wait)
	// Go ends a process that writes to a pipe without a reader, unless it asks to
	// be told; to its very end, for an error's words may go there, too. Programs
	// that are started are ended as ever.
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
				say("interrupted: a running activation is brought to its end, and no other begins; interrupt again to stop at once")
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
