// Tutorial opens the shell of docs/tutorial.md: the example provider and its two
// customers in /run/tutorial, two pretend nodes that it deploys to, and `mage`.
// Everything runs in namespaces, which end with the shell.
//
// Real: the targets, Nix, git, ssh, sshd, sudo, the nodes' Nix stores, and the
// signatures that they check. Pretended: NixOS (activating a system makes the
// plan's users and lists the virtual hosts), deploy-rs (internal/deployrs), nginx
// (this process serves one page for each host) and DNS (dns.json).
package main
