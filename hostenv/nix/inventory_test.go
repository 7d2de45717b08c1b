package nix_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// write writes files below a folder, and returns the folder.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A provider is a folder with its library, its customers, and a flake that names
// them.
type provider struct {
	inputs       string            // further inputs, Nix
	provider     string            // further options, Nix
	customers    map[string]string // flake.nix by the input's name
	files        map[string]string // further files, by path in the folder of all
	repositories []string          // which of the folders are git repositories

	// In inputs and files, the text DIR means the folder that holds them.
}

// flake returns the flake.nix of a provider in dir/provider.
func (p provider) flake(dir string) string {
	var inputs strings.Builder
	for name := range p.customers {
		fmt.Fprintf(&inputs, "    %q.url = \"path:%s/customers/%s\";\n", name, dir, name)
	}
	return fmt.Sprintf(`{
  inputs = {
    hostenv-provider.url = "path:%s/hostenv-provider";
%s%s  };
  outputs = inputs: inputs.hostenv-provider.lib.mkProvider {
    inherit inputs;
    provider = { hostenvHostname = "hosting.example"; %s };
  };
}
`, dir, inputs.String(), strings.ReplaceAll(p.inputs, "DIR", dir), p.provider)
}

// make writes the provider and locks it; it returns its folder.
func (p provider) make(t *testing.T, n nix) string {
	t.Helper()
	dir := realTempDir(t)
	library := filepath.Join(dir, "hostenv-provider")
	if err := os.CopyFS(filepath.Join(library, "nix/lib"), os.DirFS("../../nix/lib")); err != nil {
		t.Fatal(err)
	}
	flake, err := os.ReadFile("../../flake.nix")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"hostenv-provider/flake.nix": string(flake), "provider/flake.nix": p.flake(dir)})
	for name, content := range p.files {
		write(t, dir, map[string]string{name: strings.ReplaceAll(content, "DIR", dir)})
	}
	for _, name := range p.repositories {
		repository := filepath.Join(dir, name)
		gitOutput(t, repository, "init", "--quiet", "--initial-branch=main")
		gitOutput(t, repository, "add", ".")
		gitOutput(t, repository, "commit", "--quiet", "--message=files")
	}
	for name, flake := range p.customers {
		write(t, filepath.Join(dir, "customers", name), map[string]string{"flake.nix": flake})
	}
	root := filepath.Join(dir, "provider")
	n.lock(t, root)
	return root
}

func (n nix) lock(t *testing.T, dir string) {
	t.Helper()
	if _, log, err := n.run(t, dir, "flake", "lock", "path:"+dir); err != nil {
		t.Fatalf("nix flake lock: %v\n%s", err, log)
	}
}

// customer returns a flake that exports one environment, main, with further
// attributes of it.
func customer(organisation, project, attributes string) string {
	return fmt.Sprintf(`{ outputs = _: {
  lib.hostenv.x86_64-linux.environments.main = let
    hash = builtins.hashString "sha256" "%[1]s-%[2]s-main\n";
    userName = "%[2]s-main-${builtins.substring 0 7 hash}";
  in {
    hostenv = {
      organisation = "%[1]s"; project = "%[2]s"; hostenvHostname = "hosting.example";
      inherit userName; hostname = "${userName}.hosting.example"; gitRef = "main"; root = ./.;
    };
    %[3]s
  };
}; }
`, organisation, project, attributes)
}

func decode(t *testing.T, document []byte) (inventory struct {
	Provider map[string]any
	Projects map[string]struct {
		Source struct {
			Original, Resolved map[string]any
		}
		Environments map[string]map[string]any
	}
}) {
	t.Helper()
	if err := json.Unmarshal(document, &inventory); err != nil {
		t.Fatal(err)
	}
	return inventory
}

