package dnsgate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// A situation has facts about which Let's Encrypt's own software has decided.
type situation struct {
	name   string
	facts  *Facts
	result Result
	reason Reason
	why    string
}

var unsigned = "0 issue ;"

// situations have known decisions: Let's Encrypt issues a pass and refuses a failure. An
// unknown one it refuses for a reason that may be a fault of the resolver.
var situations = []situation{
	{"a match", world(), Pass, ReasonAMatch, "the plain case"},
	{"cname", world(a(via(has(node4), nodeName)), aaaa(via(has(node6), nodeName)), servers(aliased("ns1", nodeName), aliased("ns2", nodeName))), Pass, ReasonAAAAMatch, "the resolver follows"},
	{"chain of 6", world(a(via(has(node4), "1.example", "2.example", "3.example", "4.example", "5.example", nodeName))), Pass, ReasonAMatch, "as many as unbound follows with ease"},
	{"dual stack", world(aaaa(has(node6))), Pass, ReasonAAAAMatch, "IPv6 is tried first"},
	{"v6 only", world(a(has()), aaaa(has(node6))), Pass, ReasonAAAAMatch, "no A is needed"},
	{"aaaa refused, a right", world(aaaa(has(else6)), dials(map[string]Dial{else6: DialRefused})), Pass, ReasonAAAADead, "falls back to IPv4"},
	{"aaaa black hole, a right", world(aaaa(has(else6)), dials(map[string]Dial{else6: DialTimeout})), Pass, ReasonAAAADead, "falls back to IPv4"},
	{"a elsewhere, aaaa right", world(a(has(else4)), aaaa(has(node6))), Pass, ReasonAAAAMatch, "IPv4 is never tried"},
	{"a servfail, aaaa right", world(a(failed(ErrorServFail)), aaaa(has(node6))), Pass, ReasonAAAAMatch, "one family is enough"},
	{"aaaa servfail, a right", world(aaaa(failed(ErrorServFail))), Pass, ReasonAMatch, "one family is enough"},
	{"caa ours", world(caaAt(host, caa("0 issue letsencrypt.org"))), Pass, ReasonAMatch, "allowed by name"},
	{"parent denies, child allows", world(caaAt("example.com", caa(unsigned)), caaAt(host, caa("0 issue letsencrypt.org"))), Pass, ReasonAMatch, "the first set counts"},
	{"only issuewild", world(caaAt(host, caa("0 issuewild ;"))), Pass, ReasonAMatch, "not about this name"},
	{"only iodef", world(caaAt(host, caa("0 iodef mailto:a@example.com"))), Pass, ReasonAMatch, "restricts no issuer"},
	{"unknown tag", world(caaAt(host, caa("0 tbs x"))), Pass, ReasonAMatch, "not critical"},
	{"http-01 named", world(caaAt(host, caa("0 issue letsencrypt.org; validationmethods=dns-01,http-01"))), Pass, ReasonAMatch, "RFC 8657"},
	{"account ours", world(caaAt(host, caa("0 issue letsencrypt.org;accounturi="+account))), Pass, ReasonAMatch, "RFC 8657"},
	{"target's parent denies", world(a(via(has(node4), nodeName))), Pass, ReasonAMatch, "the parents of a CNAME's target are not climbed, so no lookup of them is here"},
	{"one of two lame", world(servers(server("ns1", has(node4), has()), silent("ns2", ErrorLame))), Pass, ReasonAMatch, "the other answers"},
	{"one of two silent", world(servers(server("ns1", has(node4), has()), silent("ns2", ErrorTimeout))), Pass, ReasonAMatch, "the other answers"},
	{"redirect to the node", world(a(has(else4)), probe(reachedBy(else4))), Pass, ReasonForwardsChallenge, "redirects are followed"},

	{"a elsewhere", world(a(has(else4))), Fail, ReasonAMismatch, "another host answers"},
	{"loop", world(a(failed(ErrorLoop)), aaaa(failed(ErrorLoop)), servers()), Fail, ReasonNoAddress, "no client finds an address at its end"},
	{"dangling cname", world(a(via(gone, "gone.example")), aaaa(via(gone, "gone.example"))), Fail, ReasonNXDomain, "the target is not there"},
	{"nxdomain", world(a(gone), aaaa(gone)), Fail, ReasonNXDomain, "the name is not there"},
	{"no data", world(a(has()), aaaa(has())), Fail, ReasonNoAddress, "there, and without address"},
	{"aaaa elsewhere, answers", world(aaaa(has(else6)), dials(map[string]Dial{else6: DialOpen})), Fail, ReasonAAAAMismatch, "no fallback from a host that answers"},
	{"a mixed", world(a(has(node4, else4))), Fail, ReasonAMixed, "a draw for every perspective"},
	{"aaaa mixed", world(aaaa(has(node6, else6))), Fail, ReasonAAAAMixed, "a draw for every perspective"},
	{"a mixed, one refuses", world(a(has(node4, else4)), dials(map[string]Dial{else4: DialRefused})), Fail, ReasonAMixed, "no second address of one family is tried"},
	{"caa other issuer", world(caaAt(host, caa("0 issue ca.example"))), Fail, ReasonCAAForbids, "ours is not among them"},
	{"caa parent's other issuer", world(caaAt("example.com", caa("0 issue ca.example"))), Fail, ReasonCAAForbids, "the walk climbs"},
	{"caa no issuer", world(caaAt(host, caa(unsigned))), Fail, ReasonCAAForbids, "a semicolon allows no issuer"},
	{"caa critical 128", world(caaAt(host, caa("0 issue letsencrypt.org", "128 tbs x"))), Fail, ReasonCAACritical, "must be understood"},
	{"caa critical 1", world(caaAt(host, caa("1 tbs x"))), Fail, ReasonCAACritical, "a common reading of bit 0"},
	{"caa dns-01 only", world(caaAt(host, caa("0 issue letsencrypt.org; validationmethods=dns-01"))), Fail, ReasonCAAForbids, "RFC 8657"},
	{"caa other account", world(caaAt(host, caa("0 issue letsencrypt.org; accounturi=https://ca.example/1"))), Fail, ReasonCAAForbids, "RFC 8657"},
	{"caa tag in upper case", world(caaAt(host, caa("0 ISSUE ca.example"))), Fail, ReasonCAAForbids, "tags compare without case"},
	{"caa issuer in mixed case", world(caaAt(host, caa("0 issue LetsEncrypt.org"))), Fail, ReasonCAAForbids, "Let's Encrypt compares by case"},
	{"caa at the cname's target", world(caaAt(host, via(caa(unsigned), nodeName))), Fail, ReasonCAAForbids, "the resolver follows at each label"},
	{"bogus", world(a(failed(ErrorServFail, 6)), aaaa(failed(ErrorServFail, 6))), Fail, ReasonDNSSECBogus, "every validating resolver refuses it"},
	{"half propagated", world(servers(server("ns1", has(node4), has()), server("ns2", has(else4), has()))), Fail, ReasonInconsistent, "a perspective each"},
	{"one server nxdomain", world(servers(server("ns1", has(node4), has()), server("ns2", gone, gone))), Fail, ReasonInconsistent, "a perspective each"},
	{"only reserved", world(a(has("10.0.0.1", "127.0.0.1"))), Fail, ReasonOnlyReserved, "dropped before they are tried"},

	{"chain of 14", world(a(failed(ErrorChain)), aaaa(failed(ErrorChain))), Unknown, ReasonLookupFailed, "another resolver may follow further"},
	{"caa servfail", world(caaAt("example.com", failed(ErrorServFail))), Unknown, ReasonCAALookupFailed, "the fault may be ours"},
	{"caa dropped", world(caaAt(host, failed(ErrorTimeout))), Unknown, ReasonCAALookupFailed, "the fault may be ours"},
	{"caa notimp", world(caaAt(host, failed(ErrorNotImp))), Unknown, ReasonCAALookupFailed, "the fault may be ours"},
	{"all lame", world(a(failed(ErrorServFail, 22)), aaaa(failed(ErrorServFail, 22)), servers(silent("ns1", ErrorLame), silent("ns2", ErrorLame))), Unknown, ReasonLookupFailed, "the fault may be ours"},
	{"all silent", world(a(failed(ErrorTimeout)), aaaa(failed(ErrorTimeout)), servers(silent("ns1", ErrorTimeout))), Unknown, ReasonLookupFailed, "the fault may be ours"},
	{"the resolver differs, and a server is silent", world(a(has(else4)), servers(server("ns1", has(node4), has()), silent("ns2", ErrorTimeout))), Unknown, ReasonInPart, "the other may have what the resolver has"},
	{"node gone", nodeIs(has(), has()), Unknown, ReasonNodeUnresolved, "nothing to compare with"},

	// Further situations.
	{"proxied", world(a(has(cloudy4))), Unknown, ReasonProxied, "DNS does not say where it leads"},
	{"proxied, both families", world(a(has(cloudy4)), aaaa(has(cloudy6))), Unknown, ReasonProxied, "as Cloudflare publishes them"},
	{"proxied in part", world(a(has(cloudy4, else4))), Fail, ReasonAMismatch, "a foreign host is among them"},
	{"proxied, beside the node", world(a(has(cloudy4, node4))), Unknown, ReasonProxied, "each of them may lead to the node"},
	{"proxied over ipv6, beside the node", world(aaaa(has(cloudy6, node6))), Unknown, ReasonProxied, "each of them may lead to the node"},
	{"proxied over ipv6, a the node's", world(aaaa(has(cloudy6))), Unknown, ReasonProxied, "IPv6 is tried first"},
	{"proxied over ipv6, a elsewhere", world(a(has(else4)), aaaa(has(cloudy6))), Unknown, ReasonProxied, "IPv4 is never tried"},
	{"proxied over ipv4 alone", world(a(has(cloudy4)), aaaa(has(node6))), Pass, ReasonAAAAMatch, "IPv4 is never tried"},
	{"proxied, beside the node and a foreign host", world(a(has(cloudy4, node4, else4))), Fail, ReasonAMixed, "a foreign host is among them"},
	{"proxied beside the node, and probed", world(a(has(cloudy4, node4)), probe(reachedBy(cloudy4))), Pass, ReasonForwardsChallenge, "the probe arrived"},
	{"proxied and probed", world(a(has(cloudy4)), probe(reachedBy(cloudy4))), Pass, ReasonForwardsChallenge, "the probe arrived"},
	{"probe that does not reach the node", world(a(has(else4)), probe(ProbeFacts{Status: 404})), Fail, ReasonAMismatch, "the probe did not arrive"},
	{"aaaa elsewhere, not dialled", world(aaaa(has(else6))), Fail, ReasonAAAAMismatch, "without a look it is taken to answer"},
	{"aaaa elsewhere, no route from here", world(aaaa(has(else6)), dials(map[string]Dial{else6: DialUnreachable})), Unknown, ReasonNoRoute, "it may be dead, and then A counts"},
	{"aaaa elsewhere, no route from here, a elsewhere", world(a(has(else4)), aaaa(has(else6)), dials(map[string]Dial{else6: DialUnreachable})), Fail, ReasonAAAAMismatch, "dead or not, it is not the node"},
	{"redirect to an address without a route from here", world(a(has(else4)), probe(ProbeFacts{NoRoute: true, Hops: []Hop{{301, "http://x/", else4}}, Error: "no route"})), Unknown, ReasonNoRoute, "the redirect may reach the node"},
	{"aaaa dead, a elsewhere", world(a(has(else4)), aaaa(has(else6)), dials(map[string]Dial{else6: DialRefused})), Fail, ReasonAAAAMismatch, "the fallback leads elsewhere"},
	{"aaaa dead in part", world(aaaa(has(else6, "2600::98")), dials(map[string]Dial{else6: DialRefused, "2600::98": DialOpen})), Fail, ReasonAAAAMismatch, "one of them answers"},
	{"aaaa dead, a failed", world(a(failed(ErrorServFail)), aaaa(has(else6)), dials(map[string]Dial{else6: DialRefused})), Unknown, ReasonLookupFailed, "A may be right, and is tried next"},
	{"aaaa dead, no a", world(a(has()), aaaa(has(else6)), dials(map[string]Dial{else6: DialRefused})), Fail, ReasonAAAAMismatch, "nothing to fall back to"},
	{"aaaa servfail, a elsewhere", world(a(has(else4)), aaaa(failed(ErrorServFail))), Unknown, ReasonLookupFailed, "AAAA may be right, and is tried first"},
	{"reserved beside the node", world(a(has(node4, "10.0.0.1"))), Pass, ReasonAMatch, "reserved ones are dropped"},
	{"reserved aaaa", world(aaaa(has("fd00::1"))), Pass, ReasonAMatch, "reserved ones are dropped"},
	{"a servfail, no aaaa", world(a(failed(ErrorServFail))), Unknown, ReasonLookupFailed, "A may be right"},
	{"a bogus, no aaaa", world(a(failed(ErrorServFail, 7))), Fail, ReasonDNSSECBogus, "no other family is there"},
	{"aaaa bogus, no a", world(a(has()), aaaa(failed(ErrorServFail, 6))), Fail, ReasonDNSSECBogus, "no other family is there"},
	{"a bogus, aaaa right", world(a(failed(ErrorServFail, 6)), aaaa(has(node6))), Pass, ReasonAAAAMatch, "one family is enough"},
	{"aaaa bogus, a elsewhere", world(a(has(else4)), aaaa(failed(ErrorServFail, 6))), Fail, ReasonAMismatch, "no resolver has that AAAA"},
	{"caa bogus", world(caaAt("example.com", failed(ErrorServFail, 6))), Fail, ReasonDNSSECBogus, "every validating resolver refuses it"},
	{"caa beside a cname forbids", world(a(via(has(node4), nodeName)), aaaa(via(has(node6), nodeName)), caaAt(host, caa(unsigned)), servers(withCAA(followed("ns1"), caa(unsigned)))), Unknown, ReasonContradiction, "a resolver that met the CNAME does not ask for it"},
	{"a bogus, aaaa servfail", world(a(failed(ErrorServFail, 6)), aaaa(failed(ErrorServFail))), Unknown, ReasonLookupFailed, "both must be bogus"},
	{"extended error without a bad signature", world(a(failed(ErrorServFail, 3, 22)), aaaa(failed(ErrorServFail, 4))), Unknown, ReasonLookupFailed, "stale answers and dead servers"},
	{"never looked up", &Facts{Nodes: world().Nodes}, Unknown, ReasonLookupFailed, "no facts are no fault"},
	{"caa not walked", world(func(f *NameFacts) { f.CAA = nil }), Unknown, ReasonCAALookupFailed, "no facts are no permission"},
	{"caa walk ends early", world(func(f *NameFacts) { f.CAA = f.CAA[:1] }), Unknown, ReasonCAALookupFailed, "a parent may forbid"},
	{"caa found before an error", world(caaAt(host, caa("0 issue letsencrypt.org")), caaAt("com", failed(ErrorServFail))), Pass, ReasonAMatch, "the parent is not needed"},
	{"caa forbids before a mismatch", world(a(has(else4)), caaAt(host, caa(unsigned))), Fail, ReasonCAAForbids, "the order of rules"},
	{"inconsistent before caa", world(servers(server("ns1", has(node4), has()), server("ns2", has(else4), has())), caaAt(host, failed(ErrorServFail))), Fail, ReasonInconsistent, "the order of rules"},
	{"servers differ, all of them right", world(servers(server("ns1", has(node4), has()), server("ns2", has(node4), has(node6)))), Pass, ReasonAMatch, "every server leads to the node"},
	{"servers differ across families", world(servers(server("ns1", has(else4), has(node6)), server("ns2", has(node4), has()))), Unknown, ReasonInPart, "A of one and no AAAA of the other lead elsewhere, each alone to the node"},
	{"servers differ on a, aaaa right", world(a(has(else4)), aaaa(has(node6)), servers(server("ns1", has(else4), has(node6)), server("ns2", has(node4), has(node6)))), Pass, ReasonAAAAMatch, "IPv4 is never tried"},
	{"cnames differ", world(servers(aliased("ns1", nodeName), aliased("ns2", "old.example"))), Fail, ReasonInconsistent, "half propagated"},
	{"cname here, address there, both right", world(servers(aliased("ns1", nodeName), server("ns2", has(node4), has()))), Pass, ReasonAMatch, "both lead to the node"},
	{"two cnames, one to nowhere", world(servers(aliased("ns1", nodeName), dangling("ns2", "there.example"))), Fail, ReasonInconsistent, "half of the perspectives find nothing"},
	{"alias whose servers disagree", world(a(via(has(node4), "web.example")), led("web.example", server("ns1", has(node4), has()), server("ns2", has(else4), has()))), Fail, ReasonInconsistent, "the zone of the target is asked too"},
	{"alias whose servers agree", world(a(via(has(node4), "web.example")), led("web.example", server("ns1", has(node4), has()), server("ns2", has(node4), has()))), Pass, ReasonAMatch, "the zone of the target is asked too"},
	{"caa of one server forbids", world(servers(server("ns1", has(node4), has()), forbids(server("ns2", has(node4), has())))), Fail, ReasonInconsistent, "half of the perspectives meet it"},
	{"a cname for aaaa beside an a elsewhere", world(a(has(else4)), aaaa(via(has(), "there.example.com")), servers(server("ns1", has(else4), via(has(), "there.example.com")), server("ns2", has(else4), via(has(), "there.example.com")))), Unknown, ReasonContradiction, "a resolver that met the CNAME follows it for A"},
	{"a cname for caa beside an a elsewhere", world(a(has(else4)), servers(withCAA(server("ns1", has(else4), has()), via(has(), "there.example.com")), server("ns2", has(node4), has()))), Unknown, ReasonContradiction, "a resolver that asked for CAA first follows it for A"},
	{"a cname for caa beside the node's a", world(servers(withCAA(server("ns1", has(node4), has()), via(has(), "there.example.com")))), Unknown, ReasonContradiction, "nor is it known that the CNAME leads to the node"},
	{"the delegated server is lame, another answers", world(servers(silent("ns1", ErrorRefused), undelegated(server("ns2", has(node4), has())))), Unknown, ReasonLookupFailed, "a resolver without an earlier delegation has no answer"},
	{"the delegated server is silent, another answers", world(servers(silent("ns1", ErrorTimeout), undelegated(server("ns2", has(node4), has())))), Unknown, ReasonLookupFailed, "as if it were lame"},
	{"all servers refuse", world(servers(silent("ns1", ErrorRefused), silent("ns2", ErrorLame))), Unknown, ReasonLookupFailed, "the resolver remembers what they no longer serve"},
	{"all servers fail", world(servers(silent("ns1", ErrorServFail), silent("ns2", ErrorNotImp))), Unknown, ReasonLookupFailed, "the resolver remembers what they no longer serve"},
	{"a server at another address than the glue's, and they differ", world(servers(unglued(server("ns1", has(else4), has())), aliased("ns1", nodeName), server("ns2", has(else4), has()))), Unknown, ReasonInPart, "it depends on which address a resolver takes for the server"},
	{"the zone is not found", world(noZone), Unknown, ReasonLookupFailed, "the resolver remembers the name, and does not find its zone any more"},
	{"all servers are silent", world(servers(silent("ns1", ErrorTimeout), silent("ns2", ErrorTimeout))), Pass, ReasonAMatch, "this machine may reach the resolver alone"},
	{"caa of an alias that only an unglued server has", world(servers(unglued(aliased("ns1", "web.example")), server("ns2", has(node4), has())), led("web.example", forbids(server("ns3", has(else4), has())))), Unknown, ReasonInPart, "only resolvers that ask the unglued server meet it"},
	{"the resolver has what none of the differing servers has", world(a(has(else4)), servers(cnamed("ns1", nodeName), halfAliased("ns2"))), Unknown, ReasonInPart, "it remembers it"},
	{"a cname into a zone that is new", world(a(via(gone, "web.example")), aaaa(via(gone, "web.example")), servers(aliased("ns1", "web.example")), led("web.example", silent("tld", ErrorLame))), Unknown, ReasonLookupFailed, "the resolver remembers that it was not there"},
	{"a zone that is new", world(a(gone), aaaa(gone), servers(silent("tld", ErrorLame))), Unknown, ReasonLookupFailed, "the resolver remembers that it was not there"},
	{"a cname into a zone that is gone", world(a(via(gone, "web.example")), aaaa(via(gone, "web.example")), servers(aliased("ns1", "web.example")), led("web.example", server("tld", gone, gone))), Fail, ReasonNXDomain, "its parent says so"},
	{"undelegated server differs", world(servers(server("ns1", has(node4), has()), undelegated(server("ns2", has(else4), has())))), Pass, ReasonAMatch, "no resolver asks it"},
	{"own address of a server differs from its glue", world(servers(server("ns1", has(node4), has()), unglued(server("ns1", has(else4), has())))), Unknown, ReasonInPart, "a resolver may take either"},
	{"glue leads elsewhere, the server's own address does not", world(a(has(else4)), servers(server("ns1", has(else4), has()), unglued(server("ns1", has(node4), has())))), Unknown, ReasonInPart, "a resolver may take either"},
	{"own address of a server is another of the same", world(servers(server("ns1", has(node4), has()), unglued(server("ns1", has(node4), has())))), Pass, ReasonAMatch, "either way it is the node"},
	{"zone without servers", world(func(f *NameFacts) { f.Zone, f.Servers = "example.com", []ServerFacts{} }), Unknown, ReasonLookupFailed, "the fault may be ours"},
	{"a dropped at every server", world(aaaa(has(node6)), servers(server("ns1", failed(ErrorTimeout), has(node6)), server("ns2", failed(ErrorTimeout), has(node6)))), Unknown, ReasonLookupFailed, "resolvers hold such servers for dead"},
	{"aaaa lame at every server", world(servers(server("ns1", has(node4), failed(ErrorLame)), server("ns2", has(node4), failed(ErrorLame)))), Unknown, ReasonLookupFailed, "resolvers hold such servers for lame"},
	{"aaaa servfail at every server", world(aaaa(failed(ErrorServFail)), servers(server("ns1", has(node4), failed(ErrorServFail)))), Pass, ReasonAMatch, "an answer, if a bad one"},
	{"no server can be reached from here", world(servers(silent("ns1", ErrorTimeout), silent("ns2", ErrorNetwork))), Pass, ReasonAMatch, "the resolver reaches them"},
	{"aaaa mixed with a dead one", world(aaaa(has(node6, else6)), dials(map[string]Dial{else6: DialRefused})), Pass, ReasonAAAADead, "falls back to IPv4, or need not"},
	{"aaaa mixed with a dead one, a elsewhere", world(a(has(else4)), aaaa(has(node6, else6)), dials(map[string]Dial{else6: DialRefused})), Fail, ReasonAAAAMixed, "the fallback leads elsewhere"},
	{"aaaa elsewhere, forwards", world(aaaa(has(else6)), probe(reachedBy(else6))), Pass, ReasonForwardsChallenge, "redirects are followed over IPv6 too"},
	{"aaaa dead, a forwards", world(a(has(else4)), aaaa(has(else6)), dials(map[string]Dial{else6: DialRefused}), probe(reachedBy(else4))), Pass, ReasonForwardsChallenge, "the probe falls back too"},
	{"aaaa elsewhere, a forwards", world(a(has(else4)), aaaa(has(else6)), probe(reachedBy(else4))), Fail, ReasonAAAAMismatch, "IPv6 is asked, and was not probed"},
	{"one of two forwards", world(a(has(else4, "192.4.0.98")), probe(reachedBy(else4))), Unknown, ReasonForwardsSome, "any of them may be asked"},
	{"reached without a redirect", world(a(has(else4)), probe(ProbeFacts{Reached: true, Node: node4})), Fail, ReasonAMismatch, "then it was not the host that was asked"},
	{"aaaa dead, a mixed", world(a(has(node4, else4)), aaaa(has(else6)), dials(map[string]Dial{else6: DialRefused}), probe(reachedBy(else4))), Pass, ReasonForwardsChallenge, "it is the node's, or forwards"},
	{"a mixed, forwards", world(a(has(node4, else4)), probe(reachedBy(else4))), Pass, ReasonForwardsChallenge, "it is the node's, or forwards"},
	{"a mixed, one forwards", world(a(has(node4, else4, "192.4.0.98")), probe(reachedBy(else4)), probe(reachedBy(node4))), Unknown, ReasonForwardsSome, "a draw for every perspective"},
	{"both forward", world(a(has(else4, "192.4.0.98")), probe(reachedBy(else4)), probe(reachedBy("192.4.0.98"))), Pass, ReasonForwardsChallenge, "any address leads to the node"},
	{"aaaa mixed, forwards", world(aaaa(has(node6, else6)), probe(reachedBy(else6))), Pass, ReasonForwardsChallenge, "it is the node's, or forwards"},
	{"aaaa dead and one that forwards", world(aaaa(has("2600::98", else6)), dials(map[string]Dial{"2600::98": DialRefused}), probe(reachedBy(else6))), Pass, ReasonForwardsChallenge, "the dead one falls back to the node"},
	{"aaaa dead and one that forwards, a elsewhere", world(a(has(else4)), aaaa(has("2600::98", else6)), dials(map[string]Dial{"2600::98": DialRefused}), probe(reachedBy(else6))), Fail, ReasonAAAAMismatch, "the dead one falls back elsewhere"},
	{"answers as the node does", world(a(has(else4)), probe(stock), own(stock)), Unknown, ReasonAnswersAlike, "a proxy, or the same program"},
	{"answers as the node does, aaaa", world(aaaa(has(else6)), probe(ProbeFacts{Status: 404, Hops: []Hop{{301, "https://x/", else6}}}), own(ProbeFacts{Status: 404, Hops: []Hop{{301, "https://x/", node6}}})), Unknown, ReasonAnswersAlike, "a proxy, or the same program"},
	{"answers as the node does, beside the node", world(a(has(node4, else4)), probe(stock), own(stock)), Unknown, ReasonAnswersAlike, "a proxy, or the same program"},
	{"one of two answers as the node does", world(a(has("192.4.0.98", else4)), probe(stock), own(stock)), Fail, ReasonAMismatch, "the other does not"},
	{"one forwards, one answers as the node does", world(a(has("192.4.0.98", else4)), probe(stock), own(stock), probe(reachedBy("192.4.0.98"))), Unknown, ReasonAnswersAlike, "both may lead to the node"},
	{"token by way of an unknown proxy", world(a(has(else4)), own(token), probe(token)), Pass, ReasonForwardsChallenge, "a proof"},
	{"token beside the node", world(a(has(node4, else4)), own(token), probe(token)), Pass, ReasonForwardsChallenge, "a proof"},
	{"token by way of a known proxy", world(a(has(cloudy4)), own(token), func(f *NameFacts) { f.Live.Probes = map[string]*ProbeFacts{cloudy4: &token} }), Pass, ReasonForwardsChallenge, "a proof"},
	{"token of the node alone", world(a(has(else4)), own(token), probe(stock)), Fail, ReasonAMismatch, "the other host does not lead to it"},
	{"token of another node", world(a(has(else4)), own(token), probe(ProbeFacts{Status: 200, Proof: "n2.host.example.net"})), Fail, ReasonAMismatch, "the other host leads to that"},
	{"redirected to the node, which does not serve its token there", world(a(has(else4)), own(token), probe(reachedBy(else4))), Fail, ReasonAMismatch, "nor would it serve the challenge"},
	{"token of a node that does not serve it for the name", world(a(has(else4)), own(stock), probe(token)), Fail, ReasonAMismatch, "a page that says so"},
	{"another body", world(a(has(else4)), probe(ProbeFacts{Status: 404, Server: "nginx", Body: "2"}), own(stock)), Fail, ReasonAMismatch, "another page"},
	{"another version", world(a(has(else4)), probe(ProbeFacts{Status: 404, Server: "nginx/1.24.0", Body: "1"}), own(stock)), Fail, ReasonAMismatch, "another program"},
	{"neither answers", world(a(has(else4)), probe(ProbeFacts{Error: "refused"}), own(ProbeFacts{Error: "refused"})), Fail, ReasonAMismatch, "two refusals are no likeness"},
	{"known proxy that answers as the node does", world(a(has(cloudy4)), own(stock), func(f *NameFacts) { f.Live.Probes = map[string]*ProbeFacts{cloudy4: &stock} }), Unknown, ReasonProxied, "it is known to be one"},
	{"tcp silent at one server", world(servers(server("ns1", tcpDead, has()), server("ns2", has(node4), has()))), Unknown, ReasonLookupFailed, "a resolver that asks it waits too long"},
	{"tcp silent at one server of the alias", world(a(via(has(node4), "web.example")), led("web.example", server("ns1", has(node4), tcpDead), server("ns2", has(node4), has()))), Unknown, ReasonLookupFailed, "a resolver that asks it waits too long"},
	{"tcp silent at an undelegated server", world(servers(undelegated(server("ns1", tcpDead, has())), server("ns2", has(node4), has()))), Pass, ReasonAMatch, "no resolver asks it"},
	{"tcp refused at one server", world(servers(server("ns1", Lookup{Outcome: OutcomeError, Error: ErrorNetwork, Truncated: true}, has()), server("ns2", has(node4), has()))), Pass, ReasonAMatch, "the other is asked at once"},
	{"a dropped at one server", world(servers(server("ns1", failed(ErrorTimeout), has()), server("ns2", has(node4), has()))), Pass, ReasonAMatch, "the other is asked soon"},
	{"caa tcp silent at one server", world(servers(withCAA(server("ns1", has(node4), has()), tcpDead), server("ns2", has(node4), has()))), Unknown, ReasonLookupFailed, "a resolver that asks it waits too long"},
	{"one server drops the cname from one family", world(a(via(has(node4), nodeName)), aaaa(via(has(node6), nodeName)), servers(halfAliased("ns1"), aliased("ns2", nodeName))), Pass, ReasonAAAAMatch, "IPv6 leads to the node at both"},
	{"one server denies the name for aaaa alone", world(a(via(has(), "there.example.com")), aaaa(via(has(node6), "there.example.com")), servers(server("ns1", via(has(), "there.example.com"), gone), toOwn("ns2", "there.example.com"))), Unknown, ReasonContradiction, "resolvers differ in what they make of it"},
	{"cnames differ, with addresses", world(servers(aliased("ns1", nodeName), toOwn("ns2", "there.example.com"))), Unknown, ReasonInPart, "the first need not have the target of the second"},
	{"cname to its own zone at one server", world(servers(server("ns1", has(node4), has()), toOwn("ns2", "there.example.com"))), Unknown, ReasonInPart, "the first need not have the target"},
	{"nothing, by two cnames that lead to the node", world(a(via(gone, "there.example.com")), aaaa(via(gone, "there.example.com")), servers(aliased("ns1", nodeName), toOwn("ns2", "there.example.com"))), Unknown, ReasonInPart, "the target of one was asked of the other"},
	{"servers differ, one of them mixed", world(a(has(node4, else4)), servers(server("ns1", has(node4), has()), server("ns2", has(node4, else4), has()))), Unknown, ReasonInPart, "one address of one server leads elsewhere"},
	{"servers differ, one of them forwards", world(servers(server("ns1", has(node4), has()), server("ns2", has(else4), has())), probe(reachedBy(else4))), Pass, ReasonAMatch, "either way it is the node"},
	{"caa above the name, hidden by the target's", world(a(via(has(node4), "web.example")), inZone, caaAt(host, via(caa("0 tbs x"), "web.example")),
		servers(withCAA(withCAA(aliased("ns1", "web.example"), via(has(), "web.example")), caa(unsigned))), led("web.example", withCAA(server("ns3", has(node4), has()), caa("0 tbs x")))), Pass, ReasonAMatch, "the walk ends at the name"},
	{"one of three wrong, the others by both families", world(aaaa(has(node6)), servers(server("ns1", has(node4), has(node6)), server("ns2", has(node4), has(node6)), server("ns3", has(else4), has()))), Unknown, ReasonInPart, "it has to be met twice"},
	{"one of three wrong, the others by a alone", world(servers(server("ns1", has(node4), has()), server("ns2", has(node4), has()), server("ns3", has(else4), has()))), Fail, ReasonInconsistent, "it has to be met once"},
	{"one of two wrong, the other by both families", world(servers(server("ns1", has(node4), has(node6)), server("ns3", has(else4), has()))), Fail, ReasonInconsistent, "it is met often enough"},
	{"servers differ, one answers as the node does", world(servers(server("ns1", has(node4), has()), server("ns2", has(else4), has())), probe(stock), own(stock)), Unknown, ReasonInPart, "it may be a proxy"},
	{"one server drops the cname from a alone", nodeIs(has(node4), has(), a(via(has(node4), nodeName)), servers(halfAliased("ns1"), aliased("ns2", nodeName))), Unknown, ReasonContradiction, "half of the perspectives find no A"},
	{"cname for aaaa alone at one server", world(a(has()), aaaa(has(node6)), servers(halfTo("ns1", "there.example.com"), server("ns2", has(), has(node6)))), Unknown, ReasonContradiction, "the target need not be at the other"},
	{"cname to another zone at one server, both right", world(servers(server("ns1", has(node4), has()), aliased("ns2", "web.example")), led("web.example", server("ns3", has(node4), has()))), Pass, ReasonAMatch, "every server leads to the node"},
	{"cname to another zone at one server, elsewhere", world(servers(server("ns1", has(node4), has()), aliased("ns2", "web.example")), led("web.example", server("ns3", has(else4), has()))), Fail, ReasonInconsistent, "half of the perspectives go elsewhere"},
	{"cname to another zone and on to the node", world(servers(server("ns1", has(node4), has()), aliased("ns2", "web.example")), led("web.example", aliased("ns3", nodeName))), Pass, ReasonAMatch, "every server leads to the node"},
	{"a servfail at a server with a cname to the node", world(a(failed(ErrorServFail)), aaaa(via(has(node6), nodeName)), servers(server("ns1", failed(ErrorServFail), has()), halfFailed("ns2"))), Unknown, ReasonLookupFailed, "A does not make up for it"},
	{"caa above the name at one server, hidden there", world(servers(hidden("ns1"), withCAA(server("ns2", has(node4), has()), has()))), Fail, ReasonInconsistent, "the name is asked of one server and the zone of the other"},
	{"caa of one server forbids, the other has a cname to the node", world(servers(aliased("ns1", nodeName), forbids(server("ns2", has(node4), has())))), Unknown, ReasonInPart, "a resolver that met the CNAME may not ask for CAA beside it"},
	{"one server denies the name for a, the others' cname to another zone is right", world(a(via(has(node4), "web.example")), servers(halfTo("ns1", "web.example"), aliased("ns2", "web.example")), led("web.example", server("ns3", has(node4), has()))), Unknown, ReasonContradiction, "half of the perspectives find no A"},
	{"cname in the zone, a server fails for the name alone", world(a(via(has(node4), "there.example.com")), inZone, servers(withCAA(silent("ns1", ErrorMalformed), has()), toOwn("ns2", "there.example.com"))), Unknown, ReasonLookupFailed, "it may be asked for the target"},
	{"cname in the zone, a server is lame", world(a(via(has(node4), "there.example.com")), inZone, servers(withCAA(silent("ns1", ErrorLame), failed(ErrorLame)), toOwn("ns2", "there.example.com"))), Pass, ReasonAMatch, "the other answers"},
	{"caa above the name, and the server denies its cname for caa", world(a(via(has(node4), "web.example")), aaaa(via(has(node6), "web.example")), inZone, servers(withCAA(withCAA(halfTo("ns1", "web.example"), gone), caa(unsigned))), led("web.example", server("ns3", has(), has(node6)))), Unknown, ReasonContradiction, "a resolver that met the CNAME goes by its target"},
	{"aaaa servfail at every server, and the resolver has it", world(a(via(has(node4), nodeName)), aaaa(via(has(node6), nodeName)), servers(server("ns1", via(has(), nodeName), failed(ErrorServFail)))), Unknown, ReasonLookupFailed, "by the CNAME that came for A"},
	{"caa of no server, but of the resolver", world(servers(withCAA(server("ns1", has(node4), has()), failed(ErrorRefused)), withCAA(server("ns2", has(node4), has()), failed(ErrorServFail)))), Unknown, ReasonCAALookupFailed, "another resolver has not met the CNAME before"},
	{"caa of one server refused", world(servers(withCAA(server("ns1", has(node4), has()), failed(ErrorRefused)), withCAA(server("ns2", has(node4), has()), has()))), Pass, ReasonAMatch, "the other answers"},
	{"caa forbids, and servers differ on cname", world(caaAt(host, caa(unsigned)), servers(aliased("ns1", nodeName), server("ns2", has(node4), has()))), Unknown, ReasonInPart, "a resolver that met the CNAME may not ask for CAA beside it"},
	{"caa of one server of the alias forbids", world(a(via(has(node4), "web.example")), led("web.example", server("ns3", has(node4), has()), forbids(server("ns4", has(node4), has())))), Fail, ReasonInconsistent, "the target's set counts"},
	{"aaaa multicast", world(aaaa(has("ff02::1"))), Pass, ReasonAAAADead, "fails at once, and falls back"},
	{"dead aaaa at one server", world(servers(server("ns1", has(node4), has()), server("ns2", has(node4), has(else6))), dials(map[string]Dial{else6: DialRefused})), Pass, ReasonAMatch, "either way it is the node"},
	{"no address, and a server contradicts itself", world(a(gone), servers(server("ns1", gone, has()), server("ns2", has(node4), has()))), Unknown, ReasonContradiction, "another resolver may have the A of the other server"},
	{"servers differ on a, no server has aaaa", world(aaaa(failed(ErrorServFail)), servers(server("ns1", has(node4), failed(ErrorServFail)), server("ns2", has(else4), failed(ErrorServFail)))), Unknown, ReasonLookupFailed, "AAAA may be right, and is tried first"},
	{"servers differ, node's aaaa not known", nodeIs(has(node4), failed(ErrorServFail), servers(server("ns1", has(node4), has()), server("ns2", has(else4), has()))), Unknown, ReasonNodeUnresolved, "they may all be the node's"},
	{"aaaa timeout, servers have none", world(aaaa(failed(ErrorTimeout)), servers(server("ns1", has(node4), has()))), Unknown, ReasonLookupFailed, "the next resolver may wait too"},
	{"node's aaaa not known", nodeIs(has(node4), failed(ErrorServFail), aaaa(has(else6))), Unknown, ReasonNodeUnresolved, "it may be the node's"},
	{"node's a not known", nodeIs(failed(ErrorTimeout), has(node6), a(has(else4))), Unknown, ReasonNodeUnresolved, "it may be the node's"},
}

