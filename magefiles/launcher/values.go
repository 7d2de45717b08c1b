package launcher

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// A kind is a kind of values: its name in the help, and its completion.
type kind struct {
	name     string
	complete func(f folder, typed string) []string
}

// kinds holds the kind of each flag and argument that takes a value.
var kinds = map[string]kind{
	"accountUri":      {"URI", nil},
	"allowOlder":      {"REASON", nil},
	"base":            {"BASE", files},
	"compare":         {"FILE", files},
	"days":            {"NUMBER", nil},
	"deployRs":        {"FILE", files},
	"env":             {"ENVIRONMENT", environmentsAndSystem},
	"evaluate":        {"HOW", words("full")},
	"exclude":         {"NAME", nodesAndEnvironments},
	"explain":         {"HOST", hosts},
	"facts":           {"FILE", files},
	"file":            {"FILE", files},
	"for":             {"READER", words("customer")},
	"format":          {"FORMAT", words("json", "markdown", "text")},
	"host":            {"HOST", hosts},
	"inventory":       {"FILE", files},
	"jobs":            {"NUMBER", nil},
	"limit":           {"BYTES", nil},
	"lockWait":        {"DURATION", nil},
	"migrationSource": {"ENVIRONMENT=NODE", nil},
	"node":            {"NODE", folder.nodes},
	"now":             {"TIME", nil},
	"onUnknown":       {"ACTION", words("disable", "fail", "keep")},
	"organisation":    {"ORGANISATION", nil},
	"ours":            {"OURS", files},
	"out":             {"FOLDER", files},
	"path":            {"PATH", files},
	"port":            {"NUMBER", nil},
	"profile":         {"PROFILE", words("classic", "shortlived", "tlsserver")},
	"project":         {"PROJECT", folder.projects},
	"record":          {"FILE", files},
	"remove":          {"USER", nil},
	"resolver":        {"ADDRESS", nil},
	"reviewed":        {"DIGEST", nil},
	"shell":           {"SHELL", words("bash", "fish", "zsh")},
	"signingKey":      {"FILE", files},
	"since":           {"COMMIT", nil},
	"skipMigrations":  {"ENVIRONMENT", folder.environments},
	"sopsFile":        {"FILE", files},
	"theirs":          {"THEIRS", files},
	"to":              {"COMMIT", nil},
	"user":            {"USER", folder.retired},
	"validMinDays":    {"NUMBER", nil},
}

func words(all ...string) func(folder, string) []string {
	return func(folder, string) []string { return all }
}

// A folder is the path of the generated folder. Its files hold the names.
type folder string

// object returns an object in a file of the folder, an empty one if the file is
// missing or is not JSON. One field of a large file needs no full decoding.
func (f folder) object(file, members string) map[string]gjson.Result {
	path := filepath.Join(string(f), file)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // reading a pipe would block
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil || !gjson.ValidBytes(text) {
		return nil
	}
	return gjson.GetBytes(text, members).Map()
}

// accepted are the names of an object that package names accepts: the plan is a
// file that may hold anything, and -rf or a,b would be read as something else.
func accepted[N ~string](object map[string]gjson.Result, parse func(string) (N, error)) (found []string) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, err := parse(name); err == nil {
			found = append(found, name)
		}
	}
	return found
}

func (f folder) nodes(string) []string {
	return accepted(f.object("plan.json", "nodes"), names.ParseNode)
}

func (f folder) environments(string) []string {
	return accepted(f.object("plan.json", "environments"), names.ParseUser)
}

func (f folder) projects(string) []string {
	all := map[string]gjson.Result{}
	for _, environment := range f.object("plan.json", "environments") {
		all[environment.Get("hostenv.organisation").String()+"__"+environment.Get("hostenv.project").String()] = environment
	}
	return accepted(all, parseProject)
}

var isProject = regexp.MustCompile(`^[a-z0-9]+__[a-z0-9]+$`)

func parseProject(name string) (string, error) {
	if !isProject.MatchString(name) {
		return "", errors.New("is no project")
	}
	return name, nil
}

func environmentsAndSystem(f folder, typed string) []string {
	return append(f.environments(typed), "system")
}

func nodesAndEnvironments(f folder, typed string) []string {
	return append(f.nodes(typed), f.environments(typed)...)
}

func hosts(f folder, _ string) []string {
	all := map[string]gjson.Result{}
	for _, environment := range f.object("plan.json", "environments") {
		maps.Copy(all, environment.Get("virtualHosts").Map())
	}
	return accepted(all, names.ParseHost)
}

// retired are the users whose host names `state prune` frees. No plan has them.
func (f folder) retired(string) []string {
	entries := f.object("state.json", "@this")
	maps.DeleteFunc(entries, func(_ string, entry gjson.Result) bool { return !entry.Get("retired").Bool() })
	return accepted(entries, names.ParseUser)
}

// files returns the paths that begin as typed. It returns hidden files if the
// name begins with a full stop, and no path that reads as a flag.
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
		if strings.HasPrefix(name, base) && (base != "" || name[0] != '.') && !isFlag(dir+name) {
			paths = append(paths, dir+name)
		}
	}
	return paths
}
