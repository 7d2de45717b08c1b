// Package killtest kills a process between two system calls of its choice.
package killtest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// marker is the system call with which a traced process marks the begin and the end
// of the part to trace. The Go runtime never makes it.
const marker = unix.SYS_GETPPID

// Mark makes the marker call. A process calls Mark twice, on one thread
// (runtime.LockOSThread): before and after the part in which it is killed.
func Mark() { os.Getppid() }

// noise holds the calls that the Go runtime makes at any time. They change no file,
// so a kill before one has the same effect as a kill before the next other call.
// Without them, the k-th call is the same in every run.
var noise = []uint64{
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_MADVISE,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_CLONE, unix.SYS_CLONE3,
	unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_TGKILL,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_BRK, unix.SYS_PRCTL,
	unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2,
	unix.SYS_CLOCK_GETTIME, unix.SYS_GETRANDOM,
}

// ErrNoTrace reports that this machine does not let a process trace another.
var ErrNoTrace = errors.New("ptrace is not permitted or not available")

// Before runs the test's own program with these arguments in a new process. It
// kills the process with SIGKILL at the entry of the k-th system call that the
// marking thread makes between its two marks; the kernel does not execute that
// call. Before returns the numbers of the calls up to that one, and whether the
// process reached the second mark instead.
func Before(k int, argv, env []string, stderr uintptr) (calls []uint64, done bool, err error) {
	// ptrace works between two threads. The thread that starts a process traces it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{^uintptr(0), stderr, stderr},
		// In a group of its own, wait4 can ask for all its threads, and for
		// no other child of this process.
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrNoTrace, err)
	}
	reap := func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		for {
			if _, err := syscall.Wait4(-pid, nil, unix.WALL, nil); err != nil && err != syscall.EINTR {
				return
			}
		}
	}

	started := false
	var marked int // the marking thread, from its first mark
	known := map[int]bool{pid: true}
	for {
		var ws syscall.WaitStatus
		tid, err := syscall.Wait4(-pid, &ws, unix.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return calls, done, fmt.Errorf("wait: %w", err)
		}
		if ws.Exited() || ws.Signaled() {
			switch {
			case tid != pid: // a thread
				continue
			case !started:
				return nil, false, fmt.Errorf("%w: the process ended at once", ErrNoTrace)
			case ws.Exited() && ws.ExitStatus() == 0 && done:
				return calls, true, nil
			}
			return calls, done, fmt.Errorf("the traced process ended by itself: status %#x", uint32(ws))
		}
		if !started { // stopped by its exec
			started = true
			const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
			if err := syscall.PtraceSetOptions(pid, options); err != nil {
				reap()
				return nil, false, fmt.Errorf("%w: %w", ErrNoTrace, err)
			}
		}

		deliver := 0
		switch sig := ws.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80: // a system call begins or ends
			nr, entry, err := syscallInfo(tid)
			switch {
			case errors.Is(err, syscall.ESRCH):
				continue // the thread has ended meanwhile
			case err != nil:
				reap()
				return nil, false, fmt.Errorf("%w: %w", ErrNoTrace, err)
			case !entry:
			case nr == marker && marked == 0:
				marked = tid
			case nr == marker && tid == marked:
				done = true
			case tid == marked && !done && !slices.Contains(noise, nr):
				calls = append(calls, nr)
				if len(calls) == k {
					reap()
					return calls, false, nil
				}
			}
		case sig == syscall.SIGTRAP: // an event, or an exec
		case sig == syscall.SIGSTOP && !known[tid]: // a new thread's first stop
		default:
			deliver = int(sig)
		}
		known[tid] = true

		resume := syscall.PtraceSyscall
		if done || marked != 0 && tid != marked {
			resume = syscall.PtraceCont
		}
		if err := resume(tid, deliver); err != nil && !errors.Is(err, syscall.ESRCH) {
			reap()
			return nil, false, fmt.Errorf("resume: %w", err)
		}
	}
}

// syscallInfo returns the number of the system call that the stopped thread is
// at, and whether it is about to enter it. PTRACE_GET_SYSCALL_INFO (Linux 5.3) works on
// every architecture, without the registers.
func syscallInfo(tid int) (nr uint64, entry bool, err error) {
	var info struct {
		op   uint8
		_    [3]uint8
		arch uint32
		ip   uint64
		sp   uint64
		nr   uint64
		args [6]uint64
		_    [2]uint64
	}
	const opEntry = 1 // PTRACE_SYSCALL_INFO_ENTRY
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO,
		uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return 0, false, errno
	}
	return info.nr, info.op == opEntry, nil
}
