package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// maxSameHash bounds how many names of a project have one hash in nginx. Two names
// have one only if they were chosen for it. nginx does not start when the names of
// one hash fill 64 KB, about 540 of the longest.
const maxSameHash = 8

// sameHash refuses the names of a project that fall into one bucket of nginx's hashes
// of server names, whatever the size of these hashes.
func (r *reader) sameHash(p *Project) {
	buckets := map[bucket]map[string]bool{}
	for _, e := range p.Environments {
		for _, host := range e.hostNames() {
			for in, name := range bucketsOf(names.Host(host)) {
				if buckets[in] == nil {
					buckets[in] = map[string]bool{}
				}
				buckets[in][name] = true
			}
		}
	}
	for _, all := range buckets {
		if len(all) > maxSameHash {
			r.problems.Addf(p.Input, "choose other names", "has %d host names with one hash in nginx, %q and %q among them, and nginx takes few of these",
				len(all), slices.Min(slices.Collect(maps.Keys(all))), slices.Max(slices.Collect(maps.Keys(all))))
			return
		}
	}
}

// A bucket is a place in one of nginx's hashes: the whole names are in one, and those
// below a wildcard in one for each domain.
type bucket struct {
	below string
	hash  uint64
}

// bucketsOf returns where nginx looks for a host, and what it looks for there.
func bucketsOf(host names.Host) map[bucket]string {
	bare, isWildcard := strings.CutPrefix(string(host), "*.")
	if !isWildcard {
		return map[bucket]string{{"", nginxHash(bare)}: bare}
	}
	in := map[bucket]string{}
	below := "."
	labels := strings.Split(bare, ".")
	for _, label := range slices.Backward(labels) {
		in[bucket{below, nginxHash(label)}] = label
		below = "." + label + below
	}
	return in
}

// nginxHash is the function of nginx's hashes (ngx_hash_key).
func nginxHash(name string) (hash uint64) {
	for _, c := range []byte(name) {
		hash = hash*31 + uint64(c)
	}
	return hash
}
