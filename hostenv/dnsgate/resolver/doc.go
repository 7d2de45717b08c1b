// Package resolver gathers the facts that package dnsgate judges.
//
// It looks up every name in two ways. It asks a validating resolver, as Let's Encrypt
// does, for A, AAAA, and CAA of every label up to the top-level domain. And it asks
// every address of every authoritative server of the name's zone, because a
// certificate authority that asks from five places may ask any of them.
//
// Contract:
//
//   - A failed lookup is a fact (dnsgate.OutcomeError with its reason), and never an
//     answer: a timeout, a reply to another question and a server without the zone
//     differ from "there is no such record".
//   - In one [Resolver.Collect] a question is repeated only if it got no answer.
//   - A reply counts only if it comes from the address of the query, and has its id,
//     its question and the same upper and lower case letters. If a server does not keep
//     the case, the question is repeated over TCP.
//   - It only reads. It connects to hosts other than name servers only if the question
//     asks for live checks.
//
// It is a separate package, so that a program that embeds the judge needs no DNS
// library.
package resolver
