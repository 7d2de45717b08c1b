package move

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A snapshot is a snapshot of restic, as `restic snapshots --json` lists it.
type snapshot struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Host string    `json:"hostname"`
}

var isSnapshot = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// decodeSnapshots reads the output of `restic snapshots --json`: a list, or null if
// there are no snapshots.
func decodeSnapshots(data []byte) ([]snapshot, error) {
	var list []snapshot
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("restic's list of snapshots cannot be read: %w", err)
	}
	for _, s := range list {
		if !isSnapshot.MatchString(s.ID) || s.Time.IsZero() {
			return nil, errors.New("restic's list of snapshots cannot be read: it has one without id or time")
		}
	}
	return list, nil
}

// newest returns the newest snapshot that is not older than since. An older one is
// of an earlier backup, and lacks later data. If several hosts made a snapshot
// since then, newest returns an error: all nodes that have had the environment
// share the repository, and a former node may still back up its old data.
func newest(list []snapshot, since time.Time) (string, error) {
	var found snapshot
	hosts := map[string]bool{}
	for _, s := range list {
		if s.Time.After(found.Time) {
			found = s
		}
		if !s.Time.Before(since) {
			hosts[s.Host] = true
		}
	}
	switch {
	case found.ID == "":
		return "", errors.New("there is none")
	case found.Time.Before(since):
		return "", fmt.Errorf("the newest is of %s, before this backup began", found.Time.UTC().Format(time.RFC3339))
	}
	if len(hosts) > 1 {
		return "", fmt.Errorf("several hosts made one since then: %s", strings.Join(slices.Sorted(maps.Keys(hosts)), " and "))
	}
	return found.ID, nil
}

// only is newest for a list that does not show which backup made a snapshot. If
// several are new enough, it returns an error.
func only(list []snapshot, since time.Time) (string, error) {
	count := 0
	for _, s := range list {
		if !s.Time.Before(since) {
			count++
		}
	}
	if count > 1 {
		return "", fmt.Errorf("%d were made since then, and no tag marks the right one", count)
	}
	return newest(list, since)
}

// saved matches the last line of `restic backup`.
var saved = regexp.MustCompile(`(?m)^snapshot ([0-9a-f]{8,64}) saved[ \t\r]*$`)

// fromJournal returns the last snapshot that the journal of a backup's service
// names.
func fromJournal(text []byte) (string, error) {
	all := saved.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return "", errors.New("it names none")
	}
	return string(all[len(all)-1][1]), nil
}
