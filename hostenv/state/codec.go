package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Keys of the document that are not environments.
const (
	descriptionKey   = "_description"
	lastAllocatedKey = "_lastAllocated"
)

// Decode reads a state.json strictly and validates it. Its error is a
// *canonjson.SyntaxError, or holds every problem with its line and a hint, see
// [problem.Leaves].
//
// It refuses an empty object as it refuses an empty file, because UIDs must not
// be allocated from the start again after a file was lost. [New] and
// `mage state:init` make a valid empty state.
func Decode(data []byte) (State, error) {
	v, err := canonjson.Decode(data)
	if err != nil {
		return State{}, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return State{}, problem.New("the document", fmt.Sprintf("is %s, not an object", canonjson.Kind(v)), "restore the file from git")
	}
	d := decoder{lines: &lines{data: data}, reported: map[[2]string]bool{}}
	s := State{Entries: make(map[string]Entry, len(object))}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		switch key {
		case descriptionKey:
			if s.Description, ok = object[key].(string); !ok {
				d.wrong(key, "", "is %s, not a string", canonjson.Kind(object[key]))
			}
		case lastAllocatedKey:
			s.LastAllocated = d.allocation(object[key])
		default:
			if e, ok := d.entry(key, object[key]); ok {
				s.Entries[key] = e
			}
		}
	}
	problems, _ := s.problems(d.lines, d.reported)
	errs := append(d.errs, problems...)
	if len(s.Entries) == 0 && s.Description == "" && len(errs) == 0 {
		errs.Add(errEmpty)
	}
	if err := errs.Err(); err != nil {
		return State{}, err
	}
	return s, nil
}

type decoder struct {
	lines    *lines
	errs     problem.List
	reported map[[2]string]bool // entries and fields that are wrong
}

const (
	byHand  = "correct it by hand, or restore the entry from git (git log -p -- generated/state.json)"
	notNote = "if it is a note, put it into _description; if it is an environment, restore its entry from git"
)

func (d *decoder) wrong(key, field, format string, args ...any) {
	d.errs.Add(entryError(d.lines.of(key, field), key, field, fmt.Sprintf(format, args...), byHand))
	d.reported[[2]string{key, field}] = true
}

// entry reads one member of the document. It reports invalid fields and leaves
// them zero, so that the rest is checked as well. ok is false if the member is
// not an object.
func (d *decoder) entry(key string, v any) (_ Entry, ok bool) {
	object, isObject := v.(map[string]any)
	if !isObject {
		d.errs.Add(entryError(d.lines.of(key, ""), key, "",
			fmt.Sprintf("is %s, not an object like {\"userName\", \"uid\", \"node\", \"virtualHosts\"}", canonjson.Kind(v)), notNote))
		return Entry{}, false
	}
	for _, field := range []string{"userName", "uid", "virtualHosts"} {
		if _, has := object[field]; !has {
			d.wrong(key, field, "is missing")
		}
	}
	e := Entry{}
	for _, field := range slices.Sorted(maps.Keys(object)) {
		switch v := object[field]; field {
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
				d.wrong(key, field, "is %s, not an integer", canonjson.Kind(v))
			}
			e.UID = int(uid)
		case "retired":
			retired, isBool := v.(bool)
			if !isBool {
				d.wrong(key, field, "is %s, not true or false", canonjson.Kind(v))
			}
			e.Retired = retired
		case "virtualHosts": // normalised, because the legacy generator wrote the projects' spelling
			e.VirtualHosts = list(d, key, field, "host name", v, names.ParseHost)
		case "domains":
			e.Domains = d.domains(key, v)
		case "formerNames":
			e.FormerNames = list(d, key, field, "user name", v, names.ParseUser)
		default:
			e.extra = e.extra.With(field, canonjson.Marshal(v))
		}
	}
	return e, true
}

// allocation reads _lastAllocated. It is not an environment, and has the fields of
// one for programs that read every key as an entry.
func (d *decoder) allocation(v any) Allocation {
	before := len(d.errs)
	e, ok := d.entry(lastAllocatedKey, v)
	if ok && len(d.errs) == before && (e.UserName == "" || e.UID == 0) {
		d.wrong(lastAllocatedKey, "", "is not an allocation: userName is %q and uid is %d", e.UserName, e.UID)
	}
	if ok && len(e.VirtualHosts) > 0 {
		d.wrong(lastAllocatedKey, "virtualHosts", "holds %s, but only an environment can own host names", all(e.VirtualHosts))
	}
	if len(d.errs) > before {
		return Allocation{}
	}
	return Allocation{UserName: e.UserName, UID: e.UID}
}

