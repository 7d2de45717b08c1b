package dnsgate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// ErrWithheld is the cause of every error after which the gate leaves a valid plan as
// it was.
var ErrWithheld = errors.New("the gate leaves the plan as it is")

// A withheld is a problem that errors.Is finds to be ErrWithheld.
type withheld struct{ *problem.Problem }

func (withheld) Is(target error) bool { return target == ErrWithheld }

func withhold(fix, format string, args ...any) error {
	return withheld{&problem.Problem{Text: fmt.Sprintf(format, args...), Fix: fix}}
}

// maxListed is the number of names that a text lists.
const maxListed = 10

func listed(names []string) string {
	text := strings.Join(names[:min(len(names), maxListed)], ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
