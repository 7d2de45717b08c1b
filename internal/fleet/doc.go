// Package fleet gives tests a fleet of nodes to deploy to, as real as possible
// without NixOS.
//
// A node has a name, an address on loopback, a root file system, processes and
// a Nix store of its own, the users of a plan, and a real sshd, sudo and
// nix-daemon. Its sudoers are evaluated from nix/modules/sudo.nix, its plan is
// made by [plan.Compute], its deploy specification by nix/lib/deploy.nix. Only
// deploy-rs's library is replaced ([Options.ActivateRS] names its program), and the
// activation of a profile: it logs its run, and fails, waits or prints if the test
// asks for it, see [Node.OnActivation].
//
//	func TestMain(m *testing.M) { fleet.Main(m) }
//
//	func TestDeploy(t *testing.T) {
//		f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 1})
//		cmd := exec.CommandContext(t.Context(), "nix", "copy", "--to", "ssh-ng://deploy@"+f.Nodes[0].Address, path)
//		cmd.Env = f.Env()
//
// The deploying machine is the test process, or a process that it starts with
// [Fleet.Env]: root, with its own /nix, home and ssh key.
//
// The tests run in their own namespaces, which needs root, see [Main]. There is
// one fleet at a time. All of its processes end with the tests, even if the tests
// are killed.
//
// Between ssh and sshd there is a relay in this process, which can cut, freeze or
// refuse connections: see the methods of [Node] in faults.go.
//
// Differences from a real node: there is no systemd, users do not linger, and paths
// of the machine such as /usr/bin exist, but are not in PATH.
package fleet
