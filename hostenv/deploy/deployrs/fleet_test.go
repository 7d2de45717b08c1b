package deployrs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/deployrs"
	standin "github.com/woolwichweb/hostenv-provider/internal/deployrs"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

func TestMain(m *testing.M) { fleet.Main(m, standin.Programs) }

// A world is a fleet, its node that the test deploys to, and the Activator.
type world struct {
	*fleet.Fleet
	node      deploy.Node
	n         *fleet.Node
	activator *deployrs.Activator
	dir       string
}

// eachProgram runs a test with the stand-in and, if it is installed, with the real
// deploy-rs.
func eachProgram(t *testing.T, options fleet.Options, test func(t *testing.T, w *world)) {
	fleet.Need(t)
	programs := map[string]string{"stand-in": standin.Build(t)}
	if dir := testenv.Find("deploy-rs"); dir != "" {
		programs["deploy-rs"] = dir
	}
	for name, dir := range programs {
		t.Run(name, func(t *testing.T) {
			options.Environments, options.ActivateRS = 1, filepath.Join(dir, "activate")
			f := fleet.Start(t, options)
			for _, kv := range f.Env() {
				name, value, _ := strings.Cut(kv, "=")
				t.Setenv(name, value)
			}
			w := &world{Fleet: f, n: f.Nodes[0], node: f.Nodes[0].Deploy(), dir: filepath.Join(t.TempDir(), "a run")}
			if err := os.Mkdir(w.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			config, known := filepath.Join(w.dir, "ssh_config"), filepath.Join(w.dir, "known_hosts")
			write(t, known, w.n.Name+" "+w.n.HostKey+"\n")
			write(t, config, fmt.Sprintf("Host %s\nHostName %s\nHostKeyAlias %s\nUserKnownHostsFile %q\nStrictHostKeyChecking yes\n", w.n.Name, w.n.Address, w.n.Name, known))
			w.activator = deployrs.New(deployrs.Options{Dir: w.dir, SSHConfig: config, Program: filepath.Join(dir, "deploy")})
			test(t, w)
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// version builds a version of all profiles and copies it to the node.
func (w *world) version(t *testing.T, version string) {
	t.Helper()
	w.Provider.SetVersion(t, version)
	paths := w.Provider.Build(t)
	var all []string
	for i, p := range w.node.Profiles {
		w.node.Profiles[i].Path = paths[p.Key()]
		all = append(all, paths[p.Key()])
	}
	w.Nix(t, append([]string{"nix", "store", "sign", "--recursive", "--key-file", w.SigningKey}, all...)...)
	if w.node.RemoteBuild {
		return
	}
	cmd := exec.CommandContext(t.Context(), "nix", append([]string{"copy", "--to", "ssh-ng://deploy@" + w.n.Name}, all...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "NIX_SSHOPTS=-F ssh_config")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// failedBy reports whether err is the failure of deploy-rs to activate p.
func failedBy(err error, p deploy.Profile) bool {
	return err != nil && strings.HasPrefix(err.Error(), "deploy-rs failed to activate "+p.Key())
}

// activate activates the i-th profile, and checks that the status file agrees with the
// returned error.
func (w *world) activate(t *testing.T, ctx context.Context, i int, rollback bool) error {
	t.Helper()
	status := filepath.Join(t.TempDir(), "status")
	var log bytes.Buffer
	err := w.activator.Activate(ctx, w.node, w.node.Profiles[i], deploy.ActivateOptions{Rollback: rollback, Status: status}, &log)
	if code := deploy.ExitStatus(status); ctx.Err() == nil && (code == nil || (*code != 0) != failedBy(err, w.node.Profiles[i])) {
		t.Errorf("the status file and the error %v disagree", err)
	}
	t.Logf("activate %s: %v\n%s", w.node.Profiles[i].Key(), err, log.String())
	return err
}

func TestActivates(t *testing.T) {
	for _, nix := range testenv.NixBinaries(t) {
		t.Run(strings.ReplaceAll(strings.Trim(nix, "/"), "/", "-"), func(t *testing.T) {
			eachProgram(t, fleet.Options{Nix: nix}, func(t *testing.T, w *world) {
				w.version(t, "1")
				for i, p := range w.node.Profiles {
					w.ResetCounts(t)
					if err := w.activate(t, t.Context(), i, true); err != nil {
						t.Error(err)
					}
					if w.n.Active(t, p.Name) != p.Path || w.n.Activated(t, p.Name, p.Path) != 1 {
						t.Errorf("%s is %s after %+v", p.Key(), w.n.Active(t, p.Name), w.n.Activations(t, p.Name))
					}
					t.Logf("processes: %v", w.Counts(t))
				}
			})
		})
	}
}

// A node that builds for itself has the path to activate; this machine does not have it.
func TestActivatesRemoteBuild(t *testing.T) {
	for _, nix := range testenv.NixBinaries(t) {
		t.Run(strings.ReplaceAll(strings.Trim(nix, "/"), "/", "-"), func(t *testing.T) {
			eachProgram(t, fleet.Options{Nix: nix}, func(t *testing.T, w *world) {
				w.version(t, "1")
				w.node.RemoteBuild = true
				p := w.node.Profiles[0]
				w.Nix(t, "nix-store", "--delete", "--ignore-liveness", p.Path)
				if err := w.activate(t, t.Context(), 0, true); err != nil || w.n.Active(t, p.Name) != p.Path {
					t.Error(err)
				}
				if _, err := os.Stat(p.Path); err == nil {
					t.Error("it was built here")
				}
			})
		})
	}
}

func TestFails(t *testing.T) {
	eachProgram(t, fleet.Options{}, func(t *testing.T, w *world) {
		// Without a previous path the node does not go back.
		w.version(t, "1")
		p := w.node.Profiles[1]
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Fail: 7, Print: 3})
		if err := w.activate(t, t.Context(), 1, false); err == nil || err.Error() != "deploy-rs failed to activate "+p.Key() || w.n.Active(t, p.Name) != p.Path {
			t.Errorf("%v, and active is %q", err, w.n.Active(t, p.Name))
		}
		w.n.OnActivation(t, p.Name, fleet.Behaviour{})
		if err := w.activate(t, t.Context(), 1, false); err != nil {
			t.Error(err)
		}
		// The node goes back to a previous path that came up.
		w.version(t, "2")
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Fail: 7})
		if err := w.activate(t, t.Context(), 1, true); err == nil || err.Error() != "deploy-rs failed to activate "+p.Key() || w.n.Active(t, p.Name) != p.Path {
			t.Errorf("%v, and active is %q", err, w.n.Active(t, p.Name))
		}
		// The process that waited for it has ended.
		w.n.WaitConnections(t, 0)
	})
}

// The link is lost while the node activates: what activates goes on, but
// deploy-rs's activate-rs, with no process to tell, ends with neither a confirmation
// nor a rollback. The caller must observe which path is active.
func TestLostConnection(t *testing.T) {
	eachProgram(t, fleet.Options{Deployed: true}, func(t *testing.T, w *world) {
		w.version(t, "2")
		p := w.node.Profiles[1]
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Block: true})
		done := make(chan error)
		go func() { done <- w.activate(t, t.Context(), 1, true) }()
		w.n.WaitBlocked(t, p.Name)
		w.n.Cut()
		if err := <-done; !failedBy(err, p) {
			t.Error(err)
		}
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Print: 3})
		if a := w.n.WaitEnded(t, p.Name); a.Status != 0 {
			t.Errorf("%+v", a)
		}
		testenv.Await(t, "the end of what activates", func() bool { return !activating(w.n.Processes(t)) })
		if w.n.Active(t, p.Name) != p.Path || len(w.n.Activations(t, p.Name)) != 1 {
			t.Errorf("%s is active after %+v", w.n.Active(t, p.Name), w.n.Activations(t, p.Name))
		}
	})
}

