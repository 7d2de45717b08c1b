// Package move moves an environment's data when it moves to another node. It uses
// the environment's own backups. It implements [deploy.Mover].
//
// The migrations of an environment in the plan name the restic backups whose data
// must move. On the old node we make each of these backups once more, and look up
// its snapshot. On the new node we write a restore plan that names the snapshots.
// The environment restores from them when it is activated. No data are copied from
// node to node.
//
// On a node the package runs only one program, hostenv-move (nix/modules). It runs
// as the environment's user, and takes only names and numbers.
//
// The order matters. [Mover.Backup] needs the user on the old node, and the next
// system of that node no longer has it: call it before that system is activated.
// [Mover.Prepare] and [Mover.Discard] need the user on both nodes: call them after
// the new node's system is activated, and before the old node's system and the
// environment are.
package move
