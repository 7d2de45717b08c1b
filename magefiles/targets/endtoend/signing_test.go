package endtoend_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// A provider begins without a key. The first run makes one, and prints each step to
// take until the nodes trust it. Until then the nodes can build for themselves.
func TestSigningKey(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 1, Untrusted: true})
	config := t.TempDir()
	w.env = []string{"HOSTENV_SIGNING_KEY_FILE=", "XDG_CONFIG_HOME=" + config}
	n := w.Nodes[0]
	user := n.Users()[0]
	dir := filepath.Join(w.Provider.Dir, "secrets", "signing")

	w.wants(w.deploy("-plan"), 0)
	secret := filepath.Join(config, "hostenv-provider", fleet.Domain, "secret.key")
	for _, made := range []string{dir, secret} {
		if _, err := os.Stat(made); err == nil {
			t.Errorf("a preview makes %s", made)
		}
	}
	w.Provider.SetVersion(t, "2") // this version was not built here
	r := w.wants(w.deploy(), 1)
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key is %v, %v", info, err)
	}
	public := strings.TrimSpace(readFile(t, filepath.Join(dir, "public.key")))
	if !strings.HasPrefix(public, fleet.Domain+"-1:") {
		t.Errorf("the public key is %q", public)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the flake has more than the public key: %v, %v", entries, err)
	}
	line := fmt.Sprintf("provider.nixSigning.trustedPublicKeys = [ %q ];", public)
	w.refused(r, "key-not-in-flake", line)
	neverDeployed(t, n)

	// Write the key into the flake, then into the plan.
	flake := filepath.Join(w.Provider.Dir, "flake.nix")
	text := readFile(t, flake)
	inFlake := strings.Replace(text, "inherit deploy;", fmt.Sprintf(`inherit deploy;
      lib.hostenvProvider.inventoryWith = _: { provider.nixSigning.trustedPublicKeys = [ %q ]; };`, public), 1)
	if err := os.WriteFile(flake, []byte(inFlake), 0o644); err != nil {
		t.Fatal(err)
	}
	w.refused(w.wants(w.deploy(), 1), "key-not-in-plan", "run `mage plan`")
	w.Provider.Replan(t, func(inventory map[string]any) {
		inventory["provider"].(map[string]any)["nixSigning"] = map[string]any{"trustedPublicKeys": []any{public}}
	})
	w.refused(w.wants(w.deploy(), 1), "key-not-on-node", "-remoteBuild -env=system -node=n1")
	neverDeployed(t, n)

	// Follow the last hint: the node builds.
	paths := w.Provider.Paths(t)
	w.wants(w.deploy("-remoteBuild", "-env=system", "-node=n1"), 0)
	if n.Active(t, "system") != paths["n1/system"] {
		t.Error("the system is not deployed")
	}
	if _, err := os.Stat(paths["n1/system"]); err == nil {
		t.Error("the system was built here")
	}
	// A real system makes the node trust the key. The system of this fleet changes no
	// settings, so the test does it.
	n.Trust(t, public)
	w.wants(w.deploy(), 0)
	w.atPlan(paths, 1)
	if _, err := os.Stat(paths["n1/"+user]); err != nil {
		t.Errorf("the environment was not built here: %v", err)
	}

	// The node refuses an unsigned push from every user. Options on the command line
	// of nix do not change that.
	w.Provider.SetVersion(t, "3", "n1/"+user)
	fresh := w.Provider.Build(t)["n1/"+user]
	for _, flags := range [][]string{nil, {"--no-check-sigs"}} {
		push := exec.Command("nix", append([]string{"copy", "--to", "ssh-ng://" + fleet.DeployUser + "@" + n.Address}, append(flags, fresh)...)...)
		push.Dir = w.Provider.Dir
		push.Env = append(w.Env(), "NIX_SSHOPTS=-o StrictHostKeyChecking=no")
		if out, err := push.CombinedOutput(); err == nil || !strings.Contains(string(out), "signature") {
			t.Errorf("an unsigned push %q: %v\n%s", flags, err, out)
		}
	}
	if n.Has(fresh) {
		t.Error("the node has an unsigned path")
	}
	// The node also refuses a signature by a key that it does not trust.
	w.env = nil
	w.refused(w.wants(w.deploy(), 1), "key-not-in-flake", w.PublicKey)
	// Nix uses only one of two keys with the same name.
	n.Trust(t, w.PublicKey)
	w.wants(w.deploy(), 0)
}

// A run that was refused because of the key can be resumed. The flags of its hint
// are added to those that it began with.
func TestResumeWithFlags(t *testing.T) {
	w := newWorld(t, standIn(t), fleet.Options{Nodes: 1, Environments: 2, Untrusted: true})
	n := w.Nodes[0]
	users := n.Users()
	w.refused(w.wants(w.deploy("-env=system,"+users[0]), 1), "key-not-in-flake", "-remoteBuild")
	w.wants(w.deploy("-resume", "-remoteBuild"), 0)
	paths := w.Provider.Paths(t)
	for profile, want := range map[string]string{"system": paths["n1/system"], users[0]: paths["n1/"+users[0]], users[1]: ""} {
		if got := n.Active(t, profile); got != want {
			t.Errorf("%s is at %q, want %q", profile, got, want)
		}
	}
}

// neverDeployed checks that a node has no profile.
func neverDeployed(t *testing.T, n *fleet.Node) {
	t.Helper()
	for _, profile := range n.Profiles() {
		if path := n.Active(t, profile); path != "" {
			t.Errorf("%s is at %s", profile, path)
		}
	}
}

// refused checks that a run has one finding, of this code, whose text or hint has
// these words.
func (w *world) refused(r result, code, words string) {
	w.t.Helper()
	findings := w.outcome().Findings
	codes := []string{}
	for _, e := range findings {
		codes = append(codes, e.Finding.Code)
	}
	if len(codes) != 1 || codes[0] != code {
		w.t.Errorf("the findings are %q, not %s: %s", codes, code, r)
	}
	contains(w.t, r.stderr, words)
	contains(w.t, r.stdout, "no profile was changed")
}

func readFile(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
