// Package move takes an environment's data along when it moves to another node,
// by way of its own backups. It is [deploy.Mover].
//
// An environment says which of its restic backups hold what must move: its
// migrations in the plan, a list of names. On the old node each is made once
// more, and the snapshot that comes of it looked up; on the new node a restore
// plan names those snapshots, and the environment restores from it when it is
// activated. Nothing is copied from node to node.
//
// It works on a node through one program, hostenv-move (nix/modules), which runs
// as the environment's user and takes names and numbers only.
//
// When things are done matters. [Mover.Backup] needs the user on the old node,
// where the next system no longer has him: it comes before that node's system is
// activated. [Mover.Leave] and [Mover.Discard] need him on the new node, where he
// comes with the system: they come after that and before the environment.
// [Mover.Prepare] is both at once, for where the old node's system is not
// touched between.
package move
