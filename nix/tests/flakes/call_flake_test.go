// Package flakes tests nix/lib with whole flakes: git repositories in a temporary
// folder, offline, under each installed Nix. It compares the results with Nix's own
// evaluation of the same flakes.
package flakes

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// shop makes the customer of the fixtures, and the provider's own nixpkgs.
func shop(w *world) {
	w.Helper()
	w.fixture("nixpkgs", "hostenv", "phps", "extra", "assets", "shop")
	w.git("nixpkgs", "switch", "-q", "-c", "provider")
	w.repo("nixpkgs", map[string]string{"release.nix": `"provider"`})
	w.git("nixpkgs", "switch", "-q", "main")
	w.mustLock("hostenv", "")
	w.mustLock("phps", "")
	w.mustLock("extra", "")
	w.mustLock("shop", "")
}

func TestReplacedInputsAreAsFollowed(t *testing.T) {
	for _, test := range []struct{ literal, overrides, releases string }{{
		literal:   "literal",
		overrides: `{ inherit (provider.inputs) nixpkgs hostenv; }`,
		releases:  `{"extra":["customer","customer"],"hostenv":"provider","nixpkgs":"provider","phps":"provider","pkgs":"provider"}`,
	}, {
		literal:   "literal-nested",
		overrides: `{ inherit (provider.inputs) nixpkgs hostenv; "extra/nixpkgs" = provider.inputs.nixpkgs; }`,
		releases:  `{"extra":["provider","provider"],"hostenv":"provider","nixpkgs":"provider","phps":"provider","pkgs":"provider"}`,
	}} {
		t.Run(test.literal, func(t *testing.T) {
			nixes := testenv.NixBinaries(t)
			newest := newWorld(t, nixes[len(nixes)-1])
			shop(newest)
			newest.fixture("provider", test.literal)
			newest.mustLock("provider", "")
			provider := fmt.Sprintf("let provider = builtins.getFlake %q; in ", newest.ref("provider", ""))
			composed := newest.call("shop", "", test.overrides)

			// Nix 2.8 cannot lock the literal flakes, and 2.26 ignores follows into an
			// input of an input. The outputs are the same under all versions.
			var literal, outputs string
			if err := newest.lock(test.literal, ""); err != nil {
				t.Logf("only composed: %v", err)
			} else {
				literal = fmt.Sprintf("(builtins.getFlake %q).inputs.shop", newest.ref(test.literal, ""))
				if got := squeeze(newest.eval(literal + ".releases")); got == test.releases {
					outputs = newest.eval("describe " + literal + ".outputs")
				} else if !newest.older("2.34") {
					t.Errorf("the literal flake has %s", got)
				}
			}

			for _, nix := range nixes {
				w := newest.under(nix)
				t.Run("nix-"+w.version, func(t *testing.T) {
					w.TB = t
					equal(t, "releases", squeeze(w.eval(provider+composed+".releases")), test.releases)
					if outputs == "" {
						return
					}
					equal(t, "outputs, against the literal flake under the newest Nix", w.eval(provider+"describe "+composed+".outputs"), outputs)
					equal(t, "outputs by the lock of the literal flake, against the same", w.eval("describe "+w.call(test.literal, "", "{ }")+".inputs.shop.outputs"), outputs)
					if own, err := w.tryEval("describe " + literal); err != nil {
						t.Logf("this Nix cannot evaluate the literal flake: %v", err)
					} else {
						equal(t, "all of it, against the literal flake under this Nix", w.eval(provider+"describe "+composed), own)
					}
				})
			}
		})
	}
}

