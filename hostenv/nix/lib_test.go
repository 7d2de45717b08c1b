package nix_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A nix is one Nix with its own store.
type nix struct {
	binary string
	env    []string
}

// each runs a test under every installed Nix.
func each(t *testing.T, test func(t *testing.T, n nix)) {
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(version(t, binary), func(t *testing.T) {
			t.Parallel()
			test(t, nix{binary: binary, env: testenv.NixEnv(testenv.NixDir(t))})
		})
	}
}

func version(t *testing.T, binary string) string {
	t.Helper()
	out, err := exec.Command(binary, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", binary, err)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1]
}

// run returns the standard output and the standard error of nix.
func (n nix) run(t *testing.T, dir string, args ...string) (stdout []byte, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.binary, args...)
	cmd.Env = n.env
	cmd.Dir = dir
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.Bytes(), log.String(), err
}

// casesOf reads a file of cases without evaluating what must fail.
const casesOf = `builtins.mapAttrs (_: case:
  let list = value: if builtins.isList value then value else [ value ]; in
  if case ? error
  then { error = list case.error; errorNot = list (case.errorNot or [ ]); }
  else { inherit (case) expected; got = case.expr; })`

type testCase struct {
	Got, Expected   any
	Error, ErrorNot []string
}

// TestLibrary runs the cases of nix/tests under every Nix at hand. A file of
// cases is a set, by name, of
//
//	{ expr; expected; }        expr must be expected
//	{ expr; error; errorNot; } expr must fail; error is a regular expression (or
//	                           a list of them) that the message must match,
//	                           errorNot one that it must not
func TestLibrary(t *testing.T) {
	files, err := filepath.Glob("../../nix/tests/*.nix")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of cases: %v", err)
	}
	each(t, func(t *testing.T, n nix) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".nix"), func(t *testing.T) { runCases(t, n, file) })
		}
	})
}

func runCases(t *testing.T, n nix, file string) {
	out, log, err := n.run(t, ".", "eval", "--json", "--show-trace", "--file", file, "--apply", casesOf)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var cases map[string]testCase
	if err := json.Unmarshal(out, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("the file has no cases")
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.Error == nil {
				if diff := cmp.Diff(c.Expected, c.Got); diff != "" {
					t.Errorf("differs (-expected +got):\n%s", diff)
				}
				return
			}
			out, log, err := n.run(t, ".", "eval", "--show-trace", "--file", file,
				"--apply", fmt.Sprintf("cases: builtins.toJSON cases.%q.expr", name))
			if err == nil {
				t.Fatalf("no error, but %s", out)
			}
			mustMatch(t, log, c.Error...)
			for _, pattern := range c.ErrorNot {
				if regexp.MustCompile(pattern).MatchString(log) {
					t.Errorf("the message must not hold %q:\n%s", pattern, log)
				}
			}
		})
	}
}

// mustMatch compares a log of nix with regular expressions, in which . also stands
// for line ends.
func mustMatch(t *testing.T, log string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?s)" + pattern).MatchString(log) {
			t.Errorf("no match of %q in:\n%s", pattern, log)
		}
	}
}

// platform returns this machine's platform, as Nix names it.
func platform(t *testing.T) string {
	t.Helper()
	architectures := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	architecture, ok := architectures[runtime.GOARCH]
	if !ok || runtime.GOOS != "linux" {
		t.Skipf("this test has no packages for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	return architecture + "-linux"
}

// building returns the Nix with a store in which it can build: the root of the store
// of [testenv.NixEnv] has no /bin/sh.
func (n nix) building(t *testing.T, dir string) *hostnix.Runner {
	t.Helper()
	store := testenv.NixDir(t)
	n.env = append(slices.Clone(n.env), "NIX_REMOTE=local", "NIX_STORE_DIR="+store+"/store", "NIX_STATE_DIR="+store+"/var", "NIX_LOG_DIR="+store+"/log")
	// Two processes that make the same store at once may find its database busy.
	if _, log, err := n.run(t, dir, "path-info", "--all"); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return n.runner(dir)
}

// errorsOf returns the errors of a type that err holds.
func errorsOf[E error](err error) (all []E) {
	for _, leaf := range problem.Leaves(err) {
		var e E
		if errors.As(leaf, &e) {
			all = append(all, e)
		}
	}
	return all
}

// hints returns the hints of all errors that err holds.
func hints(err error) string {
	var all []string
	for _, leaf := range problem.Leaves(err) {
		all = append(all, problem.Hint(leaf))
	}
	return strings.Join(all, "\n")
}
