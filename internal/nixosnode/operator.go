package nixosnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An Operator is the operator's machine: Debian, with Nix, git, ssh, the provider's
// targets, deploy-rs and sops. Its changes do not affect the real machine.
type Operator struct {
	Root string // where this process finds its files

	// PublicKey may log in to the nodes, as one of provider.deployPublicKeys. They
	// trust what SigningKey signs, the key of provider.nixSigning.
	PublicKey, SigningKey string

	lab *Lab
	dir string
}

// Paths on the operator's machine.
const (
	providerDir    = "/srv/provider"
	signingKeyFile = "/root/signing.secret"
	sshKeyFile     = "/root/.ssh/id_ed25519"
)

func newOperator(l *Lab) (*Operator, error) {
	o := &Operator{lab: l, dir: filepath.Join(l.dir, "operator")}
	o.Root = filepath.Join(o.dir, "root")
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	if err := errors.Join(
		overlay(filepath.Join(l.made.tree, "root"), o.dir, "tree", o.Root),
		overlay(l.base.nix, o.dir, "nix", o.Path("/nix")),
		overlay(l.base.srv, o.dir, "srv", o.Path("/srv")),
		mount("proc", o.Path("/proc"), "proc", ""),
		bind("/dev", o.Path("/dev")),
		mount("tmpfs", o.Path("/tmp"), "tmpfs", "mode=1777"),
	); err != nil {
		return nil, errors.Join(err, o.close())
	}
	if err := o.furnish(); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// ownStore mounts a folder as the operator's /nix. The folder stays after the run.
func (o *Operator) ownStore(dir string) error {
	return errors.Join(unmount(o.Path("/nix")), bind(dir, o.Path("/nix")))
}

func (o *Operator) furnish() error {
	files := map[string]string{
		"/etc/hosts":        "127.0.0.1 localhost\n",
		"/etc/resolv.conf":  "nameserver " + o.lab.gateway() + "\n",
		"/etc/nix/nix.conf": "experimental-features = nix-command flakes\nsandbox = false\nsubstituters =\nflake-registry =\nbuild-users-group =\nmax-jobs = 2\ncores = 1\nwarn-dirty = false\n",
		"/root/.gitconfig":  "[user]\n\tname = Operator\n\temail = ops@" + Domain + "\n[init]\n\tdefaultBranch = main\n",
		// Deploys check host keys by the plan. Other ssh accepts a key it does not know.
		"/root/.ssh/config": "Host *\n\tConnectTimeout 10\n\tBatchMode yes\n\tLogLevel ERROR\n\tStrictHostKeyChecking accept-new\n",
	}
	for name, text := range files {
		if err := o.write(name, text); err != nil {
			return err
		}
	}
	for _, name := range operatorPrograms {
		to := o.Path("/usr/local/bin/" + name)
		if err := copyFile(filepath.Join(o.lab.made.programs, name), to); err != nil {
			return err
		}
	}
	// The documentation uses this name.
	if err := os.Symlink("hostenv-provider", o.Path("/usr/local/bin/mage")); err != nil {
		return err
	}
	if err := os.Chmod(o.Path("/root/.ssh"), 0o700); err != nil {
		return err
	}
	for from, to := range map[string]string{sshKey: sshKeyFile, sshKey + ".pub": sshKeyFile + ".pub", signingSecret: signingKeyFile, signingPublic: "/root/signing.public"} {
		if err := copyFile(filepath.Join(o.lab.base.keys, from), o.Path(to)); err != nil {
			return err
		}
		if err := os.Chmod(o.Path(to), 0o600); err != nil {
			return err
		}
	}
	var err error
	if o.PublicKey, err = o.read(sshKeyFile + ".pub"); err != nil {
		return err
	}
	o.SigningKey, err = o.read("/root/signing.public")
	return err
}

// Path returns the path at which this process finds a file of the operator. It
// does not follow links.
func (o *Operator) Path(file string) string { return filepath.Join(o.Root, file) }

func (o *Operator) read(file string) (string, error) {
	data, err := os.ReadFile(o.Path(file))
	return strings.TrimSpace(string(data)), err
}

func (o *Operator) write(file, text string) error {
	path := o.Path(file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// In the tree this can be a broken link.
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// Write writes a file, and makes its folders.
func (o *Operator) Write(t testing.TB, file, text string) {
	t.Helper()
	if err := o.write(file, text); err != nil {
		t.Fatal(err)
	}
}

// Command prepares a command on the operator's machine, in the provider's folder.
func (o *Operator) Command(argv ...string) *exec.Cmd {
	dir := providerDir
	if _, err := os.Stat(o.Path(dir)); err != nil {
		dir = "/"
	}
	return &exec.Cmd{
		Path: "/usr/bin/env", Args: append([]string{"env"}, argv...), Dir: dir,
		Env: []string{
			"HOME=/root", "USER=root", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TERM=dumb",
			"HOSTENV_SIGNING_KEY_FILE=" + signingKeyFile,
		},
		SysProcAttr: &syscall.SysProcAttr{Chroot: o.Root, Setpgid: true},
	}
}

// Run runs a command that must succeed, and returns what it printed.
func (o *Operator) Run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := output(o.Command(argv...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A Result is the outcome of a run of the targets.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("mage %s: exit code %d after %s\n-- stdout\n%s-- stderr\n%s", strings.Join(r.Args, " "), r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Want checks the exit code of a run.
func (r Result) Want(t testing.TB, code int) Result {
	t.Helper()
	if r.Code != code {
		t.Fatalf("want exit code %d: %s", code, r)
	}
	return r
}

// Mage runs the provider's targets: Mage(t, "deploy", "-node=node-a").
func (o *Operator) Mage(t testing.TB, args ...string) Result {
	t.Helper()
	return o.Begin(t, args...).Wait(t)
}

// A Process is a running program of the targets.
type Process struct {
	args           []string
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	begun, ended   time.Time
	done           chan struct{}
}

// Begin begins a run of the targets.
func (o *Operator) Begin(t testing.TB, args ...string) *Process {
	t.Helper()
	p := &Process{args: args, cmd: o.Command(append([]string{"mage"}, args...)...), begun: time.Now(), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its status is in ProcessState
		p.ended = time.Now()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	})
	return p
}

// Signal signals the program, but not the processes that it started.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the program ends, as long as a deploy may take on a busy
// machine.
func (p *Process) Wait(t testing.TB) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*Deadline)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGQUIT) // Go programs print their stacks
		<-p.done
		t.Errorf("mage %s did not end", strings.Join(p.args, " "))
	}
	return Result{Args: p.args, Stdout: p.stdout.String(), Stderr: p.stderr.String(), Code: p.cmd.ProcessState.ExitCode(), Took: p.ended.Sub(p.begun)}
}

// SSH runs a shell command on a node as one of its users, which must accept the
// operator's key.
func (o *Operator) SSH(n *Node, user, command string) (string, error) {
	return output(o.Command("ssh", "-o", "HostKeyAlias="+n.Name, user+"@"+n.Address, command))
}

// close kills the processes that the operator left, and removes its mounts.
func (o *Operator) close() error {
	return errors.Join(o.killLeftovers(), unmount(o.Root))
}

// KillAll kills the operator's processes, as if the machine lost its power.
func (o *Operator) KillAll(t testing.TB) {
	t.Helper()
	must(t, o.killLeftovers())
}

// killLeftovers kills the processes whose root is the operator's, such as a Nix
// daemon that a build left running.
func (o *Operator) killLeftovers() error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		root, err := os.Readlink(filepath.Join("/proc", entry.Name(), "root"))
		if err != nil || root != o.Root {
			continue
		}
		var pid int
		if _, err := fmt.Sscan(entry.Name(), &pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil
}
