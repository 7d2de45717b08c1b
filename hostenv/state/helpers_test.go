package state_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

// env returns the claim of an environment "organisation/project/environment" on
// node n1. To be readable, its user name is the same text with hyphens.
func env(id string, hosts ...string) state.Claim {
	parts := strings.Split(id, "/")
	return state.Claim{
		UserName:     strings.ReplaceAll(id, "/", "-"),
		Organisation: parts[0], Project: parts[1], Environment: parts[2],
		Node: "n1", VirtualHosts: hosts,
	}
}

// hostenvName returns the user name that hostenv gives an environment.
func hostenvName(organisation, project, environment string) string {
	sum := sha256.Sum256([]byte(organisation + "-" + project + "-" + environment + "\n"))
	return fmt.Sprintf("%s-%s-%s", project[:min(11, len(project))], environment, hex.EncodeToString(sum[:])[:7])
}

func request(claims ...state.Claim) state.Request {
	return state.Request{Claims: claims, UIDs: state.DefaultUIDRange}
}

// planned returns the state after one plan for each of inputs.
func planned(t testing.TB, inputs ...[]state.Claim) state.State {
	t.Helper()
	s := state.New()
	for _, claims := range inputs {
		s = next(t, s, request(claims...)).State
	}
	return s
}

func next(t testing.TB, s state.State, req state.Request) state.Step {
	t.Helper()
	step, err := s.Next(req)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return step
}

func decode(t testing.TB, text string) state.State {
	t.Helper()
	s, err := state.Decode([]byte(text))
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return s
}

// problems returns the texts of all errors in err, each of which must have a
// hint.
func problems(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	whole, leaves := err.Error(), problem.Leaves(err)
	texts := make([]string, len(leaves))
	for i, err := range leaves {
		texts[i] = err.Error()
		hint(t, err)
		if !strings.Contains(whole, texts[i]) {
			t.Errorf("the joined error does not contain %q", texts[i])
		}
	}
	return texts
}

// hint returns the hint of err, which must have one.
func hint(t testing.TB, err error) string {
	t.Helper()
	var hinter interface{ Hint() string }
	if !errors.As(err, &hinter) || strings.TrimSpace(hinter.Hint()) == "" {
		t.Errorf("a %T without a hint: %v", err, err)
		return ""
	}
	return hinter.Hint()
}

// describe renders changes: "environment acme-site-main: create (new) {} > {node:n1 uid:1002}".
func describe(changes []state.Change) []string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("%s %s: %s (%s) %s > %s", c.Kind, c.Key, c.Action, c.Reason, fields(c.Before), fields(c.After)))
	}
	return lines
}

func fields(m map[string]any) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s:%v", k, m[k]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// owners returns the owner of each host name.
func owners(s state.State) map[string]string {
	owners := map[string]string{}
	for name, e := range s.Entries {
		for _, host := range e.VirtualHosts {
			owners[host] = name
		}
	}
	return owners
}

// uids returns the UID of each user.
func uids(s state.State) map[string]int {
	uids := map[string]int{}
	for name, e := range s.Entries {
		uids[name] = e.UID
	}
	return uids
}

// same fails the test unless a and b have the same canonical bytes.
func same(t testing.TB, what string, want, got state.State) {
	t.Helper()
	if diff := cmp.Diff(string(want.Encode()), string(got.Encode())); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

// only returns the one error that err holds.
func only(t testing.TB, err error) error {
	t.Helper()
	if texts := problems(t, err); len(texts) != 1 {
		t.Fatalf("%d errors, not one: %v", len(texts), err)
	}
	return problem.Leaves(err)[0]
}

// refusals has, for each kind of error of Next, the pattern of its text.
var refusals = map[string]*regexp.Regexp{
	"conflict":  regexp.MustCompile(`^the host name "\S+" (belongs to .* and is claimed by|is claimed by .*, and has no owner yet)`),
	"identity":  regexp.MustCompile(`^the user \S+ belongs to the environment`),
	"node name": regexp.MustCompile(`^the host name "\S+" belongs to the node`),
	"option":    regexp.MustCompile(`^provider\.\w+: \{`),
	"UIDs":      regexp.MustCompile(`provider\.uidRange ends at`),
	"wildcard":  regexp.MustCompile(`^the wildcard`),
}

func refusalOf(text string) string {
	for _, kind := range []string{"node name", "conflict", "identity", "option", "UIDs", "wildcard"} {
		if refusals[kind].MatchString(text) {
			return kind
		}
	}
	return "another: " + text
}
