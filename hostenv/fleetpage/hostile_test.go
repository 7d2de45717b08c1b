package fleetpage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/woolwichweb/hostenv-provider/hostenv/fleetpage"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

func render(t testing.TB, f fleetpage.Facts) string {
	t.Helper()
	var page bytes.Buffer
	if err := fleetpage.Write(&page, f); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// An outline is a page without its texts: the elements with the names of their
// attributes, as a browser's parser makes them.
type outline struct {
	elements []string
	scripts  []string // the texts of script and style
	policy   string
	ids      []string
	links    []string
	texts    []string
	values   []string // of all attributes
}

func outlineOf(t testing.TB, page string) outline {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var o outline
	for n := range root.Descendants() {
		switch n.Type {
		case html.ElementNode:
			var names []string
			attributes := map[string]string{}
			for _, a := range n.Attr {
				names = append(names, a.Key)
				attributes[a.Key] = a.Val
				o.values = append(o.values, a.Val)
			}
			o.elements = append(o.elements, n.Data+" "+strings.Join(names, " "))
			if id, ok := attributes["id"]; ok {
				o.ids = append(o.ids, id)
			}
			if link, ok := attributes["href"]; ok {
				o.links = append(o.links, link)
			}
			if attributes["http-equiv"] == "Content-Security-Policy" {
				o.policy = attributes["content"]
			}
		case html.TextNode:
			if n.Parent.Data == "script" || n.Parent.Data == "style" {
				o.scripts = append(o.scripts, n.Data)
			} else {
				o.texts = append(o.texts, n.Data)
			}
		case html.CommentNode:
			o.elements = append(o.elements, "a comment")
		default: // holds no text
		}
	}
	return o
}

// payloads are what a customer would like the page to do.
var payloads = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</style><style>*{display:none}</style>`,
	`</title><base href="https://evil.example/">`, `<!--`, `-->`, `]]>`, `{{.}}`, `</script><script>`, `javascript:alert(1)`, `&lt;script&gt;`,
	`<svg/onload=alert(1)>`, "`;alert(1)//", "\x00<b>", "\u202egnp.exe", "\u2066\u2069\u200b\u2028", "\x1b[31m\x9b", "\xff\xfe<i>",
	`<meta http-equiv="refresh" content="0;url=//evil.example">`, `</table></section></main><form action=//evil.example>`, "a\nb\r\nhint: EVIL", `\u003cscript\u003e`,
}

// No text of others makes an element, an attribute, a style or a script, and none can
// hide or turn around what is beside it.
func TestHostile(t *testing.T) {
	for _, asked := range []bool{false, true} {
		want := outlineOf(t, render(t, sample(10, asked, func(text string) string { return text + "X" })))
		for _, payload := range payloads {
			checkHostile(t, want, render(t, sample(10, asked, func(text string) string { return text + payload })), payload)
		}
	}
}

func checkHostile(t testing.TB, want outline, page, payload string) {
	t.Helper()
	got := outlineOf(t, page)
	if !slices.Equal(got.elements, want.elements) {
		i := 0
		for i < min(len(got.elements), len(want.elements)) && got.elements[i] == want.elements[i] {
			i++
		}
		t.Errorf("%q: element %d of %d differs: %q, not %q", payload, i, len(got.elements), got.elements[min(i, len(got.elements)-1)], want.elements[min(i, len(want.elements)-1)])
	}
	if !slices.Equal(got.scripts, want.scripts) || got.policy != want.policy {
		t.Errorf("%q: the style, the script or the policy differ", payload)
	}
	for _, link := range got.links {
		if !strings.HasPrefix(link, "#") {
			t.Errorf("%q: the page has a link to %q", payload, link)
		}
	}
	for _, text := range slices.Concat(got.texts, got.values) {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) || problem.Deceptive(r) && r != '\n' }); i >= 0 {
			t.Errorf("%q: the page has the character %+q", payload, text[i:min(i+4, len(text))])
		}
	}
}

