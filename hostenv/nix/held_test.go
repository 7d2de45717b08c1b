package nix_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const canary = "CANARY-3f1c"

// An attack is an attribute of acme's environment. In it HOME is the operator's
// home, which holds a key; LOOPBACK a service on loopback; BETA the store path of
// beta's source, and BETAGIT its repository; REV its commit.
type attack struct {
	name, attribute string
	want            string // a part of the error; "" for a result without canary
	bubblewrap      string // the Nix before which only bubblewrap holds it, "" if Nix itself does
	inPackage       string // as want, of the environment's package, if it differs
	limited         bool   // a limit of one second, 512 MB and 64 kB ends it
}

var attacks = []attack{
	{name: "a build in the evaluation", attribute: `x = builtins.readFile (derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "cat HOME/.ssh/id_ed25519 > $out" ]; });`, want: "allow-import-from-derivation|cannot build|forbidden"},
	{name: "an import of a build", attribute: `x = import (derivation { name = "x"; system = builtins.currentSystem or "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; });`, want: "allow-import-from-derivation|cannot build|forbidden"},
	{name: "a file of the home", attribute: `x = builtins.readFile "HOME/.ssh/id_ed25519";`, want: "forbidden"},
	{name: "a path literal of the home", attribute: `x = builtins.readFile HOME/.ssh/id_ed25519;`, want: "forbidden"},
	{name: "the home's folder", attribute: `x = builtins.attrNames (builtins.readDir HOME/.ssh);`, want: "forbidden"},
	{name: "a file through getEnv", attribute: `x = "${builtins.getEnv "HOME"}${builtins.getEnv "SECRET"}${builtins.getEnv "SSH_AUTH_SOCK"}";`},
	{name: "a file below NIX_PATH", attribute: `x = builtins.readFile <home/.ssh/id_ed25519>;`, want: "cannot look up"},
	{name: "builtins.path of the home", attribute: `x = "${builtins.path { path = HOME/.ssh; name = "source"; sha256 = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; }}";`, want: "forbidden|mismatch|does not exist|No such file|getting attributes|status", bubblewrap: "2.18"},
	{name: "fetchurl to loopback", attribute: `x = builtins.fetchurl "LOOPBACK/fetchurl?data=${builtins.toJSON 1}";`, want: "restricted|pure"},
	{name: "fetchurl with a hash", attribute: `x = builtins.fetchurl { url = "LOOPBACK/hash"; sha256 = "0000000000000000000000000000000000000000000000000000"; };`, want: "forbidden in restricted mode"},
	{name: "fetchTarball", attribute: `x = builtins.fetchTarball { url = "LOOPBACK/tar"; sha256 = "0000000000000000000000000000000000000000000000000000"; };`, want: "forbidden in restricted mode"},
	{name: "fetchGit over http", attribute: `x = (builtins.fetchGit { url = "LOOPBACK/git"; rev = "0123456789012345678901234567890123456789"; }).outPath;`, want: "forbidden|restricted|failed|unable|error"},
	{name: "fetchTree of a file", attribute: `x = (builtins.fetchTree { type = "file"; url = "LOOPBACK/file"; narHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; }).outPath;`, want: "fetchTree|flakes|fetch-tree"},
	{name: "fetchTree of a tarball", attribute: `x = (builtins.fetchTree { type = "tarball"; url = "LOOPBACK/tarball"; narHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; }).outPath;`, want: "fetchTree|flakes|fetch-tree"},
	{name: "another customer's store path", attribute: `x = builtins.readFile "BETA/secret";`, want: "forbidden|does not exist|No such file|not in the store|error"},
	{name: "another customer's store path with context", attribute: `x = builtins.readFile (builtins.appendContext "BETA/secret" { "BETA" = { path = true; }; });`, want: "forbidden|does not exist|No such file|error"},
	{name: "another customer's store path by storePath", attribute: `x = builtins.readFile (builtins.storePath BETA + "/secret");`, want: "forbidden|not allowed|does not exist|error"},
	{name: "another customer's source by its hash", attribute: `x = builtins.readFile (builtins.path { path = ./.; name = "source"; sha256 = "HASH"; } + "/secret");`, want: "does not exist|No such file|forbidden|error", bubblewrap: "99"},
	{name: "another customer's repository by fetchGit", attribute: `x = builtins.readFile ((builtins.fetchGit { url = "BETAGIT"; rev = "REV"; }).outPath + "/secret");`, want: "forbidden|restricted|error"},
	{name: "another customer's repository by fetchTree", attribute: `x = builtins.readFile ((builtins.fetchTree { type = "git"; url = "BETAGIT"; rev = "REV"; }).outPath + "/secret");`, want: "fetchTree|flakes|fetch-tree"},
	{name: "another customer's repository by getFlake", attribute: `x = builtins.readFile ((builtins.getFlake "git+BETAGIT?rev=REV").outPath + "/secret");`, want: "getFlake|flakes"},
	{name: "the provider's folder", attribute: `x = builtins.readFile "PROVIDER/flake.nix";`, want: "forbidden"},
	{name: "exec", attribute: `x = builtins.exec [ "/bin/sh" "-c" "echo 1" ];`, want: "exec|error"},
	{name: "a native library", attribute: `x = builtins.importNative "/lib/x.so" "y";`, want: "importNative|error"},
	{name: "time", attribute: `x = builtins.foldl' (a: b: a + b) 0 (builtins.concatMap (x: builtins.genList (y: y) 100000) (builtins.genList (x: x) 1000000));`, want: "longer than|memory", limited: true},
	{name: "a loop", attribute: `x = let f = n: if n < 0 then n else f (n + 1); in f 0;`, want: "longer than|memory|overflow|depth", limited: true},
	{name: "memory", attribute: `x = builtins.length (builtins.filter (s: s == "y") (builtins.genList (x: "${toString x}-${toString x}-${toString x}") 60000000));`, want: "memory|longer than", limited: true},
	{name: "output", attribute: `x = builtins.concatStringsSep "" (builtins.genList (x: "0123456789") 100000);`, want: "inventory is longer than 65536 bytes", inPackage: "nothing", limited: true},
	{name: "what it prints", attribute: `x = builtins.trace (builtins.concatStringsSep "" (builtins.genList (x: "0123456789") 100000)) 1;`, want: "what it prints is longer than 65536 bytes", limited: true},
	{name: "a symbolic link to the home", attribute: `x = builtins.readFile ./link;`, want: "forbidden|does not exist|No such file|error"},
	{name: "an input of this machine in flake.lock", attribute: `x = builtins.readFile "${inputs.loot}/id_ed25519";`, want: "input 'loot' is a folder of this machine"},
	{name: "an input on loopback in flake.lock", attribute: `x = builtins.readFile "${inputs.loopback}/x";`, want: "input 'loopback' is (a single file|on .*not a public host)"},
	{name: "another customer's repository in flake.lock", attribute: `x = builtins.readFile "${inputs.beta}/secret";`, want: "input 'beta' is a repository or file of this machine"},
}

