package deploy_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// fullAt limits the size of every file of this process until undo is called. A
// write is cut off at the limit, as on a full disk.
func fullAt(t *testing.T, size uint64) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		signal.Reset(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// A line that a full disk cut off stays the last one, even if there is room again
// for later events. So the journal can be read, and the run can be resumed.
func TestJournalOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	j, err := deploy.CreateJournal(dir, time.Now(), nil, deploy.Event{Type: deploy.TypeRun, Start: &deploy.Start{Plan: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, j.ID+".jsonl")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	activating := deploy.Event{Type: deploy.TypeProfile, Node: "n1", Profile: "system", State: deploy.StateActivating, Want: "/nix/store/1-a"}
	undo := fullAt(t, uint64(info.Size())+20)
	err = j.Append(activating)
	undo()
	if err == nil {
		t.Fatal("there was room")
	}
	if err := j.Append(deploy.Event{Type: deploy.TypeProfile, Node: "n2", Profile: "system", State: deploy.StateActive}); err == nil {
		t.Error("a journal that has lost an event goes on")
	}
	if got := len(j.Events()); got != 2 {
		t.Errorf("it has %d events that are not on the disk", got-2)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if torn, err := os.Stat(path); err != nil || torn.Size() != info.Size()+20 {
		t.Fatalf("no line was cut off: %v, %v", torn, err)
	}
	if _, err := deploy.ReadHistory(dir); err != nil {
		t.Errorf("the next run cannot begin: %v", err)
	}
	again, err := deploy.OpenJournal(dir, j.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Append(activating); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if events, err := deploy.ReadJournal(dir, j.ID); err != nil || len(events) != 3 {
		t.Errorf("%v, %v", events, err)
	}
}
