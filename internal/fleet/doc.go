// Package fleet gives tests a fleet of nodes to deploy to, as real as can be
// had without NixOS.
//
// A node has a name, an address on loopback, a root file system, processes and
// a Nix store of its own, the users of a plan, and a real sshd, sudo and
// nix-daemon. Its sudoers are evaluated from nix/modules/sudo.nix, its plan is
// made by [plan.Compute], its deploy specification by nix/lib/deploy.nix. What
// stands in is deploy-rs's library ([Options.ActivateRS] names its program),
// and what a profile does when it is activated: it writes that down, and fails,
// waits or prints if told to; see [Node.OnActivation].
//
//	func TestMain(m *testing.M) { fleet.Main(m) }
//
//	func TestDeploy(t *testing.T) {
//		f := fleet.Start(t, fleet.Options{Nodes: 2, Environments: 1})
//		cmd := exec.CommandContext(t.Context(), "nix", "copy", "--to", "ssh-ng://deploy@"+f.Nodes[0].Address, path)
//		cmd.Env = f.Env()
//
// Whoever deploys is the test itself, or a process that it starts with
// [Fleet.Env]: root, with /nix, a home and an ssh key of its own.
//
// The tests run in namespaces of their own, see [Main]; that needs root. There
// is one fleet at a time. Nothing of it outlives the tests, not even if they
// are killed.
//
// Between ssh and sshd there is a relay in this process, which can be made to
// break off, fall silent or refuse: see the methods of [Node] in faults.go.
//
// What differs from a real node: nothing is started by systemd, users do not
// linger, and paths of the machine such as /usr/bin are there, though on no
// PATH.
package fleet
