package targets

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A deploy that waits for another one of the checkout stops at the first Ctrl-C,
// though Mage has not asked for it yet. Without that this process would end here.
func TestInterruptedBeforeMageAsks(t *testing.T) {
	r := &deployRun{folder: generated(&[]string{t.TempDir()}[0]), options: deploy.Options{LockWait: 2 * testenv.Patience}}
	file := r.hidden("deploy.lock")
	first, err := deploy.LockRun(t.Context(), file, "another", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		ended := make(chan error, 1)
		go func() { _, err := r.lock(t.Context()); ended <- err }()
		testenv.Await(t, "the wait for the lock", func() bool { return descriptors(t, file) == 2 })
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("after %v it ends with %v", s, err)
		}
	}
	if n := descriptors(t, file); n != 1 {
		t.Errorf("the file of the lock is left open %d times", n-1)
	}
}

// descriptors says how often this process has a file open.
func descriptors(t *testing.T, file string) (count int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink(fd); err == nil && to == file {
			count++
		}
	}
	return count
}

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
