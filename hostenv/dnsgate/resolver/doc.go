// Package resolver gathers the facts that package dnsgate judges.
//
// Every name is looked up in two ways: through a validating resolver, as Let's
// Encrypt would ask (A, AAAA, and CAA of every label up to the top-level
// domain), and directly at every address of every authoritative server of the
// name's zone, because a certificate authority that asks from five places meets
// all of them.
//
// Contract:
//
//   - A lookup that fails is a fact (dnsgate.OutcomeError and why), never an
//     answer: a timeout, a reply that does not match its question and a server
//     that does not have the zone differ from "there is no such record".
//   - In one [Resolver.Collect] a question is repeated only if it got no answer.
//   - A reply counts only if it comes from the address that was asked, with the
//     id, the question and the very upper and lower case letters that were sent.
//     A server that does not keep the case is asked again over TCP.
//   - It only reads, and connects to hosts other than name servers only if the
//     question asks for live checks.
//
// It is a package of its own so that a program that embeds the judge needs no
// DNS library.
package resolver
