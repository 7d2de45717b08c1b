package deployrs_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/deployrs"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const hash = "0123456789abcdfghijklmnpqrsvwxyz"

func example() (deploy.Node, deploy.Profile) {
	return deploy.Node{Name: "n1", User: "deploy", AutoRollback: true, MagicRollback: true},
		deploy.Profile{Node: "n1", Name: "site-main-b7ea262", User: "site-main-b7ea262", Link: "/nix/var/nix/profiles/per-user/x/hostenv", Temp: "/run/hostenv/deploy/x", Path: "/nix/store/" + hash + "-x"}
}

func TestRefusesHostileNames(t *testing.T) {
	if err := deployrs.Check(example()); err != nil {
		t.Fatal(err)
	}
	hostile := []string{"", "a b", "a\nb", "a'b", `a"b`, "$(id)", "`id`", "a;id", "${x}", "-oProxyCommand=id", "a\\", "../a", "a\x00", "é"}
	fields := map[string]func(*deploy.Node, *deploy.Profile) *string{
		"node":         func(n *deploy.Node, _ *deploy.Profile) *string { return &n.Name },
		"deploy user":  func(n *deploy.Node, _ *deploy.Profile) *string { return &n.User },
		"profile":      func(_ *deploy.Node, p *deploy.Profile) *string { return &p.Name },
		"profile user": func(_ *deploy.Node, p *deploy.Profile) *string { return &p.User },
		"link":         func(_ *deploy.Node, p *deploy.Profile) *string { return &p.Link },
		"temp":         func(_ *deploy.Node, p *deploy.Profile) *string { return &p.Temp },
		"path":         func(_ *deploy.Node, p *deploy.Profile) *string { return &p.Path },
	}
	dir := t.TempDir()
	a := deployrs.New(deployrs.Options{Dir: dir, Program: "/bin/false"})
	for name, field := range fields {
		for _, value := range append(hostile, "/a/../b", "/a b", "/nix/store/x") {
			if strings.HasPrefix(value, "/") && !strings.Contains("link temp path", name) || value == "/nix/store/x" && name != "path" {
				continue
			}
			n, p := example()
			*field(&n, &p) = value
			if err := a.Activate(t.Context(), n, p, deploy.ActivateOptions{Status: filepath.Join(dir, "status")}, os.Stderr); err == nil || !strings.Contains(err.Error(), "which deploy-rs would misread") || problem.Hint(err) == "" {
				t.Errorf("%s %q: %v", name, value, err)
			}
		}
	}
	if made, _ := os.ReadDir(dir); len(made) != 0 {
		t.Errorf("something was made: %v", made)
	}
}

func onlyHere(t *testing.T) {
	t.Helper()
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		t.Skip("skipped: this machine is not x86_64-linux")
	}
}

// derivation returns a derivation whose output has never been built. A program is
// tried only with such a derivation.
func derivation(t *testing.T, nix string) (deploy.Node, deploy.Profile) {
	t.Helper()
	dir := testenv.NixDir(t)
	for _, kv := range testenv.NixEnv(dir) {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "nix"), []byte("#!/bin/sh\nexec "+nix+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	cmd := exec.CommandContext(t.Context(), "nix", "eval", "--impure", "--raw", "--expr", `let d = derivation { name = "profile"; system = builtins.currentSystem; builder = "/bin/sh"; }; in builtins.seq d.drvPath (builtins.unsafeDiscardStringContext d.outPath)`)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	n, p := example()
	p.Path = string(out)
	return n, p
}

// deploy-rs sees the user's settings of Nix, but no secrets.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "deploy")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nenv | grep -v ^PATH=\nprintf '[%s]' \"$@\"\npwd\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CF_API_TOKEN", "HOSTENV_SIGNING_KEY_FILE", "LOCAL_KEY", "SOPS_AGE_KEY", "AWS_SECRET_ACCESS_KEY", "NIX_SSHOPTS"} {
		t.Setenv(name, "hush")
	}
	t.Setenv("NIX_CONFIG", "cores = 3\n")
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	t.Setenv("PROXY_VIA", "there")
	n, p := example()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a := deployrs.New(deployrs.Options{Dir: dir, SSHConfig: "/dev/null", Program: program, Env: []string{"PROXY_VIA"}})
	how := deploy.ActivateOptions{Status: filepath.Join(dir, "status")}
	if err := a.Activate(t.Context(), n, p, how, log); err != nil {
		t.Fatal(err)
	}
	output, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"cores = 3\nextra-experimental-features = nix-command flakes\n", "SSH_AUTH_SOCK=/run/agent", "RUST_LOG=info", "PROXY_VIA=there",
		`[--skip-checks][--checksigs][--rollback-succeeded][false][path:./flake#"n1"."site-main-b7ea262"]`,
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("want %q in\n%s", want, output)
		}
	}
	if strings.Contains(string(output), "hush") {
		t.Errorf("a secret is passed on:\n%s", output)
	}
	if err := a.Activate(t.Context(), n, p, how, log); err == nil || !strings.Contains(err.Error(), "is the exit status of another activation") {
		t.Errorf("a status that is there is taken for one's own: %v", err)
	}
}

