package nix

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A PathInfo describes a store path.
type PathInfo struct {
	Size       int64 // of its NAR, without compression
	References []string
}

// Paths is a part of a store that holds the closure of each of its members.
type Paths map[string]PathInfo

// Closure returns a path and all paths that it needs; it is empty for "".
func (p Paths) Closure(root string) map[string]bool {
	seen := map[string]bool{}
	if root == "" {
		return seen
	}
	next := []string{root}
	for len(next) > 0 {
		path := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[path] {
			continue
		}
		seen[path] = true
		next = append(next, p[path].References...)
	}
	return seen
}

// Size returns the sum of the sizes of paths.
func (p Paths) Size(closure map[string]bool) (size int64) {
	for path := range closure {
		size += p[path].Size
	}
	return size
}

// Closures returns the closures of paths in this machine's store.
func (r *Runner) Closures(ctx context.Context, roots []string) (Paths, error) {
	args := []string{"path-info", "--json", "--recursive"}
	version, err := r.Version(ctx)
	if err != nil {
		return nil, err
	}
	if AtLeast(version, 2, 33) { // where the caller must choose the format
		args = append(args, "--json-format", "1")
	}
	written, err := r.Run(ctx, Command{Args: append(append(args, Features...), roots...)})
	if err != nil {
		return nil, fmt.Errorf("look up what was built: %w", err)
	}
	return ParsePaths(written)
}

func missing(path string) error {
	return problem.New(path, "is not in the store", "")
}

// ParsePaths reads the output of nix path-info --json: a list up to Nix 2.18, an
// object by path in later versions, and in format 2 of Nix 2.33 an object below
// `info`, with paths relative to the store.
func ParsePaths(written []byte) (Paths, error) {
	found := Paths{}
	if len(bytes.TrimSpace(written)) == 0 {
		return found, nil
	}
	type info struct {
		Path       string   `json:"path"`
		Valid      *bool    `json:"valid"`
		NarSize    int64    `json:"narSize"`
		References []string `json:"references"`
	}
	var list []info
	if json.Unmarshal(written, &list) == nil {
		for _, i := range list {
			if i.Valid != nil && !*i.Valid {
				return nil, missing(i.Path)
			}
			found[i.Path] = PathInfo{i.NarSize, i.References}
		}
		return found, nil
	}
	var form2 struct {
		StoreDir string           `json:"storeDir"`
		Info     map[string]*info `json:"info"`
	}
	byPath := map[string]*info{}
	folder := ""
	if json.Unmarshal(written, &form2) == nil && form2.Info != nil {
		byPath, folder = form2.Info, form2.StoreDir
	} else if err := json.Unmarshal(written, &byPath); err != nil {
		return nil, fmt.Errorf("nix path-info writes neither a list nor an object: %w", err)
	}
	for name, i := range byPath {
		if i == nil {
			return nil, missing(path.Join(folder, name))
		}
		references := make([]string, len(i.References))
		for at, reference := range i.References {
			references[at] = path.Join(folder, reference)
		}
		found[path.Join(folder, name)] = PathInfo{i.NarSize, references}
	}
	return found, nil
}
