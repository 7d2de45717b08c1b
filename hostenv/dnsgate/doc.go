// Package dnsgate decides, for every virtual host of a deployment plan that
// asks for a certificate, whether Let's Encrypt would issue it on its node, and
// turns ACME off in the plan exactly where it would not.
//
// It has three parts, each of which can be used without the others:
//
//   - [Facts] are what DNS says. A [Collector] gathers them; the resolver
//     package has one. They can be recorded as JSON.
//   - [Judge] makes a [Verdict] of them by an ordered table of rules, and is pure:
//     the same facts always give the same verdict.
//   - The gate lays verdicts onto a plan, and is pure as well.
//
// A resolver's trouble is never a mismatch: what cannot be looked up is
// [Unknown], and on unknown what was decided before stays. The package reads DNS
// and changes no record; the cloudflare package does that, for records that carry
// its mark.
//
// The package imports no DNS library.
package dnsgate
