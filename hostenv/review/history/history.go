// Package history finds the commits between two revisions of customers'
// repositories: in a repository on this machine, or in the clones that Nix keeps in
// its cache. It fetches none.
//
// The answers are for people, and may be incomplete: Nix's clone of a repository
// often has only the newest commit, and of a forge it keeps no clone at all.
package history

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woolwichweb/hostenv-provider/hostenv/review"
)

// The bounds of one call: its time, that of one git, how many run at once, how many
// commits are counted, and how much git may print.
const (
	patience  = 10 * time.Second
	patience1 = 3 * time.Second
	parallel  = 4
	most      = 1000
	maxOutput = 1 << 20
)

// Commits returns the commits of each pair that a repository here has. It ends
// within ten seconds, or when ctx does, with those found until then.
func Commits(ctx context.Context, pairs []review.Pair) map[review.Pair]review.Commits {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := map[review.Pair]review.Commits{}
	program, err := exec.LookPath("git")
	if err != nil {
		return found
	}
	var lock sync.Mutex
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, pair := range pairs {
		if pair.Kind != "git" || ctx.Err() != nil {
			continue
		}
		group.Go(func() error {
			for _, dir := range repositories(pair.URL) {
				if commits, ok := (repository{program, dir}).between(ctx, pair.From, pair.To); ok {
					lock.Lock()
					found[pair] = commits
					lock.Unlock()
					break
				}
			}
			return nil
		})
	}
	_ = group.Wait() // no function fails
	return found
}

// repositories returns the folders that may have a repository: its own, or Nix's
// clones, the complete one first.
func repositories(address string) []string {
	if strings.HasPrefix(address, "/") {
		return []string{address}
	}
	if u, err := url.Parse(address); err == nil && u.Scheme == "file" {
		return []string{u.Path}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	var dirs []string
	name := nixHash(address)
	for _, suffix := range []string{"", "-shallow"} {
		dir := filepath.Join(cache, "nix", "gitv3", name+suffix)
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// nixHash is the name of Nix's clone: the SHA-256 of the address, in Nix's base 32.
func nixHash(address string) string {
	const digits = "0123456789abcdfghijklmnpqrsvwxyz"
	sum := sha256.Sum256([]byte(address))
	text := make([]byte, 0, 52)
	for n := 51; n >= 0; n-- {
		at, shift := n*5/8, n*5%8
		c := uint16(sum[at]) >> shift
		if at+1 < len(sum) {
			c |= uint16(sum[at+1]) << (8 - shift)
		}
		text = append(text, digits[c&31])
	}
	return string(text)
}

type repository struct{ git, dir string }

// between returns the commits that to has and from lacks, and the number of those
// that from has and to lacks; false if the repository does not have to.
func (r repository) between(ctx context.Context, from, to string) (commits review.Commits, ok bool) {
	if !isHash(from) || !isHash(to) {
		return commits, false
	}
	listed, err := r.run(ctx, "rev-list", "--max-count="+strconv.Itoa(most+1), "--format=tformat:>%s", to, "^"+from, "--")
	if err != nil { // it may lack from
		if listed, err = r.run(ctx, "rev-list", "--max-count=1", "--format=tformat:>%s", to, "--"); err != nil {
			return commits, false
		}
		_, commits.Subjects = parse(listed)
		return commits, true
	}
	hashes, subjects := parse(listed)
	commits.Subjects = subjects[:min(len(subjects), review.MaxSubjects)]
	if r.cutOff(ctx, hashes) {
		return commits, true
	}
	commits.Number, commits.More = min(len(hashes), most), len(hashes) > most
	if dropped, err := r.run(ctx, "rev-list", "--count", "--max-count="+strconv.Itoa(most), from, "^"+to, "--"); err == nil {
		commits.Dropped, _ = strconv.Atoi(strings.TrimSpace(string(dropped)))
	}
	return commits, true
}

// cutOff reports whether the history ends at one of the commits because the clone is
// shallow, so that older ones are missing.
func (r repository) cutOff(ctx context.Context, hashes []string) bool {
	path, err := r.run(ctx, "rev-parse", "--git-path", "shallow")
	if err != nil {
		return true
	}
	file := strings.TrimSpace(string(path))
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.dir, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return !os.IsNotExist(err)
	}
	ends := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		ends[strings.TrimSpace(line)] = true
	}
	for _, hash := range hashes {
		if ends[hash] {
			return true
		}
	}
	return false
}

// parse reads pairs of lines, "commit HASH" and ">" with a subject, which may be
// empty.
func parse(listed []byte) (hashes, subjects []string) {
	lines := strings.Split(strings.TrimSuffix(string(listed), "\n"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		hash, isCommit := strings.CutPrefix(lines[i], "commit ")
		if !isCommit {
			break
		}
		hashes, subjects = append(hashes, hash), append(subjects, strings.TrimPrefix(lines[i+1], ">"))
	}
	return hashes, subjects
}

// isHash reports whether a revision is a whole hash, and so no option of git.
func isHash(revision string) bool {
	return (len(revision) == 40 || len(revision) == 64) && strings.Trim(revision, "0123456789abcdef") == ""
}

// run runs git, which reads objects only: it asks no server for those that a
// partial clone lacks, and starts no program of the repository's configuration.
func (r repository) run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience1)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.git, append([]string{"-C", r.dir, "-c", "i18n.logOutputEncoding=UTF-8"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0")
	cmd.WaitDelay = time.Second
	out := &limited{room: maxOutput}
	cmd.Stdout = out
	err := cmd.Run()
	return out.Bytes(), err
}

// limited takes so many bytes, and then fails, which ends the program.
type limited struct {
	bytes.Buffer
	room int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.room -= len(p); l.room < 0 {
		return 0, io.ErrShortWrite
	}
	return l.Buffer.Write(p)
}
