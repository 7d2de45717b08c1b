// Package deployrs replaces deploy-rs in tests: its `deploy`, and the `activate`
// that a profile's activate-rs executes.
//
// They accept the command lines of deploy-rs and no others, run the same commands
// of Nix and ssh in the same order, and fail where it fails, including its bugs. If
// a real deploy-rs is installed, the tests of this package run both and compare.
// The model is deploy-rs at d5eff7f (src/cli.rs, src/data.rs, src/push.rs,
// src/deploy.rs, src/bin/activate.rs).
//
// Not supported: deploy-rs without flakes (--file, or a Nix without them), the
// questions of --interactive and of sudo for a password, and most of Nix's language
// in a target.
package deployrs
