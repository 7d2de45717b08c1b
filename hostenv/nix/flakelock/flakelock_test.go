package flakelock

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// withNode returns a provider's lock with acme__site, a flake that brings one node.
func withNode(locked map[string]any) []byte {
	site := map[string]any{"type": "git", "url": "ssh://git@git.example/acme/site.git", "rev": strings.Repeat("1", 40), "narHash": "sha256-site"}
	return encode(map[string]any{
		"version": 7, "root": "root",
		"nodes": map[string]any{
			"root":       map[string]any{"inputs": map[string]any{"acme__site": "acme__site", "beta__portal": "beta__portal", "hostenv": "hostenv"}},
			"acme__site": map[string]any{"locked": site, "original": site, "inputs": map[string]any{"loot": "loot"}},
			"loot":       map[string]any{"locked": locked, "original": locked, "flake": false},
			"beta__portal": map[string]any{"flake": false, "locked": map[string]any{"type": "git", "url": "ssh://git@git.example/beta/portal.git", "narHash": "sha256-b"},
				"original": map[string]any{"type": "git", "url": "ssh://git@git.example/beta/portal.git"}},
			"hostenv": map[string]any{"locked": map[string]any{"type": "git", "url": "file:///srv/hostenv", "narHash": "sha256-h"}},
		},
	})
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

type row struct {
	Accept bool           `json:"accept"`
	Reason string         `json:"reason"` // a part of it
	Source map[string]any `json:"source"`
}

// sources are the rows of testdata/sources.json: what customers bring.
func sources(t testing.TB) (rows []row) {
	t.Helper()
	data, err := os.ReadFile("testdata/sources.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSourcesThatCustomersBring(t *testing.T) {
	for _, r := range sources(t) {
		lock, err := Parse(withNode(whole(r.Source)))
		if err != nil {
			t.Errorf("%v: %v", r.Source, err)
			continue
		}
		switch err := lock.Check(); {
		case (err == nil) != r.Accept:
			t.Errorf("%s: error %v, accept %t", encode(r.Source), err, r.Accept)
		case err != nil && !strings.Contains(err.Error(), r.Reason):
			t.Errorf("%s: the error lacks %q: %v", encode(r.Source), r.Reason, err)
		case err != nil && !strings.Contains(problem.Hint(problem.Leaves(err)[0]), "inputs.acme__site.flake = false;"):
			t.Errorf("%s: no line to write in %q", encode(r.Source), problem.Hint(problem.Leaves(err)[0]))
		}
	}
}

// whole is a source with numbers as Parse reads them.
func whole(source map[string]any) map[string]any {
	source = maps.Clone(source)
	for name, value := range source {
		if number, ok := value.(float64); ok {
			source[name] = int64(number)
		}
	}
	return source
}

// What the provider wrote is trusted: direct inputs of every kind, and what the
// provider's own inputs bring, also when a customer brings the same tree.
func TestWhatTheProviderWroteIsTrusted(t *testing.T) {
	own := map[string]any{"type": "git", "url": "file:///srv/hostenv", "narHash": "sha256-h"}
	lock, err := Parse(withNode(own))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Check(); err != nil {
		t.Errorf("the provider's own hostenv is refused: %v", err)
	}
	for _, r := range sources(t) {
		direct := encode(map[string]any{"version": 7, "root": "root", "nodes": map[string]any{
			"root":       map[string]any{"inputs": map[string]any{"acme__site": "acme__site"}},
			"acme__site": map[string]any{"locked": r.Source, "original": r.Source},
		}})
		lock, err := Parse(direct)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Check(); err != nil {
			t.Errorf("%s: %v", direct, err)
		}
	}
}

// A newer Nix locks a direct input with submodules because the customer's flake.nix
// says `inputs.self.submodules = true`.
func TestSubmodulesThatTheCustomerAskedFor(t *testing.T) {
	lock, err := Parse(encode(map[string]any{"version": 7, "root": "root", "nodes": map[string]any{
		"root": map[string]any{"inputs": map[string]any{"acme__site": "acme__site"}},
		"acme__site": map[string]any{
			"original": map[string]any{"type": "git", "url": "https://git.example/acme/site"},
			"locked":   map[string]any{"type": "git", "url": "https://git.example/acme/site", "submodules": true, "narHash": "sha256-x"},
		},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Check(); err == nil || !strings.Contains(err.Error(), "project acme__site is with submodules") {
		t.Errorf("error %v", err)
	}
}

func TestRepositoriesOfOthers(t *testing.T) {
	for _, source := range []map[string]any{
		{"type": "git", "url": "ssh://git@git.example/beta/portal.git"},
		{"type": "git", "url": "ssh://root@GIT.example:22/x/../beta//portal"},
		{"type": "git", "url": "https://git.example/beta/%2e/Portal.git/"},
		{"type": "gitlab", "host": "git.example", "owner": "beta", "repo": "portal"},
		{"type": "tarball", "url": "https://git.example/beta/portal/-/archive/main.tar.gz"},
		{"type": "tarball", "url": "https://git.example/beta/portal/archive/main.tar.gz?x=1"},
	} {
		lock, err := Parse(withNode(source))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Check(); err == nil || !strings.Contains(err.Error(), "the repository of another customer") {
			t.Errorf("%v: error %v", source, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		source  map[string]any
		allowed []string
		want    bool
	}{
		{map[string]any{"type": "github", "owner": "a", "repo": "b"}, []string{"github:"}, true},
		{map[string]any{"type": "github", "owner": "a", "repo": "b"}, []string{"github:a/"}, true},
		{map[string]any{"type": "github", "owner": "ab", "repo": "b"}, []string{"github:a"}, false},
		{map[string]any{"type": "github", "owner": "a", "repo": "b", "host": "git.example"}, []string{"github:"}, false},
		{map[string]any{"type": "github", "owner": "a", "repo": "b", "host": "git.example"}, []string{"https://git.example"}, true},
		{map[string]any{"type": "git", "url": "ssh://git@git.example/acme/lib.git"}, []string{"git+ssh://git@git.example/acme/"}, true},
		{map[string]any{"type": "git", "url": "ssh://git@git.example/acme/../beta/lib.git"}, []string{"git+ssh://git@git.example/acme/"}, false},
		{map[string]any{"type": "git", "url": "ssh://git@git.example/acme/%2e%2E/beta/lib.git"}, []string{"git+ssh://git@git.example/acme/"}, false},
		{map[string]any{"type": "git", "url": "ssh://git@git.example.evil.example/acme/lib.git"}, []string{"git+ssh://git@git.example"}, false},
		{map[string]any{"type": "git", "url": "https://u:p@git.example/acme/lib.git"}, []string{"git+https://git.example"}, true},
		{map[string]any{"type": "tarball", "url": "https://flakehub.example/x.tar.gz"}, []string{"https://flakehub.example/"}, true},
		{map[string]any{"type": "tarball", "url": "https://flakehub.example/x.tar.gz"}, []string{"git+https://flakehub.example/", ""}, false},
	} {
		lock, err := Parse(withNode(test.source))
		if err != nil {
			t.Fatal(err)
		}
		for _, allowed := range []Allowed{{All: test.allowed}, {Organisations: map[string][]string{"acme": test.allowed}}} {
			if err := lock.Allow(lock.Customers(), allowed); (err == nil) != test.want {
				t.Errorf("%v with %q: error %v, want allowed %t", test.source, test.allowed, err, test.want)
			}
		}
		if err := lock.Allow(lock.Customers(), Allowed{Organisations: map[string][]string{"beta": test.allowed}}); err == nil {
			t.Errorf("%v is allowed to acme by what beta may have", test.source)
		}
	}
}

func TestRelativePaths(t *testing.T) {
	for _, test := range []struct {
		dir, path string
		accept    bool
	}{
		{"", "./lib", true}, {".hostenv", "../lib", true}, {"", "lib/../other", true},
		{"", "..", false}, {"", "../../home/op/.ssh", false}, {".hostenv", "../../x", false}, {"a/b", "../../../x", false},
	} {
		site := map[string]any{"type": "git", "url": "https://git.example/acme/site", "dir": test.dir, "narHash": "sha256-x"}
		lock, err := Parse(encode(map[string]any{"version": 7, "root": "root", "nodes": map[string]any{
			"root":       map[string]any{"inputs": map[string]any{"acme__site": "acme__site"}},
			"acme__site": map[string]any{"locked": site, "original": site, "inputs": map[string]any{"lib": "lib"}},
			"lib":        map[string]any{"locked": map[string]any{"type": "path", "path": test.path}, "parent": []any{"acme__site"}},
		}}))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Check(); (err == nil) != test.accept {
			t.Errorf("%s in %q: error %v, accept %t", test.path, test.dir, err, test.accept)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"version":8,"root":"root","nodes":{"root":{}}}`, `{"version":7,"root":"x","nodes":{"root":{}}}`,
		`{"version":7,"root":"root","nodes":{"root":{"inputs":{"a":"b"}}}}`,
		`{"version":7,"root":"root","nodes":{"root":{"inputs":{"a":7}}}}`,
		`{"version":7,"root":"root","nodes":{"root":{},"root":{}}}`,
		`{"version":7,"root":"root","nodes":{"root":{},"x":{"locked":{"type":"path","type":"git"}}}}`,
		`{"version":7,"root":"root","nodes":{"root":{},"x":{"locked":[]}}}`,
		`{"version":7,"root":"root","nodes":{"root":{},"x":{"flake":"no"}}}`,
	} {
		if lock, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is accepted: %v", text, lock)
		}
	}
}

// kinds are attributes of sources, as attackers would combine them.
var kinds = map[string][]any{
	"type":       {"path", "file", "git", "hg", "tarball", "github", "gitlab", "sourcehut", "indirect", "builtin", "gitea", "Git", "", 7, nil},
	"url":        {"file:///home/op/.ssh", "FILE:///x", "/home/op", "https://127.0.0.1/x", "https://[::1]/", "https://localhost/x", "http://169.254.169.254/latest", "ssh://git@git.example/beta/portal.git", "https://2130706433/", "https://0x7f.1/", "ext::sh -c id", "https://a.example@127.0.0.1/", "https://127.0.0.1#@a.example/", "https://a.example/x", "https://a.example/x?submodules=1", "https://a.example\\@127.0.0.1/", "", 1},
	"path":       {"/home/op/.ssh", "./x", "../../..", "", "x"},
	"host":       {"localhost", "127.0.0.1", "10.0.0.1", "git.example", "::1", "127.0.0.1:80", "a.example/../x", 7},
	"owner":      {"a", "..", "a/../..", ""},
	"repo":       {"b", "b?x=", "", "../c"},
	"submodules": {true, false, 1, "1"},
	"lfs":        {true, false},
	"dir":        {"..", "x", "/etc"},
	"narHash":    {"sha256-h", "sha256-x"},
	"flake":      {true},
}

func randomSource(r *rand.Rand) map[string]any {
	source := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if name == "type" || r.IntN(3) == 0 {
			source[name] = kinds[name][r.IntN(len(kinds[name]))]
		}
	}
	return source
}

// suspect is a second opinion on a source: whether any text of it could name this
// machine, its network or another customer.
func suspect(source map[string]any) bool {
	kind, _ := source["type"].(string)
	if !slices.Contains([]string{"git", "hg", "tarball", "github", "gitlab", "sourcehut", "path"}, kind) {
		return true
	}
	if s, there := source["submodules"]; there && s != false {
		return true
	}
	if s, there := source["lfs"]; there && s != false {
		return true
	}
	address := ""
	switch kind {
	case "path":
		path, _ := source["path"].(string)
		return path == "" || strings.HasPrefix(path, "/") || strings.HasPrefix(path, "..")
	case "git", "hg", "tarball":
		address, _ = source["url"].(string)
	default:
		if host, there := source["host"]; there {
			address = fmt.Sprint("https://", host, "/")
		} else {
			return false
		}
	}
	lower := strings.ToLower(address)
	for _, part := range []string{"file:", "ext::", "127.", "localhost", "169.254", "::1", "2130706433", "0x7f", "submodules", "beta/portal", "10.0.0.1"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return !strings.Contains(lower, "://") || lower == "https://7/"
}

// Nothing is accepted that a second, cruder reading finds suspect.
func TestRandomSources(t *testing.T) {
	for seed := range uint64(3_000) {
		source := randomSource(rand.New(rand.NewPCG(seed, 0)))
		check(t, withNode(source), source)
	}
}

func check(t *testing.T, text []byte, source map[string]any) {
	t.Helper()
	lock, err := Parse(text)
	if err != nil || lock.Check() != nil {
		return
	}
	var read map[string]any
	if err := json.Unmarshal(encode(source), &read); err != nil {
		t.Fatal(err)
	}
	if identity(lock.nodes["loot"].locked) != identity(lock.nodes["hostenv"].locked) && suspect(read) {
		t.Errorf("%s is accepted", encode(source))
	}
}

// FuzzCheck holds that no text of a host is accepted that a resolver reads as an
// address of this machine or its network, and that no lock panics.
func FuzzCheck(f *testing.F) {
	for _, kind := range []string{"git", "hg", "tarball", "file", "path"} {
		for _, address := range kinds["url"] {
			if address, ok := address.(string); ok {
				f.Add(kind, address, "127.1", false)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind, address, host string, submodules bool) {
		for _, source := range []map[string]any{
			{"type": kind, "url": address, "path": address, "submodules": submodules},
			{"type": "github", "owner": "a", "repo": address, "host": host},
		} {
			lock, err := Parse(withNode(source))
			if err != nil || lock.Check() != nil {
				continue
			}
			for _, part := range []string{"file://", "ext::", "localhost"} {
				if name, _, _ := strings.Cut(strings.ToLower(address), "/"); strings.Contains(name, part) && source["type"] == kind && kind != "path" {
					t.Errorf("%v is accepted", source)
				}
			}
			if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && source["type"] == "github" && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()) {
				t.Errorf("%v is accepted", source)
			}
			if kind == "file" && source["type"] == "file" {
				t.Errorf("%v is accepted", source)
			}
		}
		if lock, err := Parse([]byte(address)); err == nil {
			_ = lock.Check()
			_ = lock.Allow(lock.Customers(), Allowed{All: []string{host}})
		}
	})
}

// A lock whose walk has no end, or doubles with each input, is an error of its customer.
func TestWalkEnds(t *testing.T) {
	relative := func(folder string, inputs map[string]any) map[string]any {
		return map[string]any{"locked": map[string]any{"type": "path", "path": folder}, "inputs": inputs}
	}
	doubling := map[string]any{"root": map[string]any{"inputs": map[string]any{"a": "0a", "b": "0b"}}}
	for i := range 40 {
		for _, name := range []string{"a", "b"} {
			doubling[fmt.Sprint(i, name)] = relative("./"+name, map[string]any{"a": fmt.Sprint(i+1, "a"), "b": fmt.Sprint(i+1, "b")})
		}
	}
	doubling["40a"], doubling["40b"] = relative("./a", nil), relative("./b", nil)
	many := map[string]any{}
	wide := map[string]any{}
	for i := range 10_000 {
		many[fmt.Sprint(i)] = fmt.Sprint(i)
		wide[fmt.Sprint(i)] = map[string]any{"locked": map[string]any{"type": "github", "owner": "a", "repo": fmt.Sprint(i)}}
	}
	wide["root"] = map[string]any{"inputs": many}
	long := strings.Repeat("x", 1<<19)
	for name, nodes := range map[string]map[string]any{
		"within itself":         {"root": map[string]any{"inputs": map[string]any{"a": "a"}}, "a": relative("./a", map[string]any{"a": "a"})},
		"a long folder":         {"root": map[string]any{"inputs": map[string]any{"a": "a"}}, "a": relative(long, map[string]any{"a": "a"})},
		"an input of long name": {"root": map[string]any{"inputs": map[string]any{long: "a"}}, "a": relative("./a", map[string]any{long: "a"})},
		"doubling":              doubling,
		"wide":                  wide,
	} {
		lock, err := Parse(encode(map[string]any{"version": 7, "root": "root", "nodes": nodes}))
		if err != nil {
			t.Fatal(err)
		}
		if needed, err := None().Customer("acme__site", lock, "", nil, Allowed{}); err == nil {
			t.Errorf("%s: %d sources", name, len(needed))
		}
		// The same, brought into the provider's lock.
		nodes["acme__site"], nodes["provider"] = map[string]any{
			"locked": map[string]any{"type": "github", "owner": "acme", "repo": "site"}, "inputs": nodes["root"].(map[string]any)["inputs"],
		}, map[string]any{"inputs": map[string]any{"acme__site": "acme__site"}}
		if lock, err = Parse(encode(map[string]any{"version": 7, "root": "provider", "nodes": nodes})); err != nil {
			t.Fatal(err)
		}
		if lock.Check() == nil || lock.Allow([]string{"acme__site"}, Allowed{}) == nil {
			t.Errorf("%s: a provider's lock with it is accepted", name)
		}
	}
}
