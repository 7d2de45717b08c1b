package endtoend_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// secrets are by name the secrets in the environment and files of a provider's
// machine that deploys, and secrets that a customer wrote in the wrong place.
func (w *world) secrets() map[string]string {
	w.t.Helper()
	key, err := os.ReadFile(w.SigningKey)
	if err != nil {
		w.t.Fatal(err)
	}
	_, secret, _ := strings.Cut(string(key), ":")
	return map[string]string{
		"the signing key":      secret,
		"CF_API_TOKEN":         "planted-token-of-cloudflare",
		"CLOUDFLARE_API_KEY":   "planted-key-of-cloudflare",
		"SOPS_AGE_KEY":         "AGE-SECRET-KEY-1PLANTED",
		"RESTIC_PASSWORD":      "planted-password-of-restic",
		"a customer's setting": customers,
	}
}

const customers = "planted-password-of-a-customer"

// The test searches for secrets wherever a deploy could leave them: in the command
// lines and environments of running programs, here and on the nodes, in logs,
// events, journals and summaries, in all files of the provider, and in the folders
// of the nodes.
func TestSecrets(t *testing.T) {
	backEnds(t, func(t *testing.T, programs string) {
		w := newWorld(t, programs, fleet.Options{Nodes: 2, Environments: 1, Inventory: func(inventory map[string]any) {
			for _, project := range inventory["projects"].(map[string]any) {
				for _, environment := range project.(map[string]any)["environments"].(map[string]any) {
					environment.(map[string]any)["services"] = map[string]any{"mysql": map[string]any{"rootPassword": customers}}
				}
			}
		}})
		all := w.secrets()
		for name, value := range all {
			if !strings.Contains(name, " ") {
				w.env = append(w.env, name+"="+value)
			}
		}
		user := w.Nodes[0].Users()[0]
		w.Nodes[0].OnActivation(t, user, fleet.Behaviour{Block: true})
		w.Nodes[1].OnActivation(t, w.Nodes[1].Users()[0], fleet.Behaviour{Fail: 1, Print: 10})

		cmd := w.command(w.deployArgs("-json")...)
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Nodes[0].WaitBlocked(t, user)
		seen := processes(t, cmd.Process.Pid)
		if n := countOf(seen, "activate-rs") + countOf(seen, "/deploy"); n < 2 {
			t.Errorf("the running activation is not among the processes: %d", n)
		}
		w.Nodes[0].OnActivation(t, user, fleet.Behaviour{})
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("the deploy ends with %v", err)
		}

		more := w.wants(w.deploy("-plan"), 0).String() + w.run("status").String() + w.deploy("-resume").String()
		places := map[string]string{"what it printed": output.String(), "what others printed": more}
		for _, argv := range w.Commands(t) {
			places["the command "+argv[0]] += strings.Join(argv, " ") + "\n"
		}
		for key, text := range seen {
			places[key] = text
		}
		for name, text := range w.texts() {
			places[name] = text
		}
		for secret, value := range all {
			for place, text := range places {
				// A customer's settings are public, and so the plan has them.
				planned := value == customers && place == "provider/generated/plan.json"
				if strings.Contains(text, value) && !planned {
					t.Errorf("%s is in %s", secret, place)
				}
			}
		}

		// Prove that the search works: it finds a planted secret.
		w.leak(all["CF_API_TOKEN"], user)
	})
}

// leak plants secrets where the test searches, and checks that it finds them.
func (w *world) leak(secret, user string) {
	w.t.Helper()
	n := w.Nodes[0]
	file := filepath.Join(w.Provider.Dir, "generated", ".hostenv", "runs", "planted.log")
	if err := os.WriteFile(file, []byte("the token is "+secret), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if _, err := n.ExecAs(user, "sh", "-c", "echo "+secret+" >~/planted"); err != nil {
		w.t.Fatal(err)
	}
	for _, argv := range [][]string{{"sh", "-c", "read wait", secret}, {"sh", "-c", "read wait"}} {
		child := exec.Command(argv[0], argv[1:]...)
		child.Env = append(os.Environ(), "PLANTED="+secret)
		if len(argv) > 3 {
			child.Env = nil
		}
		stdin, err := child.StdinPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if countOf(processes(w.t, 0), secret) != 1 {
			w.t.Error("a secret of a process is not found")
		}
		_ = stdin.Close()
		_ = child.Wait()
	}
	found := 0
	for _, text := range w.texts() {
		if strings.Contains(text, secret) {
			found++
		}
	}
	if found != 2 {
		w.t.Errorf("the search finds %d of 2 planted files", found)
	}
}

// processes returns the command lines and environments of all processes here and on
// the nodes, except one, which is given secrets.
func processes(t testing.TB, without int) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.Trim(entry.Name(), "0123456789") != "" || slices.Contains([]string{fmt.Sprint(without), fmt.Sprint(os.Getpid())}, entry.Name()) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil || len(line) == 0 {
			continue // the process has ended
		}
		words := strings.ReplaceAll(string(line), "\x00", " ")
		found[fmt.Sprintf("process %s (%.60s)", entry.Name(), words)] = words + "\n" + string(environ)
	}
	return found
}

func countOf(places map[string]string, text string) (n int) {
	for _, place := range places {
		if strings.Contains(place, text) {
			n++
		}
	}
	return n
}

// texts returns all files that a deploy may have written, here and on the nodes.
func (w *world) texts() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	read := func(key, dir string) {
		err := filepath.WalkDir(dir+"/.", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(dir, path)
			all[key+"/"+name] = string(text)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	read("provider", w.Provider.Dir)
	for _, n := range w.Nodes {
		for _, dir := range []string{"/run/hostenv", "/var/lib", "/var/log", "/home", "/etc/nix", "/nix/store"} {
			read(n.Name+dir, n.Path(dir))
		}
	}
	return all
}
