package launcher

import "strings"

// isFlag reports whether a word is a flag or `--`. `-` is neither.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

// cutFlag takes -name=value and --name=value apart.
func cutFlag(word string) (name, value string, hasValue bool) {
	return strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
}

// kebab spells a name with hyphens alone: state-list, dns-gate, dry-run.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == ':' || r == ' ':
			r = '-'
		case i > 0 && r >= 'A' && r <= 'Z':
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// conventional is the name of a target in the conventional spelling: state list,
// dns-gate.
func (t *Target) conventional() string {
	namespace, name, ok := strings.Cut(t.Name, ":")
	if !ok {
		return kebab(t.Name)
	}
	return kebab(namespace) + " " + kebab(name)
}

// conventional is the flag in the conventional spelling: --dry-run.
func (f *Flag) conventional() string { return "--" + kebab(f.Name) }

// short holds the flags that may be written with one letter.
var short = map[string]string{"n": "node"}

// formerly holds the flags that had another name in the legacy hostenv-provider,
// by target and by the former name without hyphens.
var formerly = map[string]map[string]string{
	"deploy":  {"signingkeyfile": "signingKey"},
	"dnsGate": {"withdnsupdate": "update"},
}

// named returns the flag of a name, with hyphens or without, or nil. A flag of
// exactly that name precedes short and former names.
func (t *Target) named(name string) *Flag {
	name = strings.ReplaceAll(name, "-", "")
	for _, name := range []string{name, short[name], formerly[t.Name][strings.ToLower(name)]} {
		for _, f := range t.Flags {
			if name != "" && strings.EqualFold(name, f.Name) {
				return f
			}
		}
	}
	return nil
}

// nearest returns the name that was most likely meant by a mistyped one, or "".
// Case, hyphens, colons and spaces do not count.
func nearest(typed string, names []string) string {
	plain := strings.NewReplacer("-", "", ":", "", " ", "")
	typed = strings.ToLower(plain.Replace(typed))
	best, least := "", min(2, len(typed)/2)+1
	for _, name := range names {
		if d := distance(typed, strings.ToLower(plain.Replace(name))); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many characters must be inserted, deleted, replaced or swapped
// with the next one to make b of a (the optimal string alignment distance).
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			replaced := row[j]
			if a[i] != b[j] {
				replaced++
			}
			next[j+1] = min(replaced, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
