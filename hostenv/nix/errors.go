package nix

// An EvalError says why a project of the inventory cannot be evaluated.
type EvalError struct {
	Project string // the input's name, "" for the provider's own flake
	Message string // Nix's innermost message, and where
	Advice  string // how to fix it, if known
}

func (e *EvalError) Error() string {
	if e.Project == "" {
		return "evaluate the inventory: " + e.Message
	}
	return "evaluate the inventory: project " + e.Project + ": " + e.Message
}

// Hint says how to fix it, or how to see Nix's trace.
func (e *EvalError) Hint() string {
	switch {
	case e.Advice != "":
		return e.Advice
	case e.Project != "":
		return "nix eval --show-trace .#lib.hostenvProvider --apply 'p: p.inventoryWith { only = [ " + quote(e.Project) + " ]; }' shows how nix got there"
	}
	return "nix eval --show-trace .#lib.hostenvProvider.inventory shows how nix got there"
}

// A LockError says why a source cannot be fetched.
type LockError struct {
	Index   int    // in the list of sources
	Source  string // as a flake reference, without credentials
	Message string
	Advice  string
}

func (e *LockError) Error() string { return "lock " + e.Source + ": " + e.Message }

// Hint says how to look at the source.
func (e *LockError) Hint() string { return e.Advice }
