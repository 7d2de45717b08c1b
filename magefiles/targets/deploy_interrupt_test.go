package targets

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// interrupts receives Ctrl-C even if Mage, which would end the process, registers
// late, and leaves a signal ignored that nohup ignores.
func TestInterrupts(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	messages := make(chan string, 2)
	began := time.Now()
	ctx, gentle, release := interrupts(t.Context(), func(text string) { messages <- text })
	defer release()
	mage := make(chan os.Signal, 1)
	signal.Notify(mage, os.Interrupt)
	// interrupts takes the signal again after one and after three times mageIsSlow.
	time.Sleep(time.Since(began) + 4*mageIsSlow)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if gentle.Err() != nil {
			t.Fatal("a signal that nohup ignores ended gentle")
		}
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	<-messages
	<-gentle.Done()
	if ctx.Err() != nil {
		t.Error("the first Ctrl-C ended ctx")
	}
	select {
	case <-mage:
		t.Error("Mage also receives the signal, and would end the process in five seconds")
	default:
	}
}
