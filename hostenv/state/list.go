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
		FormatVersion int      `json:"formatVersion"`
		Environments  []listed `json:"environments,always"`
	}{1, list})
}

// listed is an entry with every field.
type listed struct {
	UserName     string   `json:"userName,always"`
	UID          int      `json:"uid,always"`
	Node         string   `json:"node,always"`
	VirtualHosts []string `json:"virtualHosts,always"`
	DeployedNode string   `json:"deployedNode,always"`
	Organisation string   `json:"organisation,always"`
	Project      string   `json:"project,always"`
	Environment  string   `json:"environment,always"`
	FormerNames  []string `json:"formerNames,always"`
	Retired      bool     `json:"retired,always"`

	Extra canonjson.Object `json:",inline"`
}
