// Package nixosnode gives tests real NixOS nodes, and an operator's machine that
// deploys to them.
//
// A node runs a system that Nix builds from NixOS's own modules: stage 2,
// systemd as process 1, activation, switching. It runs in namespaces instead of
// on a machine, and the files of its packages come from Debian: see
// nixpkgs/pkgs.nix. The operator has a provider's repository and the compiled
// targets, and builds systems with the provider's flake, that is with
// nix/lib/compose.nix, as any provider does. The inputs nixpkgs, deploy-rs and
// sops-nix of that flake are replaced by the folders of these names here. If
// HOSTENV_TEST_DEPLOY_RS is set it names the real deploy-rs; otherwise
// internal/deployrs takes its place.
//
//	func TestMain(m *testing.M) { nixosnode.Main(m) }
//
//	func TestFirstDeploy(t *testing.T) {
//		lab := nixosnode.Start(t, nixosnode.Options{Nodes: []string{"node-a"}})
//		lab.Provider.Add(t, nixosnode.Customer{Organisation: "acme", Project: "shop"})
//		lab.Operator.Mage(t, "plan")
//		lab.Install(t)
//		...
//
// All processes run in new namespaces, see [Main], and end with the tests, even
// if the tests are killed. Only the cache stays.
//
// # The cache
//
// HOSTENV_TEST_CACHE, or hostenv-provider-tests in the user's cache folder,
// keeps what takes long to make: a tree of Debian's packages (two minutes), and
// a base (one minute). A base is a Nix store with every package and a system,
// and the store that a new node starts from. The tests make each under a lock,
// in a folder that gets its final name when it is complete, and make it again
// when one of its inputs changes.
//
// # What a node is not
//
// A node has no kernel, boot loader, disks or udev of its own. The limits of a
// slice hold only for the controllers that version 2 of the machine's cgroups
// has: see [Controllers]. A power cut kills all processes of the node at once,
// but all that they wrote stays: it shows no write that a disk would lose.
package nixosnode