func activating(processes map[string]string) bool {
	for _, command := range processes {
		if strings.Contains(command, "/activate-rs activate") {
			return true
		}
	}
	return false
}

// If deploy-rs gives up before the node has finished, Activate waits for the
// activation and returns its result.
func TestWaitsForOutput(t *testing.T) {
	eachProgram(t, fleet.Options{Deployed: true}, func(t *testing.T, w *world) {
		p := w.node.Profiles[1]
		before := w.n.Active(t, p.Name)
		w.version(t, "2")
		w.activator.ConfirmTimeout, w.activator.ActivationTimeout = time.Second, time.Second
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Block: true})
		w.ResetCounts(t)
		made, _ := w.n.Connections()
		done := make(chan error)
		go func() { done <- w.activate(t, t.Context(), 1, true) }()
		w.n.WaitBlocked(t, p.Name)
		// The connection that waits for the activation may be slow to start.
		testenv.Await(t, "the connection that waits for the activation", func() bool { return w.waiting(t, made) })
		w.n.WaitConnections(t, 1) // only the activation itself is left
		select {
		case err := <-done:
			t.Errorf("it returned while the node activates: %v", err)
		default:
		}
		w.n.OnActivation(t, p.Name, fleet.Behaviour{})
		if err := <-done; !failedBy(err, p) {
			t.Error(err)
		}
		if w.n.Active(t, p.Name) != before || w.n.Activated(t, p.Name, before) != 1 {
			t.Errorf("%s is active after %+v", w.n.Active(t, p.Name), w.n.Activations(t, p.Name))
		}
	})
}