func aliased(name, target string) ServerFacts {
	s := server(name, has(), has())
	s.CNAME = alias(target)
	return s
}

// toOwn returns a server that also has the target of its CNAME.
func toOwn(name, target string) ServerFacts {
	s := aliased(name, target)
	s.A = has(node4)
	return s
}

// stock is a default page of many servers.
var stock = ProbeFacts{Status: 404, ContentType: "text/html", Server: "nginx", Body: "1"}

// token is the node's.
var token = ProbeFacts{Status: 200, Proof: nodeName, Body: "t"}

// tcpDead is a lookup with a truncated answer over UDP and none over TCP.
var tcpDead = Lookup{Outcome: OutcomeError, Error: ErrorTimeout, Truncated: true}

// halfAliased returns a server with a CNAME for AAAA and no data for A.
func halfAliased(name string) ServerFacts {
	s := server(name, has(), has())
	s.AAAA.Chain = []string{nodeName}
	return s
}

// followed returns a server that sends its CNAME to the node for both families.
func followed(name string) ServerFacts {
	s := aliased(name, nodeName)
	s.A.Chain, s.AAAA.Chain = []string{nodeName}, []string{nodeName}
	return s
}

// halfFailed returns a server with a CNAME for AAAA and SERVFAIL for A.
func halfFailed(name string) ServerFacts {
	s := aliased(name, nodeName)
	s.A = failed(ErrorServFail)
	s.AAAA.Chain = []string{nodeName}
	return s
}

