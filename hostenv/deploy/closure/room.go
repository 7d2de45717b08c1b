package closure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// Closure implements [deploy.Store] with two processes.
func (s *Store) Closure(ctx context.Context, paths []string) ([]string, error) {
	if err := checkPaths(paths...); err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, nil
	}
	invalid, err := s.Nix.Invalid(ctx, paths)
	if err != nil {
		return nil, err
	}
	valid := slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return invalid[path] })
	if len(valid) == 0 {
		return nil, nil
	}
	written, err := s.Nix.Run(ctx, nix.Command{Program: "nix-store", Args: append([]string{"--query", "--requisites"}, valid...)})
	if err != nil {
		return nil, fmt.Errorf("look up what was built: %w", err)
	}
	return strings.Fields(string(written)), nil
}

const (
	block     = 4096 // in which file systems give out space
	inodeSize = 512
	// shortLink is the longest target that a symbolic link holds without a block.
	shortLink = 59
	// entrySize is what a name takes in a folder, beside its length.
	entrySize = 32
)

// Measure implements [deploy.Store]. The size of a NAR is not what a path takes: small
// files and folders take whole blocks, and a closure of many may take ten times its
// NARs.
func (s *Store) Measure(ctx context.Context, paths []string) (deploy.Size, error) {
	if err := checkPaths(paths...); err != nil {
		return deploy.Size{}, err
	}
	var size deploy.Size
	var elsewhere []string // in a store that is not on this machine's disk
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return deploy.Size{}, err
		}
		bytes, files, err := onDisk(path)
		if errors.Is(err, fs.ErrNotExist) {
			elsewhere = append(elsewhere, path)
			continue
		}
		if err != nil {
			return deploy.Size{}, fmt.Errorf("measure what was built: %w", err)
		}
		size.Bytes += bytes
		size.Files += files
	}
	if len(elsewhere) == 0 {
		return size, nil
	}
	infos, err := s.Nix.Closures(ctx, elsewhere)
	if err != nil {
		return deploy.Size{}, err
	}
	for _, path := range elsewhere {
		// A NAR takes at least 200 bytes for a file, and mostly far more.
		size.Bytes += infos[path].Size/4*5 + block
		size.Files++
	}
	return size, nil
}

// onDisk returns what a path takes on a disk.
func onDisk(path string) (bytes, files int64, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, 0, err
	}
	bytes, files = inodeSize, 1
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return 0, 0, err
		}
		if len(target) > shortLink {
			bytes += blocks(int64(len(target)))
		}
	case info.IsDir():
		entries, err := os.ReadDir(path)
		if err != nil {
			return 0, 0, err
		}
		length := int64(1)
		for _, entry := range entries {
			length += int64(len(entry.Name())) + entrySize
			below, count, err := onDisk(filepath.Join(path, entry.Name()))
			if err != nil {
				return 0, 0, err
			}
			bytes += below
			files += count
		}
		bytes += blocks(length)
	default:
		bytes += blocks(info.Size())
	}
	return bytes, files, nil
}

// blocks rounds a size up to whole blocks.
func blocks(bytes int64) int64 { return (bytes + block - 1) / block * block }

// Kernels implements [deploy.Store]: those of the system, and of its specialisations.
func (s *Store) Kernels(system string) []deploy.Kernel {
	if checkPaths(system) != nil {
		return nil
	}
	special, _ := filepath.Glob(system + "/specialisation/*") // the pattern is valid
	var found []deploy.Kernel
	for _, at := range append([]string{system}, special...) {
		for _, name := range []string{"kernel", "initrd"} {
			path, err := filepath.EvalSymlinks(filepath.Join(at, name))
			if err != nil {
				continue
			}
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			k := deploy.Kernel{Path: path, Bytes: info.Size()}
			if !slices.Contains(found, k) {
				found = append(found, k)
			}
		}
	}
	return found
}
