package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Diff implements [deploy.Store] with one process here and one connection to the
// node, where the node's own nix answers: over ssh-ng each path of a closure
// would be one request, which waits for the response before it.
func (s *Store) Diff(ctx context.Context, n deploy.Node, pairs []deploy.Pair) ([]deploy.Diff, error) {
	var olds, news []string
	for _, p := range pairs {
		if p.Old != "" {
			olds = append(olds, p.Old)
		}
		news = append(news, p.New)
	}
	if len(pairs) == 0 {
		return nil, nil
	}
	if err := checkPaths(append(news, olds...)...); err != nil {
		return nil, fmt.Errorf("compare closures of node %s: %w", n.Name, err)
	}
	if n.RemoteBuild {
		// Only the node has the paths that it built, and a push copies none.
		there, _, err := s.ask(ctx, n, append(olds, news...), nil)
		if err != nil {
			return nil, err
		}
		return compare(pairs, there, there, nil), nil
	}
	after, err := s.Nix.Closures(ctx, news)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, path := range news {
		for member := range after.Closure(path) {
			all[member] = true
		}
	}
	before, lacking, err := s.ask(ctx, n, olds, sorted(all))
	if err != nil {
		return nil, err
	}
	return compare(pairs, before, after, lacking), nil
}

// question is a script for a node's shell. Its input is two lines: paths whose
// closures it describes, and paths that the node may lack. It prints JSON, a line
// with a dot, and each path that the node lacks. The paths are input and not part of
// the script, so that a shell never reads them as code.
const question = `set -f; read -r known; read -r new; ` +
	`nix="nix --extra-experimental-features nix-command path-info --json --recursive"; ` +
	`if [ -n "$known" ]; then $nix --json-format 1 $known 2>/dev/null || $nix $known || exit; fi; ` +
	`echo; echo .; ` +
	`if [ -n "$new" ]; then nix-store --check-validity --print-invalid $new; fi`

// ask asks a node for the closures of paths, and which others it lacks.
func (s *Store) ask(ctx context.Context, n deploy.Node, known, new []string) (there nix.Paths, lacking map[string]bool, err error) {
	if _, err := s.ssh(); err != nil {
		return nil, nil, err
	}
	input := strings.Join(known, " ") + "\n" + strings.Join(new, " ") + "\n"
	written, err := s.Nix.Run(ctx, nix.Command{
		Program: "ssh",
		Args:    []string{"-F", s.SSHConfig, "-T", "--", n.Name, "sh -c '" + question + "'"},
		Input:   strings.NewReader(input),
		Time:    s.stall(),
	})
	err = s.ofNode(n.Name, err)
	if failed := (*nix.CommandError)(nil); errors.As(err, &failed) {
		return nil, nil, fmt.Errorf("ask node %s for its closures: %w", n.Name, err)
	}
	if err != nil {
		return nil, nil, err
	}
	infos, invalid, ended := bytes.Cut(written, []byte("\n.\n"))
	if !ended {
		return nil, nil, fmt.Errorf("ask node %s for its closures: it wrote %.200q", n.Name, written)
	}
	if there, err = nix.ParsePaths(infos); err != nil {
		return nil, nil, fmt.Errorf("ask node %s for its closures: %w", n.Name, err)
	}
	lacking = map[string]bool{}
	for _, path := range strings.Fields(string(invalid)) {
		lacking[path] = true
	}
	return there, lacking, nil
}
