package dnsgate

import (
	"flag"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the pages in testdata/customer")

// reasons are the constants of type Reason in the sources, those of no rule too.
func reasons(t *testing.T) []Reason {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []Reason
	for _, name := range files {
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				for _, value := range spec.Values {
					text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, Reason(text))
				}
			}
			return true
		})
	}
	if len(all) < 20 {
		t.Fatalf("the sources have %d reasons", len(all))
	}
	return all
}

// decided returns the decision on a certificate whose verdict is v.
func decided(request Request, v Verdict) Decision {
	return Decision{Certificate: Certificate{Host: request.Host, Names: request.Names}, Verdict: v, On: v.Result == Pass}
}

// pages returns a page for each reason, of the first situation with the reason.
func pages(t *testing.T) map[Reason]Page {
	t.Helper()
	all := map[Reason]Page{}
	add := func(facts *Facts, request Request) {
		if f := facts.Names[host]; f != nil {
			clone := *f
			facts = &Facts{Nodes: facts.Nodes, Names: map[string]*NameFacts{host: &clone}}
			if clone.Zone == "" {
				clone.Zone = "example.com"
			}
		}
		v := Judge(facts, request)
		if _, done := all[v.Reason]; !done {
			all[v.Reason] = PageOf(facts, request, decided(request, v))
		}
	}
	for _, s := range situations {
		add(s.facts, asks())
	}
	add(world(), asks("*.example.com"))
	add(world(), asks("a_b.example.com"))
	many := asks()
	for i := range MaxNames {
		many.Names = append(many.Names, "n"+strconv.Itoa(i)+".example.com")
	}
	add(world(), many)
	for _, s := range dnsSituations {
		add(s.facts, asksDNS())
	}
	account := asks()
	account.AccountURI = ""
	add(world(caaAt(host, caa("0 issue letsencrypt.org; accounturi=https://ca.example/1"))), account)
	for _, reason := range reasons(t) {
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.reason == reason }) && advice[reason] != nil { // of Gate
			all[reason] = PageOf(world(), asks(), decided(asks(), Verdict{Result: Fail, Reason: reason, Name: host}))
		}
	}
	return all
}