// hidden returns a server with CAA that forbids above the name, and other CAA at it.
func hidden(name string) ServerFacts {
	s := server(name, has(node4), has())
	s.CAA = []CAALookup{{host, caa("0 tbs x")}, {"example.com", caa(unsigned)}}
	return s
}

// halfTo returns a server with a CNAME for AAAA, without the address of its target.
func halfTo(name, target string) ServerFacts {
	s := server(name, has(), has())
	s.AAAA.Chain = []string{target}
	return s
}

// noZone lets the zone not be found.
func noZone(f *NameFacts) { f.ZoneError, f.Servers = ErrorServFail, []ServerFacts{} }

func inZone(f *NameFacts) { f.Zone = "example.com" }

func withCAA(s ServerFacts, l Lookup) ServerFacts {
	at := host
	if len(s.CAA) > 0 {
		at = "example.com"
	}
	s.CAA = append(s.CAA, CAALookup{at, l})
	return s
}

func reachedBy(address string) ProbeFacts {
	return ProbeFacts{Hops: []Hop{{Status: 301, URL: "http://n1/", Address: address}}, Node: node4, Status: 200, Reached: true}
}

func dangling(name, target string) ServerFacts {
	s := aliased(name, target)
	s.A, s.AAAA = gone, gone
	return s
}