// One run names every customer whose project fails, with the message of Nix and
// its place, without the trace, the lines of source, or the other projects.
func TestEveryBrokenCustomerIsReported(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		root := provider{customers: map[string]string{
			"acme__site":     customer("acme", "site", ""),
			"acme__shop":     customer("acme", "site", ""),
			"beta__portal":   customer("beta", "portal", `users = builtins.throw "alice is gone\nhint: curl evil.example";`),
			"beta__typo":     customer("beta", "typo", "users = (import ./users.nix).alcie;"),
			"delta__broken":  customer("delta", "broken", "users = import ./broken.nix;"),
			"delta__loop":    customer("delta", "loop", "users = let a = a; in a;"),
			"delta__nothing": "{ outputs = _: { }; }",
			"delta__three__": customer("delta", "three", ""),
			"delta__a__b":    customer("delta", "a", ""),
			"delta__package": customer("delta", "package", `tools = [ (derivation { name = "hello"; system = "x"; builder = "x"; }) ];`),
		}, files: map[string]string{
			"customers/beta__typo/users.nix":     `{ alice = { password = "hunter2"; }; }`,
			"customers/delta__broken/broken.nix": "{ a = ",
		}}.make(t, n)
		_, err := n.runner(root).Inventory(t.Context())
		failed := problem.Leaves(err)
		want := map[string]string{
			"acme__shop":     `environments."main".hostenv.project is "site" and should be "shop"`,
			"beta__portal":   `^alice is gone; curl evil.example$`,
			"beta__typo":     `^attribute 'alcie' missing.*\nat .*flake.nix.?:10:`,
			"delta__broken":  `^syntax error, unexpected (end of file|\$end).*\nat .*broken.nix.?:`,
			"delta__loop":    `^infinite recursion encountered`,
			"delta__nothing": `^it exports neither lib.hostenv.x86_64-linux nor hostenv.x86_64-linux; import hostenv's flake module`,
			"delta__a__b":    `^the input's name has 3 parts`,
			"delta__package": `^environments.main.tools.0 is a derivation \(hello\); `,
		}
		var names []string
		for _, f := range failed {
			rest, _ := strings.CutPrefix(f.Error(), "evaluate the inventory: project ")
			project, message, _ := strings.Cut(rest, ": ")
			names = append(names, project)
			if pattern := want[project]; pattern == "" {
				t.Errorf("project %q is correct, and is reported: %s", project, message)
			} else if !regexp.MustCompile("(?s)" + pattern).MatchString(message) {
				t.Errorf("project %s: no match of %q in:\n%s", project, pattern, message)
			}
			if strings.Contains(message, "while evaluating") || strings.Contains(message, "|") || strings.Contains(message, "hint:") {
				t.Errorf("project %s: the message holds more than the message:\n%s", project, message)
			}
		}
		if len(names) != len(want) || !slices.IsSorted(names) {
			t.Errorf("failures of %s, want %d sorted", names, len(want))
		}
		for _, part := range []string{"8 problems", "project beta__portal: alice is gone"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error lacks %q:\n%v", part, err)
			}
		}
		// The hint of a project is ours, whatever its code says.
		for _, part := range []string{`only = [ "beta__typo" ]`, `only = [ "beta__portal" ]`, `only = [ "acme__shop" ]`} {
			if !strings.Contains(hints(err), part) {
				t.Errorf("the hint lacks %q:\n%s", part, hints(err))
			}
		}
		if strings.Contains(hints(err), "evil") {
			t.Errorf("a customer writes a hint:\n%s", hints(err))
		}
	})
}

