package plan

import (
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// reader takes typed values out of decoded JSON and notes all that are not
// what they should be, rather than to stop at the first.
type reader struct{ problems []error }

// required, as a default, says that there is none.
const required = "\x00required"

func (r *reader) wrong(where, option, format string, args ...any) {
	r.remedied(where, option, "correct the option", format, args...)
}

func (r *reader) remedied(where, option, remedy, format string, args ...any) {
	if option != "" {
		where += "." + quoteAttribute(option)
	}
	r.problems = append(r.problems, &InputError{Where: where, Problem: fmt.Sprintf(format, args...), Remedy: remedy})
}

// quoteAttribute writes one attribute name as Nix does.
func quoteAttribute(name string) string {
	if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return name
	}
	return fmt.Sprintf("%q", name)
}

// object returns a member that must be an object.
func (r *reader) object(from map[string]any, where, option string) map[string]any {
	if _, ok := from[option]; !ok && from != nil {
		r.remedied(where, option, set(where, option, "{ ... }"), "is missing")
	}
	return r.optionalObject(from, where, option)
}

// optionalObject returns a member that is an object, null or missing.
func (r *reader) optionalObject(from map[string]any, where, option string) map[string]any {
	switch v := from[option].(type) {
	case nil:
	case map[string]any:
		return v
	default:
		r.wrong(where, option, "is %s, not an object", canonjson.Kind(v))
	}
	return nil
}

// text returns a string; null is like missing.
func (r *reader) text(from map[string]any, where, option, fallback string) string {
	switch v := from[option].(type) {
	case string:
		return v
	case nil:
		if fallback != required {
			return fallback
		}
		if from != nil {
			r.remedied(where, option, set(where, option, "\"...\""), "is missing")
		}
	default:
		r.wrong(where, option, "is %s, not a string", canonjson.Kind(v))
	}
	return ""
}

func (r *reader) boolean(from map[string]any, where, option string, fallback bool) bool {
	switch v := from[option].(type) {
	case bool:
		return v
	case nil:
	default:
		r.wrong(where, option, "is %s, not true or false", canonjson.Kind(v))
	}
	return fallback
}

// number returns an integer between low and high.
func (r *reader) number(from map[string]any, where, option string, fallback, low, high int) int {
	switch v := from[option].(type) {
	case int64:
		if int64(low) <= v && v <= int64(high) {
			return int(v)
		}
		r.wrong(where, option, "is %d, and must be between %d and %d", v, low, high)
	case nil:
	default:
		r.wrong(where, option, "is %s, not an integer", canonjson.Kind(v))
	}
	return fallback
}

// texts returns a list of strings, empty if it is null or missing.
func (r *reader) texts(from map[string]any, where, option string) []string {
	list, ok := from[option].([]any)
	if !ok && from[option] != nil {
		r.wrong(where, option, "is %s, not a list of strings", canonjson.Kind(from[option]))
	}
	texts := make([]string, 0, len(list))
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			r.wrong(where, option, "holds %s, not a string", canonjson.Kind(v))
			continue
		}
		texts = append(texts, s)
	}
	return texts
}

// keys returns a list of OpenSSH public keys. Each becomes a line of an
// authorized_keys file, where a line break would begin another key.
func (r *reader) keys(from map[string]any, where, option string) []string {
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

// examples are values of options that everybody must set.
var examples = map[string]string{
	"provider.hostenvHostname":        `"hosting.example"`,
	"provider.letsEncrypt":            `{ acceptTerms = true; adminEmail = "ops@hosting.example"; }`,
	"provider.letsEncrypt.adminEmail": `"ops@hosting.example"`,
}

// set tells how to set an option: by an example, or in the given form.
func set(where, option, form string) string {
	name := where + "." + quoteAttribute(option)
	if example, ok := examples[name]; ok {
		form = example
	}
	return "set " + name + " = " + form
}
