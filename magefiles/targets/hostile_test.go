package targets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan/parity"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/review"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// hostile is what a customer would like the operator to see, or to do.
const hostile = "EVIL\nhint: EVIL\nerror: EVIL\nn1 system: active EVIL\n\x1b]52;c;EVIL\x07\x1b[2J\r\u009b1A\u202eEVIL\u2066\u200b\u0085\u2028\tEVIL"

// names are fields with a text of ours, or with a name that was parsed.
var names = map[string]string{"Hint": "ours", "Fix": "ours", "Node": "n1", "Profile": "site", "User": "site", "Host": "a.test", "Target": "n1.test"}

// filled returns a value of T with the text in all of its strings, to the depth
// that documents have.
func filled[T any](text string) T {
	var v T
	fill(reflect.ValueOf(&v).Elem(), text, 6)
	return v
}

func fill(v reflect.Value, text string, depth int) {
	if depth == 0 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() { // a type of its own has our words
			v.SetString(text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if ours := names[v.Type().Field(i).Name]; ours != "" && v.Field(i).Kind() == reflect.String {
				v.Field(i).SetString(ours)
				continue
			}
			fill(v.Field(i), text, depth)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth-1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // a document, of another test
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), text, depth-1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, text, depth-1)
		fill(value, text, depth-1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		if v.Type().NumMethod() == 0 {
			v.Set(reflect.ValueOf(text))
		} else if v.Type() == reflect.TypeFor[error]() {
			v.Set(reflect.ValueOf(errors.New(text)))
		}
	default: // holds no text
	}
}

// capture returns what a function writes to standard output and standard error.
func capture(t *testing.T, write func()) string {
	t.Helper()
	out, err := os.Stdout, os.Stderr
	read, pipe, failed := os.Pipe()
	if failed != nil {
		t.Fatal(failed)
	}
	os.Stdout, os.Stderr = pipe, pipe
	text := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(read)
		text <- data
	}()
	write()
	os.Stdout, os.Stderr = out, err
	pipe.Close()
	return string(<-text)
}