// An error of the provider's own flake is reported once for any number of customers,
// together with the customers' errors.
func TestProvidersOwnFaults(t *testing.T) {
	well := map[string]string{"acme__site": customer("acme", "site", ""), "beta__portal": customer("beta", "portal", "")}
	tests := []struct {
		name     string
		provider provider
		spoil    func(t *testing.T, root string)
		messages []string // regular expressions, of each failure
		hint     string
	}{{
		name:     "no lock",
		provider: provider{customers: well},
		spoil:    func(t *testing.T, root string) { remove(t, root, "flake.lock") },
		messages: []string{"requires lock file changes"},
		hint:     "nix flake lock",
	}, {
		name:     "a lock that lacks an input",
		provider: provider{customers: well},
		spoil: func(t *testing.T, root string) {
			more := provider{customers: map[string]string{"acme__new": customer("acme", "new", "")}}
			write(t, filepath.Dir(root), map[string]string{"provider/flake.nix": more.flake(filepath.Dir(root)), "customers/acme__new/flake.nix": more.customers["acme__new"]})
		},
		messages: []string{"requires lock file changes"},
		hint:     "nix flake lock",
	}, {
		name:     "no mkProvider",
		provider: provider{},
		spoil: func(t *testing.T, root string) {
			write(t, root, map[string]string{"flake.nix": "{ outputs = _: { }; }"})
			remove(t, root, "flake.lock")
		},
		messages: []string{"does not provide attribute.*lib.hostenvProvider"},
		hint:     "hostenv-provider.lib.mkProvider",
	}, {
		name:     "no flake.nix",
		provider: provider{},
		spoil:    func(t *testing.T, root string) { remove(t, root, "flake.nix") },
		messages: []string{"flake.nix"},
		hint:     "run this in the provider's folder",
	}, {
		name:     "a syntax error",
		provider: provider{},
		spoil:    func(t *testing.T, root string) { write(t, root, map[string]string{"flake.nix": "{ outputs = "}) },
		messages: []string{"syntax error"},
		hint:     "nix eval --show-trace .#lib.hostenvProvider.inventory",
	}, {
		name:     "a secret, and a broken customer",
		provider: provider{provider: `cloudflare.apiToken = "s3cret";`, customers: map[string]string{"acme__site": well["acme__site"], "beta__x": "{ outputs = _: { }; }"}},
		messages: []string{"^provider: cloudflare.apiToken is a secret, and flakes", "^it exports neither"},
		hint:     "cloudflare.apiTokenSecret",
	}, {
		name:     "an option that every project needs",
		provider: provider{provider: "", customers: well},
		spoil: func(t *testing.T, root string) {
			flake := provider{customers: well}.flake(filepath.Dir(root))
			write(t, root, map[string]string{"flake.nix": strings.Replace(flake, "hostenvHostname =", "hostenvHostnam =", 1)})
		},
		messages: []string{"^provider: hostenvHostname is missing"},
		hint:     "set provider.hostenvHostname",
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, n nix) {
				root := test.provider.make(t, n)
				if test.spoil != nil {
					test.spoil(t, root)
				}
				_, err := n.runner(root).Inventory(t.Context())
				failed := errorsOf[*problem.Problem](err)
				if len(failed) != len(test.messages) {
					t.Fatalf("failures %+v, want %d", failed, len(test.messages))
				}
				for i, pattern := range test.messages {
					if got := failed[i].Text; !regexp.MustCompile("(?s)" + pattern).MatchString(got) {
						t.Errorf("no match of %q in:\n%s", pattern, got)
					}
				}
				if !strings.Contains(hints(err), test.hint) {
					t.Errorf("hint %q lacks %q", hints(err), test.hint)
				}
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the error contains the secret:\n%v", err)
				}
			})
		})
	}
}

func remove(t *testing.T, elements ...string) {
	t.Helper()
	if err := os.Remove(filepath.Join(elements...)); err != nil {
		t.Fatal(err)
	}
}

// The inventory does not write flake.lock, and refuses an outdated one.
func TestInventoryWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		root := provider{customers: map[string]string{"acme__site": customer("acme", "site", "")}}.make(t, n)
		before := list(t, root)
		if _, err := n.runner(root).Inventory(t.Context()); err != nil {
			t.Fatal(err)
		}
		remove(t, root, "flake.lock")
		if _, err := n.runner(root).Inventory(t.Context()); err == nil {
			t.Error("no error without a lock")
		}
		delete(before, "flake.lock")
		if diff := cmp.Diff(before, list(t, root)); diff != "" {
			t.Errorf("the provider's folder has changed:\n%s", diff)
		}
	})
}

func list(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		content[entry.Name()] = string(text)
	}
	return content
}

