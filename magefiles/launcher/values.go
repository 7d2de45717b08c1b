package launcher

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// A kind is what the value of a flag or an argument is: how help calls it, and
// what completes it.
type kind struct {
	name     string
	complete func(f folder, typed string) []string
}

// kinds are the kinds of values by the names of flags and arguments.
var kinds = map[string]kind{
	"accountUri":      {"URI", nil},
	"compare":         {"FILE", files},
	"deployRs":        {"FILE", files},
	"env":             {"ENVIRONMENT", environmentsAndSystem},
	"exclude":         {"NAME", nodesAndEnvironments},
	"explain":         {"HOST", hosts},
	"facts":           {"FILE", files},
	"inventory":       {"FILE", files},
	"jobs":            {"NUMBER", nil},
	"lockWait":        {"DURATION", nil},
	"migrationSource": {"ENVIRONMENT=NODE", nil},
	"node":            {"NODE", folder.nodes},
	"onUnknown":       {"ACTION", words("disable", "fail", "keep")},
	"out":             {"FOLDER", files},
	"record":          {"FILE", files},
	"remove":          {"USER", nil},
	"resolver":        {"ADDRESS", nil},
	"shell":           {"SHELL", words("bash", "fish", "zsh")},
	"signingKey":      {"FILE", files},
	"skipMigrations":  {"ENVIRONMENT", folder.environments},
	"sopsFile":        {"FILE", files},
	"user":            {"USER", folder.retired},
}

func words(all ...string) func(folder, string) []string {
	return func(folder, string) []string { return all }
}

// A folder is the path of the generated folder, whose files give names.
type folder string

// object returns an object in a file of the folder, an empty one if the file is
// missing or is not JSON. One field of a large file needs no full decoding.
func (f folder) object(file, members string) map[string]gjson.Result {
	path := filepath.Join(string(f), file)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // a pipe would never end
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil || !gjson.ValidBytes(text) {
		return nil
	}
	return gjson.GetBytes(text, members).Map()
}

func (f folder) nodes(string) []string {
	return slices.Sorted(maps.Keys(f.object("plan.json", "nodes")))
}

func (f folder) environments(string) []string {
	return slices.Sorted(maps.Keys(f.object("plan.json", "environments")))
}

func environmentsAndSystem(f folder, typed string) []string {
	return append(f.environments(typed), "system")
}

func nodesAndEnvironments(f folder, typed string) []string {
	return append(f.nodes(typed), f.environments(typed)...)
}

func hosts(f folder, _ string) (names []string) {
	for _, environment := range f.object("plan.json", "environments") {
		for name := range environment.Get("virtualHosts").Map() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// retired are the users that `state prune` is about, which no plan has.
func (f folder) retired(string) (users []string) {
	for user, entry := range f.object("state.json", "@this") {
		if entry.Get("retired").Bool() {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// files returns the paths that begin as typed. Hidden files are among them if
// the name begins with a full stop.
func files(_ folder, typed string) (paths []string) {
	dir, base := filepath.Split(typed)
	entries, _ := os.ReadDir(filepath.Join(".", dir))
	if filepath.IsAbs(dir) {
		entries, _ = os.ReadDir(dir)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() {
			name += "/"
		}
		if strings.HasPrefix(name, base) && (base != "" || name[0] != '.') {
			paths = append(paths, dir+name)
		}
	}
	return paths
}
