package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// attempts is how often a run tries what the network makes fail.
const attempts = 3

// again calls do, which needs a connection to a node, until it succeeds or fails for
// another reason than the network, and at most three times. It pauses before the second
// call for Options.Pause, and before the third for four times as long. A preview calls do
// once: it only reports a node that does not answer.
//
// Whatever do finds on the node it must find anew in each call.
func (r *run) again(ctx context.Context, n *nodeRun, do func() error) error {
	pause := cmp.Or(r.Options.Pause, 2*time.Second)
	for attempt := 1; ; attempt++ {
		err := do()
		if attempt == attempts || r.mode != Deploy || !passes(err) || ctx.Err() != nil {
			return err
		}
		e := Event{Type: TypeNode, Node: n.Name, State: StateRetrying,
			Error: fmt.Sprintf("attempt %d of %d in %s: %v", attempt+1, attempts, pause, err)}
		if unwritten := r.Journal.Append(e); unwritten != nil {
			return errors.Join(err, unwritten)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		pause *= 4
	}
}

// passes reports whether the cause of a failure is in the network, and so may pass by
// itself. What the node or its administrator decided does not: a refused key, no room, a
// signature that it does not trust, another host key, a lock.
func passes(err error) bool {
	unreachable := (*UnreachableError)(nil)
	return errors.As(err, new(*CutOffError)) || errors.As(err, &unreachable) && unreachable.Temporary()
}

// temporary matches what ssh prints if a connection fails in the network, or at an sshd
// that starts or has too many clients. A name that does not exist is none of these, and
// neither is a node that is silent after the login.
var temporary = regexp.MustCompile(`(?i)connection (to \S+ )?(refused|timed out|reset|aborted|closed)|operation timed out|timeout, server|no route to host|(network|host) is (unreachable|down)|temporary failure in name resolution|exchange_identification|broken pipe`)

// Temporary reports whether the cause may pass by itself, so that another attempt may
// succeed.
func (e *UnreachableError) Temporary() bool { return temporary.MatchString(e.Cause) }

// A CutOffError reports that a connection to a node that had begun to work ended before
// its work was done.
type CutOffError struct {
	Node  string
	Cause string // the text of ssh or of Nix
}

func (e *CutOffError) Error() string {
	return "the connection to node " + e.Node + " broke off: " + e.Cause
}

// Hint returns what to do.
func (e *CutOffError) Hint() string {
	return "run it again with -resume: it does not copy again what has arrived; `journalctl --unit=nix-daemon` on the node may say why it broke off"
}
