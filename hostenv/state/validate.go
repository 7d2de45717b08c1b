package state

import (
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// The bounds of any UID in a state. Below 1000 are the system's users. 65534 and
// 65535 are refused as well: the kernel's overflow user and "no user" in 16 bits
// (systemd, docs/UIDS-GIDS.md). The upper bound fits a signed 32-bit uid_t.
const (
	minUID = 1000
	maxUID = 1<<31 - 1
)

// Validate returns an error that holds every problem of a state, see
// [problem.Leaves]. [Decode] and [State.Next] check the same.
func (s State) Validate() error {
	errs, _ := s.problems(nil, nil)
	return errs.Err()
}

// problems returns every problem of s, and the owner of each host name. at finds
// the lines if s was read from a file. reported has the entries and fields whose
// problems the decoder has reported.
func (s State) problems(at *lines, reported map[[2]string]bool) (errs problem.List, owners map[string]string) {
	wrong := func(entry, field, remedy, format string, args ...any) {
		if !reported[[2]string{entry, field}] {
			errs.Add(entryError(at.of(entry, field), entry, field, fmt.Sprintf(format, args...), remedy))
		}
	}
	uids, hosts := newHolders[int](len(s.Entries)), newHolders[string](3*len(s.Entries))
	for _, name := range s.names() {
		e := s.Entries[name]
		if e.UserName != name {
			wrong(name, "userName", byHand, "is %q, and the key of an entry is its user name", e.UserName)
		}
		if _, err := names.ParseUser(name); err != nil {
			wrong(name, "", notNote, "is not a user name: %v", err)
		}
		if err := checkUID(e.UID); err != nil {
			wrong(name, "uid", byHand, "%v", err)
		}
		if e.UID != 0 {
			uids.add(e.UID, name)
		}
		for _, host := range e.VirtualHosts {
			if normal, err := names.ParseHost(host); err != nil {
				wrong(name, "virtualHosts", byHand, "holds %q: %v", host, err)
			} else if string(normal) != host {
				wrong(name, "virtualHosts", byHand, "holds %q, which is %q once normalised", host, normal)
			}
			hosts.add(host, name)
		}
	}
	lines := func(users []string, field string) []int {
		lines := make([]int, len(users))
		for i, user := range users {
			lines[i] = at.of(user, field)
		}
		return lines
	}
	for _, uid := range slices.Sorted(maps.Keys(uids.more)) {
		users := uids.of(uid)
		errs.Add(duplicateUID(uid, users, lines(users, "uid")))
	}
	for _, host := range slices.Sorted(maps.Keys(hosts.more)) {
		users := hosts.of(host)
		errs.Add(duplicateHost(host, users, lines(users, "virtualHosts")))
	}
	s.checkLastAllocated(wrong)
	return errs, hosts.first
}

// checkLastAllocated checks that no entry has a UID above the newest allocation,
// and that its user, if it has an entry, has its UID.
func (s State) checkLastAllocated(wrong func(entry, field, remedy, format string, args ...any)) {
	last := s.LastAllocated
	if last == (Allocation{}) {
		return
	}
	const fix = "a merge took the older side: set uid and userName of _lastAllocated to those of the entry with the highest uid"
	if _, err := names.ParseUser(last.UserName); err != nil {
		wrong(lastAllocatedKey, "userName", fix, "is %q: %v", last.UserName, err)
	}
	highest := Entry{}
	for _, e := range s.Entries {
		if e.UID > highest.UID || e.UID == highest.UID && e.UserName < highest.UserName {
			highest = e
		}
	}
	own := s.Entries[last.UserName]
	switch err := checkUID(last.UID); {
	case err != nil:
		wrong(lastAllocatedKey, "uid", fix, "%v", err)
	case highest.UID > last.UID:
		wrong(lastAllocatedKey, "uid", fix, "is %d, but %s has %d", last.UID, highest.UserName, highest.UID)
	case own.UID != 0 && own.UID != last.UID:
		wrong(lastAllocatedKey, "uid", fix, "is %d, but its user %s has %d", last.UID, last.UserName, own.UID)
	}
}

// holders has the users that hold each key. Nearly all keys have one holder; a
// list for each would take longer than the rest of a step.
type holders[K comparable] struct {
	first map[K]string
	more  map[K][]string // further holders, of the keys that have several
}

// newHolders returns holders with room for so many keys.
func newHolders[K comparable](things int) holders[K] {
	return holders[K]{first: make(map[K]string, things), more: map[K][]string{}}
}

// add adds a holder once. The caller adds holders in order.
func (h holders[K]) add(key K, user string) {
	if first, ok := h.first[key]; !ok {
		h.first[key] = user
	} else if first != user && !slices.Contains(h.more[key], user) {
		h.more[key] = append(h.more[key], user)
	}
}

// of returns the holders of a key.
func (h holders[K]) of(key K) []string {
	return append([]string{h.first[key]}, h.more[key]...)
}

func checkUID(uid int) error {
	switch {
	case uid < minUID:
		return fmt.Errorf("is %d, and UIDs below %d belong to the system", uid, minUID)
	case uid > maxUID:
		return fmt.Errorf("is %d, and the highest UID is %d", uid, maxUID)
	case uid == 65534 || uid == 65535:
		return fmt.Errorf("is %d, which the system reserves", uid)
	}
	return nil
}