func unglued(s ServerFacts) ServerFacts {
	s.Address, s.Unglued = "192.4.1.9:53", true
	return s
}

func forbids(s ServerFacts) ServerFacts {
	s.CAA = []CAALookup{{host, caa(unsigned)}}
	return s
}

func undelegated(s ServerFacts) ServerFacts {
	s.Undelegated = true
	return s
}

func led(name string, servers ...ServerFacts) change {
	return func(f *NameFacts) { f.Aliases = append(f.Aliases, AliasFacts{Name: name, Servers: servers}) }
}

func nodeIs(a, aaaa Lookup, changes ...change) *Facts {
	f := world(changes...)
	f.Nodes[nodeName] = &NodeFacts{Name: nodeName, A: a, AAAA: aaaa}
	return f
}

func TestSituations(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			v := Judge(s.facts, asks())
			if v.Result != s.result || v.Reason != s.reason {
				t.Errorf("Judge is %s %s, want %s %s: %s\n%+v", v.Result, v.Reason, s.result, s.reason, s.why, v)
			}
			if len(v.Evidence) == 0 {
				t.Error("there is no evidence")
			}
			if (v.Fix == "") != (v.Result == Pass) {
				t.Errorf("the fix is %q", v.Fix)
			}
			if v.Result == Unknown && !v.Retryable {
				t.Error("an unknown verdict is not retryable")
			}
			if again := Judge(shuffled(s.facts), asks()); !same(v, again) {
				t.Errorf("the verdict depends on the order of facts:\n%+v\n%+v", v, again)
			}
		})
	}
}