// Each attack runs under each Nix, with bubblewrap and without it. A canary is in
// the operator's home and in beta's source, and a service on loopback counts
// requests.
func TestAttacksOnTheEvaluation(t *testing.T) {
	testenv.Need(t, "git")
	var asked []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		fmt.Fprint(w, canary)
	}))
	defer service.Close()

	each(t, func(t *testing.T, n nix) {
		dir := realTempDir(t)
		home := filepath.Join(dir, "home")
		write(t, home, map[string]string{".ssh/id_ed25519": canary, ".netrc": canary})
		n.env = append(slices.Clone(n.env), "HOME="+home, "SECRET="+canary, "SSH_AUTH_SOCK="+home+"/agent-"+canary, "NIX_PATH=home="+home)
		write(t, dir, map[string]string{
			"beta/secret":    canary,
			"beta/flake.nix": withPackage("beta", "portal", ""),
		})
		gitOutput(t, dir+"/beta", "init", "--quiet", "--initial-branch=main")
		gitOutput(t, dir+"/beta", "add", ".")
		gitOutput(t, dir+"/beta", "commit", "--quiet", "--message=secret")
		rev := gitOutput(t, dir+"/beta", "rev-parse", "HEAD")
		tree, log, err := n.run(t, dir, "eval", "--impure", "--raw", "--expr",
			fmt.Sprintf(`let t = builtins.fetchTree { type = "git"; url = "file://%s/beta"; ref = "main"; rev = "%s"; }; in "${t.outPath} ${t.narHash}"`, dir, rev))
		if err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		beta, hash, _ := strings.Cut(string(tree), " ")
		replace := strings.NewReplacer("HOME", home, "LOOPBACK", service.URL, "BETAGIT", "file://"+dir+"/beta", "BETA", beta, "REV", rev, "HASH", hash, "PROVIDER", dir+"/provider")

		lock := replace.Replace(`{"version": 7, "root": "root", "nodes": {"root": {"inputs": {"loot": "a", "loopback": "b", "beta": "c"}},
"a": {"flake": false, "locked": {"type": "path", "path": "HOME/.ssh", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, "original": {}},
"b": {"flake": false, "locked": {"type": "file", "url": "LOOPBACK/lock", "narHash": "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, "original": {}},
"c": {"flake": false, "locked": {"type": "git", "url": "BETAGIT", "rev": "REV", "narHash": "HASH"}, "original": {}}}}`)
		inputs := `{ inputs.loot = { url = "path:/x"; flake = false; }; inputs.loopback = { url = "path:/y"; flake = false; }; inputs.beta = { url = "path:/z"; flake = false; }; outputs = inputs: `

		for _, a := range attacks {
			for _, how := range []struct {
				where      string
				bubblewrap bool
			}{{"inventory", true}, {"inventory", false}, {"package", true}} {
				where, bubblewrap := how.where, how.bubblewrap
				t.Run(fmt.Sprintf("%s/bubblewrap=%t/%s", a.name, bubblewrap, where), func(t *testing.T) {
					if bubblewrap {
						testenv.Need(t, "bwrap")
					}
					if !bubblewrap && a.bubblewrap != "" && !newer(t, n, a.bubblewrap) {
						t.Skip("this Nix does not hold it alone: docs/security.md says so")
					}
					site := filepath.Join(t.TempDir(), "site")
					attribute := replace.Replace(a.attribute)
					environment, packages := attribute, ""
					if where == "package" {
						environment, packages = "", attribute
					}
					flake := strings.Replace(customer("acme", "site", environment), "{ outputs = _: {", inputs+`{
  packages.x86_64-linux.main = derivation {
    name = "main"; system = "x86_64-linux"; builder = "/bin/sh";
    attack = builtins.toJSON ({ `+packages+` }.x or null);
  };`, 1)
					write(t, site, map[string]string{"flake.nix": flake, "flake.lock": lock})
					if err := os.Symlink(home+"/.ssh/id_ed25519", site+"/link"); err != nil {
						t.Fatal(err)
					}
					gitOutput(t, site, "init", "--quiet", "--initial-branch=main")
					gitOutput(t, site, "add", ".")
					gitOutput(t, site, "commit", "--quiet", "--message=attack")
					options := ""
					if a.limited {
						options = "evaluation = { time = 3; memory = 768; output = 65536; };"
					}
					root := provider{inputs: fmt.Sprintf(`
    acme__site = { url = "git+file://%s?ref=main"; flake = false; };
    beta__portal = { url = "git+file://%s/beta?ref=main"; flake = false; };
`, site, dir), provider: options}.make(t, n)

					runner := n.runner(root)
					if !bubblewrap {
						runner.Env = append(slices.Clone(runner.Env), "PATH="+withoutBubblewrap(t))
					}
					asked = nil
					begin := time.Now()
					evaluate := map[string]func() (string, error){
						"inventory": func() (string, error) { document, err := runner.Inventory(t.Context()); return string(document), err },
						"package":   func() (string, error) { return packageOf(t, n, runner) },
					}[where]
					document, err := evaluate()
					if strings.Contains(document+fmt.Sprint(err), canary) {
						t.Fatalf("the canary is read: %s %v", document, err)
					}
					for _, url := range asked {
						t.Errorf("the service on loopback is asked %s", url)
					}
					if a.limited && time.Since(begin) > 60*time.Second {
						t.Errorf("it took %s", time.Since(begin))
					}
					want := a.want
					if where == "package" && a.inPackage != "" {
						want = a.inPackage
					}
					if want == "" || want == "nothing" {
						if err != nil {
							t.Error(err)
						}
						return
					}
					if where == "inventory" {
						if failed := problem.Leaves(err); len(failed) != 1 || !strings.Contains(err.Error(), "project acme__site: ") {
							t.Fatalf("error %v, want one of acme__site", err)
						}
					}
					if err == nil || !regexp.MustCompile("(?is)"+want).MatchString(err.Error()) {
						t.Errorf("no match of %q in: %v", want, err)
					}
				})
			}
		}
	})
}