// shows are the places where a text of a customer, a node or a name server is
// shown, with the text in all strings of the value that is shown there.
func shows(t *testing.T, text string) map[string]func() {
	to := func(write func(io.Writer) error) func() {
		return func() {
			if err := write(os.Stdout); err != nil {
				t.Error(err)
			}
		}
	}
	events := func(json bool) func() {
		return func() {
			shown := newShown(json)
			for _, kind := range []deploy.Type{deploy.TypeRun, deploy.TypeResume, deploy.TypeNode, deploy.TypeFinding, deploy.TypeProfile, deploy.TypeVerification, deploy.TypeMove, deploy.TypeDiff, deploy.TypeEnd} {
				for _, s := range []deploy.State{deploy.StateWaiting, deploy.StateFailed, deploy.StateUnknown, deploy.StateUnreachable, deploy.StateActive, deploy.StateReached} {
					e := filled[deploy.Event](text)
					e.Type, e.State = kind, s
					shown.event(e)
				}
			}
			shown.done()
		}
	}
	outcome := filled[deploy.Outcome](text)
	folder := openFolder(nil, false)
	changes := &review.Review{Changes: []review.Change{filled[review.Change](text)}}
	v := filled[dnsgate.Verdict](text)
	decision := filled[dnsgate.Decision](text)
	return map[string]func(){
		"warn": func() { warn([]state.Warning{filled[state.Warning](text)}) },
		"fail": func() {
			_ = folder.fail(errors.Join(problem.New(text, text, ""), errors.New(text), problem.In("place", errors.New(text))))
		},
		"progress": func() {
			show, done := progress()
			show(doing(nix.Event{Phase: nix.Fetch, Subject: text, Number: 1, Total: 2}))
			done()
		},
		"changes": func() {
			_ = planRun{folder: folder, show: showing{format: formatText}}.end(changes, nil, nil)
			_ = planRun{folder: folder, show: showing{format: formatMarkdown}}.end(changes, nil, nil)
		},
		"changes, JSON": func() { _ = planRun{folder: folder, show: showing{format: formatJSON}}.end(changes, nil, nil) },
		"events":        events(false),
		"events, JSON":  events(true),
		"summary":       to(func(w io.Writer) error { return report.Summary(w, outcome) }),
		"preview":       to(func(w io.Writer) error { return report.Preview(w, outcome) }),
		"status":        to(func(w io.Writer) error { return report.Status(w, []deploy.Status{filled[deploy.Status](text)}) }),
		"certificates": to(func(w io.Writer) error {
			return report.Certificates(w, []deploy.Certificate{filled[deploy.Certificate](text)})
		}),
		"leftovers": to(func(w io.Writer) error { return report.Leftovers(w, []deploy.Leftover{filled[deploy.Leftover](text)}) }),
		"JSON":      func() { _ = printAll(&lookRun{json: true}, []deploy.Status{filled[deploy.Status](text)}, nil) },
		"verdicts": func() {
			_ = printDecisions([]dnsgate.Decision{decision}, []dnsgate.Unreachable{filled[dnsgate.Unreachable](text)}, filled[dnsgate.Saving](text))
		},
		"verdicts, JSON": func() {
			_ = printVerdicts(&dnsgate.Gated{
				Decisions: []dnsgate.Decision{decision}, Limits: []dnsgate.Shortage{filled[dnsgate.Shortage](text)},
				Withheld: []dnsgate.Withheld{{Organisation: text, Hosts: []string{text}, Reason: problem.New(text, text, text)}},
			}, []dnsgate.Unreachable{filled[dnsgate.Unreachable](text)}, filled[dnsgate.Saving](text))
		},
		"verdict": func() { io.WriteString(stdout(), v.Text("  ")) },
		"explain": func() {
			io.WriteString(stdout(), dnsgate.Explain(explained(text), dnsgate.Request{Host: "a.test", Node: "n1.test", Names: []string{"a.test"}}))
		},
		"page": func() {
			facts := explained(text)
			facts.Names["a.example.com"] = facts.Names["a.test"]
			facts.Nodes["n1.test"].A, facts.Nodes["n1.test"].Servers = dnsgate.Lookup{Outcome: dnsgate.OutcomeAnswer, Addresses: []string{"11.0.0.1"}}, nil
			request := dnsgate.Request{Host: "a.example.com", Node: "n1.test", Names: []string{"a.example.com"}}
			page := dnsgate.PageOf(facts, request, decision)
			io.WriteString(stdout(), page.Text()+page.Markdown())
		},
		"diff": func() { _ = printDiff("plan.json", []byte("{}\n"), encoded(text)) },
		"parity": func() {
			io.WriteString(stdout(), parity.Report{Findings: []parity.Finding{{Difference: filled[parity.Difference](text)}}}.Text())
		},
		"cloudflare": func() {
			o := filled[cloudflare.Outcome](text)
			io.WriteString(stdout(), problem.Indented(o.String())+"\n")
		},
		"batch": func() {
			io.WriteString(stdout(), "would send "+filled[cloudflare.Batch](text).String()+"\n")
		},
		"note": func() { l := report.NewLive(os.Stderr, nil, time.Now); l.Note(text); l.Close() },
	}
}

// explained returns facts of a.test in which all texts of other machines are text.
func explained(text string) *dnsgate.Facts {
	name, node := filled[dnsgate.NameFacts](text), filled[dnsgate.NodeFacts](text)
	name.Name, node.Name = "a.test", "n1.test"
	return &dnsgate.Facts{Names: map[string]*dnsgate.NameFacts{"a.test": &name}, Nodes: map[string]*dnsgate.NodeFacts{"n1.test": &node}}
}

func encoded(text string) []byte {
	return plan.Document{FormatVersion: 1, Environments: map[string]plan.Environment{"site": filled[plan.Environment](text)}}.Encode()
}

// Whatever a customer, a node or a name server writes, it is shown as text: no
// control reaches the terminal, and no line of it looks like one of ours.
func TestHostileTextIsShownAsText(t *testing.T) {
	for place, show := range shows(t, hostile) {
		text := capture(t, show)
		if !strings.Contains(text, "EVIL") {
			t.Errorf("%s: the text is not shown:\n%s", place, text)
		}
		isJSON := strings.Contains(place, "JSON")
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r != '\n' && (problem.Deceptive(r) || !isJSON && place != "diff" && !unicode.IsGraphic(r))
		}); i >= 0 {
			t.Errorf("%s: a character that is not text at %q", place, text[i:min(len(text), i+40)])
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "hint: EVIL") && place != "warn" || strings.HasPrefix(line, "error: EVIL\n") && place != "fail" || strings.HasPrefix(line, "n1 system: active") {
				t.Errorf("%s: a line of the customer's:\n%s", place, text)
				break
			}
		}
		if isJSON {
			for line := range bytes.Lines([]byte(text)) {
				if line[0] == '{' && strings.Contains(place, "events") && !json.Valid(line) {
					t.Errorf("%s: %s is no JSON", place, line)
				}
			}
		}
	}
}