func TestNames(t *testing.T) {
	long := "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"
	for _, c := range []struct {
		name, want string // "" for a name that is refused
		reason     Reason
		why        string
	}{
		{host, host, "", "plain"},
		{"Shop.Example.COM.", host, "", "upper case and a final dot are spelling"},
		{"bücher.example.com", "xn--bcher-kva.example.com", "", "IDN"},
		{"xn--bcher-kva.example.com", "xn--bcher-kva.example.com", "", "already an A-label"},
		{"foo.github.io", "foo.github.io", "", "a private suffix does not count"},
		{"github.io", "github.io", "", "nor does it as the name itself"},
		{"*.example.com", "", ReasonWildcard, "needs DNS-01"},
		{"a.*.example.com", "", ReasonWildcard, "a star anywhere"},
		{"a_b.example.com", "", ReasonNameInvalid, "underscore"},
		{"ab--c.example.com", "", ReasonNameInvalid, "reserved label"},
		{"xn--\u00e9.example.com", "", ReasonNameInvalid, "an A-label cannot have é"},
		{"xn--a-.example.com", "", ReasonNameInvalid, "ends in a hyphen"},
		{"-a.example.com", "", ReasonNameInvalid, "begins with a hyphen"},
		{"a..example.com", "", ReasonNameInvalid, "empty label"},
		{"", "", ReasonNameInvalid, "empty"},
		{"localhost", "", ReasonNameInvalid, "one label"},
		{"com", "", ReasonNameInvalid, "one label"},
		{"co.uk", "", ReasonNameInvalid, "a public suffix"},
		{"shop.internal", "", ReasonNameInvalid, "no such top-level domain"},
		{"192.4.0.1", "", ReasonNameInvalid, "an address"},
		{"2600::1", "", ReasonNameInvalid, "an address"},
		{"1.2.3.4.5.6.7.8.example.com", "1.2.3.4.5.6.7.8.example.com", "", "ten labels"},
		{"0.1.2.3.4.5.6.7.8.example.com", "", ReasonNameInvalid, "eleven labels"},
		{long + ".example.com", "", ReasonNameInvalid, "a label of 64"},
		{long[:63] + ".example.com", long[:63] + ".example.com", "", "a label of 63"},
	} {
		got, err := QueryName(c.name)
		if (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("QueryName(%q) = %q, %v, want %q: %s", c.name, got, err, c.want, c.why)
		}
		if err == nil {
			continue
		}
		if v := Judge(world(), Request{Host: c.name, Node: nodeName}); v.Result != Fail || v.Reason != c.reason {
			t.Errorf("Judge(%q) is %s %s, want fail %s: %s", c.name, v.Result, v.Reason, c.reason, c.why)
		}
	}
}