func TestNothingReplacedIsGetFlake(t *testing.T) {
	for _, test := range []struct {
		name, repo, dir string
		fixtures        []string
		since           string // the first Nix that can lock it
		reason          string
	}{
		{name: "customer", repo: "shop", reason: "all inputs by the customer's own lock"},
		{name: "names", repo: "names", fixtures: []string{"names"}, reason: "outputs do not hide what Nix adds, nor the other way about"},
		{name: "subdir", repo: "subdir", dir: "sub", fixtures: []string{"subdir-input", "subdir"}, reason: "outPath and relative inputs changed between Nix versions"},
		{name: "tree", repo: "tree", fixtures: []string{"tree"}, since: "2.26", reason: "relative inputs are relative to the flake that names them"},
		{name: "circular", repo: "circular-a", fixtures: []string{"circular-b", "circular-a"}, reason: "an empty follows is the flake itself"},
	} {
		t.Run(test.name, func(t *testing.T) {
			underEachNix(t, func(w *world) {
				if test.since != "" && w.older(test.since) {
					w.Skipf("Nix %s cannot lock it", w.version)
				}
				shop(w)
				w.fixture(test.fixtures...)
				w.mustLock(test.repo, test.dir)
				want := w.eval(fmt.Sprintf("describe (builtins.getFlake %q)", w.ref(test.repo, test.dir)))
				equal(w, test.reason, w.eval("describe "+w.call(test.repo, test.dir, "{ }")), want)
			})
		})
	}
}

// flake-parts recognises a flake by its `_type`, which Nix 2.8 does not set on the
// inputs of a provider's flake.
func TestReplacementsAreFlakes(t *testing.T) {
	underEachNix(t, func(w *world) {
		shop(w)
		w.fixture("provider")
		w.mustLock("provider", "")
		w.repo("typed", map[string]string{"flake.nix": `{
			inputs.hostenv.url = "git+file://@repos@/hostenv";
			inputs.nixpkgs.follows = "hostenv/nixpkgs";
			inputs.assets = { url = "git+file://@repos@/assets"; flake = false; };
			outputs = inputs: { types = builtins.mapAttrs (_: input: input._type or "none") inputs; };
		}`})
		w.mustLock("typed", "")
		provider := fmt.Sprintf("let provider = builtins.getFlake %q; in ", w.ref("provider", ""))
		overrides := "{ inherit (provider.inputs) hostenv; assets = { inherit (provider.inputs.hostenv) outPath sourceInfo; }; }"
		equal(w, "types", squeeze(w.eval(provider+w.call("typed", "", overrides)+".types")),
			`{"assets":"none","hostenv":"flake","nixpkgs":"flake","self":"flake"}`)
	})
}

// All versions of Nix read a lock that one of them made, and evaluate it alike.
func TestLockOfAnotherNix(t *testing.T) {
	nixes := testenv.NixBinaries(t)
	for _, maker := range nixes {
		made := newWorld(t, maker)
		shop(made)
		made.fixture("subdir-input", "subdir")
		made.mustLock("subdir", "sub")
		for _, nix := range nixes {
			if nix == maker {
				continue
			}
			w := made.under(nix)
			for _, test := range []struct{ repo, dir string }{{"shop", ""}, {"subdir", "sub"}} {
				t.Run(test.repo+"-of-"+made.version+"-by-"+w.version, func(t *testing.T) {
					w.TB = t
					composed := w.eval("describe " + w.call(test.repo, test.dir, "{ }"))
					own, err := w.tryEval(fmt.Sprintf("describe (builtins.getFlake %q)", w.ref(test.repo, test.dir)))
					if err != nil {
						t.Logf("this Nix cannot evaluate it without changing the lock: %v", err)
						return
					}
					equal(t, "composed, against getFlake", composed, own)
				})
			}
		}
	}
}

