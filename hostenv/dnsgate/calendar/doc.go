// Package calendar says which certificates the nodes of a plan will order within the
// next days, up to a year or more: per day, node (each has its own ACME account) and
// registered domain. It says which of these orders Let's Encrypt may refuse, and which
// certificates are lost or about to expire.
//
// The package is pure. It reads a plan, the gate's entries in it with their former
// orders, and what the nodes serve if that is known; the time is an option.
//
// # When a certificate is ordered
//
// A deploy follows the gate: a certificate that the gate turned on is ordered within a
// day after the entry's time, and so is one whose names changed. The gate runs once a
// day: one that it holds back is turned on by the first run at which the project's quota
// and Let's Encrypt's limits have room for it ([dnsgate.Releases]).
//
// NixOS's security.acme starts `lego renew` for each certificate once a day, at a time
// that is random and fixed for the certificate (renewInterval "daily", RandomizedDelaySec
// 24h, FixedRandomDelay). lego renews
//
//   - with --days N (security.acme.defaults.validMinDays, 30 by default up to NixOS
//     25.11), if fewer than N+1 days are left, because it rounds down;
//   - with --dynamic (validMinDays null, the default since NixOS 26.05: nixpkgs#479209),
//     if less than a third of the lifetime is left, or half of it for a certificate of at
//     most ten days;
//   - in both cases also as soon as the CA's renewal information (ARI, RFC 9773) says so.
//     Boulder suggests a time within a hundredth of the lifetime before or after the
//     same third or half (core.RenewalInfoSimple).
//
// A first order or one of changed names is `lego run`, and counts against the limits of
// account and domain.
//
// nix/modules/certificates.sh tries an order that fails again every hour, 24 times, and
// then NixOS's timer does once a day.
//
// # What is safe
//
// An order is safe if Let's Encrypt accepts it by its limits, at whatever times within
// their windows the orders of the plan happen. The limits are token buckets
// ([dnsgate.Limit]), so the calendar adds up, for each bucket, all orders that may fall
// between any two moments. A renewal is exempt from the limits of account and domain
// if a certificate with the same names was issued within 120 days, and from all if it is
// within the window of ARI (Boulder, wfe2.NewOrder). The calendar does not count on ARI.
//
// The calendar cannot know orders of others for the same domain, orders by hand, and
// those of virtual hosts that left the plan.
package calendar
