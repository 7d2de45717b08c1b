// Package deploy activates the planned store paths on a provider's nodes, through
// deploy-rs, and knows the exact state of each one.
//
// A node has profiles: its system, and one for each of its environments. A
// profile's active path is the store path that its link on the node leads to.
// After a run each profile has either its planned path or exactly the path that was
// active before, even if the run fails. A state that the run cannot find out is
// unknown, and never a success.
//
// The order on a node is fixed: the system first, then the environments, and no
// environment if the system failed. Nodes do not wait for each other. A run does
// not change a profile whose planned path is active, so a second run changes nothing.
//
// A run is a list of [Event]s. Each is durable in the journal before the run takes
// the next step. The summary, the exit code and what a resumed run does are computed
// only from these events, so they cannot disagree.
//
// This package makes the decisions and keeps the order. Its interfaces do the work:
// [Remote] (package remote, ssh), [Store] (package closure, Nix), [Activator]
// (package deployrs), [Verifier] (package verify) and [Mover] (package move).
package deploy