// Forms of locks that no installed Nix writes, made by editing the customer's lock.
func TestLockForms(t *testing.T) {
	type object = map[string]any
	node := func(lock object, label string) object { return lock["nodes"].(object)[label].(object) }
	for name, edit := range map[string]func(lock object){
		"format 6": func(lock object) { lock["version"] = 6 },
		"format 5, with info": func(lock object) {
			lock["version"] = 5
			for _, n := range lock["nodes"].(object) {
				if locked, ok := n.(object)["locked"].(object); ok {
					n.(object)["info"] = object{"narHash": locked["narHash"], "rev": locked["rev"]}
					delete(locked, "narHash")
					delete(locked, "rev")
				}
			}
		},
		"a root of another name": func(lock object) {
			lock["root"] = "n0"
			lock["nodes"].(object)["n0"] = node(lock, "root")
			delete(lock["nodes"].(object), "root")
		},
		"labels that say nothing": func(lock object) {
			node(lock, "root")["inputs"].(object)["extra"] = "root"
			lock["root"] = "extra"
			nodes := lock["nodes"].(object)
			nodes["root"], nodes["extra"] = nodes["extra"], nodes["root"]
		},
		"empty inputs, written out": func(lock object) {
			for _, n := range lock["nodes"].(object) {
				if n.(object)["inputs"] == nil {
					n.(object)["inputs"] = object{}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			underEachNix(t, func(w *world) {
				shop(w)
				want := w.eval(w.call("shop", "", "{ }") + ".releases")
				var lock object
				file := filepath.Join(w.path("shop"), "flake.lock")
				if err := json.Unmarshal([]byte(read(w, file)), &lock); err != nil {
					t.Fatal(err)
				}
				edit(lock)
				text, _ := json.Marshal(lock)
				w.repo("shop", map[string]string{"flake.lock": string(text)})
				equal(w, name, w.eval(w.call("shop", "", "{ }")+".releases"), want)
			})
		})
	}
}

// Relative inputs, as Nix locks them before and since 2.26.
func TestRelativeInputs(t *testing.T) {
	const flake = `{ inputs.sub.url = "path:./sub"; outputs = { self, sub }: { parts = [ self.outPath sub.outPath sub.word ]; }; }`
	const sub = `{ outputs = { self }: { word = import ./word.nix; }; }`
	lock := func(locked, rest string) string {
		return `{"version":7,"root":"root","nodes":{"root":{"inputs":{"sub":"sub"}},
			"sub":{"locked":` + locked + `,"original":{"type":"path","path":"./sub"}` + rest + `}}}`
	}
	underEachNix(t, func(w *world) {
		files := map[string]string{"flake.nix": flake, "sub/flake.nix": sub, "sub/word.nix": `"a word"`}
		w.repo("rel", files)
		narHash := strings.TrimSpace(w.mustRun(w.nix, "hash", "path", filepath.Join(w.path("rel"), "sub")))
		old := fmt.Sprintf(`{"type":"path","path":"./sub","lastModified":1,"narHash":%q}`, narHash)

		parts := func(lock string) (self, sub, word string) {
			files["flake.lock"] = lock
			w.repo("rel", files)
			var parts [3]string
			if err := json.Unmarshal([]byte(w.eval(w.call("rel", "", "{ }")+".parts")), &parts); err != nil {
				w.Fatal(err)
			}
			return parts[0], parts[1], parts[2]
		}

		self, path, word := parts(lock(`{"type":"path","path":"./sub"}`, `,"parent":[]`))
		if path != self+"/./sub" || word != "a word" {
			w.Errorf("with parent: %q below %q, %q", path, self, word)
		}
		self, path, word = parts(lock(old, ""))
		inTree, inStore := strings.HasPrefix(path, self), strings.Count(path, "/") == 3
		if w.older("2.26") && !inStore || !w.older("2.26") && !inTree || word != "a word" {
			w.Errorf("without parent: %q beside %q, %q", path, self, word)
		}
	})
}

func TestParentIsNotAlwaysTheDependent(t *testing.T) {
	underEachNix(t, func(w *world) {
		// The root replaces an input of an input by a path in the root's tree.
		w.repo("dep", map[string]string{"flake.nix": `{ inputs.part.url = "path:./part"; outputs = { self, part }: { inherit (part) word; }; }`})
		rev := w.git("dep", "rev-parse", "HEAD")
		w.repo("top", map[string]string{
			"flake.nix":      `{ inputs.dep.url = "git+file://@repos@/dep?ref=main"; inputs.dep.inputs.part.url = "path:./part"; outputs = { self, dep }: { inherit (dep) word; }; }`,
			"part/flake.nix": `{ outputs = { self }: { word = "the root's"; }; }`,
			"flake.lock": `{"version":7,"root":"root","nodes":{"root":{"inputs":{"dep":"dep"}},
				"dep":{"inputs":{"part":"part"},"locked":{"type":"git","url":"file://@repos@/dep","ref":"main","rev":"` + rev + `"}},
				"part":{"parent":[],"locked":{"type":"path","path":"./part"}}}}`,
		})
		equal(w, "word", w.eval(w.call("top", "", "{ }")+".word"), `"the root's"`)
	})
}

// nowhere is the lock entry of a repository that does not exist.
const nowhere = `{"locked":{"type":"git","url":"file:///nonexistent","ref":"main","rev":"0123456789012345678901234567890123456789",
	"narHash":"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","lastModified":1}}`

func TestUnusedInputsAreNotFetched(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.repo("lazy", map[string]string{
			"flake.nix": `{
				inputs.unused.url = "git+file:///nonexistent";
				inputs.replaced.url = "git+file:///nonexistent";
				inputs.through.follows = "replaced/nixpkgs";
				outputs = { self, unused, replaced, through }: {
					inherit replaced through;
					inputs = builtins.attrNames self.inputs;
					used = unused.outPath;
				};
			}`,
			"flake.lock": `{"version":7,"root":"root","nodes":{
				"root":{"inputs":{"unused":"unused","replaced":"replaced","through":["replaced","nixpkgs"]}},
				"unused":` + nowhere + `,"replaced":` + nowhere + `}}`,
		})
		call := w.call("lazy", "", `{ replaced = { inputs.nixpkgs = "the replacement's"; }; }`)
		equal(w, "what needs no fetch", w.eval("with "+call+"; [ through (builtins.attrNames inputs) sourceInfo.lastModified ]"),
			"[\n \"the replacement's\",\n [\n  \"replaced\",\n  \"through\",\n  \"unused\"\n ],\n 1700000000\n]")
		contains(w, w.evalError(call+".used"), "/nonexistent")
	})
}

