package fleetpage_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/internal/browser"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

var update = flag.Bool("update", false, "write the pictures of docs/fleet.md")

// written writes the page of a fleet to a file, and returns its URL.
func written(t *testing.T, environments int) string {
	t.Helper()
	var page bytes.Buffer
	if err := fleetpage.Write(&page, sample(environments, true, same)); err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("HOSTENV_TEST_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	file := filepath.Join(dir, fmt.Sprintf("%d.html", environments))
	if err := os.WriteFile(file, page.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d environments: %d KiB", environments, page.Len()>>10)
	return "file://" + file
}

// looks are the ways in which a page is looked at.
var looks = []struct {
	name, scheme  string
	width, height int
}{
	{"light", "light", 1440, 1000}, {"dark", "dark", 1440, 1000}, {"narrow", "light", 390, 844}, {"narrow-dark", "dark", 390, 844},
}

// TestBrowser shows the page to one browser, which takes longer to start than to test.
func TestBrowser(t *testing.T) {
	b := browser.Start(t)
	for name, test := range map[string]func(*testing.T, *browser.Browser){
		"Looks": testLooks, "Hostile": testHostile, "Few": testFew, "Policy": testPolicy, "Keyboard": testKeyboard, "Links": testLinks, "Order": testOrder, "Tree": testTree, "Axe": testAxe,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// In a browser the page loads nothing, violates no policy, and throws nothing, at every
// size, and at none it is wider than the window. With HOSTENV_TEST_SCREENSHOTS, a folder
// gets pictures to look at.
func testLooks(t *testing.T, b *browser.Browser) {
	for _, environments := range []int{10, 200, 1000} {
		url := written(t, environments)
		p := b.Open(t, url, 1440, 1000)
		for _, look := range looks {
			p.Size(look.width, look.height)
			p.Scheme(look.scheme)
			if environments == 10 {
				fits(t, p, look.name)
			}
			for _, at := range []string{"", "environments", "names", "runs"} {
				if dir := os.Getenv("HOSTENV_TEST_SCREENSHOTS"); dir != "" {
					p.Eval(fmt.Sprintf(`scrollTo(0, %q ? document.getElementById(%q).offsetTop - 100 : 0)`, at, at), nil)
					p.Screenshot(filepath.Join(dir, fmt.Sprintf("%d-%s-%s.png", environments, look.name, at)))
				}
			}
		}
		if *update {
			p.Size(1000, 640)
			p.Scheme("light")
			p.Eval("scrollTo(0, 0)", nil)
			p.Screenshot(fmt.Sprintf("../../docs/pictures/fleet-%d.png", environments))
		}
		requests, problems := p.Requests()
		if len(requests) != 1 || requests[0] != url {
			t.Errorf("%d environments: the browser asked for %q", environments, requests)
		}
		if len(problems) > 0 {
			t.Errorf("%d environments: the browser reports %s", environments, strings.Join(problems, "\n"))
		}
	}
}

// fits checks that the page is no wider than its window, that no text is cut off in its
// cell, and that cells stand below the titles of their columns.
func fits(t *testing.T, p *browser.Page, look string) {
	t.Helper()
	var wrong []string
	p.Eval(`(() => {
		const wrong = [], root = document.documentElement;
		if (root.scrollWidth > innerWidth) wrong.push("the page is " + root.scrollWidth + " wide, the window " + innerWidth);
		for (const e of document.querySelectorAll("th, td, .tiles a, .notice, .runs li, .badge")) {
			if (e.checkVisibility() && e.scrollWidth > e.clientWidth + 1) wrong.push(e.scrollWidth + " in " + e.clientWidth + ": " + e.outerHTML.slice(0, 300));
		}
		for (const table of document.querySelectorAll("table")) {
			const heads = [...table.tHead.rows[0].cells];
			if (!heads[0].checkVisibility()) continue;
			for (const row of table.querySelectorAll("tbody tr")) {
				heads.forEach((head, i) => {
					if (Math.abs(head.getBoundingClientRect().left - row.cells[i].getBoundingClientRect().left) > 1) wrong.push("not below its title: " + row.cells[i].outerHTML.slice(0, 300));
				});
			}
		}
		return wrong;
	})()`, &wrong)
	for _, w := range wrong[:min(len(wrong), 5)] {
		t.Errorf("%s: %s", look, w)
	}
}

// A customer's texts run nothing, load nothing, and leave the page as it is: all of it
// fits the window, and no row is higher than two windows.
func testHostile(t *testing.T, b *browser.Browser) {
	for _, payload := range append(slices.Clone(payloads), strings.Repeat("W", 10_000), strings.Repeat("\u202e\u2066\u0301", 3_000), strings.Repeat("a b ", 2_500)) {
		file := filepath.Join(t.TempDir(), "fleet.html")
		if err := os.WriteFile(file, []byte(render(t, sample(10, true, func(text string) string { return text + payload }))), 0o666); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%.20q", payload)
		p := b.Open(t, "file://"+file, 1440, 1000)
		fits(t, p, name)
		var seen struct {
			Rows, Sections, Scripts int
			Tallest                 float64
			Direction               string
		}
		p.Eval(`({
			Rows: document.querySelectorAll("tbody tr").length, Sections: document.querySelectorAll("main > section").length, Scripts: document.scripts.length,
			Tallest: Math.max(...[...document.querySelectorAll("tbody tr, .notice li, h1, .tiles li")].map((e) => e.getBoundingClientRect().height)),
			Direction: getComputedStyle(document.body).direction,
		})`, &seen)
		if seen.Rows != 2+10+20+1 || seen.Sections != 6 || seen.Scripts != 1 || seen.Direction != "ltr" || seen.Tallest > 1600 {
			t.Errorf("%s: %+v", name, seen)
		}
		p.Size(390, 844)
		fits(t, p, name+", narrow")
		if requests, problems := p.Requests(); len(requests) != 1 || len(problems) > 0 {
			t.Errorf("%s: the browser asked for %q and reports %s", name, requests, strings.Join(problems, "\n"))
		}
	}
}

// Of 1,000 environments the browser lays out the rows that are shown, whatever was done
// before: else each key takes as long as the whole page.
func testFew(t *testing.T, b *browser.Browser) {
	p := b.Open(t, written(t, 1000), 1440, 1000)
	count := func(when string, most int) {
		t.Helper()
		var rows int
		p.Eval(frame, nil)
		p.Eval(`[...document.querySelectorAll("tbody tr")].filter((r) => r.checkVisibility()).length`, &rows)
		if rows > most || rows < 1 {
			t.Errorf("%s: the browser lays out %d rows of 3,017", when, rows)
		}
	}
	count("at first", 16+25+25+1)
	for _, a := range acts() {
		p.Eval("{ "+a.script+" }", nil)
		count(a.name, 16+26+26+1)
	}
	// The others are shown by a button, from which the focus goes to the first of them.
	var focus, text string
	p.Eval(`{ const b = document.querySelector("#environments .more button"); b.focus(); b.click(); }`, nil)
	count("100 more", 16+126+26+1)
	p.Eval(`document.activeElement === document.querySelectorAll("#environments tbody tr:not([hidden])")[25] ? "the first" : document.activeElement.outerHTML.slice(0, 200)`, &focus)
	p.Eval(`document.querySelector("#environments .more span").textContent`, &text)
	if focus != "the first" || text != "The first 125 of 1,000 environments are shown." {
		t.Errorf("the focus is on %s, and the text is %q", focus, text)
	}
	var shown []int
	p.Eval(`(() => { document.querySelector("#environments .more button:last-child").click(); return ["environments", "names"].map((id) => document.querySelectorAll("#" + id + " tbody tr:not([hidden])").length); })()`, &shown)
	if fmt.Sprint(shown) != "[1000 25]" {
		t.Errorf("all environments: %v rows are shown", shown)
	}
}

// An injected script does not run: neither by the policy's word nor as markup.
func testPolicy(t *testing.T, b *browser.Browser) {
	p := b.Open(t, written(t, 10), 800, 600)
	var ran bool
	p.Eval(`new Promise((done) => {
		document.addEventListener("securitypolicyviolation", () => setTimeout(() => done(window.ran === true)));
		const script = document.createElement("script");
		script.textContent = "window.ran = true";
		document.body.append(script);
		document.body.setAttribute("onclick", "window.ran = true");
		document.body.click();
	})`, &ran)
	if ran {
		t.Error("the browser ran a script that is not the page's")
	}
}

// state is what the search shows.
const shown = `({
	Found: document.getElementById("found").textContent,
	Rows: [...document.querySelectorAll("#environments tbody tr")].filter((r) => !r.hidden).length,
	Focus: (document.activeElement.id || document.activeElement.textContent).trim(),
	Query: document.getElementById("query").value,
	Only: document.getElementById("only").checked,
	First: document.querySelector("#environments tbody tr:not([hidden]) th")?.firstChild.textContent ?? "",
})`

type view struct {
	Found, Focus, Query, First string
	Rows                       int
	Only                       bool
}

// frame waits until the browser has drawn what was asked for before.
const frame = `new Promise((done) => requestAnimationFrame(() => { const drawn = new MessageChannel(); drawn.port1.onmessage = () => done(true); drawn.port2.postMessage(0); }))`

// All of the page is used by keyboard: to the search, through it, and back.
func testKeyboard(t *testing.T, b *browser.Browser) {
	p := b.Open(t, written(t, 200), 1200, 900)
	look := func() (v view) {
		t.Helper()
		p.Eval(frame, nil)
		p.Eval(shown, &v)
		return v
	}
	if v := look(); v.Rows != 25 || v.Found != "Found: 3 nodes, 200 environments, 400 names, 1 retired" {
		t.Errorf("at first: %+v", v)
	}
	p.Press("Tab")
	if v := look(); v.Focus != "Skip to the search" {
		t.Errorf("the first stop is %q", v.Focus)
	}
	p.Press("Enter")
	if !testenv.Poll(func() bool { return look().Focus == "search" }) {
		t.Fatalf("the link to the search leads to %+v", look())
	}
	p.Press("Tab")
	if v := look(); v.Focus != "query" {
		t.Fatalf("after the link to the search: %+v", v)
	}
	p.Type("site0001 STAGING")
	if v := look(); v.Rows != 1 || !strings.HasPrefix(v.First, "site0001-staging") || !strings.Contains(v.Found, "1 of 200 environments") {
		t.Errorf("after a search: %+v", v)
	}
	p.Press("Tab") // the node
	p.Press("Tab") // only what needs attention
	if v := look(); v.Focus != "only" {
		t.Errorf("the third stop of the search is %q", v.Focus)
	}
	p.Press("Tab")
	p.Press("Enter") // Clear
	p.Eval(`new Promise((done) => setTimeout(() => done(true)))`, nil)
	if v := look(); v.Rows != 25 || v.Query != "" || v.Focus != "query" {
		t.Errorf("after Clear: %+v", v)
	}
	p.Press("Tab")
	p.Press("Tab")
	p.Press(" ")
	if v := look(); v.Rows == 0 || !strings.Contains(v.Found, " of 200 environments") || !v.Only {
		t.Errorf("with only what needs attention: %+v", v)
	}
	// Every element that can be reached has a name, and shows that it has the focus.
	var silent []string
	p.Eval(`(() => {
		const wrong = [];
		for (const e of document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")) {
			if (!e.checkVisibility()) continue;
			const name = e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby") && document.getElementById(e.getAttribute("aria-labelledby"))?.textContent) || e.labels?.[0]?.textContent || e.textContent;
			if (!name.trim()) wrong.push(e.outerHTML);
		}
		return wrong;
	})()`, &silent)
	if len(silent) > 0 {
		t.Errorf("without a name: %q", silent)
	}
}

// A link leads to its row, also if the search hides it; "and 15 more" shows all of them.
func testLinks(t *testing.T, b *browser.Browser) {
	p := b.Open(t, written(t, 1000), 1200, 900)
	var more view
	p.Eval(`document.querySelector("a[data-query]").click()`, nil)
	p.Eval(frame, nil)
	p.Eval(shown, &more)
	if !more.Only && more.Query == "" {
		t.Errorf("after a link to all of a notice: %+v", more)
	}
	var focus string
	p.Eval(`(() => { const q = document.getElementById("query"); q.value = "nothing has this"; q.dispatchEvent(new Event("input")); })()`, nil)
	p.Eval(frame, nil)
	p.Eval(`new Promise((done) => {
		addEventListener("hashchange", () => setTimeout(() => done(document.activeElement.id)));
		document.querySelector(".notice a[href^='#env-'], .notice a[href^='#name-']").click();
	})`, &focus)
	if !strings.HasPrefix(focus, "env-") && !strings.HasPrefix(focus, "name-") {
		t.Errorf("the focus is on %q", focus)
	}
	var visible bool
	p.Eval(frame, nil)
	p.Eval(fmt.Sprintf(`(() => {
		const target = document.getElementById(%q), box = target.getBoundingClientRect();
		const above = Math.max(...[document.getElementById("search"), target.closest("table").tHead].map((e) => e.getBoundingClientRect().bottom).filter((y) => y < innerHeight));
		return target.checkVisibility() && box.top >= above - 1 && box.bottom <= innerHeight;
	})()`, focus), &visible)
	if !visible {
		t.Errorf("%s is hidden, covered or out of sight", focus)
	}
}

// A column puts its table in order, and says so.
func testOrder(t *testing.T, b *browser.Browser) {
	p := b.Open(t, written(t, 200), 1200, 900)
	var uids []int
	const column = `[...document.querySelectorAll("#environments tbody tr")].slice(0, 3).map((r) => Number(r.cells[3].textContent))`
	click := `[...document.querySelectorAll("#environments thead button")].find((b) => b.textContent === "UID").click()`
	p.Eval(click, nil)
	p.Eval(click, nil)
	p.Eval(column, &uids)
	var sorted string
	p.Eval(`document.querySelector("#environments thead [aria-sort]").getAttribute("aria-sort")`, &sorted)
	if fmt.Sprint(uids) != "[40199 40198 40197]" || sorted != "descending" {
		t.Errorf("%v, %s", uids, sorted)
	}
}

// What a screen reader is told: the regions by name, headings in their order, tables
// with headers, the number of rows that the search shows.
func testTree(t *testing.T, b *browser.Browser) {
	p := b.Open(t, written(t, 10), 1200, 900)
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
			Properties []struct {
				Name  string
				Value struct{ Value any }
			}
		}
	}
	p.Call("Accessibility.getFullAXTree", nil, &tree)
	count := map[string]int{}
	level := 0.0
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		role, name := fmt.Sprint(n.Role.Value), strings.TrimSpace(fmt.Sprint(n.Name.Value))
		count[role]++
		count[role+" "+name]++
		for _, property := range n.Properties {
			if next, ok := property.Value.Value.(float64); property.Name == "level" && role == "heading" && ok {
				if next > level+1 {
					t.Errorf("the heading %q is of level %v, after one of level %v", name, next, level)
				}
				level = next
			}
		}
		switch role {
		case "button", "link", "checkbox", "searchbox", "combobox", "heading", "region", "navigation", "search", "form", "MenuListPopup":
			if (name == "" || name == "<nil>") && role != "MenuListPopup" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	for what, want := range map[string]int{
		"main": 1, "banner": 1, "navigation Sections": 1, "search Search in nodes, environments and names": 1, "status": 1, "searchbox Search": 1, "combobox Node": 1,
		"checkbox Only what needs attention": 1, "button Clear": 1, "button UID": 2, "columnheader UID": 2, "table": 4,
	} {
		if count[what] != want {
			t.Errorf("%d of %q, not %d", count[what], what, want)
		}
	}
	if count["rowheader"] != 2+10+20+1 {
		t.Errorf("%d headers of rows", count["rowheader"])
	}
}

// axe-core finds no obstacle. It is read from where it is, and no part of this repository.
func testAxe(t *testing.T, b *browser.Browser) {
	axe, err := os.ReadFile(testenv.Need(t, "axe-core"))
	if err != nil {
		t.Fatal(err)
	}
	p := b.Open(t, written(t, 10), 1440, 1000)
	p.Eval(string(axe)+"; undefined", nil)
	p.Eval(`document.querySelectorAll("details").forEach((d) => { d.open = true; })`, nil)
	for _, look := range looks {
		p.Size(look.width, look.height)
		p.Scheme(look.scheme)
		var result struct {
			Violations, Incomplete []struct {
				ID, Help string
				Nodes    []struct {
					HTML, FailureSummary string
				}
			}
			Passes []json.RawMessage
		}
		p.Eval(`axe.run(document, {resultTypes: ["violations", "incomplete"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})`, &result)
		for _, v := range result.Violations {
			t.Errorf("%s: %s (%s), %d times: %.300s %s", look.name, v.ID, v.Help, len(v.Nodes), v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
		}
		for _, v := range result.Incomplete {
			t.Logf("%s: axe cannot decide %s (%s), %d times: %.200s", look.name, v.ID, v.Help, len(v.Nodes), v.Nodes[0].HTML)
		}
		if len(result.Passes) < 20 {
			t.Errorf("%s: only %d rules apply", look.name, len(result.Passes))
		}
	}
}

// An act is something that a user does with the page of 1,000 environments, as a script.
type act struct{ name, script string }

// typed writes a text into the search.
func typed(text string) act {
	return act{"key", fmt.Sprintf(`const q = document.getElementById("query"); q.value = %q; q.dispatchEvent(new Event("input"))`, text)}
}

// acts are what BenchmarkBrowser measures. Each begins where the one before ends.
func acts() []act {
	var all []act
	for _, text := range []string{"s", "si", "site00", "site001", "site0012", "site001", "", "certificate off", ""} {
		all = append(all, typed(text))
	}
	for _, table := range []string{"environments", "names"} {
		for _, column := range []int{1, 4, 0} {
			all = append(all, act{"sort", fmt.Sprintf(`document.querySelectorAll("#%s thead button")[%d].click()`, table, column)})
		}
	}
	for i := range 3 {
		all = append(all,
			act{"unfold-node", fmt.Sprintf(`document.querySelectorAll("#nodes tbody summary")[%d].click()`, i)},
			act{"go-to-environment", fmt.Sprintf(`document.querySelectorAll("#nodes tbody tr")[%d].querySelector("li:last-child a").click()`, i)},
			act{"go-to-node", fmt.Sprintf(`document.querySelectorAll("#environments tbody tr")[%d].querySelector("td a[href^='#node']").click()`, 300*i+5)},
		)
	}
	return append(all,
		act{"filter", `const n = document.getElementById("on"); n.selectedIndex = 3; n.dispatchEvent(new Event("input"))`},
		act{"filter", `const n = document.getElementById("on"); n.selectedIndex = 0; n.dispatchEvent(new Event("input"))`},
		act{"filter", `document.getElementById("only").click()`},
		act{"filter", `document.getElementById("only").click()`},
		act{"scroll", `scrollTo(0, document.documentElement.scrollHeight / 2)`},
		act{"scroll", `scrollTo(0, 0)`},
	)
}

// BenchmarkBrowser measures a browser with 1,000 environments: how long it takes until
// the page is loaded, its script has run and it is drawn, and from each act until the
// result is drawn. Each is measured in milliseconds that pass, which on a screen of 60 Hz
// includes up to 17 for the next frame, and in milliseconds for which the page's own
// thread has the processor, which other programs disturb less. Of several acts of a
// kind, the median and the slowest count.
func BenchmarkBrowser(b *testing.B) {
	page := filepath.Join(b.TempDir(), "fleet.html")
	if err := os.WriteFile(page, []byte(render(b, sample(1000, true, same))), 0o666); err != nil {
		b.Fatal(err)
	}
	chromium := browser.Start(b)
	passed, busy := map[string][]float64{}, map[string][]float64{}
	for b.Loop() {
		p := chromium.Open(b, "about:blank", 1440, 1000)
		p.Call("Performance.enable", map[string]any{"timeDomain": "threadTicks"}, nil)
		last := 0.0
		measured := func(name string, ms float64) {
			now := p.Busy()
			passed[name], busy[name] = append(passed[name], ms), append(busy[name], now-last)
			last = now
		}
		var ms float64
		p.Navigate("file://" + page) // in a new process
		p.Eval(frame+`.then(() => performance.now())`, &ms)
		measured("load", ms)
		for _, a := range acts() {
			p.Eval(`(() => { const begun = performance.now(); `+a.script+`; return `+frame+`.then(() => performance.now() - begun); })()`, &ms)
			measured(a.name, ms)
		}
	}
	for name, all := range passed {
		slices.Sort(all)
		slices.Sort(busy[name])
		b.ReportMetric(all[len(all)/2], "ms/"+name)
		b.ReportMetric(busy[name][len(all)/2], "cpu-ms/"+name)
		b.ReportMetric(busy[name][len(all)-1], "cpu-ms/slowest-"+name)
	}
	b.ReportMetric(0, "ns/op")
}
