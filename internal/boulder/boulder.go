// Package boulder compares the release of Boulder that the DNS gate is tested against
// with the releases that there are.
package boulder

import (
	"fmt"
	"regexp"
	"time"
)

// Module is Boulder's path.
const Module = "github.com/letsencrypt/boulder"

// Weeks is how much newer the newest release may be than the one in use.
const Weeks = 8

// releases are named by their day, such as v0.20261110.0.
var release = regexp.MustCompile(`^v0\.([0-9]{8})\.[0-9]+$`)

// Behind returns the newest release, and how many whole weeks it is newer than the one
// in use. It compares the days in their names and asks no clock, so that the answer
// changes only with the releases. It ignores versions that are not named by a day,
// and returns an error if the one in use is not.
func Behind(used string, versions []string) (newest string, weeks int, err error) {
	day, ok := dayOf(used)
	if !ok {
		return "", 0, fmt.Errorf("%s is not a release of Boulder named by its day", used)
	}
	newest, last := used, day
	for _, version := range versions {
		if at, ok := dayOf(version); ok && at.After(last) {
			newest, last = version, at
		}
	}
	return newest, int(last.Sub(day).Hours()) / (24 * 7), nil
}

func dayOf(version string) (time.Time, bool) {
	parts := release.FindStringSubmatch(version)
	if parts == nil {
		return time.Time{}, false
	}
	day, err := time.Parse("20060102", parts[1])
	return day, err == nil
}