// One certificate covers all names of a virtual host.
func TestCertificate(t *testing.T) {
	facts := world()
	facts.Names["www.example.com"] = named("www.example.com", a(has(else4)))
	facts.Names["slow.example.com"] = named("slow.example.com", a(failed(ErrorTimeout)))
	facts.Names["half.example.com"] = named("half.example.com", servers(server("ns1", has(node4), has()), server("ns2", has(else4), has())))
	for _, c := range []struct {
		aliases []string
		result  Result
		name    string
		why     string
	}{
		{nil, Pass, host, "alone"},
		{[]string{"www.example.com"}, Fail, "www.example.com", "one bad name fails it"},
		{[]string{"slow.example.com"}, Unknown, "slow.example.com", "one unknown name makes it unknown"},
		{[]string{"slow.example.com", "www.example.com"}, Fail, "www.example.com", "a failure is worse than what is unknown"},
		{[]string{"half.example.com", "www.example.com"}, Fail, "www.example.com", "what time does not mend is named first"},
		{[]string{"half.example.com", "slow.example.com"}, Fail, "half.example.com", "and what it may mend after"},
		{[]string{"*.example.com"}, Fail, "*.example.com", "a wildcard alias"},
		{[]string{host, host}, Pass, host, "a repeated name changes nothing"},
	} {
		v := Judge(facts, asks(c.aliases...))
		if v.Result != c.result || v.Name != c.name {
			t.Errorf("with %q: %s by %s, want %s by %s: %s", c.aliases, v.Result, v.Name, c.result, c.name, c.why)
		}
	}
	if v := Judge(facts, asks(make100()...)); v.Reason != ReasonTooManyNames {
		t.Errorf("with 101 names: %s %s", v.Result, v.Reason)
	}
	for profile, most := range map[plan.CertificateProfile]int{"": 100, plan.Classic: 100, plan.TLSServer: 25, plan.Shortlived: 25} {
		r := asks(make100()[:most-1]...)
		r.Profile = profile
		if v := Judge(facts, r); v.Reason == ReasonTooManyNames {
			t.Errorf("%s allows no %d names", profile, most)
		}
		r = asks(make100()[:most]...)
		r.Profile = profile
		v := Judge(facts, r)
		other := "order by the profile classic, which allows 100 (provider.letsEncrypt.profile is " + string(profile) + ")"
		if v.Reason != ReasonTooManyNames || !strings.Contains(v.Fix, fmt.Sprintf("with %d each at most", most)) || strings.Contains(v.Fix, other) != (most == 25) {
			t.Errorf("%s with %d names: %s %s, fix %s", profile, most+1, v.Result, v.Reason, v.Fix)
		}
	}
}

