// Package remote reaches nodes by the system's ssh: it is what [deploy.Remote]
// and [deploy.Session] are made of.
//
// A run has one ssh_config ([Write]), which has all that there is to say of its
// nodes, and every ssh of the run is started as `ssh -F <that file> <node>`.
//
// A session is one ssh process. On the node it runs agent.sh, which needs
// there no more than sh, coreutils, grep, flock of util-linux, sudo and Nix,
// takes the node's deploy lock, and answers requests one after the other.
//
// The lock is a flock(2) on ~/.hostenv-deploy/lock of the deploy user, whose
// home no customer can enter. The process that holds it does nothing but read
// the connection, and so ends, and frees the lock, as soon as the connection
// does: also in the middle of a request, and when this side is killed. A
// machine that vanishes without a word holds it until the node's sshd finds
// out (ClientAliveInterval).
//
// Whatever arguments go to a node are made into shell words by [Quote] and
// nowhere else. Names that a shell, ssh or sudo could take for something else
// are refused before anything is run.
package remote
