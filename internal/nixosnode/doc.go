// Package nixosnode gives tests real NixOS nodes, and an operator's machine that
// deploys to them.
//
// A node runs a system that Nix built of NixOS's own modules: stage 2, systemd
// as process 1, activation, switching. It has namespaces in place of a machine,
// and packages whose files come from Debian: see nixpkgs/pkgs.nix. The operator
// has a provider's repository and the compiled targets, and makes systems by
// the provider's flake, that is by nix/lib/compose.nix, as any provider does:
// nixpkgs, deploy-rs and sops-nix are inputs of that flake, and what stands for
// them here is in the folders of these names. deploy-rs is the real one where
// HOSTENV_TEST_DEPLOY_RS has it, and internal/deployrs where not.
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
// All of it runs in new namespaces, see [Main], and ends with the tests, even if
// they are killed. Only the cache stays.
//
// # The cache
//
// HOSTENV_TEST_CACHE, or hostenv-provider-tests in the user's cache folder,
// keeps what takes long to make: a tree of Debian's packages (two minutes), and
// a base, which is a Nix store with every package and a system, and the store
// that a new node starts from (one minute). Each is made under a lock, in a
// folder of another name until it is complete, and is made anew when something
// that it is made of changes.
//
// # What a node is not
//
// It has no kernel, boot loader, disks or udev of its own. Limits of slices hold
// as far as version 2 of the machine's cgroups has controllers: see
// [Controllers]. Power cuts are kills of all its processes at once; what was
// written stays, in whatever order it would have reached a disk.
package nixosnode
