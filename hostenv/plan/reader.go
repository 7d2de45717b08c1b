package plan

import (
	"fmt"
	"math"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// A reader takes typed values out of the inventory and collects an error for each
// value that is not valid.
type reader struct {
	problems   problem.List
	foreigners map[string]*foreignOption // of the project that is read, as virtualHosts.<name>.root
	closed     *reader                   // see shadow
}

// required, in place of a default, marks an option that must be set.
const required = "\x00required"

func (r *reader) wrong(where, option, format string, args ...any) {
	r.remedied(where, option, "correct the option", format, args...)
}

func (r *reader) remedied(where, option, remedy, format string, args ...any) {
	if option != "" {
		where += "." + quoteAttribute(option)
	}
	r.problems.Addf(where, remedy, format, args...)
}

// quoteAttribute writes one attribute name as Nix does.
func quoteAttribute(name string) string {
	if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return name
	}
	return problem.Nix(name)
}

// object returns a member that must be an object.
func (r *reader) object(from canonjson.Object, where, option string) canonjson.Object {
	if from != nil && canonjson.IsNull(from.Get(option)) {
		r.remedied(where, option, set(where, option, "{ ... }"), "is missing")
	}
	return r.optionalObject(from, where, option)
}

// optionalObject returns a member that is an object, null or missing.
func (r *reader) optionalObject(from canonjson.Object, where, option string) canonjson.Object {
	v := from.Get(option)
	object, ok := canonjson.ObjectOf(v)
	if !ok && !canonjson.IsNull(v) {
		r.wrong(where, option, "is %s, not an object", canonjson.KindOf(v))
	}
	return object
}

// text returns a string, or the fallback if it is null or missing.
func (r *reader) text(from canonjson.Object, where, option, fallback string) string {
	v := from.Get(option)
	text, ok := canonjson.Text(v)
	switch {
	case ok:
		return text
	case !canonjson.IsNull(v):
		r.wrong(where, option, "is %s, not a string", canonjson.KindOf(v))
	case fallback != required:
		return fallback
	case from != nil:
		r.remedied(where, option, set(where, option, "\"...\""), "is missing")
	}
	return ""
}

func (r *reader) boolean(from canonjson.Object, where, option string, fallback bool) bool {
	v := from.Get(option)
	value, ok := canonjson.Bool(v)
	switch {
	case ok:
		return value
	case !canonjson.IsNull(v):
		r.wrong(where, option, "is %s, not true or false", canonjson.KindOf(v))
	}
	return fallback
}

// number returns an integer between low and high.
func (r *reader) number(from canonjson.Object, where, option string, fallback, low, high int) int {
	v := from.Get(option)
	n, ok := canonjson.Integer(v)
	remedy := fmt.Sprintf("write a whole number between %d and %d", low, high)
	if high == math.MaxInt32 { // of any size
		remedy = fmt.Sprintf("write a whole number of %d or more", low)
	}
	switch {
	case canonjson.IsNull(v):
	case !ok:
		r.remedied(where, option, remedy, "is %s, not an integer", canonjson.KindOf(v))
	case int64(low) <= n && n <= int64(high):
		return int(n)
	default:
		r.remedied(where, option, remedy, "is %d, and must be between %d and %d", n, low, high)
	}
	return fallback
}

// texts returns a list of strings, empty if it is null or missing.
func (r *reader) texts(from canonjson.Object, where, option string) []string {
	const remedy = `write a list of strings: [ "..." ]`
	v := from.Get(option)
	list, ok := canonjson.ListOf(v)
	if !ok && !canonjson.IsNull(v) {
		r.remedied(where, option, remedy, "is %s, not a list of strings", canonjson.KindOf(v))
	}
	texts := make([]string, 0, len(list))
	for _, v := range list {
		s, ok := canonjson.Text(v)
		if !ok {
			r.remedied(where, option, remedy, "holds %s, not a string", canonjson.KindOf(v))
			continue
		}
		texts = append(texts, s)
	}
	return texts
}

// keys returns a list of OpenSSH public keys. Each becomes a line of an
// authorized_keys file, where a line break would begin another key.
func (r *reader) keys(from canonjson.Object, where, option string) []string {
	keys := r.texts(from, where, option)
	for _, key := range keys {
		if strings.TrimSpace(key) == "" || hasControl(key) {
			r.wrong(where, option, "holds %q, which is not one line with a public key", key)
		}
	}
	return keys
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// examples are example values for options that every provider must set.
var examples = map[string]string{
	"provider.hostenvHostname":        `"hosting.example"`,
	"provider.letsEncrypt":            `{ acceptTerms = true; adminEmail = "ops@hosting.example"; }`,
	"provider.letsEncrypt.adminEmail": `"ops@hosting.example"`,
}

// set returns a line that sets an option, with its example or in the given form.
func set(where, option, form string) string {
	name := where + "." + quoteAttribute(option)
	if example, ok := examples[name]; ok {
		form = example
	}
	return "set " + name + " = " + form
}