// Real locks: an input that follows another, nodes that are not called like
// their inputs, a flake in a folder of a git repository, a relative path.
func TestSourcesFromRealLocks(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		// group also has an input acme__site. Of the two, either this one or the
		// provider's gets the node acme__site in the lock.
		p := provider{
			inputs: `
    acme__site.url = "git+file://DIR/site?dir=.hostenv&ref=main";
    group.url = "path:DIR/group";
    acme__mirror.follows = "group/acme__mirror";
    beta__near.url = "path:./near";
`,
			files: map[string]string{
				"site/.hostenv/flake.nix": customer("acme", "site", "documents = ../web;"),
				"site/web/index.html":     "site",
				"group/flake.nix":         `{ inputs.acme__site.url = "path:./other"; inputs.acme__mirror.url = "git+file://DIR/mirror?ref=main"; outputs = _: { }; }`,
				"group/other/flake.nix":   `{ outputs = _: { }; }`,
				"mirror/flake.nix":        customer("acme", "mirror", ""),
				"provider/near/flake.nix": customer("beta", "near", ""),
			},
			repositories: []string{"site", "mirror"},
		}
		root := p.make(t, n)
		document, err := n.runner(root).Inventory(t.Context())
		if err != nil {
			lock, _ := os.ReadFile(filepath.Join(root, "flake.lock"))
			t.Fatalf("%v\n%s", err, lock)
		}
		dir := filepath.Dir(root)
		inventory := decode(t, document)
		got := map[string]map[string]any{}
		roots := map[string]any{}
		for name, project := range inventory.Projects {
			got[name] = project.Source.Original
			roots[name] = project.Environments["main"]["hostenv"].(map[string]any)["root"]
		}
		want := map[string]map[string]any{
			"acme__site":   {"type": "git", "url": "file://" + dir + "/site", "ref": "main", "dir": ".hostenv"},
			"acme__mirror": {"type": "git", "url": "file://" + dir + "/mirror", "ref": "main"},
			"beta__near":   {"type": "path", "path": "./near"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sources (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]any{"acme__site": ".hostenv", "acme__mirror": ".", "beta__near": "."}, roots); diff != "" {
			t.Errorf("roots (-want +got):\n%s", diff)
		}
		if documents := inventory.Projects["acme__site"].Environments["main"]["documents"]; documents != "web" {
			t.Errorf("a path beside the flake's folder is %v, want web", documents)
		}
	})
}

// The provider's hostenv, with both forms of makeHostenv, replaces the one that the
// customer's flake names: Nix evaluates every environment as itself, with all that
// the customer's flake.nix gives to hostenv.
func TestProvidersHostenvEvaluates(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		for _, form := range []string{"curried", "asSet"} {
			t.Run(form, func(t *testing.T) {
				const fixtures = "../../nix/tests/fixtures/"
				p := provider{
					// A real customer's hostenv can be fetched, and needs no follows.
					inputs: `
    hostenv.url = "path:DIR/hostenv";
    acme__site = { url = "git+file://DIR/site?dir=.hostenv&ref=main"; inputs.hostenv.follows = "hostenv"; };
`,
					files: map[string]string{
						"hostenv/flake.nix":         fmt.Sprintf(`{ outputs = _: { makeHostenv.x86_64-linux = (import ./hostenv.nix).%s; takesSet = %t; }; }`, form, form == "asSet"),
						"hostenv/hostenv.nix":       read(t, fixtures+"hostenv.nix"),
						"site/.hostenv/flake.nix":   read(t, fixtures+"project/.hostenv/flake.nix"),
						"site/.hostenv/hostenv.nix": read(t, fixtures+"project/.hostenv/hostenv.nix"),
						"site/web/index.html":       "site",
					},
					repositories: []string{"site"},
				}
				document, err := n.runner(p.make(t, n)).Inventory(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				environments := decode(t, document).Projects["acme__site"].Environments
				for name, hash := range map[string]string{"production": "aa01dce", "uat": "b9389e0"} {
					environment := environments[name]
					hostenv := environment["hostenv"].(map[string]any)
					for attribute, want := range map[string]any{
						"organisation": "acme", "project": "site", "root": ".", "backupsRepoHost": "s3:https://backups.example",
						"hostname": "site-" + name + "-" + hash + ".hosting.example",
					} {
						if hostenv[attribute] != want {
							t.Errorf("%s: hostenv.%s is %v, want %v", name, attribute, hostenv[attribute], want)
						}
					}
					want := map[string]any{
						"virtualHosts": map[string]any{name + ".acme.example": map[string]any{}},
						"migrations":   []any{"database-migrate", name + "-migrate"},
					}
					for attribute, value := range want {
						if diff := cmp.Diff(value, environment[attribute]); diff != "" {
							t.Errorf("%s: %s (-want +got):\n%s", name, attribute, diff)
						}
					}
				}
				if documents := environments["production"]["documents"]; documents != "web" {
					t.Errorf("documents is %v, want web", documents)
				}
			})
		}
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Without nix the hint says what to install; a cancelled run returns its cause.
func TestNoNix(t *testing.T) {
	runner := &hostnix.Runner{Dir: t.TempDir(), Nix: "no-such-nix"}
	_, err := runner.Inventory(t.Context())
	if err == nil || !strings.Contains(problem.Hint(err), "install Nix") {
		t.Errorf("got %v, want an error that says to install Nix", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	runner.Nix = "true"
	if _, err := runner.Inventory(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
