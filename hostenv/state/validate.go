package state

import (
	"fmt"
	"maps"
	"slices"
)

// The bounds of any UID in a state. Below 1000 are the users of the system,
// which an environment must never be; 65534 and 65535 mean nobody and "no
// user" (systemd, docs/UIDS-GIDS.md). The upper bound is what a signed 32-bit
// uid_t holds.
const (
	minUID = 1000
	maxUID = 1<<31 - 1
)

// Validate reports everything that is wrong with a state, as a *Refused.
// [Decode] has done so already; a state that a program built wants it.
func (s State) Validate() error {
	return s.validate(func(...string) int { return 0 })
}

// validate checks s; line finds an entry, or a field of it, in the file.
func (s State) validate(line func(path ...string) int) error {
	var errs []error
	wrong := func(entry, field, remedy, format string, args ...any) {
		path := []string{entry}
		if field != "" {
			path = append(path, field)
		}
		errs = append(errs, &EntryError{Entry: entry, Field: field, Line: line(path...), Problem: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	const byHand = "correct it by hand, or restore the entry from git (git log -p -- generated/state.json)"

	uids := map[int][]string{}
	hosts := map[string][]string{}
	for _, name := range s.names() {
		e := s.Entries[name]
		if e.UserName != name {
			wrong(name, "userName", byHand, "is %q, and the key of an entry is its user name", e.UserName)
		}
		if err := CheckUserName(name); err != nil {
			wrong(name, "", "if it is a note, put it into _description; if it is an environment, restore its name from git", "%v", err)
		}
		if err := checkUID(e.UID); err != nil {
			wrong(name, "uid", byHand, "%v", err)
		}
		uids[e.UID] = append(uids[e.UID], name)
		for _, host := range e.VirtualHosts {
			if normal, err := NormalizeHostname(host); err != nil {
				wrong(name, "virtualHosts", byHand, "holds %q: %v", host, err)
			} else if normal != host {
				wrong(name, "virtualHosts", byHand, "holds %q, which is %q once normalised", host, normal)
			}
			hosts[host] = append(hosts[host], name)
		}
	}
	lines := func(users []string, field string) []int {
		at := make([]int, len(users))
		for i, user := range users {
			at[i] = line(user, field)
		}
		return at
	}
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		if users := uids[uid]; len(users) > 1 {
			errs = append(errs, &DuplicateUIDError{UID: uid, Users: users, Lines: lines(users, "uid")})
		}
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if users := slices.Compact(hosts[host]); len(users) > 1 {
			errs = append(errs, &DuplicateHostnameError{Host: host, Users: users, Lines: lines(users, "virtualHosts")})
		}
	}
	if last := s.LastAllocated; last.UID != 0 || last.UserName != "" {
		const mend = "a merge took the older side: set uid and userName of _lastAllocated to those of the entry with the highest uid"
		if err := checkUID(last.UID); err != nil {
			wrong(lastAllocatedKey, "uid", mend, "%v", err)
		}
		for _, name := range s.names() {
			if e := s.Entries[name]; e.UID > last.UID {
				wrong(lastAllocatedKey, "uid", mend, "is %d, but %s has %d", last.UID, name, e.UID)
			}
		}
		if e, ok := s.Entries[last.UserName]; ok && e.UID != last.UID {
			wrong(lastAllocatedKey, "uid", mend, "is %d, but its user %s has %d", last.UID, last.UserName, e.UID)
		}
	}
	return refuse(errs...)
}

func checkUID(uid int) error {
	switch {
	case uid < minUID:
		return fmt.Errorf("is %d, and UIDs below %d belong to the system", uid, minUID)
	case uid > maxUID:
		return fmt.Errorf("is %d, and %d is the highest UID there is", uid, maxUID)
	case uid == 65534 || uid == 65535:
		return fmt.Errorf("is %d, which means nobody", uid)
	}
	return nil
}
