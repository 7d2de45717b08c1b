// Package remote reaches nodes with the system's ssh. It implements
// [deploy.Remote] and [deploy.Session].
//
// A run has one ssh_config ([Write]), which holds all settings of its nodes. Every
// ssh of the run is started as `ssh -F <that file> <node>`.
//
// A session is one ssh process. On the node it runs agent.sh, which takes the
// node's deploy lock and answers requests one after the other. The agent needs
// only sh, coreutils, grep, flock of util-linux, sudo and Nix there.
//
// The lock is a flock(2) on ~/.hostenv-deploy/lock of the deploy user, whose home
// customers cannot enter. The process that holds it only reads the connection. It
// ends with the connection, and so frees the lock, even in the middle of a
// request, and even if this side is killed. If this machine loses its network, the
// node keeps the lock until its sshd notices (ClientAliveInterval).
//
// Only [Quote] makes arguments for a node into shell words. Names with a meaning
// for a shell, ssh or sudo are refused before any command runs.
package remote