func make100() []string {
	var names []string
	for c := 'a'; len(names) < 100; c++ {
		names = append(names, string(c)+".example.com")
	}
	return names
}

func TestCAAParameters(t *testing.T) {
	ours := "letsencrypt.org"
	for value, want := range map[string]permission{
		ours:                                   permitted,
		" letsencrypt.org\t":                   permitted,
		ours + ";":                             permitted,
		ours + " ; ":                           permitted,
		ours + "; x=y":                         permitted,
		ours + ";;":                            forbidden,
		ours + "; x":                           forbidden,
		ours + "; policy-id=1":                 permitted, // a tag may have hyphens inside
		ours + "; a--b=1":                      permitted,
		ours + "; -a=1":                        forbidden,
		ours + "; a-=1":                        forbidden,
		ours + "; =1":                          forbidden, // and at least one character
		ours + "; a_b=1":                       forbidden,
		ours + "; x=a b":                       forbidden,
		ours + "; x=é":                         forbidden,
		ours + "; accounturi=" + account:       permitted,
		ours + "; accountURI=https://other/":   permitted, // another tag, and no rule about it
		ours + "; accounturi=":                 forbidden,
		ours + ";accounturi=a;accounturi=a":    forbidden,
		ours + ";validationmethods=http-01":    permitted,
		ours + ";validationmethods=x,http-01":  permitted,
		ours + ";validationmethods=x_,http-01": forbidden,
		ours + ";validationmethods=http-01,x_": permitted, // not read to its end
		ours + ";validationmethods=HTTP-01":    forbidden,
		ours + ";validationmethods=":           forbidden,
		"letsencrypt.org.":                     forbidden,
		"":                                     forbidden,
		";":                                    forbidden,
	} {
		if got := permit(value, account, byHTTP); got != want {
			t.Errorf("permit(%q) = %d, want %d", value, got, want)
		}
	}
	facts := world(caaAt(host, caa("0 issue letsencrypt.org; accounturi="+account)))
	request := asks()
	request.AccountURI = ""
	if v := Judge(facts, request); v.Result != Unknown || v.Reason != ReasonCAAAccountUnknown {
		t.Errorf("without the account: %s %s", v.Result, v.Reason)
	}
}

