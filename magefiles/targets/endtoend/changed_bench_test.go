package endtoend_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
)

// BenchmarkChanged measures `mage deploy` of a fleet whose profiles have all changed: 48
// on eight nodes that share the processors, or 6 on one node. Beside it a plain loop of
// ssh and nix does the same without a check, a journal or a way back. The activations
// sleep, as those of nodes with cores of their own. The critical path is a system and
// then an environment.
func BenchmarkChanged(b *testing.B) {
	for _, nodes := range []int{large.Nodes, 1} {
		for _, sleep := range []time.Duration{time.Second, 5 * time.Second} {
			for _, with := range []string{"loop", "deploy"} {
				b.Run(fmt.Sprintf("nodes=%d/sleep=%v/%s", nodes, sleep, with), func(b *testing.B) { benchmarkChanged(b, nodes, sleep, with == "loop") })
			}
		}
	}
}

func benchmarkChanged(b *testing.B, nodes int, sleep time.Duration, loop bool) {
	options := large
	options.Nodes = nodes
	w := newWorld(b, programs(b), options)
	w.wants(w.deploy(), 0)
	w.each(func(n *fleet.Node, profile string) { n.OnActivation(b, profile, fleet.Behaviour{Sleep: sleep}) })
	version := 1
	w.ResetCounts(b)
	for b.Loop() {
		b.StopTimer()
		version++
		w.Provider.SetVersion(b, fmt.Sprint(version))
		b.StartTimer()
		if loop {
			w.loop()
		} else {
			w.wants(w.deploy(), 0)
		}
	}
	perRun := float64(version - 1)
	for program, count := range w.Counts(b) {
		b.ReportMetric(float64(count)/perRun, program)
	}
	b.ReportMetric(b.Elapsed().Seconds()/perRun/(2*sleep).Seconds(), "critical-paths")
	b.StopTimer()
	w.atPlan(w.Provider.Paths(b), 1)
}

// programs returns deploy-rs itself if it is installed, else the stand-in for it.
func programs(b *testing.B) string {
	if dir := os.Getenv("HOSTENV_TEST_DEPLOY_RS"); dir != "" {
		return dir
	}
	return standIn(b)
}

// loop is what an operator would write in a shell to bring the fleet to its paths.
func (w *world) loop() {
	w.t.Helper()
	config := filepath.Join(w.t.TempDir(), "ssh_config")
	text := "Host *\n  User " + fleet.DeployUser + "\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
	for _, n := range w.Nodes {
		text += fmt.Sprintf("Host %s\n  HostName %s\n", n.Name, n.Address)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString(`set -eu
ssh() { command ssh -F "$config" "$@"; }
export NIX_SSHOPTS="-F $config"
activate() { # NODE USER PATH LINK TEMP
  ssh "$1" sudo -n -u "$2" "$3/activate-rs" activate "$3" --profile-path "$4" --temp-path "$5" --confirm-timeout 30 >/dev/null 2>&1
}
nix eval --raw .#deploy.nodes --apply '
  nodes: builtins.concatStringsSep "" (builtins.concatMap (n: map (p:
    let path = nodes.${n}.profiles.${p}.path; in
    "${n} ${p} ${builtins.head (builtins.attrNames (builtins.getContext path))} ${builtins.unsafeDiscardStringContext path}\n")
    (builtins.attrNames nodes.${n}.profiles)) (builtins.attrNames nodes))' >"$work/all"
nix-store --realise $(cut -d' ' -f3 "$work/all") >/dev/null 2>&1
nix store sign --recursive --key-file "$key" $(cut -d' ' -f4 "$work/all")
node() {
  grep "^$1 " "$work/all" >"$work/$1"
  nix copy --to "ssh-ng://$1" $(cut -d' ' -f4 "$work/$1")
  path() { grep " $1 " "$work/$node" | cut -d' ' -f4; }
  node=$1
`)
	for _, n := range w.Nodes {
		fmt.Fprintf(&script, "  if [ \"$1\" = %s ]; then\n", n.Name)
		for _, p := range n.Deploy().Profiles {
			end := " &"
			if p.Name == deploy.SystemProfile {
				end = ""
			}
			fmt.Fprintf(&script, "    activate %s %s \"$(path %s)\" %s %s%s\n", n.Name, p.User, p.Name, p.Link, p.Temp, end)
		}
		script.WriteString("  fi\n")
	}
	script.WriteString("  wait\n}\n")
	for _, n := range w.Nodes {
		fmt.Fprintf(&script, "node %s &\n", n.Name)
	}
	script.WriteString("wait\n")
	cmd := exec.CommandContext(w.t.Context(), "bash", "-c", script.String())
	cmd.Dir, cmd.Env = w.Provider.Dir, append(w.Env(), "config="+config, "work="+w.t.TempDir(), "key="+w.SigningKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}