func TestCustomerWithoutLock(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.repo("bare", map[string]string{"flake.nix": `{
			inputs.nixpkgs.url = "git+file:///nonexistent";
			inputs.hostenv.url = "git+file:///nonexistent";
			inputs.pkgs.follows = "hostenv/nixpkgs";
			inputs.myself.follows = "";
			outputs = { self, nixpkgs, hostenv, pkgs, implied, myself }: {
				all = [ nixpkgs hostenv.word pkgs implied myself.word ];
				word = "mine";
			};
		}`})
		call := w.call("bare", "", `{ nixpkgs = 1; hostenv = { word = 2; inputs.nixpkgs = 3; }; implied = 4; }`)
		equal(w, "all", squeeze(w.eval(call+".all")), `[1,2,3,4,"mine"]`)
	})
}

func TestOnlyWhatIsAskedForIsPassed(t *testing.T) {
	underEachNix(t, func(w *world) {
		// A function without `...` refuses arguments that it does not name.
		w.repo("closed", map[string]string{
			"flake.nix":  `{ inputs.self.submodules = false; outputs = { self, nixpkgs }: { inherit nixpkgs; }; }`,
			"flake.lock": `{"version":7,"root":"root","nodes":{"root":{"inputs":{"nixpkgs":"old","gone":"old"}},"old":` + nowhere + `}}`,
		})
		call := w.call("closed", "", `{ nixpkgs = 1; phps = 2; "phps/nixpkgs" = 3; "nixpkgs/x" = 4; self = 5; }`)
		equal(w, "nixpkgs", w.eval(call+".nixpkgs"), "1")
	})
}

func TestLabelOfTheRootIsTheFlakeItself(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.repo("self", map[string]string{
			"flake.nix":  `{ inputs.me.url = "self"; inputs.n.url = "n"; inputs.m.follows = "me/n"; outputs = { self, me, m, n }: { word = "mine"; words = [ me.word m ]; }; }`,
			"flake.lock": `{"version":7,"root":"n0","nodes":{"n0":{"inputs":{"me":"n0","m":["me","n"],"n":"n1"}},"n1":` + nowhere + `}}`,
		})
		equal(w, "words", squeeze(w.eval(w.call("self", "", "{ n = 1; }")+".words")), `["mine",1]`)
	})
}

func TestOverrideHoldsForFollowersAndForItsPathAlone(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.repo("leaf", map[string]string{"flake.nix": `{ inputs.x.url = "git+file:///nonexistent"; outputs = { self, x }: { word = x; }; }`})
		locked := `"locked":{"type":"git","url":"file://@repos@/leaf","ref":"main","rev":"` + w.git("leaf", "rev-parse", "HEAD") + `"}`
		w.repo("paths", map[string]string{
			"flake.nix": `{ inputs = { a.url = "leaf"; b.url = "leaf"; c.follows = "a"; d.follows = "a/x"; e.follows = "c/x"; };
				outputs = { self, a, b, c, d, e }: { words = [ a.word b.word c.word d e ]; }; }`,
			// Here a and b share one label. Nix writes two, but can read this.
			"flake.lock": `{"version":7,"root":"root","nodes":{
				"root":{"inputs":{"a":"leaf","b":"leaf","c":["a"],"d":["a","x"],"e":["c","x"]}},
				"leaf":{"inputs":{"x":"x"},` + locked + `},"x":` + nowhere + `}}`,
		})
		call := w.call("paths", "", `{ "a/x" = 1; "b/x" = 2; "c/x" = 3; }`)
		equal(w, "words", squeeze(w.eval(call+".words")), "[1,2,1,1,1]")
	})
}

