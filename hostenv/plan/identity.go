package plan

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/names"
)

// What an environment is called, and where its files are, follow from its input
// and its name. A project exports its own evaluation and can write any value there:
// a value that differs is refused, and the plan never takes a name or a path from
// the project.

// hostenvPaths returns the options of hostenv that hold a path, and the path that each
// has for a user. hostenv derives them from the user name. nix/lib/paths.nix has
// those that a node makes.
func hostenvPaths(user string) map[string]string {
	home, secrets := "/home/"+user, "/run/secrets/"+user
	return map[string]string{
		"runtimeRoot":        "/run/hostenv",
		"runtimeDir":         "/run/hostenv/user/" + user,
		"upstreamRuntimeDir": "/run/hostenv/nginx/" + user,
		"backupsSecretFile":  secrets + "/backups_secret",
		"backupsEnvFile":     secrets + "/backups_env",
		"cacheDir":           home + "/.cache",
		"dataDir":            home + "/.local/share",
		"stateDir":           home + "/.local/state",
	}
}

// paths refuses a path that differs from the one that follows from the user name.
// A null is no path.
func (r *reader) paths(hostenv canonjson.Object, where, user string) {
	paths := hostenvPaths(user)
	for _, m := range hostenv {
		want, ok := paths[m.Name]
		if !ok || canonjson.IsNull(m.Value) {
			continue
		}
		if said, _ := canonjson.Text(m.Value); said != want {
			r.remedied(where, m.Name, fmt.Sprintf("leave hostenv.%s at its default", m.Name), "is %s, and must be %q", m.Value, want)
		}
	}
}

// suspects begin every name that names.IsReserved knows.
var suspects = [][]byte{[]byte(`"_`), []byte(`"imports"`), []byte(`"outPath"`), []byte(`"disabledModules"`), []byte(`"freeformType"`)}

// onlyData refuses the names of attributes that NixOS's module system or Nix would
// interpret, at any depth. A value with them is code: it could replace the values
// of other customers, or import a file.
func (r *reader) onlyData(where string, value jsontext.Value) {
	for _, name := range suspects {
		if bytes.Contains(value, name) {
			r.reserved(where, value)
			return
		}
	}
}

func (r *reader) reserved(where string, value jsontext.Value) {
	list, _ := canonjson.ListOf(value)
	for i, v := range list {
		r.reserved(fmt.Sprintf("%s.%d", where, i), v)
	}
	for name, v := range canonjson.Members(value) {
		if names.IsReserved(name) {
			r.remedied(where, name, "remove it: an environment is data", "is refused: Nix or NixOS's module system interprets an attribute of this name")
		}
		r.reserved(where+"."+quoteAttribute(name), v)
	}
}

// identity returns the names of an environment that follow from its input, and
// keeps what the project says they are.
func (r *reader) identity(e *EvaluatedEnvironment, hostenv canonjson.Object, where string) {
	found := len(r.problems)
	e.said = said{
		organisation:    r.text(hostenv, where, "organisation", required),
		project:         r.text(hostenv, where, "project", required),
		userName:        r.text(hostenv, where, "userName", required),
		hostname:        r.text(hostenv, where, "hostname", required),
		hostenvHostname: r.text(hostenv, where, "hostenvHostname", required),
	}
	e.Organisation, e.Project = e.project.Organisation, e.project.Project
	e.UserName = names.UserName(e.Organisation, e.Project, e.Name)
	e.said.environmentName = e.Name
	if hostenv.Get("environmentName") != nil {
		e.said.environmentName = r.text(hostenv, where, "environmentName", "")
	}
	e.said.refused = hostenv == nil || len(r.problems) > found
	r.paths(hostenv, where, e.UserName)
}

// said is the identity that a project says an environment has.
type said struct {
	organisation, project, environmentName string
	userName, hostname, hostenvHostname    string

	refused bool // a value is missing or no string, which is reported already
}

// checkIdentity refuses an environment that says it is another one.
func (c *computation) checkIdentity(e *EvaluatedEnvironment, wrong func(option, remedy, format string, args ...any)) {
	if _, err := names.ParseUser(e.UserName); err != nil {
		wrong("hostenv.userName", "rename the environment", "would be %q: %v", e.UserName, err)
	}
	if e.said.refused {
		return
	}
	if e.said.organisation != e.Organisation || e.said.project != e.Project {
		wrong("hostenv", fmt.Sprintf("set organisation = %q and project = %q in the project, or rename the input", e.Organisation, e.Project),
			"says it is %s/%s, and its input says %s/%s", e.said.organisation, e.said.project, e.Organisation, e.Project)
		return // the names below are made of them
	}
	if e.said.environmentName != e.Name {
		wrong("hostenv.environmentName", "let hostenv make the name", "is %q", e.said.environmentName)
	}
	if e.said.userName != e.UserName {
		wrong("hostenv.userName", "let hostenv make the user name", "is %q, and must be %q", e.said.userName, e.UserName)
	}
	hostname := c.inv.Provider.HostenvHostname
	if given, err := names.ParseHost(e.said.hostenvHostname); err != nil || string(given) != hostname {
		wrong("hostenv.hostenvHostname", fmt.Sprintf("set it to %q in the project, or leave it out", hostname),
			"is %q, and the provider's is %q", e.said.hostenvHostname, hostname)
	} else if want := e.UserName + "." + hostname; e.said.hostname != want {
		wrong("hostenv.hostname", "let hostenv make the host name", "is %q, and must be %q", e.said.hostname, want)
	}
}
