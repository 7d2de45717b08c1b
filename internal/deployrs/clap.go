package deployrs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An option is one of clap, the library that parses deploy-rs's command line.
type option struct {
	long, short string
	value       bool               // takes a value
	greedy      bool               // takes all following values, and may be repeated
	hyphens     bool               // takes a value that begins with a hyphen
	check       func(string) error // checks the value
}

// parsed is a command line: the values by the long names of options, "" for
// those without.
type parsed struct {
	options     map[string][]string
	positionals []string
	last        []string // after --
	help        bool
	rest        []string // from the first positional on, where that ends the options
}

func (p *parsed) has(name string) bool { return len(p.options[name]) > 0 }

func (p *parsed) get(name string) string {
	if v := p.options[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// parse parses a command line. With sub, it stops at the first positional, which is
// a subcommand. With escaped, arguments after -- go to p.last.
func parse(options []option, args []string, sub, version, escaped bool) (*parsed, error) {
	p := &parsed{options: map[string][]string{}}
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return nil, fmt.Errorf("invalid UTF-8 in an argument")
		}
	}
	options = append(slices.Clone(options), option{long: "help", short: "h"})
	if version {
		options = append(options, option{long: "version", short: "V"})
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--" && escaped:
			p.last = args
			return p, nil
		case arg == "--":
			p.positionals = append(p.positionals, args...)
			return p, nil
		case strings.HasPrefix(arg, "--"):
			name, value, attached := strings.Cut(arg[2:], "=")
			i := slices.IndexFunc(options, func(o option) bool { return o.long == name })
			if i < 0 {
				return nil, fmt.Errorf("unexpected argument '--%s'", name)
			}
			var err error
			if args, err = p.take(options[i], value, attached, args); err != nil {
				return nil, err
			}
		case strings.HasPrefix(arg, "-") && arg != "-":
			cluster := arg[1:]
			for cluster != "" && !p.help {
				_, size := utf8.DecodeRuneInString(cluster)
				letter := cluster[:size]
				cluster = cluster[size:]
				i := slices.IndexFunc(options, func(o option) bool { return o.short == letter })
				if i < 0 {
					return nil, fmt.Errorf("unexpected argument '-%s'", letter)
				}
				var value string
				attached := options[i].value && cluster != ""
				if attached {
					value, cluster = strings.TrimPrefix(cluster, "="), ""
				}
				var err error
				if args, err = p.take(options[i], value, attached, args); err != nil {
					return nil, err
				}
			}
		case sub:
			p.positionals, p.rest = []string{arg}, args
			return p, nil
		default:
			p.positionals = append(p.positionals, arg)
		}
		if p.help {
			return p, nil
		}
	}
	return p, nil
}

// take takes an option and its values.
func (p *parsed) take(o option, value string, attached bool, args []string) ([]string, error) {
	switch {
	case o.long == "help" || o.long == "version":
		p.help = !attached
		if attached {
			return nil, fmt.Errorf("unexpected value for '--%s'", o.long)
		}
		return args, nil
	case len(p.options[o.long]) > 0 && !o.greedy:
		return nil, fmt.Errorf("the argument '--%s' cannot be used multiple times", o.long)
	case !o.value && attached:
		return nil, fmt.Errorf("unexpected value '%s' for '--%s'", value, o.long)
	case !o.value:
		p.options[o.long] = []string{""}
		return args, nil
	}
	values := []string{value}
	if !attached {
		values = nil
		for len(args) > 0 && (len(values) == 0 || o.greedy) {
			if dashed := strings.HasPrefix(args[0], "-") && args[0] != "-"; dashed && !o.hyphens {
				break
			}
			values, args = append(values, args[0]), args[1:]
		}
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("a value is required for '--%s'", o.long)
	}
	for _, v := range values {
		if o.check == nil {
			continue
		}
		if err := o.check(v); err != nil {
			return nil, fmt.Errorf("invalid value '%s' for '--%s': %w", v, o.long, err)
		}
	}
	p.options[o.long] = append(p.options[o.long], values...)
	return args, nil
}

func isBool(text string) error {
	if text != "true" && text != "false" {
		return fmt.Errorf("neither true nor false")
	}
	return nil
}

func isUint16(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < 0 || n > 1<<16-1) {
		err = fmt.Errorf("%d is not in 0..=65535", n)
	}
	return err
}

func isPath(text string) error {
	if text == "" {
		return fmt.Errorf("a value is required")
	}
	return nil
}
