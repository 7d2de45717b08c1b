package closure_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/closure"
	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// programs are what this program is by other names.
var programs = map[string]func(){}

func TestMain(m *testing.M) {
	if program := programs[os.Args[0]]; program != nil {
		program()
		os.Exit(0)
	}
	if len(os.Args) == 5 && os.Args[1] == "-proxy" {
		proxy(os.Args[2], os.Args[3], os.Args[4])
	}
	fleet.Main(m)
}

// proxy connects its stdin and stdout to an address, as a ProxyCommand of ssh. If
// the file cuts exists, proxy removes its first line and ends after that many bytes.
func proxy(host, port, cuts string) {
	conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		io.Copy(os.Stdout, conn)
		os.Exit(0)
	}()
	if data, err := os.ReadFile(cuts); err == nil && len(data) > 0 {
		first, rest, _ := strings.Cut(string(data), "\n")
		os.WriteFile(cuts, []byte(rest), 0o600)
		bytes, _ := strconv.ParseInt(first, 10, 64)
		io.CopyN(conn, os.Stdin, bytes)
		os.Exit(0)
	}
	io.Copy(conn, os.Stdin)
	conn.(*net.TCPConn).CloseWrite()
	testenv.UntilKilled()
}

// A lab is a store on this machine, and a node on loopback with its own store.
type lab struct {
	t      *testing.T
	dir    string
	nix    string // a link to binary
	binary string
	store  *closure.Store
	node   deploy.Node
	cuts   string // see proxy
	conf   string // the node's nix.conf
}

// each runs a test in a lab of each Nix at hand, which the node runs too.
func each(t *testing.T, flake string, test func(t *testing.T, l *lab), wrap ...string) {
	sshd := testenv.Need(t, "sshd")
	for _, binary := range testenv.NixBinaries(t) {
		t.Run(versionOf(t, binary), func(t *testing.T) {
			l := newLab(t, binary, flake)
			l.serve(sshd, wrap...)
			test(t, l)
		})
	}
}

func versionOf(t *testing.T, binary string) string {
	t.Helper()
	out, err := exec.Command(binary, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", binary, err)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1]
}

func newLab(t *testing.T, binary, flake string) *lab {
	t.Helper()
	dir := testenv.NixDir(t)
	l := &lab{t: t, dir: dir, nix: filepath.Join(dir, "bin", "nix"), cuts: filepath.Join(dir, "cuts"), conf: filepath.Join(dir, "node.conf", "nix.conf")}
	for _, folder := range []string{"bin", "flake", "node", "node.conf"} {
		l.check(os.MkdirAll(filepath.Join(dir, folder), 0o700))
	}
	binary, err := exec.LookPath(binary)
	l.check(err)
	binary, err = filepath.EvalSymlinks(binary)
	l.check(err)
	l.binary = binary
	for _, name := range []string{"nix", "nix-store", "nix-daemon"} {
		l.check(os.Symlink(binary, filepath.Join(dir, "bin", name)))
	}
	l.write("flake/flake.nix", flake)
	// A node that builds uses this machine's shell.
	l.write("node.conf/nix.conf", "experimental-features = nix-command flakes\nsubstituters =\nbuild-users-group =\nsandbox = false\nsandbox-paths = /bin /lib /lib64 /usr\n")
	env := append(testenv.NixEnv(dir), "NIX_REMOTE=local", "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	l.store = &closure.Store{
		Nix:       &hostnix.Runner{Dir: filepath.Join(dir, "flake"), Nix: l.nix, Env: append(env, l.places()...)},
		SSHConfig: filepath.Join(dir, "ssh_config"),
		Roots:     filepath.Join(dir, "roots"),
		KeyFile:   filepath.Join(dir, "secret.key"),
	}
	l.node = deploy.Node{Name: "n1"}
	return l
}

// places returns variables for the stores' folders, the same on both machines.
func (l *lab) places() []string {
	return []string{"NIX_STORE_DIR=" + l.dir + "/store", "NIX_STATE_DIR=" + l.dir + "/var", "NIX_LOG_DIR=" + l.dir + "/log"}
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	l.check(os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600))
}

