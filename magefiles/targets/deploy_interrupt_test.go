package targets

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// Ctrl-C is the deploy's also where Mage, which ends the process by it, asks for
// it late; and what nohup has ignored stays so.
func TestInterruptsAreOurs(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	said := make(chan string, 2)
	began := time.Now()
	ctx, gentle, release := interrupts(t.Context(), func(text string) { said <- text })
	defer release()
	mage := make(chan os.Signal, 1)
	signal.Notify(mage, os.Interrupt)
	// It takes the signal once more after one and after three times that.
	time.Sleep(time.Since(began) + 4*mageIsSlow)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if gentle.Err() != nil {
			t.Fatal("it was stopped by what nohup had ignored")
		}
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	<-said
	<-gentle.Done()
	if ctx.Err() != nil {
		t.Error("one Ctrl-C stops at once")
	}
	select {
	case <-mage:
		t.Error("Mage has it, too, and ends the process in five seconds")
	default:
	}
}
