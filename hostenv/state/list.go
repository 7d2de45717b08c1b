package state

import "github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"

// List returns the entries, sorted by user name.
func (s State) List() []Entry {
	list := make([]Entry, 0, len(s.Entries))
	for _, name := range s.names() {
		list = append(list, s.Entries[name])
	}
	return list
}

// EncodeList returns the entries as a JSON document for other programs:
// {"formatVersion": 1, "environments": [...]}, sorted by user name. Each is as in
// state.json, but with every field: retired may be false, and a name "".
func (s State) EncodeList() []byte {
	list := []any{}
	for _, e := range s.List() {
		v := map[string]any{"organisation": "", "project": "", "environment": "", "deployedNode": "", "formerNames": []string{}, "retired": false}
		for field, known := range e.value() {
			v[field] = known
		}
		list = append(list, v)
	}
	return canonjson.Encode(map[string]any{"formatVersion": 1, "environments": list})
}
