// Package dnsgate decides for every virtual host that asks for a certificate whether
// Let's Encrypt would issue it on its node, and turns ACME off in the plan if not.
//
// It has three parts, each of which works without the others:
//
//   - A [Collector] gathers [Facts], the answers of DNS. Package resolver has one.
//     Facts can be recorded as JSON.
//   - [Judge] turns facts into a [Verdict] by an ordered table of rules. It is pure:
//     the same facts always give the same verdict.
//   - [Gate] writes decisions into a plan. It is pure too.
//
// A failed lookup is never a mismatch: it makes the verdict [Unknown], and then the
// last decision stays. The package reads DNS and changes no record. Package cloudflare
// changes records, but only the provider's own.
//
// The package imports no DNS library.
package dnsgate
