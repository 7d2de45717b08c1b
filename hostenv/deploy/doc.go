// Package deploy brings a provider's nodes and environments to where the plan
// says, through deploy-rs, and knows exactly where each one stands.
//
// A node has profiles: its system, and one for each of its environments. A
// profile's active path is the store path that its link on the node leads to.
// A run ends with every profile either at its planned path or at the very path
// that was active before, whatever fails in between; what is not known is
// called unknown, and never a success.
//
// The order on a node is fixed: the system first, then the environments, and no
// environment where the system failed. Nodes do not wait for each other. A
// profile whose active path is the planned one is left alone, so a second run
// does nothing.
//
// What happens is a list of [Event]s. Each is durable in the journal of the run
// before the next thing is done; the summary, the exit code and what is resumed
// after a crash are computed from those events and from nothing else, so that
// they cannot disagree.
//
// This package decides and keeps order. The work is done behind its interfaces:
// [Remote] (package remote, ssh), [Store] (package closure, Nix), [Activator]
// (package deployrs), [Verifier] (package verify) and [Mover] (package move).
package deploy