// serve starts the node's sshd, through the command wrap if given.
func (l *lab) serve(sshd string, wrap ...string) {
	l.t.Helper()
	if os.Geteuid() == 0 {
		l.check(os.MkdirAll("/run/sshd", 0o755))
	}
	for _, key := range []string{"host", "client"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(l.dir, key)).CombinedOutput()
		if err != nil {
			l.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	l.check(err)
	port := free.Addr().(*net.TCPAddr).Port
	l.check(free.Close())
	me, err := user.Current()
	l.check(err)
	l.write("sshd_config", fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %s/host
PidFile none
AuthorizedKeysFile %[2]s/client.pub
StrictModes no
UsePAM no
SetEnv PATH=%[2]s/bin:/usr/bin:/bin NIX_REMOTE=local?root=%[2]s/node NIX_CONF_DIR=%[2]s/node.conf HOME=%[2]s/home %s
`, port, l.dir, strings.Join(l.places(), " ")))
	self, err := os.Executable()
	l.check(err)
	l.write("ssh_config", fmt.Sprintf(`Host n1
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s/client
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  ProxyCommand %s -proxy %%h %%p %s
Host gone
  HostName 127.0.0.1
  Port 1
`, port, me.Username, l.dir, self, l.cuts))
	command := append(slices.Clone(wrap), sshd, "-D", "-e", "-f", filepath.Join(l.dir, "sshd_config"))
	cmd := exec.Command(command[0], command[1:]...)
	stderr, err := cmd.StderrPipe()
	l.check(err)
	cmd.Env = append(os.Environ(), "ROOT="+filepath.Join(l.dir, "node"))
	l.check(cmd.Start())
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Server listening") {
			go io.Copy(io.Discard, stderr)
			return
		}
	}
	l.t.Fatalf("sshd does not listen")
}

// run runs a program of Nix on this machine, and there a command on the node.
func (l *lab) run(program string, args ...string) string {
	l.t.Helper()
	out, err := l.store.Nix.Run(l.t.Context(), hostnix.Command{Program: program, Args: args})
	if err != nil {
		l.t.Fatalf("%s %v: %v", program, args, err)
	}
	return strings.TrimSpace(string(out))
}

func (l *lab) there(command ...string) (string, error) {
	out, err := exec.Command("ssh", append([]string{"-F", l.store.SSHConfig, "n1"}, command...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// has reports whether the node has a path.
func (l *lab) has(path string) bool {
	_, err := l.there("nix-store", "--check-validity", path)
	return err == nil
}

// trust makes a key and lets the node trust it.
func (l *lab) trust() {
	l.t.Helper()
	l.run("nix-store", "--generate-binary-cache-key", "test-1", l.store.KeyFile, filepath.Join(l.dir, "public.key"))
	public, err := os.ReadFile(filepath.Join(l.dir, "public.key"))
	l.check(err)
	conf, err := os.ReadFile(l.conf)
	l.check(err)
	l.check(os.WriteFile(l.conf, []byte(string(conf)+"trusted-public-keys = "+string(public)+"\n"), 0o600))
}

// evaluated returns the node with the named profiles of its flake.
func (l *lab) evaluated(names ...string) deploy.Node {
	l.t.Helper()
	n := l.node
	for _, name := range names {
		n.Profiles = append(n.Profiles, deploy.Profile{Node: n.Name, Name: name})
	}
	found, err := l.store.Evaluate(l.t.Context(), []deploy.Node{n}, closure.Plan{})
	l.check(err)
	for i := range n.Profiles {
		p := &n.Profiles[i]
		spec, ok := found[n.Name].Profiles[p.Name]
		if !ok {
			l.t.Fatalf("%s: %v", p.Key(), found[n.Name].Failed[p.Name])
		}
		p.Path, p.Derivation = spec.Path, spec.Derivation
	}
	return n
}

// built returns the node with the named profiles, all built.
func (l *lab) built(names ...string) deploy.Node {
	l.t.Helper()
	n := l.evaluated(names...)
	failed, err := l.build(n, io.Discard)
	if err != nil || len(failed) > 0 {
		l.t.Fatalf("build: %v %v", failed, err)
	}
	return n
}

// build builds the profiles of a node, and returns why some are not built. Every profile
// must be reported once.
func (l *lab) build(n deploy.Node, log io.Writer) (failed map[string]error, err error) {
	l.t.Helper()
	failed = map[string]error{}
	reported := map[string]bool{}
	err = l.store.Build(l.t.Context(), on(n), n.Profiles, log, func(known map[string]error) {
		for key, cause := range known {
			if reported[key] {
				l.t.Errorf("%s is reported twice", key)
			}
			reported[key] = true
			if cause != nil {
				failed[key] = cause
			}
		}
	})
	if len(reported) != len(n.Profiles) && err == nil {
		l.t.Errorf("%d of %d profiles are reported", len(reported), len(n.Profiles))
	}
	return failed, err
}

// flake returns a flake whose node n1 has the given profiles. Their text can call
// `sh name script`, which makes a derivation.
func flake(profiles string) string {
	return `{
  outputs = _: let
    system = "x86_64-linux";
    sh = name: script: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/usr/bin:/bin"; };
    profile = user: path: { inherit user path; sshUser = "deploy"; profilePath = "/p/${user}"; tempPath = "/t/${user}"; };
    library = sh "library-1.0" "echo 0123456789 > $out";
  in { deploy.nodes.n1 = { hostname = "n1.example"; profiles = {` + profiles + `}; }; };
}
`
}
