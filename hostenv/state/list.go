package state

import "github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"

// List returns the entries in the order of their user names.
func (s State) List() []Entry {
	list := make([]Entry, 0, len(s.Entries))
	for _, name := range s.names() {
		list = append(list, s.Entries[name])
	}
	return list
}

// EncodeList returns the entries as a JSON document for other programs:
// {"formatVersion": 1, "environments": [...]}, an entry each as in state.json,
// in the order of their user names. Unlike there, no field is left out:
// retired is true or false, and what is unknown is "".
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
