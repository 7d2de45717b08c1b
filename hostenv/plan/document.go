package plan

import (
	"maps"

	"github.com/tidwall/gjson"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// A Document is a plan.json.
type Document struct{ value map[string]any }

// Encode returns the canonical bytes of plan.json.
func (d Document) Encode() []byte { return canonjson.Encode(d.value) }

// Value returns the document as decoded JSON. It is shared: do not change it.
func (d Document) Value() map[string]any { return d.value }

// DecodeDocument reads a plan.json strictly, of this format version.
func DecodeDocument(data []byte) (Document, error) {
	v, err := canonjson.Decode(data)
	if err != nil {
		return Document{}, err
	}
	value, ok := v.(map[string]any)
	if version, isInt := value["formatVersion"].(int64); !ok || !isInt || version != FormatVersion {
		return Document{}, &InputError{Where: "plan.formatVersion", Problem: "is not one that this program reads", Remedy: "run `mage plan`"}
	}
	return Document{value}, nil
}

// CheckFresh refuses a plan that was made from another state than s, with a
// *StaleError: its UIDs or host names may be another's by now.
func CheckFresh(plan []byte, s state.State) error {
	if err := valid(plan); err != nil {
		return err
	}
	want, got := s.Digest(), gjson.GetBytes(plan, "stateDigest").String()
	if got != want {
		return &StaleError{Plan: got, State: want}
	}
	return nil
}

// WithDeployed returns the plan after environments were deployed to nodes, by
// user: the state that remembers it has the digest, and who is where the plan
// has him has no previous node any more. Nothing else changes.
func (d Document) WithDeployed(nodes map[string]string, digest string) Document {
	value := maps.Clone(d.value)
	value["stateDigest"] = digest
	environments, _ := value["environments"].(map[string]any)
	environments = maps.Clone(environments)
	for user, node := range nodes {
		environment, ok := environments[user].(map[string]any)
		if !ok || environment["node"] != node {
			continue
		}
		environment = maps.Clone(environment)
		delete(environment, "previousNode")
		environments[user] = environment
	}
	if environments != nil {
		value["environments"] = environments
	}
	connected(value)
	return Document{value}
}

// LockedSources returns the sources that a plan names, for one that is to be
// made without asking anybody. A plan without any, or none at all, gives none.
func LockedSources(plan []byte) (Sources, error) {
	if err := valid(plan); err != nil {
		return nil, err
	}
	sources := Sources{}
	for _, environment := range gjson.GetBytes(plan, "environments").Map() {
		value, err := canonjson.Decode([]byte(environment.Get("source").Raw))
		source, ok := value.(map[string]any)
		if err != nil || !ok {
			continue
		}
		locked := Locked{}
		locked.Rev, _ = source["rev"].(string)
		locked.NarHash, _ = source["narHash"].(string)
		locked.LastModified, _ = source["lastModified"].(int64)
		attrs := maps.Clone(source)
		for _, name := range []string{"rev", "narHash", "lastModified"} {
			delete(attrs, name)
		}
		sources[sourceKey(attrs)] = locked
	}
	return sources, nil
}

// valid guards every use of gjson, which reads broken text without a word. The
// strict decoder then says where the text is broken.
func valid(plan []byte) error {
	if gjson.ValidBytes(plan) {
		return nil
	}
	_, err := canonjson.Decode(plan)
	return err
}

// Users returns how many environments a plan names, 0 for what is no plan.
func Users(plan []byte) int {
	if !gjson.ValidBytes(plan) {
		return 0
	}
	return len(gjson.GetBytes(plan, "environments").Map())
}
