// Package conformance compares the DNS gate with Let's Encrypt's own code.
//
// It is a laboratory for tests only. It is a module of its own, so that programs
// that embed hostenv/dnsgate do not fetch what the tests need. All processes run in
// a network namespace that has only a loopback device, so no packet can leave the
// machine.
//
//   - [Fleet] plays the DNS: the root, the top-level domains, and a dozen name
//     servers that have faults by zone, server, name and type.
//   - unbound is the validating resolver, of the gate and (over HTTPS, one a
//     perspective) of Boulder.
//   - [Web] plays the hosts: nodes, other machines, proxies, and those that
//     refuse, or swallow, connections.
//   - [Oracle] is Boulder: the name policy, then HTTP-01 validation, then CAA,
//     from a primary and five remote perspectives.
//   - [Situation] is one customer's DNS as data.
//
// # Addresses
//
// Boulder refuses, and the gate drops, addresses that IANA reserves. To test that,
// Boulder uses iana.IsReservedAddr without exceptions, as in production, and the
// hosts of the laboratory have addresses that are not reserved: 11.0.0.0/8 and
// 2e00:db8::/32, which is not allocated. Both are local to the loopback device.
package conformance
