package remote_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func lockAs(holder string, wait time.Duration) deploy.OpenOptions {
	return deploy.OpenOptions{Lock: true, LockWait: wait, Holder: holder}
}

func TestLock(t *testing.T) { eachShell(t, testLock) }

func testLock(t *testing.T, shell string) {
	m := newMachine(t, shell, "")
	r := m.remote(t)
	const holder = "alice@ci; $(id) 'run' \"7\"\n-x"
	first := m.open(t, lockAs(holder, 0))

	_, err := r.Open(t.Context(), m.Node, lockAs("bob", 0))
	var locked *deploy.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("a second holder gets %v", err)
	}
	if want := strings.ReplaceAll(holder, "\n", " "); locked.Holder != want {
		t.Errorf("the holder is %q, and should be %q", locked.Holder, want)
	}
	if age := time.Since(locked.Since); age < 0 || age > time.Minute {
		t.Errorf("it is held since %v", locked.Since)
	}

	// A session that only observes begins, and takes no lock.
	look := m.open(t, deploy.OpenOptions{})
	if look.Observation().Profiles == nil {
		t.Error("there is no observation")
	}

	// The waiting run learns the name of the holder, and then gets the lock.
	waits := make(chan *deploy.LockedError, 1)
	opened := make(chan error, 1)
	go func() {
		how := lockAs("bob", testenv.Patience)
		how.Waiting = func(e *deploy.LockedError) { waits <- e }
		s, err := r.Open(t.Context(), m.Node, how)
		if err == nil {
			defer s.Close()
		}
		opened <- err
	}()
	if e := <-waits; e.Holder != locked.Holder {
		t.Errorf("it waits for %q", e.Holder)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Lost():
		t.Error("a session that was closed counts as lost")
	default:
	}
}

func TestLockWaitEnds(t *testing.T) {
	m := newMachine(t, "", "")
	m.open(t, lockAs("alice", 0))
	_, err := m.remote(t).Open(t.Context(), m.Node, lockAs("bob", time.Millisecond))
	var locked *deploy.LockedError
	if !errors.As(err, &locked) || locked.Holder != "alice" {
		t.Errorf("after its time the other gets %v", err)
	}

	// Open returns at once when its context ends.
	ctx, cancel := context.WithCancel(t.Context())
	how := lockAs("bob", time.Hour)
	how.Waiting = func(*deploy.LockedError) { cancel() }
	if _, err := m.remote(t).Open(ctx, m.Node, how); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, it gets %v", err)
	}
}

// TestLockPlace tests a lock folder that other users can write to.
func TestLockPlace(t *testing.T) {
	m := newMachine(t, "mkdir /home/theirs; chmod 777 /home/theirs; ln -s /home/theirs /home/deploy/.hostenv-deploy", "")
	_, err := m.remote(t).Open(t.Context(), m.Node, lockAs("alice", 0))
	if err == nil || !strings.Contains(err.Error(), "does not start a session: ") || !strings.Contains(err.Error(), "/home/deploy/.hostenv-deploy") {
		t.Errorf("a lock where others can take it: %v", err)
	}
}

// TestMain becomes the driver that TestKilledDriver kills, if that asks for it.
func TestMain(m *testing.M) {
	if path := os.Getenv("HOSTENV_TEST_DRIVER"); path != "" {
		driver(path)
	}
	fleet.Main(m)
}

// driver opens the node in a file, with its lock, prints a line, and has the node
// sleep for an hour.
func driver(path string) {
	data, err := os.ReadFile(path)
	var n deploy.Node
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	var c *remote.Config
	if err == nil {
		c, err = remote.Write(context.Background(), "", []deploy.Node{n})
	}
	var s deploy.Session
	if err == nil {
		s, err = remote.New(c).Open(context.Background(), n, lockAs("driver", 0))
	}
	_ = c.Close()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, err = s.Run(context.Background(), n.User, nil, "sh", "-c", "touch /home/deploy/busy; exec sleep 3600")
	fmt.Println(err)
	os.Exit(1)
}

// TestKilledDriver kills the driver, and nothing else, in the middle of a
// request: the lock is free at once, though the command works on for an hour.
func TestKilledDriver(t *testing.T) { eachShell(t, testKilledDriver) }

