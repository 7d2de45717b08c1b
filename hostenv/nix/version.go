package nix

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version returns the version of Nix, such as "2.28.3". It runs nix only once.
func (r *Runner) Version(ctx context.Context) (string, error) {
	r.once.Lock()
	defer r.once.Unlock()
	if r.version != "" {
		return r.version, nil
	}
	written, err := r.Run(ctx, Command{Args: []string{"--version"}})
	if err != nil {
		return "", fmt.Errorf("ask nix for its version: %w", err)
	}
	// "nix (Nix) 2.18.1", "nix (Determinate Nix 3.6.0) 2.29.0"
	fields := strings.Fields(string(written))
	if len(fields) == 0 || !isVersion.MatchString(fields[len(fields)-1]) {
		return "", fmt.Errorf("ask nix for its version: it writes %q", strings.TrimSpace(string(written)))
	}
	r.version = fields[len(fields)-1]
	return r.version, nil
}

var isVersion = regexp.MustCompile(`^([0-9]+)\.([0-9]+)`)

// AtLeast reports whether a version is at least major.minor.
func AtLeast(version string, major, minor int) bool {
	numbers := isVersion.FindStringSubmatch(version)
	if numbers == nil {
		return false
	}
	haveMajor, _ := strconv.Atoi(numbers[1])
	haveMinor, _ := strconv.Atoi(numbers[2])
	return haveMajor > major || haveMajor == major && haveMinor >= minor
}

// decodeJSON reads the output of nix.
func decodeJSON(written []byte, into any) error {
	if err := json.Unmarshal(written, into); err != nil {
		return fmt.Errorf("read what nix wrote: %w", err)
	}
	return nil
}