// waiting reports whether the ssh that waits for an activation and all other started
// ones have connected, if before is the number of earlier connections.
func (w *world) waiting(t *testing.T, before int) bool {
	t.Helper()
	started, waits := 0, false
	for _, argv := range w.Commands(t) {
		if argv[0] == "ssh" {
			started++
			waits = waits || strings.Contains(argv[len(argv)-1], "/activate-rs wait '")
		}
	}
	made, _ := w.n.Connections()
	return waits && made-before >= started
}

func TestIsStopped(t *testing.T) {
	eachProgram(t, fleet.Options{}, func(t *testing.T, w *world) {
		w.version(t, "1")
		p := w.node.Profiles[1]
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Block: true})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.activate(t, ctx, 1, true) }()
		w.n.WaitBlocked(t, p.Name)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		w.n.WaitConnections(t, 0)
		w.n.OnActivation(t, p.Name, fleet.Behaviour{})
	})
}

const driverEnv = "HOSTENV_TEST_DRIVER"

// TestDriver is the driver that TestOutlivesItsDriver kills.
func TestDriver(t *testing.T) {
	text := os.Getenv(driverEnv)
	if text == "" {
		t.Skip("only for TestOutlivesItsDriver")
	}
	var a struct {
		Options deployrs.Options
		Node    deploy.Node
		How     deploy.ActivateOptions
		Lock    string
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(a.Lock, os.O_RDWR, 0)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.Options.Inherit = []*os.File{lock}
	t.Fatal(deployrs.New(a.Options).Activate(t.Context(), a.Node, a.Node.Profiles[1], a.How, os.Stdout))
}

// An activation outlives the driver that began it, and so does the driver's lock.
func TestOutlivesItsDriver(t *testing.T) {
	eachProgram(t, fleet.Options{}, func(t *testing.T, w *world) {
		w.version(t, "1")
		p := w.node.Profiles[1]
		w.n.OnActivation(t, p.Name, fleet.Behaviour{Block: true, Print: 100})
		lockFile, status := filepath.Join(w.dir, "lock"), filepath.Join(w.dir, "status")
		write(t, lockFile, "")
		o := w.activator.Options
		text, err := json.Marshal(map[string]any{
			"Options": map[string]any{"Dir": o.Dir, "SSHConfig": o.SSHConfig, "Program": o.Program},
			"Node":    w.node, "How": deploy.ActivateOptions{Rollback: true, Status: status}, "Lock": lockFile,
		})
		if err != nil {
			t.Fatal(err)
		}
		driver := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestDriver$")
		driver.Env = append(os.Environ(), driverEnv+"="+string(text))
		output, err := os.Create(filepath.Join(w.dir, "driver"))
		if err != nil {
			t.Fatal(err)
		}
		defer output.Close()
		driver.Stdout, driver.Stderr = output, output
		if err := driver.Start(); err != nil {
			t.Fatal(err)
		}
		w.n.WaitBlocked(t, p.Name)
		_ = driver.Process.Kill()
		_ = driver.Wait()

		lock, err := os.OpenFile(lockFile, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			t.Error("the lock is free while the activation is running")
		}
		if deploy.ExitStatus(status) != nil {
			t.Error("there is a status")
		}
		w.n.OnActivation(t, p.Name, fleet.Behaviour{})
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			t.Error(err)
		}
		if code := deploy.ExitStatus(status); code == nil || *code != 0 {
			log, _ := os.ReadFile(output.Name())
			t.Errorf("the status is not 0:\n%s", log)
		}
		if w.n.Active(t, p.Name) != p.Path || w.n.Activated(t, p.Name, p.Path) != 1 {
			t.Errorf("active is %q after %+v", w.n.Active(t, p.Name), w.n.Activations(t, p.Name))
		}
	})
}
