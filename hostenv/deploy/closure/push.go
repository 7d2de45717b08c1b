package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Push implements [deploy.Store], by one nix copy over one connection. A
// connection that breaks off is tried once more: what has arrived stays.
func (s *Store) Push(ctx context.Context, n deploy.Node, paths []string, log io.Writer) error {
	if len(paths) == 0 {
		return nil
	}
	return s.copy(ctx, n, paths, log)
}

func (s *Store) copy(ctx context.Context, n deploy.Node, paths []string, log io.Writer, flags ...string) error {
	if err := checkPaths(paths...); err != nil {
		return fmt.Errorf("copy to node %s: %w", n.Name, err)
	}
	ssh, err := s.ssh()
	if err != nil {
		return err
	}
	args := append(append([]string{"copy", "--to", uri(n)}, flags...), paths...)
	return s.persistently(ctx, n, log, func() error {
		var said bytes.Buffer
		_, err := s.nix(ctx, nix.Command{Env: ssh, Log: io.MultiWriter(log, &said)}, args...)
		// Where a connection breaks off Nix ends, now and then, as if all was copied.
		if line := dropped.FindString(said.String()); err == nil && line != "" {
			err = &nix.CommandError{Log: said.String(), Err: errors.New(strings.TrimSpace(line))}
		}
		return err
	})
}

// persistently does what goes over a connection to a node, and does it again
// where that broke off. It takes what nix said of the node for what it means.
func (s *Store) persistently(ctx context.Context, n deploy.Node, log io.Writer, do func() error) error {
	for again := false; ; again = true {
		err := do()
		failed := (*nix.CommandError)(nil)
		if !errors.As(err, &failed) || len(failed.FailedBuilds()) > 0 {
			return err // of a build, whose output may say anything
		}
		err = pushError(n.Name, failed)
		dropped := (*DroppedError)(nil)
		if !errors.As(err, &dropped) {
			return err
		}
		if again {
			dropped.Again = true
			return dropped
		}
		_, _ = fmt.Fprintf(log, "the connection to %s broke off, and is tried once more in %v\n", n.Name, s.Pause)
		select {
		case <-time.After(s.Pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// What nix and ssh say, up to 2.8, 2.26 and 2.34, each with any of them on the
// node.
var (
	// "... because it lacks a valid signature" (2.8), "... a signature by a
	// trusted key" (since 2.10 or so). The path is any of the closure.
	unsigned = regexp.MustCompile(`cannot add path '([^']+)' because it (?:lacks|has no|is not)\b.*\bsign`)
	diskFull = regexp.MustCompile(`(?i)No space left on device|database or disk is full|Disk quota exceeded`)
	// What ssh says where there was no connection.
	unreachable = regexp.MustCompile(`(?m)^(?:ssh: .*|kex_exchange_identification: .*|.*: Permission denied \(.*|.*Could not resolve hostname.*|Connection timed out during banner exchange)$`)
	dropped     = regexp.MustCompile(`(?mi)^.*(?:closed by remote host|connection reset|reset by peer|broken pipe|timed? ?out, server .* not responding|unexpected end-of-file|nix daemon disconnected|lost connection|failed to start SSH connection|unexpected EOF).*$`)
)

func pushError(node string, failed *nix.CommandError) error {
	log := failed.Log
	if path := unsigned.FindStringSubmatch(log); path != nil {
		return &deploy.UnsignedError{Node: node, Path: path[1]}
	}
	if said := diskFull.FindString(log); said != "" {
		return &DiskFullError{Node: node, Cause: failed.Message()}
	}
	if strings.Contains(log, "Host key verification failed.") || strings.Contains(log, "HOST IDENTIFICATION HAS CHANGED") {
		return &deploy.HostKeyError{Node: node, Cause: "Host key verification failed."}
	}
	if said := unreachable.FindString(log); said != "" {
		return &deploy.UnreachableError{Node: node, Cause: strings.TrimPrefix(said, "ssh: ")}
	}
	if strings.Contains(log, "nix-daemon: command not found") || strings.Contains(log, "nix-daemon: not found") {
		return &NoNixError{Node: node}
	}
	if said := dropped.FindString(log); said != "" {
		return &DroppedError{Node: node, Cause: strings.TrimSpace(said)}
	}
	return failed
}

// A DroppedError says that a connection broke off in the middle, and again when
// it was tried once more. What was copied until then is on the node.
type DroppedError struct {
	Node, Cause string
	Again       bool
}

func (e *DroppedError) Error() string {
	text := "the connection to node " + e.Node + " broke off"
	if e.Again {
		text += " twice"
	}
	return text + ": " + e.Cause
}

// Hint says what to do.
func (e *DroppedError) Hint() string {
	return "run it again with -resume: what has arrived is not copied again"
}

// A DiskFullError says that a node has no room for what is copied to it.
type DiskFullError struct{ Node, Cause string }

func (e *DiskFullError) Error() string { return "node " + e.Node + " has no room left: " + e.Cause }

// Hint says what to do.
func (e *DiskFullError) Hint() string {
	return "make room on the node: nix-collect-garbage --delete-older-than 14d, as root"
}

// A NoNixError says that there is no Nix for who deploys.
type NoNixError struct{ Node string }

func (e *NoNixError) Error() string {
	return "node " + e.Node + " has no nix-daemon on the PATH of who deploys"
}

// Hint says what to do.
func (e *NoNixError) Hint() string {
	return "see that `ssh HOST nix-daemon --version` works without a login shell"
}
