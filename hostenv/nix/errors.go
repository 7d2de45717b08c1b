package nix

import (
	"fmt"
	"strings"
)

// An EvalError says that the inventory could not be evaluated, and why, for
// every project that fails.
type EvalError struct {
	Failures []Failure // sorted by project; the provider's own come first
}

// A Failure is one project's.
type Failure struct {
	Project string // the input's name, "" for the provider's own flake
	Message string // nix's innermost message, and where
	Advice  string // what mends it, if known
}

func (e *EvalError) Error() string {
	if len(e.Failures) == 1 {
		return "evaluate the inventory: " + e.Failures[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "evaluate the inventory: %d failures:", len(e.Failures))
	for _, f := range e.Failures {
		b.WriteString("\n- " + strings.ReplaceAll(f.String(), "\n", "\n  "))
	}
	return b.String()
}

func (f Failure) String() string {
	if f.Project == "" {
		return f.Message
	}
	return "project " + f.Project + ": " + f.Message
}

// Hint says what mends it, or how to see more.
func (e *EvalError) Hint() string {
	var hints []string
	for _, f := range e.Failures {
		hint := f.Advice
		if hint == "" && f.Project != "" {
			hint = "nix eval --show-trace .#lib.hostenvProvider --apply 'p: p.inventoryWith { only = [ " + quote(f.Project) + " ]; }' shows how nix got there"
		} else if hint == "" {
			hint = "nix eval --show-trace .#lib.hostenvProvider.inventory shows how nix got there"
		}
		if len(e.Failures) > 1 && f.Project != "" {
			hint = f.Project + ": " + hint
		}
		hints = append(hints, hint)
	}
	return strings.Join(hints, "\n")
}

// A LockError says which sources could not be fetched, all of them.
type LockError struct {
	Failures []SourceFailure // in the order of the sources asked for
}

// A SourceFailure is one source's.
type SourceFailure struct {
	Index   int    // in the list of sources
	Source  string // as a flake reference, without credentials
	Message string
	Advice  string
}

func (e *LockError) Error() string {
	if len(e.Failures) == 1 {
		return "lock " + e.Failures[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "lock the environments' sources: %d failures:", len(e.Failures))
	for _, f := range e.Failures {
		b.WriteString("\n- " + strings.ReplaceAll(f.String(), "\n", "\n  "))
	}
	return b.String()
}

func (f SourceFailure) String() string { return f.Source + ": " + f.Message }

// Hint says how to look at the sources that fail.
func (e *LockError) Hint() string {
	var hints []string
	for _, f := range e.Failures {
		hints = append(hints, f.Advice)
	}
	return strings.Join(hints, "\n")
}

// A NotInstalledError says that there is no nix to run.
type NotInstalledError struct {
	Program string
}

func (e *NotInstalledError) Error() string { return fmt.Sprintf("run nix: there is no %s", e.Program) }

// Hint says how to do without.
func (e *NotInstalledError) Hint() string {
	return "install Nix 2.8 or newer (https://nixos.org/download), or give an inventory that was evaluated elsewhere"
}
