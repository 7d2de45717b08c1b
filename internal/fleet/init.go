package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A machine describes a node to its process 1.
type machine struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`            // holds the folders root, work, merged and nix
	Show string `json:"show,omitempty"` // a folder of this machine below /tmp that the node has too
}

// An order is a command to process 1 of a node: one line on its stdin, which it
// answers with one line.
type order struct {
	Start []string `json:"start,omitempty"` // a command line
	Log   string   `json:"log,omitempty"`   // where its output goes, opened here
	Stop  int      `json:"stop,omitempty"`  // a process that it started
}

type answer struct {
	PID   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
}

// runNode is process 1 of a node. It ends when its stdin does, and the kernel then
// ends every process of the node.
func runNode(stdin io.Reader, stdout io.Writer) error {
	orders, answers := json.NewDecoder(stdin), json.NewEncoder(stdout)
	var m machine
	if err := orders.Decode(&m); err != nil {
		return err
	}
	if err := m.enter(); err != nil {
		return fmt.Errorf("node %s: %w", m.Name, err)
	}
	if err := answers.Encode(answer{PID: os.Getpid()}); err != nil {
		return err
	}
	r := newReaper()
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var a answer
		var err error
		if o.Start != nil {
			a.PID, err = r.start(o.Start, o.Log)
		} else {
			r.stop(o.Stop)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// enter makes the node's root file system: a layer over this machine's, so that the
// node has its programs and keeps changes to itself.
func (m machine) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	dir := func(name string) string { return filepath.Join(m.Dir, name) }
	root := dir("merged")
	if err := mount("overlay", root, "overlay", "lowerdir=/,upperdir="+dir("root")+",workdir="+dir("work")); err != nil {
		return err
	}
	if err := bind(dir("nix"), root+"/nix"); err != nil {
		return err
	}
	if err := bind("/dev", root+"/dev"); err != nil {
		return err
	}
	if err := mount("tmpfs", root+"/tmp", "tmpfs", "mode=1777"); err != nil {
		return err
	}
	if m.Show != "" {
		if err := os.MkdirAll(root+m.Show, 0o755); err != nil {
			return err
		}
		if err := bind(m.Show, root+m.Show); err != nil {
			return err
		}
	}
	if err := mount("proc", root+"/proc", "proc", ""); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(m.Name)); err != nil {
		return err
	}
	// See pivot_root(2): this stacks the old root on the new one, and unmounts it.
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir("/")
}

// A reaper starts processes, and reaps them and orphans.
type reaper struct {
	mu      sync.Mutex
	running map[int]chan struct{} // closed when the process is gone
}

func newReaper() *reaper {
	r := &reaper{running: map[int]chan struct{}{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			r.reap()
		}
	}()
	return r
}

func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil || pid <= 0 {
			return
		}
		if gone, ok := r.running[pid]; ok {
			close(gone)
			delete(r.running, pid)
		}
	}
}

func (r *reaper) start(argv []string, logName string) (int, error) {
	log, err := os.OpenFile(logName, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Dir: "/", Env: nodeEnv(), Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", argv[0], err)
	}
	r.running[pid] = make(chan struct{})
	return pid, nil
}

// stop kills a process that was started, and returns when it is gone.
func (r *reaper) stop(pid int) {
	r.mu.Lock()
	gone, ok := r.running[pid]
	if ok {
		_ = syscall.Kill(pid, syscall.SIGKILL) // not reaped yet, so the PID is not used again
	}
	r.mu.Unlock()
	if ok {
		<-gone
	}
}