// A new reason fails this test until it has advice for the customer, and a page whose
// words were reviewed.
func TestEveryReasonHasAPage(t *testing.T) {
	all := pages(t)
	for _, reason := range reasons(t) {
		page, ok := all[reason]
		switch {
		case advice[reason] == nil:
			t.Errorf("%s: there is no text for the customer: add it to the map advice", reason)
			continue
		case !ok:
			t.Errorf("%s: no situation leads to it", reason)
			continue
		}
		golden(t, string(reason)+".txt", page.Text())
		golden(t, string(reason)+".md", page.Markdown())
	}
	if n := len(reasons(t)); n != len(advice) {
		t.Errorf("there are %d reasons, and advice for %d", n, len(advice))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "customer", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// A page has each name that needs something, once, and no name that needs nothing.
func TestPageOfSeveralNames(t *testing.T) {
	facts := world(a(has(else4)))
	facts.Names[host].Zone = "example.com"
	for name, l := range map[string]Lookup{"example.com": has(else4), "www.example.com": gone, "ok.example.com": has(node4)} {
		f := named(name, a(l))
		f.Zone = "example.com"
		facts.Names[name] = f
	}
	request := asks("example.com", "www.example.com", "ok.example.com")
	page := PageOf(facts, request, decided(request, Judge(facts, request)))
	golden(t, "several-names.txt", page.Text())
	golden(t, "several-names.md", page.Markdown())
}

// The DNS of generated names is the provider's.
func TestPageOfGeneratedName(t *testing.T) {
	const generated = "shop-main-4f7240c.host.example.net"
	facts := world()
	facts.Names[generated] = named(generated, a(gone), aaaa(gone))
	request := Request{Host: generated, Names: []string{generated}, Node: nodeName}
	page := PageOf(facts, request, decided(request, Judge(facts, request))).Text()
	if !strings.Contains(page, "its DNS is ours") || strings.Contains(page, "Set:") || !strings.Contains(page, "do nothing") {
		t.Errorf("the page asks the customer to change the provider's DNS:\n%s", page)
	}
}

// What the provider keeps to itself is on no page: its resolver, and how it runs the gate.
func TestPagesAreForCustomers(t *testing.T) {
	internal := regexp.MustCompile(`(?i)mage |provider\.|-live|accountUri|acme__|resolver|\bgate\b|\bnode\b|http-01|hostenv-provider`)
	for reason, page := range pages(t) {
		for _, text := range []string{page.Text(), page.Markdown()} {
			text = strings.ReplaceAll(text, ChallengePath+Token, "")
			if found := internal.FindString(text); found != "" {
				t.Errorf("the page of %s has %q:\n%s", reason, found, text)
			}
		}
	}
}

// What stands in DNS or in a project cannot add an element to the Markdown, nor a line to
// the text.
func TestPagesAreSafe(t *testing.T) {
	const evil = "x`</code><script>|\n# Title\n> quote\x1b[2J\u202e"
	seen := Lookup{Outcome: OutcomeAnswer, CAA: []CAARecord{{128, evil, evil}, {0, "issue", "letsencrypt.org " + evil}}}
	hostile := map[string]Page{}
	for name, facts := range map[string]*Facts{
		"critical": world(caaAt(host, seen)), "forbids": world(caaAt(host, Lookup{Outcome: OutcomeAnswer, CAA: seen.CAA[1:]})),
		"chain":   world(a(via(has(else4), evil))),
		"servers": world(servers(server(evil, has(node4), has()), server("ns2", has(else4), has()))),
	} {
		hostile[name] = PageOf(facts, asks(), decided(asks(), Judge(facts, asks())))
	}
	wild := asks("*" + evil)
	hostile["wildcard"] = PageOf(world(), wild, decided(wild, Judge(world(), wild)))
	for name, page := range hostile {
		inspect := func(text string) {
			for line := range strings.Lines(text) {
				line = strings.TrimRight(line, "\n")
				if strings.TrimSpace(line) == "```" {
					continue // of ours, around a command
				}
				outside := ""
				for i, part := range strings.Split(line, "`") {
					if i%2 == 0 {
						outside += part
					}
				}
				if strings.Count(line, "`")%2 != 0 || strings.Contains(outside, "script") || strings.Contains(outside, "Title") {
					t.Errorf("%s: the Markdown line %q holds a value outside of code", name, line)
				}
			}
		}
		inspect(page.Markdown())
		for _, text := range []string{page.Text(), page.Markdown()} {
			if strings.ContainsAny(text, "\x1b\u202e") || regexp.MustCompile(`(?m)^(> )?# Title|^> quote`).MatchString(text) {
				t.Errorf("%s: the page shows a control, or a line of the customer's:\n%q", name, text)
			}
		}
	}
}

// What happens until then depends on the decision.
func TestPageSaysWhatHappens(t *testing.T) {
	facts := world(a(has(else4)))
	off := decided(asks(), Judge(facts, asks()))
	on := off
	on.On, on.HSTS, on.KeepUntil = true, true, "2027-01-15T10:00:00Z"
	lost := off
	lost.HSTS, lost.KeepUntil = true, "2026-01-15T10:00:00Z"
	unknown := decided(asks(), Judge(world(a(failed(ErrorTimeout)), aaaa(failed(ErrorTimeout))), asks()))
	unknown.On, unknown.Kept = true, true
	for want, d := range map[string]Decision{
		"has no certificate":                 off,
		"stays in use until 15 January 2027": on,
		"do not open it now":                 lost,
		"Your site stays as it ":             unknown,
	} {
		if text := strings.Join(PageOf(facts, asks(), d).Until, "\n"); !strings.Contains(text, want) {
			t.Errorf("the page says %q, not %q", text, want)
		}
	}
}

// The node's token shows the customer that the change arrived, if the node serves it.
func TestPageNamesToken(t *testing.T) {
	for _, proof := range []string{"", nodeName} {
		facts := world(a(has(else4)), own(ProbeFacts{Status: 200, Proof: proof}))
		page := PageOf(facts, asks(), decided(asks(), Judge(facts, asks())))
		if got := strings.Contains(page.Text(), "http://"+host+ChallengePath+Token); got != (proof != "") {
			t.Errorf("with the proof %q the page names the token: %v", proof, got)
		}
	}
}
