package nix

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A memory keeps results of evaluations as files, in the Runner's folder Evaluations
// or in the user's cache. An evaluation is pure: its result follows from the expression,
// which has the hash of every source, and from the Nix that runs. So a run evaluates
// only what has changed since a former one.
type memory struct {
	folder string // "" to keep nothing
	anew   bool   // evaluate again what is known
}

// alterKey is a test's: it leaves parts of a key out.
var alterKey = func(parts map[string]any) {}

// keyOf returns the key of a result: the text of all that it follows from, by name. It is
// "" for what must not be kept.
func keyOf(parts map[string]any) string {
	alterKey(parts)
	text, err := json.Marshal(parts)
	if err != nil {
		return ""
	}
	return string(text)
}

const (
	remembered = 60 * 24 * time.Hour // how long a result is kept that no run has used
	unfinished = "new-"              // begins the names of files that are being written
	abandoned  = time.Hour           // no run takes that long to write a file
)

// memory returns the memory of a runner. It removes what no run has used for long.
func (r *Runner) memory() memory {
	folder := r.Evaluations
	if folder == "" {
		env := r.environment()
		cache := variable(env, "XDG_CACHE_HOME")
		if home := variable(env, "HOME"); cache == "" && home != "" {
			cache = filepath.Join(home, ".cache")
		}
		folder = filepath.Join(cache, "hostenv-provider", "evaluations")
	}
	if !filepath.IsAbs(folder) {
		return memory{}
	}
	m := memory{folder: folder, anew: r.Anew}
	entries, _ := os.ReadDir(m.folder) // the first run has no folder yet
	for _, entry := range entries {
		kept := remembered
		if strings.HasPrefix(entry.Name(), unfinished) {
			kept = abandoned
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > kept {
			_ = os.Remove(filepath.Join(m.folder, entry.Name())) // the next run tries again
		}
	}
	return m
}

func (m memory) file(key string) string {
	return filepath.Join(m.folder, fmt.Sprintf("%x.json", sha256.Sum256([]byte(key))))
}

// get returns the result of a key, nil if there is none.
func (m memory) get(key string) json.RawMessage {
	if m.folder == "" || m.anew || key == "" {
		return nil
	}
	text, err := os.ReadFile(m.file(key))
	if err != nil || !json.Valid(text) {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(m.file(key), now, now) // it is only kept longer
	return text
}

// peaks is the file with the memory that processes needed, see [Turns].
func (m memory) peaks() string { return filepath.Join(m.folder, "peaks") }

// put keeps a result. Without it, the next run evaluates again.
func (m memory) put(key string, result json.RawMessage) {
	if key != "" {
		m.write(m.file(key), result)
	}
}

// write writes a whole file, or none: a full disk is no error here.
func (m memory) write(to string, text []byte) {
	if m.folder == "" || os.MkdirAll(m.folder, 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(m.folder, unfinished)
	if err != nil {
		return
	}
	_, err = file.Write(text)
	if closed := file.Close(); err != nil || closed != nil || os.Rename(file.Name(), to) != nil {
		_ = os.Remove(file.Name())
	}
}
