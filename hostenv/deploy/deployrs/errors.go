package deployrs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A NameError says that a node or a profile cannot be handed to deploy-rs, which
// puts names and paths into Nix's language and into a remote shell without
// escaping them.
type NameError struct{ What, Value string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%s is %q, which deploy-rs cannot be given", e.What, e.Value)
}

// Hint says what to do.
func (e *NameError) Hint() string {
	return "run `mage plan`: generated/plan.json has no such name, unless it was written by hand"
}

// A ProgramError says that there is no deploy-rs to run.
type ProgramError struct {
	Profile string
	Err     error
}

func (e *ProgramError) Error() string {
	return fmt.Sprintf("find the deploy-rs that %s is activated by: %v", e.Profile, e.Err)
}

func (e *ProgramError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *ProgramError) Hint() string {
	return "see that flake.nix has the input deploy-rs, or name its program: -deployRs=/nix/store/...-deploy-rs/bin/deploy"
}

// A VersionError says that programs do not fit each other.
type VersionError struct{ Text, Mend string }

func (e *VersionError) Error() string { return e.Text }

// Hint says what to do.
func (e *VersionError) Hint() string { return e.Mend }

// A StatusError says that the file for the exit status is there already: it is
// some other activation's.
type StatusError struct{ File string }

func (e *StatusError) Error() string { return e.File + " is the exit status of another activation" }

// An ExitError says that deploy-rs failed. It does not tell the node's state.
type ExitError struct {
	Profile string
	Code    int // the shell's: 128 and the signal's number if one ended it
}

func (e *ExitError) Error() string {
	text := "deploy-rs failed to activate " + e.Profile
	switch e.Code {
	case 1:
	case 2:
		text = "deploy-rs does not take the arguments that it is given for " + e.Profile
	case 126, 127:
		text = "deploy-rs cannot be run for " + e.Profile
	default:
		text += fmt.Sprintf(" and ended with status %d", e.Code)
	}
	return text
}

// Hint says what to do.
func (e *ExitError) Hint() string {
	if e.Code == 2 {
		return "this hostenv-provider and that deploy-rs do not fit: please report it, with the log"
	}
	return "read the log of the profile for the output of deploy-rs, and on the node the log of the activation, in " + deploy.ActivationLogs
}

// lastLine is what a failed program said last: its last error, if it calls any
// so, for Nix goes on with where it was and how to learn more.
func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	for _, line := range slices.Backward(lines) {
		if _, text, found := strings.Cut(line, "error: "); found {
			return strings.TrimSpace(text)
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