// A text as long as a customer likes is cut: what stands in a row is as long as a host
// name may be, and what is folded away is 4,000 bytes.
func TestLong(t *testing.T) {
	for _, payload := range []string{strings.Repeat("W", 10_000), strings.Repeat("\u0301\u202e", 5_000), strings.Repeat("\U0001f4a9", 2_500)} {
		page := render(t, sample(10, true, func(text string) string { return text + payload }))
		if len(page) > 2<<20 {
			t.Errorf("the page has %d KiB", len(page)>>10)
		}
		root, err := html.Parse(strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			for _, a := range n.Attr {
				if len(a.Val) > 2000 && a.Key != "content" {
					t.Errorf("the attribute %s has %d bytes: %.40q", a.Key, len(a.Val), a.Val)
				}
			}
			if n.Type != html.TextNode || n.Parent.Data == "script" || n.Parent.Data == "style" {
				continue
			}
			folded := false
			for up := range n.Ancestors() {
				folded = folded || up.Data == "details"
			}
			// A character is escaped by at most 6.
			if limit := map[bool]int{false: 256 * 6, true: 4003 * 6}[folded]; len(n.Data) > limit {
				t.Errorf("a text in %s has %d bytes, folded: %v: %.40q", n.Parent.Data, len(n.Data), folded, n.Data)
			}
		}
	}
}

// The markup is one file that loads nothing, whose links lead somewhere, and whose ids
// are each of one element.
func TestMarkup(t *testing.T) {
	for _, n := range []int{0, 10, 200} {
		page := render(t, sample(n, true, same))
		o := outlineOf(t, page)
		known := map[string]bool{}
		for _, id := range o.ids {
			if known[id] || strings.ContainsAny(id, " \t\n") {
				t.Errorf("the id %q is there twice, or has a space", id)
			}
			known[id] = true
		}
		for _, link := range o.links {
			if !known[strings.TrimPrefix(link, "#")] {
				t.Errorf("the link %q leads nowhere", link)
			}
		}
		if len(o.scripts) != 2 {
			t.Fatalf("%d styles and scripts", len(o.scripts))
		}
		for i, directive := range []string{"style-src", "script-src"} {
			sum := sha256.Sum256([]byte(o.scripts[i]))
			if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !slices.Contains(strings.Split(o.policy, "; "), want) {
				t.Errorf("the policy %q does not have %q", o.policy, want)
			}
		}
		if !strings.HasPrefix(o.policy, "default-src 'none'; ") {
			t.Errorf("the policy is %q", o.policy)
		}
		if found := regexp.MustCompile(`(?i)\s(src|srcset|action|formaction|style|on[a-z]+)=|https?://|@import|url\(`).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
		for _, element := range o.elements {
			if name, _, _ := strings.Cut(element, " "); slices.Contains([]string{"link", "img", "iframe", "object", "embed", "base", "video", "audio"}, name) {
				t.Errorf("the page has the element %s", name)
			}
		}
		for _, r := range o.scripts[0] + o.scripts[1] {
			if r > 0x7e || r < ' ' && r != '\n' {
				t.Errorf("the style or the script has %+q, which would be changed", r)
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, payload := range payloads {
		f.Add(payload)
	}
	want := outlineOf(f, render(f, sample(10, true, func(text string) string { return text + "X" })))
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" || len(payload) > 1000 || strings.Contains(payload, "/nix/store/") {
			return
		}
		checkHostile(t, want, render(t, sample(10, true, func(text string) string { return text + payload })), payload)
	})
}

// Text has enough contrast with what is behind it in both schemes (WCAG 2.2, 1.4.3 and
// 1.4.11): 4.5 for text, 3 for what shows a state or an edge of a control.
func TestContrast(t *testing.T) {
	style := outlineOf(t, render(t, sample(0, false, same))).scripts[0]
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(style, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d palettes", len(blocks))
	}
	for i, scheme := range []string{"light", "dark"} {
		colour := map[string]string{}
		for _, c := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(blocks[i][1], -1) {
			colour[c[1]] = c[2]
		}
		pairs := map[[2]string]float64{{"control", "page"}: 3, {"control", "raised"}: 3}
		for _, back := range []string{"page", "raised", "mark"} {
			for _, text := range []string{"text", "muted", "link", "bad"} {
				pairs[[2]string{text, back}] = 4.5
			}
		}
		for _, tone := range []string{"good", "bad", "warn", "unknown", "plain"} {
			pairs[[2]string{tone, tone + "-back"}], pairs[[2]string{tone, "page"}], pairs[[2]string{tone, "raised"}] = 4.5, 4.5, 4.5
		}
		for pair, want := range pairs {
			a, b := luminance(t, colour[pair[0]]), luminance(t, colour[pair[1]])
			if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < want {
				t.Errorf("%s: %s on %s has a contrast of %.2f, less than %.1f", scheme, pair[0], pair[1], got, want)
			}
		}
	}
}

// luminance is that of WCAG.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatalf("the colour %q: %v", colour, err)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

func linear(channel int) float64 {
	c := float64(channel) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
