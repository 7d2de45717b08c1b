package plan

import "fmt"

// InputError says that a value of the inventory is not what it must be.
type InputError struct {
	Where           string // such as provider.nodeFor or acme__site/main: hostenv.userName
	Problem, Remedy string
}

func (e *InputError) Error() string { return e.Where + " " + e.Problem }

// Hint says what mends it.
func (e *InputError) Hint() string { return e.Remedy }

// EmptyError says that there is nothing to plan, which would take all users
// away from every node.
type EmptyError struct{ Projects int }

func (e *EmptyError) Error() string {
	if e.Projects == 0 {
		return "no flake input is a customer's project, and an empty plan would take every user from every node"
	}
	return fmt.Sprintf("the %d projects have no environment, and an empty plan would take every user from every node", e.Projects)
}

// Hint says what to look at.
func (e *EmptyError) Hint() string {
	return "name inputs organisation__project and declare environments in their hostenv.nix; if the plan is to be empty, set provider.allowEmpty = true"
}

// CollisionError says that two inputs, or two environments, are one and the
// same once hostenv has shortened their names.
type CollisionError struct {
	Name   string   // the project organisation/project, or the user name
	Claims []string // inputs, or environments, sorted
}

func (e *CollisionError) Error() string {
	return fmt.Sprintf("%s and %s are both %s once their names are sanitised", e.Claims[0], e.Claims[1], e.Name)
}

// Hint says what mends it.
func (e *CollisionError) Hint() string {
	return "rename one of the two inputs, so that organisation or project differ in letters and digits"
}

// PlacementError says that an environment has no node, or that an option
// names a node that there is not.
type PlacementError struct {
	Environment     string // organisation__project/environment, "" if the option is wrong by itself
	Option          string // such as provider.nodeFor.production
	Node            string
	Problem, Remedy string
}

func (e *PlacementError) Error() string {
	if e.Environment == "" {
		return e.Option + " " + e.Problem
	}
	return fmt.Sprintf("the environment %s has no node: %s %s", e.Environment, e.Option, e.Problem)
}

// Hint says what mends it.
func (e *PlacementError) Hint() string { return e.Remedy }

// LimitsError says that two projects share a slice of systemd and disagree
// about its limits.
type LimitsError struct {
	Slice, Node string
	Projects    []string // inputs, sorted
}

func (e *LimitsError) Error() string {
	return fmt.Sprintf("%s and %s share the slice %s on %s and have different limits", e.Projects[0], e.Projects[1], e.Slice, e.Node)
}

// Hint says what mends it.
func (e *LimitsError) Hint() string {
	return "hostenv names a slice after the organisation and the first 11 characters of the project; give both projects the same provider.limits, or place them on different nodes"
}

// StaleError says that a plan was made from another state than there is.
type StaleError struct{ Plan, State string } // digests

func (e *StaleError) Error() string {
	if e.Plan == "" {
		return "the plan does not say which state it was made from"
	}
	return fmt.Sprintf("the plan was made from the state %.12s, and the state is now %.12s", e.Plan, e.State)
}

// Hint says what mends it.
func (e *StaleError) Hint() string { return "run `mage plan`, and review and commit what it changes" }