// The arguments of fetchTree, from a stand-in that throws them instead of fetching.
func TestArgumentsOfFetchTree(t *testing.T) {
	const rev = `rev = "0123456789012345678901234567890123456789";`
	for _, test := range []struct{ reason, source, want string }{
		{"an archive is named by its revision alone", `type = "github"; owner = "o"; repo = "r"; ref = "main"; ` + rev, `{"owner":"o","repo":"r","REV","type":"github"}`},
		{"a forge's other host stays", `type = "gitlab"; host = "git.example.org"; owner = "o"; repo = "r"; ref = "main"; ` + rev, `{"host":"git.example.org","owner":"o","repo":"r","REV","type":"gitlab"}`},
		{"without a revision a ref is all there is", `type = "github"; owner = "o"; repo = "r"; ref = "main"; narHash = "n";`, `{"narHash":"n","owner":"o","ref":"main","repo":"r","type":"github"}`},
		{"git has both, and is not shallow", `type = "git"; url = "u"; ref = "main"; ` + rev, `{"ref":"main","REV","shallow":false,"type":"git","url":"u"}`},
		{"unless it is asked for", `type = "git"; url = "u"; shallow = true; ` + rev, `{"REV","shallow":true,"type":"git","url":"u"}`},
		{"what is locked is checked", `type = "git"; url = "u"; narHash = "n"; lastModified = 1; submodules = true; ` + rev, `{"lastModified":1,"narHash":"n","REV","shallow":false,"submodules":true,"type":"git","url":"u"}`},
		{"dir is not for fetchTree", `type = "tarball"; url = "u"; narHash = "n"; dir = "sub";`, `{"narHash":"n","type":"tarball","url":"u"}`},
		{"a count of commits and all refs are never asked for", `type = "git"; url = "u"; revCount = 9; allRefs = true; ` + rev, `{"REV","shallow":false,"type":"git","url":"u"}`},
	} {
		t.Run(test.reason, func(t *testing.T) {
			underEachNix(t, func(w *world) {
				w.library = `let builtins = real // { fetchTree = attrs: throw "asked for ${real.toJSON attrs}"; }; in ` + w.library
				w.library = "let real = builtins; in " + w.library
				got := w.evalError(`(callFlake { subject = "environment 'shop-main'"; source = { ` + test.source + ` }; }).x`)
				contains(t, got, "asked for "+strings.ReplaceAll(test.want, `"REV"`, `"rev":"0123456789012345678901234567890123456789"`))
			})
		})
	}
}