// The program is the one next to the profile's own activate-rs. An option that names
// another one is an error.
func TestFindsTheProgram(t *testing.T) {
	n, p := example()
	n.Platform = "x86_64-linux"
	onlyHere(t)
	store := t.TempDir()
	pkg := func(hash string) string {
		dir := filepath.Join(store, hash+"-deploy-rs-0.1.0")
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bin", "deploy"), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	own, other := pkg(strings.Repeat("a", 32)), pkg(strings.Repeat("b", 32))
	p.Path = filepath.Join(store, hash+"-x")
	if err := os.Mkdir(p.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.Path, "activate-rs"), "#!/nix/store/x-bash/bin/sh\nexec "+own+"/bin/activate \"$@\"\n")

	options := deployrs.Options{Dir: t.TempDir(), SSHConfig: "/dev/null"}
	if program, err := deployrs.New(options).Program(t.Context(), n, p); err != nil || program != own+"/bin/deploy" {
		t.Errorf("%s, %v", program, err)
	}
	options.Program = own + "/bin/deploy"
	if program, err := deployrs.New(options).Program(t.Context(), n, p); err != nil || program != own+"/bin/deploy" {
		t.Errorf("%s, %v", program, err)
	}
	options.Program = other + "/bin/deploy"
	if program, err := deployrs.New(options).Program(t.Context(), n, p); err == nil || !strings.Contains(problem.Hint(err), own) {
		t.Errorf("%s, %v", program, err)
	}
	// A program for another platform cannot run here, and is not compared.
	n.Platform = "aarch64-linux"
	if program, err := deployrs.New(options).Program(t.Context(), n, p); err != nil || program != other+"/bin/deploy" {
		t.Errorf("%s, %v", program, err)
	}
	options.Program = ""
	if program, err := deployrs.New(options).Program(t.Context(), n, p); err == nil || !strings.Contains(problem.Hint(err), "-deployRs=") {
		t.Errorf("%s, %v", program, err)
	}
}

// If the profile has no program, it is the one of the provider's flake input, also if
// that input follows another.
func TestBuildsTheInput(t *testing.T) {
	onlyHere(t)
	testenv.Need(t, "namespaces") // for a /nix to write to
	for _, nix := range testenv.NixBinaries(t) {
		t.Run(strings.ReplaceAll(strings.Trim(nix, "/"), "/", "-"), func(t *testing.T) {
			n, p := derivation(t, nix)
			t.Setenv("NIX_REMOTE", "local")
			dir := t.TempDir()
			for name, text := range map[string]string{
				"deploy-rs/flake.nix": `{ outputs = _: { packages.x86_64-linux.deploy-rs = derivation {
					name = "deploy-rs"; system = "x86_64-linux"; builder = "/bin/sh";
					args = [ "-c" "PATH=/usr/bin:/bin; mkdir -p $out/bin; printf '#!/bin/sh\\n' >$out/bin/deploy; chmod +x $out/bin/deploy" ];
				}; }; }`,
				"provider/flake.nix": `{ inputs.deploy-rs.url = "path:` + dir + `/deploy-rs"; outputs = _: { }; }`,
			} {
				if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, name), text)
			}
			if out, err := exec.CommandContext(t.Context(), "nix", "flake", "lock", "path:"+dir+"/provider").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			program, err := deployrs.New(deployrs.Options{Dir: dir, SSHConfig: "/dev/null", Nix: &hostnix.Runner{Dir: dir + "/provider"}}).Program(t.Context(), n, p)
			if err != nil || !strings.HasSuffix(program, "-deploy-rs/bin/deploy") {
				t.Errorf("%s, %v", program, err)
			}
			if program, err := deployrs.New(deployrs.Options{Dir: dir, SSHConfig: "/dev/null", Nix: &hostnix.Runner{Dir: dir + "/deploy-rs"}}).Program(t.Context(), n, p); err == nil || !strings.Contains(problem.Hint(err), "-deployRs=") {
				t.Errorf("%s, %v", program, err)
			} else {
				t.Log(err)
			}
		})
	}
}

// The shims can be executed while other programs are started. A new process inherits
// our open files for a moment, and a file that is open for writing cannot be executed.
func TestShimsAreNotBusy(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "deploy")
	n, p := example()
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec nix build "+p.Path+".drv\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := slices.Repeat([]string{strings.Repeat("x", 100_000)}, 15) // makes exec slow
	var others sync.WaitGroup
	done := make(chan struct{})
	defer others.Wait()
	defer close(done)
	for range 8 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = exec.Command("true", long...).Run()
				}
			}
		})
	}
	a := deployrs.New(deployrs.Options{Dir: dir, SSHConfig: "/dev/null", Program: program})
	for i := range 60 {
		how := deploy.ActivateOptions{Status: filepath.Join(dir, fmt.Sprint(i))}
		if err := a.Activate(t.Context(), n, p, how, io.Discard); err != nil { // as Nix, which has no such path
			t.Fatal(err)
		}
	}
}
