package launcher

import (
	"embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// completeCommand is the command that the scripts run, with the words up to the
// cursor. The last word may be empty.
const completeCommand = "__complete"

//go:embed completion.bash completion.fish completion.zsh
var scripts embed.FS

func completion(w io.Writer, shell string) error {
	script, err := scripts.ReadFile("completion." + shell)
	if err != nil {
		return problem.New("completion", fmt.Sprintf("has no script for the shell %q", shell), "write bash, zsh or fish")
	}
	_, err = w.Write(script)
	return err
}

// safe matches candidates that need no quotes in any shell. The completion drops
// the others: a file name may hold any character.
var safe = regexp.MustCompile(`^[A-Za-z0-9_./=:,@+-]+$`)

// complete prints the candidates for the last word, one a line; those for targets
// and flags have a tab and a description. It prints none for a line that it does
// not understand, and no names of nodes without a plan.
func complete(w io.Writer, targets []*Target, typed []string) {
	if len(typed) == 0 {
		return
	}
	c := cursor{line: line{targets: targets}, folder: "generated"}
	c.walk(typed[:len(typed)-1])
	for _, candidate := range c.candidates(typed[len(typed)-1]) {
		if text, _, _ := strings.Cut(candidate, "\t"); safe.MatchString(strings.ReplaceAll(text, " ", "")) {
			fmt.Fprintln(w, candidate)
		}
	}
}

// A cursor is the place of the last word in a line.
type cursor struct {
	line
	folder folder
	target *Target // of the word, nil before the first target
	given  []*Flag // flags that the target has already
	args   int     // how many arguments the target has already
	wants  *Flag   // the flag whose value the word is, nil if it is none
	name   string  // the first words of a target's name, with a space after each
}

func (c *cursor) walk(before []string) {
	for c.rest = before; len(c.rest) > 0; {
		word := c.rest[0]
		switch {
		case isFlag(word) && c.target != nil:
			c.flag(word)
		case isFlag(word):
			c.put(1)
			if (word == "-t" || word == "--timeout") && len(c.rest) > 0 {
				c.put(1)
			}
		case c.target != nil && c.args < len(c.target.Args):
			c.args++
			c.put(1)
		default:
			target, n := c.match()
			if target == nil {
				c.name = strings.Join(c.rest, " ") + " "
				c.rest = nil
				return
			}
			c.target, c.given, c.args = target, nil, 0
			c.put(n)
		}
	}
}

func (c *cursor) flag(word string) {
	g, n, err := c.target.read(c.rest)
	if f := g.Flag; err == nil {
		c.given = append(c.given, f)
		if f.Name == "out" {
			c.folder = folder(g.value)
		}
	} else if name, _, _ := cutFlag(word); len(c.rest) == 1 {
		c.wants = c.target.named(name)
	}
	c.put(max(n, 1))
}

func (c *cursor) candidates(word string) []string {
	if c.wants != nil {
		return c.values(c.wants.Name, c.wants.List, "", word)
	}
	if isFlag(word) || word == "-" {
		return c.flags(word)
	}
	switch {
	case c.name != "" || c.target == nil:
		return c.names(word)
	case c.args < len(c.target.Args):
		return c.values(c.target.Args[c.args], c.target.Args[c.args] == "node", "", word)
	case word == "":
		return c.flags(word)
	default:
		return c.names(word)
	}
}

// values returns the values of a flag or an argument that begin as typed, each with
// a prefix. It completes the last item of a list.
func (c *cursor) values(name string, list bool, prefix, typed string) []string {
	complete := kinds[name].complete
	if complete == nil {
		return nil
	}
	var before []string
	if i := strings.LastIndexByte(typed, ','); list && i >= 0 {
		before = strings.Split(typed[:i], ",")
		prefix, typed = prefix+typed[:i+1], typed[i+1:]
	}
	var found []string
	for _, v := range complete(c.folder, typed) {
		if strings.HasPrefix(v, typed) && !slices.Contains(before, v) {
			found = append(found, prefix+v)
		}
	}
	return found
}

// flags returns flags in the spelling of the word, or the values of the flag that
// the word has.
func (c *cursor) flags(word string) (found []string) {
	if c.target == nil {
		return nil
	}
	if name, value, ok := cutFlag(word); ok {
		f := c.target.named(name)
		if f == nil {
			return nil
		}
		return c.values(f.Name, f.List, word[:len(word)-len(value)], value)
	}
	for _, f := range c.target.Flags {
		if !f.List && slices.Contains(c.given, f) {
			continue
		}
		text := f.conventional()
		if len(word) > 1 && word[1] != '-' {
			text = "-" + f.Name
			if f.Type != "bool" {
				text += "="
			}
		}
		if strings.HasPrefix(text, word) {
			found = append(found, text+"\t"+f.Doc)
		}
	}
	return found
}

// names returns the next word of the targets' names that begin as typed, in the
// conventional spelling, and only if there are none in Mage's.
func (c *cursor) names(word string) (found []string) {
	for _, t := range c.targets {
		rest, ok := strings.CutPrefix(t.conventional(), c.name+word)
		next, _, more := strings.Cut(word+rest, " ")
		if text := next + "\t" + t.summary(); !ok {
			continue
		} else if !more {
			found = append(found, text)
		} else if text = next + "\t" + c.name + next + " ..."; !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	for _, t := range c.targets {
		if len(found) == 0 && c.name == "" && strings.HasPrefix(t.Name, word) {
			found = append(found, t.Name+"\t"+t.summary())
		}
	}
	return found
}