func TestErrors(t *testing.T) {
	const mend = "run `nix flake lock` in the customer's repository"
	lock := func(rootInputs, nodes string) string {
		return `{"version":7,"root":"root","nodes":{"root":{"inputs":{` + rootInputs + `}}` + nodes + `}}`
	}
	flake := func(inputs, args string) string {
		return "{ inputs = {" + inputs + "}; outputs = { self, " + args + " }: { v = [ " + strings.ReplaceAll(args, ",", "") + " ]; }; }"
	}
	for _, test := range []struct {
		name, flake, lock string
		overrides         string
		want              []string
	}{
		{
			name:  "no lock",
			flake: flake(`a.url = "a"; nixpkgs.url = "n";`, "a, nixpkgs, implied"), overrides: "{ nixpkgs = 1; }",
			want: []string{"no input 'a', input 'implied'", "the provider does not replace them", mend},
		}, {
			name:  "a lock that is behind flake.nix",
			flake: flake(`a.url = "a"; b.url = "b";`, "a, b"), lock: lock(`"a":"a"`, `,"a":`+nowhere),
			want: []string{"flake.lock has no input 'b'", mend},
		}, {
			name:  "a format of the future",
			flake: flake(`a.url = "a";`, "a"), lock: `{"version":8,"root":"root","nodes":{"root":{}}}`,
			want: []string{"format 8", "5 to 7", mend},
		}, {
			name:  "a format of the past",
			flake: flake(`a.url = "a";`, "a"), lock: `{"version":4,"inputs":{}}`,
			want: []string{"format 4", mend},
		}, {
			name:  "no format",
			flake: flake(`a.url = "a";`, "a"), lock: `{}`,
			want: []string{"format null", mend},
		}, {
			name:  "a circle of follows",
			flake: flake(`a.follows = "b"; b.follows = "c"; c.follows = "a";`, "a, b, c"), lock: lock(`"a":["b"],"b":["c"],"c":["a"]`, ""),
			want: []string{"follows itself", "'b', 'c', 'a'", mend},
		}, {
			name:  "an input that follows its own",
			flake: flake(`a.follows = "a/b";`, "a"), lock: lock(`"a":["a","b"]`, ""),
			want: []string{"input 'a' follows itself", mend},
		}, {
			name:  "follows that lead nowhere",
			flake: flake(`a.follows = "b/x"; b.url = "b";`, "a, b"), lock: lock(`"a":["b","x"],"b":"b"`, `,"b":`+nowhere),
			want: []string{"input 'b/x' is followed, but input 'b' has no such input", mend},
		}, {
			name:  "follows that lead to what the replacement lacks",
			flake: flake(`a.follows = "hostenv/nixpkgs"; hostenv.url = "h";`, "a, hostenv"), overrides: "{ hostenv = { }; }",
			want: []string{"input 'a' follows 'hostenv/nixpkgs'", "the provider's 'hostenv' has no such input", mend},
		}, {
			name:  "a label without a node",
			flake: flake(`a.url = "a";`, "a"), lock: lock(`"a":"lost"`, ""),
			want: []string{"no node 'lost'", mend},
		}, {
			name:  "an input that is not locked",
			flake: flake(`a.url = "a";`, "a"), lock: lock(`"a":"a"`, `,"a":{}`),
			want: []string{"input 'a' is not locked", mend},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			underEachNix(t, func(w *world) {
				files := map[string]string{"flake.nix": test.flake}
				if test.lock != "" {
					files["flake.lock"] = test.lock
				}
				w.repo("bad", files)
				if test.overrides == "" {
					test.overrides = "{ }"
				}
				got := w.evalError(w.call("bad", "", test.overrides) + ".v")
				contains(w, got, append(test.want, "environment 'shop-main': ")...)
			})
		})
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.repo("empty", map[string]string{"README": "", "broken/flake.nix": "{ outputs = { self, a }: { v = a; }; }", "broken/flake.lock": "<<<<<<< HEAD"})
		contains(w, w.evalError(w.call("empty", "", "{ }")), "environment 'shop-main': there is no flake.nix in its source")
		contains(w, w.evalError(w.call("empty", "sub", "{ }")), "environment 'shop-main': there is no flake.nix in its source/sub")
		contains(w, w.evalError(`(callFlake { subject = "environment 'shop-main'"; source = { type = "git"; url = "file:///x"; ref = "main"; }; })`),
			"environment 'shop-main': its source is not locked", "mage plan")

		// Nix's own message does not name the environment, but the trace does.
		stdout, stderr, err := w.run(w.dir, w.nix, "eval", "--show-trace", "--json", "--expr", w.library+w.call("empty", "broken", "{ }")+".v")
		if err == nil {
			w.Fatalf("no error, but %s", stdout)
		}
		contains(w, stderr, "flake.lock of environment 'shop-main'")
	})
}

func TestValueIsAFlake(t *testing.T) {
	underEachNix(t, func(w *world) {
		w.repo("shop", map[string]string{"flake.nix": `{ outputs = { self }: { rev = self.rev; }; }`})
		got := w.eval("with " + w.call("shop", "", "{ }") + "; [ _type rev outputs inputs (outPath == sourceInfo.outPath) ]")
		rev := w.git("shop", "rev-parse", "HEAD")
		equal(w, "value", squeeze(got), fmt.Sprintf(`["flake",%q,{"rev":%q},{},true]`, rev, rev))
	})
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	// Some versions break errors into lines. None colours them here.
	flat := strings.Join(strings.Fields(text), " ")
	for _, part := range parts {
		if !strings.Contains(flat, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
