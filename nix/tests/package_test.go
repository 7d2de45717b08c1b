package nix_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// packaged is the argument of buildGoModule in nix/package.nix, evaluated with only
// the part of nixpkgs' lib that it uses.
const packaged = `
let
	lib = rec {
		hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
		removePrefix = prefix: text: if hasPrefix prefix text then builtins.substring (builtins.stringLength prefix) (-1) text else text;
		hasSuffix = suffix: text:
			let n = builtins.stringLength text - builtins.stringLength suffix; in
			n >= 0 && builtins.substring n (-1) text == suffix;
		inherit (builtins) any elem;
		licenses.mit = "MIT";
	};
in
import ../package.nix { inherit lib; version = "1.2.3-test"; buildGoModule = arguments: arguments // { src = "${arguments.src}"; }; }
`

// TestPackage builds the package like nixpkgs' buildGoModule, with the machine's Go
// in a copy of the source, and checks that vendorHash is current.
func TestPackage(t *testing.T) {
	n := first(t)
	var p struct {
		Src, VendorHash                             string
		BuildPhase, InstallPhase, InstallCheckPhase string
		Meta                                        struct{ MainProgram string }
	}
	if err := json.Unmarshal(n.run(t, "eval", "--impure", "--json", "--expr", packaged), &p); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "source")
	copySource(t, filepath.Join(n.dir, "nix-root", p.Src), source)

	t.Run("vendorHash", func(t *testing.T) {
		goIn(t, source, "mod", "vendor")
		vendorHash := strings.TrimSpace(string(n.run(t, "hash", "path", filepath.Join(source, "vendor"))))
		if p.VendorHash == vendorHash {
			return
		}
		if !*update {
			t.Fatalf("nix/package.nix has the vendorHash %q, and it is %q; run\n\tgo test ./nix/tests -run=TestPackage -update", p.VendorHash, vendorHash)
		}
		text, err := os.ReadFile("../package.nix")
		if err != nil {
			t.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^(  vendorHash = ").*(";)$`)
		if got := len(line.FindAll(text, -1)); got != 1 {
			t.Fatalf("nix/package.nix has %d lines of vendorHash, not one", got)
		}
		text = line.ReplaceAll(text, []byte("${1}"+vendorHash+"${2}"))
		if err := os.WriteFile("../package.nix", text, 0o666); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("build", func(t *testing.T) {
		if testing.Short() {
			t.Skip("left out by -short: it builds the program with other flags than the tests")
		}
		out := filepath.Join(t.TempDir(), "out")
		script := "set -euo pipefail\nrunHook() { :; }\n" + p.BuildPhase + p.InstallPhase + p.InstallCheckPhase
		cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), "-c", script)
		cmd.Dir = source
		// buildGoModule sets these: Go cannot fetch, and has no home folder.
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=/proc/homeless-shelter", "out=" + out, "TMPDIR=" + t.TempDir(),
			"GOFLAGS=-mod=vendor -trimpath", "GOPROXY=off", "GOSUMDB=off", "GO111MODULE=on", "GOTOOLCHAIN=local",
			"GOCACHE=" + strings.TrimSpace(goIn(t, source, "env", "GOCACHE")), "GOPATH=" + t.TempDir(),
		}
		if output, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(output, []byte("hostenv-provider 1.2.3-test go")) {
			t.Fatalf("%v\n%s", err, output)
		}
		program := filepath.Join(out, "bin", p.Meta.MainProgram)
		mustBeStatic(t, program)
		data, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{strings.TrimSpace(goIn(t, source, "env", "GOROOT")), source} {
			if bytes.Contains(data, []byte(path)) {
				t.Errorf("the program names %s, and so would keep it installed", path)
			}
		}
		t.Run("apps", func(t *testing.T) { testApps(t, n, out) })
	})
}

// testApps runs an app as `nix run .#plan -- ARGS` does.
func testApps(t *testing.T, n nix, out string) {
	apps := n.run(t, "eval", "--impure", "--json", "--expr", `builtins.mapAttrs (_: app: app.program) (import ../apps.nix {
		pkgs.writeShellScript = _: text: text;
		package = { outPath = "`+out+`"; meta.description = ""; };
	})`)
	var texts map[string]string
	if err := json.Unmarshal(apps, &texts); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(app string, args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), testenv.Need(t, "bash"), append([]string{"-c", texts[app], "app"}, args...)...)
		cmd.Dir = dir
		output, _ := cmd.CombinedOutput()
		return string(output), cmd.ProcessState.ExitCode()
	}
	if output, status := run("plan", "--dry-run", "--out", "a b"); status != 1 || !strings.Contains(output, "a b/state.json") {
		t.Errorf("plan ended with %d: %s", status, output)
	}
	if output, status := run("plan", "--bogus"); status != 2 {
		t.Errorf("plan ended with %d: %s", status, output)
	}
	cmd := exec.CommandContext(t.Context(), texts["default"], "--help")
	if output, err := cmd.CombinedOutput(); err != nil || !bytes.HasPrefix(output, []byte("usage: hostenv-provider ")) {
		t.Errorf("default: %v: %s", err, output)
	}
}

// TestAppsAreAFlakes checks that `nix flake check` accepts the apps and the shell.
func TestAppsAreAFlakes(t *testing.T) {
	each(t, func(t *testing.T, n nix) {
		dir := t.TempDir()
		for _, name := range []string{"apps.nix", "dev-shell.nix"} {
			text, err := os.ReadFile(filepath.Join("..", name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), string(text), 0o666)
		}
		write(t, filepath.Join(dir, "flake.nix"), `{
			outputs = _:
				let
					system = "x86_64-linux";
					make = name: derivation { inherit name system; builder = "/bin/sh"; };
					pkgs = {
						writeShellScript = name: _: make name;
						mkShell = shell: make shell.name // { inherit shell; };
						stdenv.hostPlatform = { inherit system; };
						go = 1; mage = 1; nix = 1; git = 1; deploy-rs = 1; openssh = 1; sops = 1; age = 1; dig = 1;
					};
					package = make "hostenv-provider" // { meta.description = "Plans"; };
				in
				{
					packages.${system} = { hostenv-provider = package; default = package; };
					apps.${system} = import ./apps.nix { inherit pkgs package; };
					devShells.${system}.default = import ./dev-shell.nix { inherit pkgs package; };
				};
		}`, 0o666)
		_, log, err := n.try(t, "flake", "check", "--no-build", "path:"+dir)
		if err != nil || strings.Contains(log, "warning: app") || strings.Contains(log, "unknown") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

// mustBeStatic fails if a program needs a loader or libraries.
func mustBeStatic(t *testing.T, program string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: it has a segment %v", program, segment.Type)
		}
	}
}

// copySource makes a writable copy of a folder of a store.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") || relative == "magefiles/magefile.go" {
			t.Errorf("%s is no part of the program", relative)
		}
		files++
		write(t, filepath.Join(to, relative), string(text), 0o666)
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files: %v", files, err)
	}
}

// goIn runs the machine's Go in a folder.
func goIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}