func testKilledDriver(t *testing.T, shell string) {
	m := newMachine(t, shell, "")
	data, err := json.Marshal(m.Node)
	if err != nil {
		t.Fatal(err)
	}
	m.copy(t, "node.json", string(data))
	r := m.remote(t)
	for range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "HOSTENV_TEST_DRIVER="+m.file("node.json"))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
			t.Fatalf("the driver printed %q: %v", line, err)
		}
		m.sh(t, "until [ -e /home/deploy/busy ]; do sleep 0.01; done; rm /home/deploy/busy")
		// Another session waits already, so that the test measures only the lock.
		waits := make(chan struct{})
		next := make(chan deploy.Session, 1)
		go func() {
			how := lockAs("next", testenv.Patience)
			how.Waiting = func(*deploy.LockedError) { close(waits) }
			s, err := r.Open(t.Context(), m.Node, how)
			if err != nil {
				t.Error(err)
			}
			next <- s
		}()
		<-waits
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s := <-next
		if s == nil {
			return
		}
		t.Logf("another has it, and has looked, after %v", time.Since(start))
		_ = cmd.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.TrimSpace(m.sh(t, `n=0; for f in /proc/[0-9]*/cmdline; do case $(tr '\0' ' ' 2>/dev/null <$f) in "sleep 3600 ") n=$((n + 1)) ;; esac; done; echo $n`)); n != "5" {
		t.Errorf("%s of 5 commands work on", n)
	}
}

// TestLost ends the connection on the node's side.
func TestLost(t *testing.T) {
	m := newMachine(t, "", "")
	s := m.open(t, lockAs("alice", 0))
	pids := m.sh(t, "cat /home/deploy/.hostenv-deploy/lock")
	m.sh(t, `kill -9 "$1"`, strings.Fields(pids)[0])
	<-s.Lost()
	_, err := s.Run(t.Context(), "deploy", nil, "id")
	if err == nil || !strings.Contains(err.Error(), ": the connection was lost") {
		t.Errorf("a request on a lost session gets %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCancelledRequest cancels a request. The session stays usable: the next
// request waits until the cancelled command has finished.
func TestCancelledRequest(t *testing.T) {
	m := newMachine(t, "mkfifo -m 666 /home/fifo", "")
	s := m.open(t, lockAs("alice", 0))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, "deploy", nil, "sh", "-c", "touch /home/deploy/busy; cat /home/fifo; echo first")
		first <- err
	}()
	m.sh(t, "until [ -e /home/deploy/busy ]; do sleep 0.01; done")
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, a request gets %v", err)
	}
	second := make(chan string, 1)
	go func() {
		out, err := s.Run(t.Context(), "deploy", nil, "echo", "second")
		second <- fmt.Sprint(string(out), err)
	}()
	m.sh(t, "echo >/home/fifo")
	if got := <-second; got != "second\n<nil>" {
		t.Errorf("the next request gets %q", got)
	}
}

// TestInterrupt sends the Ctrl-C of a terminal to all processes but the driver
// itself: sessions are in groups of their own.
func TestInterrupt(t *testing.T) {
	m := newMachine(t, "", "")
	s := m.open(t, lockAs("alice", 0))
	children, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	own := syscall.Getpgrp()
	for pid := range strings.FieldsSeq(string(children)) {
		var n int
		fmt.Sscan(pid, &n)
		command, _ := os.ReadFile("/proc/" + pid + "/comm")
		if group, err := syscall.Getpgid(n); err == nil && group == own && string(command) == "ssh\n" {
			t.Errorf("ssh %s is in this process's group", pid)
		}
	}
	if _, err := s.Observe(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCustomersCommandThatHangs: a command as a customer's user is given up after a
// while, and the node can be opened again, with its lock.
func TestCustomersCommandThatHangs(t *testing.T) {
	m := newMachine(t, "mkdir -p /run/state && mkfifo -m 666 /run/state/pipe", "")
	r := m.remote(t)
	r.Commands = 300 * time.Millisecond
	s, err := r.Open(t.Context(), m.Node, deploy.OpenOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(t.Context(), "site", nil, "cat", "/run/state/pipe"); err == nil || !strings.Contains(err.Error(), "gave up cat as site after 300ms") {
		t.Fatal(err)
	}
	<-s.Lost()
	again, err := r.Open(t.Context(), m.Node, deploy.OpenOptions{Lock: true, LockWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	// What runs as the deploy user may take an hour at least.
	if _, err := again.Run(t.Context(), "deploy", nil, "sleep", "0.6"); err != nil {
		t.Error(err)
	}
	again.Close()

	last, err := m.remote(t).Open(t.Context(), m.Node, deploy.OpenOptions{Lock: true, LockWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if out, err := last.Run(t.Context(), "site", nil, "printf", "fine"); err != nil || string(out) != "fine" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestObservationThatHangs: a node that does not answer what it is asked is given up, and
// so is a session with it.
func TestObservationThatHangs(t *testing.T) {
	m := newMachine(t, "mkfifo /run/never; : >/run/answers; mount --bind /run/answers /etc/os-release", "")
	r := m.remote(t)
	r.Patience = 5 * time.Second
	s, err := r.Open(t.Context(), m.Node, deploy.OpenOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m.sh(t, "mount --bind /run/never /etc/os-release")
	if _, err := s.Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "gave up observing the node after 5s") {
		t.Fatal(err)
	}
	<-s.Lost()
	m.sh(t, "umount -l /etc/os-release")
	again, err := r.Open(t.Context(), m.Node, deploy.OpenOptions{Lock: true, LockWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
}
