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
	list := make([]listed, 0, len(s.Entries))
	for _, e := range s.List() {
		list = append(list, listed(e.document()))
	}
	return canonjson.Encode(struct {
		FormatVersion int      `json:"formatVersion,omitzero"`
		Environments  []listed `json:"environments"`
	}{1, list})
}

// listed is an entry with every field.
type listed struct {
	UserName     string   `json:"userName"`
	UID          int      `json:"uid"`
	Node         string   `json:"node"`
	VirtualHosts []string `json:"virtualHosts"`
	DeployedNode string   `json:"deployedNode"`
	Organisation string   `json:"organisation"`
	Project      string   `json:"project"`
	Environment  string   `json:"environment"`
	FormerNames  []string `json:"formerNames"`
	Retired      bool     `json:"retired"`

	Domains map[string]string `json:"domains,omitzero"`

	Extra canonjson.Object `json:",inline"`
}
