package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// The keys of the document that are no environments.
const (
	descriptionKey   = "_description"
	lastAllocatedKey = "_lastAllocated"
)

// Decode reads a state.json strictly and validates it. Its error is a
// *canonjson.SyntaxError, which names line and remedy, or a *Refused that
// holds every problem, each with its line and a hint.
//
// An empty object is refused like an empty file: allocation must never begin
// anew because a file was lost. [New] and `mage state:init` make a state that
// is empty on purpose.
func Decode(data []byte) (State, error) {
	v, err := canonjson.Decode(data)
	if err != nil {
		return State{}, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return State{}, refuse(&EntryError{Problem: fmt.Sprintf("the document is %s, not an object", kindOf(v)), Remedy: "restore the file from git"})
	}
	d := decoder{data: data}
	s := State{Entries: make(map[string]Entry, len(object))}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		switch key {
		case descriptionKey:
			if s.Description, ok = object[key].(string); !ok {
				d.wrong(key, "", "is %s, not a string", kindOf(object[key]))
			}
		case lastAllocatedKey:
			if e, ok := d.entry(key, object[key]); ok {
				s.LastAllocated = Allocation{UserName: e.UserName, UID: e.UID}
			}
		default:
			if e, ok := d.entry(key, object[key]); ok {
				s.Entries[key] = e
			}
		}
	}
	if len(object) == 0 || len(s.Entries) == 0 && s.Description == "" && len(d.errs) == 0 {
		d.errs = append(d.errs, &EmptyError{})
	}
	if err := refuse(d.errs...); err != nil {
		return State{}, err
	}
	if err := s.validate(func(path ...string) int { return canonjson.Line(data, path...) }); err != nil {
		return State{}, err
	}
	return s, nil
}

type decoder struct {
	data []byte
	errs []error
}

func (d *decoder) wrong(key, field, format string, args ...any) {
	path := []string{key}
	if field != "" {
		path = append(path, field)
	}
	e := &EntryError{Entry: key, Field: field, Line: canonjson.Line(d.data, path...), Problem: fmt.Sprintf(format, args...)}
	e.Remedy = "correct it by hand, or restore the entry from git (git log -p -- generated/state.json)"
	d.errs = append(d.errs, e)
}

// entry reads one member of the document; ok is false if anything was wrong.
func (d *decoder) entry(key string, v any) (_ Entry, ok bool) {
	before := len(d.errs)
	object, isObject := v.(map[string]any)
	if !isObject {
		d.wrong(key, "", "is %s, not an object like {\"userName\", \"uid\", \"node\", \"virtualHosts\"}", kindOf(v))
		return Entry{}, false
	}
	e := Entry{}
	for field, v := range object {
		switch field {
		case "userName":
			e.UserName = d.text(key, field, v)
		case "node":
			e.Node = d.text(key, field, v)
		case "deployedNode":
			e.DeployedNode = d.text(key, field, v)
		case "organisation":
			e.Organisation = d.text(key, field, v)
		case "project":
			e.Project = d.text(key, field, v)
		case "environment":
			e.Environment = d.text(key, field, v)
		case "uid":
			uid, isInt := v.(int64)
			if !isInt {
				d.wrong(key, field, "is %s, not an integer", kindOf(v))
			}
			e.UID = int(uid)
		case "retired":
			retired, isBool := v.(bool)
			if !isBool {
				d.wrong(key, field, "is %s, not true or false", kindOf(v))
			}
			e.Retired = retired
		case "virtualHosts":
			e.VirtualHosts = d.hosts(key, v)
		default:
			if e.extra == nil {
				e.extra = map[string]any{}
			}
			e.extra[field] = v
		}
	}
	for _, field := range []string{"userName", "uid", "virtualHosts"} {
		if _, has := object[field]; !has {
			d.wrong(key, "", "has no %s", field)
		}
	}
	return e, len(d.errs) == before
}

func (d *decoder) text(key, field string, v any) string {
	s, ok := v.(string)
	if !ok {
		d.wrong(key, field, "is %s, not a string", kindOf(v))
	}
	return s
}

// hosts reads the host names of an entry. Today's generator wrote them as the
// projects spelled them, so they are normalised here, at the border.
func (d *decoder) hosts(key string, v any) []string {
	list, ok := v.([]any)
	if !ok {
		d.wrong(key, "virtualHosts", "is %s, not a list of host names", kindOf(v))
		return nil
	}
	hosts := make([]string, 0, len(list))
	for _, v := range list {
		name, ok := v.(string)
		if !ok {
			d.wrong(key, "virtualHosts", "holds %s, not a host name", kindOf(v))
			continue
		}
		host, err := NormalizeHostname(name)
		if err != nil {
			d.wrong(key, "virtualHosts", "holds %q: %v", name, err)
			continue
		}
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// kindOf names a JSON value in an error.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number with a fraction or an exponent"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("a %T", v)
	}
}

// Encode returns the canonical bytes of state.json.
func (s State) Encode() []byte {
	object := make(map[string]any, len(s.Entries)+2)
	if s.Description != "" {
		object[descriptionKey] = s.Description
	}
	if s.LastAllocated.UID != 0 {
		object[lastAllocatedKey] = map[string]any{
			"userName": s.LastAllocated.UserName, "uid": s.LastAllocated.UID, "virtualHosts": []string{},
		}
	}
	for name, e := range s.Entries {
		object[name] = e.value()
	}
	return canonjson.Encode(object)
}

func (e Entry) value() map[string]any {
	v := make(map[string]any, 9+len(e.extra))
	maps.Copy(v, e.extra)
	v["userName"] = e.UserName
	v["uid"] = e.UID
	v["node"] = e.Node
	v["virtualHosts"] = slices.Sorted(slices.Values(e.VirtualHosts))
	for field, text := range map[string]string{
		"deployedNode": e.DeployedNode, "organisation": e.Organisation, "project": e.Project, "environment": e.Environment,
	} {
		if text != "" {
			v[field] = text
		}
	}
	if e.Retired {
		v["retired"] = true
	}
	return v
}

// Digest returns the SHA-256 of the canonical bytes in lower-case hexadecimal,
// what `sha256sum generated/state.json` prints. A plan carries the digest of
// the state it belongs to.
func (s State) Digest() string {
	sum := sha256.Sum256(s.Encode())
	return hex.EncodeToString(sum[:])
}
