// Package deployrs stands for deploy-rs in tests: its `deploy`, and the
// `activate` that a profile's activate-rs executes.
//
// They take the command lines that deploy-rs takes and no others, run the same
// commands of Nix and ssh in the same order, and fail where it fails, its
// mistakes included. The tests of this package run both and compare, wherever
// there is a real deploy-rs. It is written from what deploy-rs at d5eff7f does
// (src/cli.rs, src/data.rs, src/push.rs, src/deploy.rs, src/bin/activate.rs).
//
// It does without: deploy-rs without flakes (--file, or a Nix that has none),
// the questions of --interactive and of sudo for a password, and most of Nix's
// language in a target.
package deployrs