// Let's Encrypt asks the name servers, and keeps no record for long: what they all say
// outweighs what the resolver remembers.
func TestResolverThatRemembers(t *testing.T) {
	here, away := server("ns1", has(node4), has()), server("ns1", has(else4), has())
	with := func(f ServerFacts, at string, l Lookup) ServerFacts {
		f.CAA = append(slices.Clone(f.CAA), CAALookup{at, l})
		return f
	}
	for _, c := range []struct {
		name   string
		facts  *Facts
		result Result
		reason Reason
		warns  int
	}{
		{"moved to us", world(a(has(else4)), servers(here, here)), Pass, ReasonAMatch, 1},
		{"moved away", world(servers(away, away)), Fail, ReasonAMismatch, 1},
		{"created", world(a(gone), aaaa(gone), servers(here)), Pass, ReasonAMatch, 2},
		{"deleted", world(servers(server("ns1", gone, gone))), Fail, ReasonNXDomain, 2},
		{"an alias of the node by now", world(a(gone), aaaa(gone), servers(cnamed("ns1", nodeName))), Pass, ReasonAAAAMatch, 2},
		{"an alias into another zone by now", world(a(has(else4)), servers(cnamed("ns1", "web.example")), led("web.example", server("ns3", has(node4), has()))), Pass, ReasonAMatch, 1},
		{"AAAA is gone", world(aaaa(has(else6)), servers(here)), Pass, ReasonAMatch, 1},
		{"the other server is silent", world(a(has(else4)), servers(here, silent("ns2", ErrorTimeout))), Unknown, ReasonInPart, 0},
		{"the servers differ", world(a(has(else4)), servers(here, server("ns2", has(else4), has()))), Fail, ReasonInconsistent, 0},
		{"the resolver fails", world(a(failed(ErrorServFail, 6)), aaaa(failed(ErrorServFail, 6)), servers(here)), Fail, ReasonDNSSECBogus, 0},
		{"CAA is gone", world(caaAt(host, caa(unsigned)), servers(with(here, host, has()))), Pass, ReasonAMatch, 1},
		{"CAA is new", world(servers(with(here, host, caa(unsigned)))), Fail, ReasonCAAForbids, 1},
		{"CAA of before an alias into another zone", world(caaAt(host, caa(unsigned)), servers(with(cnamed("ns1", "web.example"), host, via(has(), "web.example"))), led("web.example", with(server("ns3", has(node4), has()), "web.example", has()))), Pass, ReasonAMatch, 1},
		{"CAA of another alias", world(caaAt(host, via(caa(unsigned), "old.example")), servers(with(cnamed("ns1", "web.example"), host, via(has(), "web.example"))), led("web.example", with(server("ns3", has(node4), has()), "web.example", has()))), Pass, ReasonAMatch, 1},
		{"the alias has CAA by now", world(servers(with(cnamed("ns1", "web.example"), host, via(has(), "web.example"))), led("web.example", with(server("ns3", has(node4), has()), "web.example", caa(unsigned)))), Fail, ReasonCAAForbids, 1},
		{"the servers differ by now, and none has it", world(a(has(else4)), servers(cnamed("ns1", nodeName), halfAliased("ns2"))), Unknown, ReasonInPart, 1},
		{"CAA is gone, and the servers differ on addresses", world(caaAt(host, caa(unsigned)), servers(with(here, host, has()), with(server("ns2", has(), has(node6)), host, has()))), Unknown, ReasonInPart, 1},
		{"CAA is gone, and a server is lame", world(caaAt(host, caa(unsigned)), servers(with(here, host, has()), with(silent("ns2", ErrorRefused), host, failed(ErrorRefused)))), Pass, ReasonAMatch, 1},
		{"CAA is gone, and a server is silent", world(caaAt(host, caa(unsigned)), servers(with(here, host, has()), with(silent("ns2", ErrorTimeout), host, failed(ErrorTimeout)))), Fail, ReasonCAAForbids, 0},
		{"one address of two, by a CNAME for one type alone", world(inZone, aaaa(gone), servers(server("ns1", via(has(node4, else4), "there.example.com"), gone))), Unknown, ReasonInPart, 0},
		{"the servers deny with a CNAME what the resolver found", world(inZone, a(via(has(node4), "there.example.com")), servers(server("ns1", via(gone, "there.example.com"), via(gone, "there.example.com")))), Unknown, ReasonInPart, 0},
		{"an alias that no server has by now", world(a(via(has(node4), "old.example")), aaaa(via(has(node6), "old.example")), servers(server("ns1", gone, via(has(), "web.example"))), led("web.example", server("ns3", has(else4), has()))), Unknown, ReasonInPart, 0},
		{"an address that no server has by now", world(servers(server("ns1", gone, via(has(), "web.example"))), led("web.example", server("ns3", has(else4), has()))), Unknown, ReasonInPart, 0},
		{"servers that contradict themselves have neither address", world(aaaa(has(else6)), servers(server("ns1", has(else4), gone))), Unknown, ReasonInPart, 0},
		{"CAA above the name is gone", world(caaAt("example.com", caa(unsigned)), servers(with(with(here, host, has()), "example.com", has()))), Pass, ReasonAMatch, 1},
	} {
		v := Judge(c.facts, asks())
		if v.Result != c.result || v.Reason != c.reason || len(v.Warnings) != c.warns {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

// cnamed returns a server with a CNAME, whose target it does not have.
func cnamed(name, target string) ServerFacts {
	return ServerFacts{Name: name, Address: "192.4.1.1:53", A: via(has(), target), AAAA: via(has(), target), CNAME: alias(target)}
}

func TestNodeAddresses(t *testing.T) {
	node := &NodeFacts{Name: nodeName, A: has("192.4.0.7"), AAAA: has(), Servers: []ServerFacts{
		server("ns1", has(node4), failed(ErrorTimeout)), server("ns2", has("192.4.0.2"), failed(ErrorTimeout)), silent("ns3", ErrorTimeout)}}
	p := publishedBy(node)
	if p.v4.String() != node4+" 192.4.0.2" || !p.v4Known {
		t.Errorf("v4 is %s, want those of all servers", p.v4)
	}
	if !p.v6Known || len(p.v6) != 0 {
		t.Error("the resolver's v6 is not used if no server answers for it")
	}
	node.Servers = []ServerFacts{aliased("ns1", "elsewhere.example")}
	if p := publishedBy(node); p.v4.String() != "192.4.0.7" {
		t.Errorf("a node that is a CNAME has %s, want what the resolver found", p.v4)
	}
}
