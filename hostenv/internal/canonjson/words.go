package canonjson

import "sync/atomic"

// A wordTable holds strings that are frequent in documents: names of options, of
// letters only. Each slot keeps the last word, so the table does not grow.
type wordTable [4096]atomic.Pointer[string]

var words wordTable

// get reads a quoted string that is valid.
func (t *wordTable) get(quoted []byte) string {
	hash := uint32(len(quoted))
	for _, c := range quoted[1 : len(quoted)-1] {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return unquote(quoted)
		}
		hash = hash*31 + uint32(c)
	}
	slot := &t[hash%uint32(len(t))]
	if known := slot.Load(); known != nil && *known == string(quoted[1:len(quoted)-1]) {
		return *known
	}
	word := unquote(quoted)
	slot.Store(&word)
	return word
}