// packageOf evaluates the package of acme's environment, and returns its derivation.
func packageOf(t *testing.T, n nix, runner *hostnix.Runner) (string, error) {
	t.Helper()
	var lock struct {
		Nodes map[string]struct{ Locked map[string]any }
	}
	text, err := os.ReadFile(filepath.Join(runner.Dir, "flake.lock"))
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil {
		t.Fatal(err)
	}
	environment := func(input string) hostnix.Environment {
		return hostnix.Environment{Project: input, Name: "main", Node: "n1", System: "x86_64-linux", Source: lock.Nodes[input].Locked}
	}
	packages, failed, err := runner.Packages(t.Context(), map[string]hostnix.Environment{"site": environment("acme__site"), "portal": environment("beta__portal")})
	if err != nil {
		t.Fatal(err)
	}
	if failed["portal"] != nil || packages["portal"].Name != "main" {
		t.Errorf("beta: %+v, %v", packages["portal"], failed["portal"])
	}
	if failed["site"] != nil {
		return "", failed["site"]
	}
	derivation, err := os.ReadFile(n.inStore(packages["site"].Derivation))
	return string(derivation), err
}

// newer reports whether a Nix is at least of a version "2.18".
func newer(t *testing.T, n nix, version string) bool {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(version+".0", "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	have, err := n.runner(t.TempDir()).Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hostnix.AtLeast(have, major, minor)
}

// withoutBubblewrap returns a PATH with the programs that Nix needs, and no bwrap.
func withoutBubblewrap(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"git", "sh", "ssh", "nix-store"} {
		if path := lookPath(name); path != "" {
			if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func lookPath(name string) string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// Held processes give the same bytes as one evaluation of all, with inputs that the
// provider shares, that it changes, and that customers bring.
func TestHeldIsTheSame(t *testing.T) {
	testenv.Need(t, "git")
	each(t, func(t *testing.T, n nix) {
		for name, replaced := range map[string]string{
			"shared": "", "changed": `overrides.phps = inputs.phps // { changed = true; };`, "of its own": `overrides.phps = { outPath = ./.; changed = true; };`,
		} {
			t.Run(name, func(t *testing.T) {
				source := `x = { inherit (inputs.self.sourceInfo) lastModifiedDate narHash rev shortRev revCount submodules; self = builtins.attrNames inputs.self; phps = builtins.attrNames inputs.phps; own = inputs.own.value; changed = inputs.phps.changed or false; };`
				p := provider{
					inputs: `
    acme__site = { url = "git+file://DIR/site?dir=sub&ref=main"; flake = false; };
    beta__near = { url = "path:./near"; flake = false; };
    phps.url = "git+file://DIR/phps?ref=main";
`,
					provider: replaced,
					files: map[string]string{
						"site/sub/flake.nix":      strings.Replace(customer("acme", "site", source), "{ outputs = _: ", `{ inputs.phps.url = "github:a/phps"; inputs.own.url = "path:./own"; outputs = inputs: `, 1),
						"site/sub/own/flake.nix":  `{ outputs = _: { value = 7; }; }`,
						"site/sub/flake.lock":     `{"version": 7, "root": "root", "nodes": {"root": {"inputs": {"own": "own"}}, "own": {"locked": {"type": "path", "path": "./own"}, "original": {"type": "path", "path": "./own"}, "parent": []}}}`,
						"phps/flake.nix":          `{ outputs = { self }: { value = self.rev; }; }`,
						"provider/near/flake.nix": customer("beta", "near", ""),
					},
					repositories: []string{"site", "phps"},
				}
				root := p.make(t, n)
				together, log, err := n.run(t, root, "eval", "--json", "path:"+root+"#lib.hostenvProvider.inventory")
				if err != nil {
					t.Fatalf("%v\n%s", err, log)
				}
				held, err := n.runner(root).Inventory(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.TrimSpace(string(together)), strings.TrimSpace(string(held))); diff != "" {
					t.Errorf("(-together +held):\n%s", diff)
				}
			})
		}
	})
}

// inStore is where the file of a store path is.
func (n nix) inStore(path string) string {
	for _, kv := range slices.Backward(n.env) {
		if root, ok := strings.CutPrefix(kv, "NIX_REMOTE=local?root="); ok {
			return filepath.Join(root, path)
		}
	}
	return path
}