func (d *decoder) text(key, field string, v any) string {
	s, ok := v.(string)
	if !ok {
		d.wrong(key, field, "is %s, not a string", canonjson.Kind(v))
	}
	return s
}

// list reads names of a kind, sorted and each once.
func list[N ~string](d *decoder, key, field, kind string, v any, parse func(string) (N, error)) []string {
	elements, ok := v.([]any)
	if !ok {
		d.wrong(key, field, "is %s, not a list of %ss", canonjson.Kind(v), kind)
		return nil
	}
	parsed := make([]string, 0, len(elements))
	for _, v := range elements {
		text, ok := v.(string)
		if !ok {
			d.wrong(key, field, "holds %s, not a %s", canonjson.Kind(v), kind)
		} else if name, err := parse(text); err != nil {
			d.wrong(key, field, "holds %q: %v", text, err)
		} else {
			parsed = append(parsed, string(name))
		}
	}
	slices.Sort(parsed)
	return slices.Compact(parsed)
}

var date = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// domains reads the domains that were proved, with their dates.
func (d *decoder) domains(key string, v any) map[string]string {
	const field = "domains"
	object, ok := v.(map[string]any)
	if !ok {
		d.wrong(key, field, "is %s, not an object of domains and dates", canonjson.Kind(v))
		return nil
	}
	domains := make(map[string]string, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		since, isText := object[name].(string)
		switch host, err := names.ParseHost(name); {
		case err != nil || string(host) != name || host.Wildcard():
			d.wrong(key, field, "holds %q, which is no domain", name)
		case !isText || !date.MatchString(since):
			d.wrong(key, field, "has no date such as \"2026-11-29\" for %q", name)
		default:
			domains[name] = since
		}
	}
	return domains
}

// Encode returns the canonical bytes of state.json.
func (s State) Encode() []byte {
	object := make(map[string]any, len(s.Entries)+2)
	if s.Description != "" {
		object[descriptionKey] = s.Description
	}
	if s.LastAllocated.UID != 0 {
		object[lastAllocatedKey] = allocation{UserName: s.LastAllocated.UserName, UID: s.LastAllocated.UID}
	}
	entries := make([]entry, 0, len(s.Entries))
	for name, e := range s.Entries {
		entries = append(entries, e.document())
		object[name] = &entries[len(entries)-1]
	}
	return canonjson.Encode(object)
}

// An entry is an Entry as state.json has it.
type entry struct {
	UserName     string   `json:"userName"`
	UID          int      `json:"uid"`
	Node         string   `json:"node"`
	VirtualHosts []string `json:"virtualHosts"`
	DeployedNode string   `json:"deployedNode,omitzero"`
	Organisation string   `json:"organisation,omitzero"`
	Project      string   `json:"project,omitzero"`
	Environment  string   `json:"environment,omitzero"`
	FormerNames  []string `json:"formerNames,omitzero"`
	Retired      bool     `json:"retired,omitzero"`

	Domains map[string]string `json:"domains,omitzero"`

	Extra canonjson.Object `json:",inline"`
}

// An allocation is _lastAllocated.
type allocation struct {
	UserName     string   `json:"userName,omitzero"`
	UID          int      `json:"uid,omitzero"`
	VirtualHosts []string `json:"virtualHosts"` // empty, see decoder.allocation
}

func (e Entry) document() entry {
	v := entry{
		UserName: e.UserName, UID: e.UID, Node: e.Node, DeployedNode: e.DeployedNode,
		Organisation: e.Organisation, Project: e.Project, Environment: e.Environment,
		VirtualHosts: slices.Clone(e.VirtualHosts), Retired: e.Retired, Extra: e.extra,
	}
	slices.Sort(v.VirtualHosts)
	v.VirtualHosts = slices.Compact(v.VirtualHosts)
	if len(e.Domains) > 0 {
		v.Domains = e.Domains
	}
	if len(e.FormerNames) > 0 {
		v.FormerNames = e.FormerNames
	}
	return v
}

// Digest returns the SHA-256 of the canonical bytes in lower-case hexadecimal, as
// `sha256sum generated/state.json` prints it. A plan holds the digest of the state
// that it was made with.
func (s State) Digest() string {
	sum := sha256.Sum256(s.Encode())
	return hex.EncodeToString(sum[:])
}
