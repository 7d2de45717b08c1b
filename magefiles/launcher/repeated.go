package launcher

import (
	"fmt"
	"slices"
	"strings"
)

// given are the flags of one target, in Mage's spelling and each once.
type given struct {
	words []string
	of    []*Flag
}

// add joins a list to what it already has, and refuses any other flag that is
// there: Mage would take the last and drop the one before.
func (g *given) add(f *Flag, written string) error {
	i := slices.Index(g.of, f)
	if i < 0 {
		g.words, g.of = append(g.words, written), append(g.of, f)
		return nil
	}
	_, before, _ := strings.Cut(g.words[i], "=")
	_, value, _ := strings.Cut(written, "=")
	switch {
	case !f.List:
		return &UsageError{fmt.Sprintf("-%s is given twice", f.Name), "give it once, for it has one value"}
	case before == "" || value == "":
		return &UsageError{fmt.Sprintf("-%s is given twice, once without a value", f.Name), "leave it away if all is meant"}
	}
	g.words[i] += "," + value
	return nil
}

// Repeated refuses a line, in Mage's spelling or with the names of targets
// hyphenated, that gives a flag of a provider's target twice: Mage would take the
// last value and drop the others. It is for a magefile without [Init].
func Repeated(args []string) error {
	t := &translation{targets: table}
	var target *Target
	var flags given
	arguments := 0 // that the target still wants
	for _, word := range args {
		switch {
		case word == "--":
			return nil
		case arguments > 0:
			arguments--
		case !isFlag(word):
			t.rest = []string{word}
			target, _ = t.match()
			flags = given{}
			if target != nil {
				arguments = target.Args
			}
		case target != nil:
			f, written, n := target.flag([]string{word})
			if n == 0 {
				continue // Mage complains of it
			}
			if err := flags.add(f, written); err != nil {
				return err
			}
			if all := flags.words[slices.Index(flags.of, f)]; all != written {
				return &UsageError{fmt.Sprintf("-%s is given twice, and Mage takes the last", f.Name), "write " + all}
			}
		}
	}
	return nil
}
