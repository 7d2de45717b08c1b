package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Push implements [deploy.Store] with one nix copy over one connection.
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
	var output bytes.Buffer
	_, err = s.nix(ctx, nix.Command{Env: ssh, Log: io.MultiWriter(log, &output), Stall: s.stall()}, args...)
	// If a connection breaks off, Nix sometimes ends as if it had copied all paths.
	if line := dropped.FindString(output.String()); err == nil && line != "" {
		err = &nix.CommandError{Log: output.String(), Err: errors.New(strings.TrimSpace(line))}
	}
	return s.ofNode(n.Name, err)
}

// ofNode makes an error about a node from that of a command which used a connection to
// it.
func (s *Store) ofNode(node string, err error) error {
	if errors.As(err, new(*nix.StalledError)) || errors.As(err, new(*nix.LateError)) {
		return s.stalled(node, err)
	}
	failed := (*nix.CommandError)(nil)
	if !errors.As(err, &failed) || len(failed.FailedBuilds()) > 0 {
		return err // the output of a build may look like an error of ssh
	}
	return nodeError(node, failed)
}

// The messages of nix 2.8, 2.26 and 2.34, each with each of them on the node, and of
// ssh.
var (
	// "... because it lacks a valid signature" (2.8), "... a signature by a
	// trusted key" (since about 2.10). The path is any one of the closure.
	unsigned = regexp.MustCompile(`cannot add path '([^']+)' because it (?:lacks|has no|is not)\b.*\bsign`)
	diskFull = regexp.MustCompile(`(?i)No space left on device|database or disk is full|Disk quota exceeded`)
	// The messages of ssh without a connection.
	unreachable = regexp.MustCompile(`(?m)^(?:ssh: .*|kex_exchange_identification: .*|.*: Permission denied \(.*|.*Could not resolve hostname.*|Connection timed out during banner exchange)$`)
	dropped     = regexp.MustCompile(`(?mi)^.*(?:closed by remote host|connection reset|reset by peer|broken pipe|timed? ?out, server .* not responding|unexpected end-of-file|nix daemon disconnected|lost connection|failed to start SSH connection|unexpected EOF).*$`)
)

// nodeError makes an error about a node from the output of nix and ssh.
func nodeError(node string, failed *nix.CommandError) error {
	log := failed.Log
	if path := unsigned.FindStringSubmatch(log); path != nil {
		return &deploy.UnsignedError{Node: node, Path: path[1]}
	}
	if diskFull.MatchString(log) {
		return problem.New("node "+node, "has no room left: "+failed.Message(), "make room on the node: nix-collect-garbage --delete-older-than 14d, as root")
	}
	if strings.Contains(log, "Host key verification failed.") || strings.Contains(log, "HOST IDENTIFICATION HAS CHANGED") {
		return &deploy.HostKeyError{Node: node, Cause: "Host key verification failed."}
	}
	if line := unreachable.FindString(log); line != "" {
		return &deploy.UnreachableError{Node: node, Cause: strings.TrimPrefix(line, "ssh: ")}
	}
	if strings.Contains(log, "nix-daemon: command not found") || strings.Contains(log, "nix-daemon: not found") {
		return problem.New("node "+node, "has no nix-daemon on the PATH of the user that deploys", "make `ssh HOST nix-daemon --version` work without a login shell")
	}
	if strings.Contains(log, "protocol mismatch") {
		return problem.New("node "+node, "answers Nix with other text: "+failed.Message(), "`ssh HOST true` as the deploy user must print nothing: let its shell print at log-in only if there is a terminal (`[ -t 1 ]`)")
	}
	if line := dropped.FindString(log); line != "" {
		return &deploy.CutOffError{Node: node, Cause: strings.TrimSpace(line)}
	}
	return failed
}
