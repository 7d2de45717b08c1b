// Package conformance holds the DNS gate against Let's Encrypt's own code.
//
// It is a laboratory and has no users: a module of its own, so that nobody who
// embeds hostenv/dnsgate fetches what the tests need. Everything runs in a
// network namespace that has nothing but a loopback device, so no packet can
// leave the machine, whatever a zone or a bug says.
//
//   - [Fleet] plays the DNS: the root, the top-level domains, and a dozen name
//     servers that have faults by zone, server, name and type.
//   - unbound is the validating resolver, of the gate and (over HTTPS, one a
//     perspective) of Boulder.
//   - [Web] plays the hosts: nodes, other machines, proxies, and those that
//     refuse, or swallow, connections.
//   - [Oracle] is Boulder: the name policy, then HTTP-01 validation, then CAA,
//     from a primary and four remote perspectives.
//   - [Situation] is one customer's DNS as data.
//
// # Addresses
//
// Boulder refuses, and the gate drops, addresses that IANA reserves. To have
// that very behaviour tested, Boulder is given iana.IsReservedAddr and no
// exception, as in production, and the hosts of the laboratory have addresses
// that are not reserved: 11.0.0.0/8 is made local to the loopback device, and
// so is 2e00:db8::/32, which is not allocated.
package conformance
