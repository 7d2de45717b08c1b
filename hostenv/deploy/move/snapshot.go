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

// A snapshot is one of restic's, as `restic snapshots --json` lists it.
type snapshot struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Host string    `json:"hostname"`
}

var isSnapshot = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// decodeSnapshots reads what `restic snapshots --json` prints: a list, or null
// where there are none.
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

// newest returns the newest snapshot that is not older than since. Older ones
// are of a backup before, and lack what was written after it. Where several hosts
// have made one it is none: the repository is that of every node on which the
// environment has been, and an old one may still back up what it has.
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
		return "", fmt.Errorf("%s made one meanwhile", strings.Join(slices.Sorted(maps.Keys(hosts)), " and "))
	}
	return found.ID, nil
}

// only is newest for a list of whose snapshots it is not known which backup made
// them: where several are new enough, it is none.
func only(list []snapshot, since time.Time) (string, error) {
	count := 0
	for _, s := range list {
		if !s.Time.Before(since) {
			count++
		}
	}
	if count > 1 {
		return "", fmt.Errorf("%d were made meanwhile, and no tag tells which", count)
	}
	return newest(list, since)
}

// saved is what `restic backup` says at its end.
var saved = regexp.MustCompile(`(?m)^snapshot ([0-9a-f]{8,64}) saved[ \t\r]*$`)

// fromJournal returns the snapshot that a backup's service said last it saved.
func fromJournal(text []byte) (string, error) {
	all := saved.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return "", errors.New("it names none")
	}
	return string(all[len(all)-1][1]), nil
}
