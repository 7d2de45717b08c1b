package deploy

import (
	"encoding/json"
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// EventsVersion is the version of the events, in the first line of a journal
// and of what -json prints. Readers of 1.x must expect kinds, states, reasons
// and fields that they do not know. docs/deploy-events.schema.json describes
// them.
const EventsVersion = "1.1"

// An Event is one thing that happened in a run. The journal, the JSON output, the
// terminal and the summary all show the same events.
type Event struct {
	Type Type   `json:"type"`
	Time string `json:"time,omitempty"` // RFC 3339, UTC
	Run  string `json:"run,omitempty"`

	Node    string `json:"node,omitempty"`
	Profile string `json:"profile,omitempty"` // "system", or the environment's user

	// Of type version.
	Events string `json:"events,omitempty"`
	// Of type run.
	Start *Start `json:"start,omitempty"`
	// Of type held.
	Held *Held `json:"held,omitempty"`
	// Of type finding.
	Finding *Finding `json:"finding,omitempty"`
	// Of type profile.
	State  State  `json:"state,omitempty"`
	Reason Reason `json:"reason,omitempty"` // why it is in that state
	Was    string `json:"was,omitempty"`    // the path that was active before the run changed it
	Want   string `json:"want,omitempty"`   // the planned path
	Active string `json:"active,omitempty"` // the path that the node reports as active
	Error  string `json:"error,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Log    string `json:"log,omitempty"` // the log file with the details
	// Rollback is true if the node may go back by itself after this activation.
	Rollback bool `json:"rollback,omitempty"`
	// Of types baseline, verification, recheck, move and diff.
	Verification *Verification `json:"verification,omitempty"`
	Moved        *Moved        `json:"moved,omitempty"`
	Diff         *Diff         `json:"diff,omitempty"`
	// Of type wave, which has State and Error too.
	Wave *Wave `json:"wave,omitempty"`
	// Of type end.
	End *End `json:"end,omitempty"`
}

// Type is what an event is about.
type Type string

// The types of events.
const (
	TypeVersion      Type = "version"      // the first line
	TypeRun          Type = "run"          // a run begins
	TypeResume       Type = "resume"       // an interrupted run continues
	TypeHeld         Type = "held"         // the plan holds a project back
	TypeNode         Type = "node"         // a connection to a node succeeded or failed
	TypeFinding      Type = "finding"      // a problem, or something that the operator should know
	TypeProfile      Type = "profile"      // a profile enters a state
	TypeBaseline     Type = "baseline"     // what the checks of a profile find before its activation
	TypeVerification Type = "verification" // what they find after it
	TypeRecheck      Type = "recheck"      // what they find after the profile went back
	TypeMove         Type = "move"         // data moves from another node
	TypeDiff         Type = "diff"         // what a new closure changes
	TypeWave         Type = "wave"         // a wave is to come, begins, succeeded or failed
	TypeEnd          Type = "end"          // a run ends
)

// State is the state of a node or a profile in a run.
type State string

// The states. Those of the second group are final.
const (
	StateReached    State = "reached"  // of a node: it answers, and it is the right one
	StateRetrying   State = "retrying" // of a node: the network failed, and the run tries again
	StatePending    State = "pending"  // the run will activate it
	StateBuilding   State = "building"
	StateSigning    State = "signing"
	StatePushing    State = "pushing"
	StatePushed     State = "pushed"     // its closure is on the node
	StateWaiting    State = "waiting"    // it waits for an activation that another run began
	StateMoving     State = "moving"     // its data is backed up on the old node
	StateActivating State = "activating" // from here on the node is changed
	StateVerifying  State = "verifying"  // the planned path is active, and its checks decide whether it stays
	StateRestoring  State = "restoring"  // the previous path is being activated again

	StateInSync      State = "in-sync"     // the planned path was active before the run
	StateActive      State = "active"      // the node reports the planned path as active
	StateFailed      State = "failed"      // the planned path is not active; Active has the path that is
	StateSkipped     State = "skipped"     // the run did not change it
	StateUnreachable State = "unreachable" // the node does not answer; the run did not change it
	StateUnknown     State = "unknown"     // the run changed it, and the node no longer answers
)

// Final reports whether the state is the last one of a profile in this run.
func (s State) Final() bool {
	switch s {
	case StateInSync, StateActive, StateFailed, StateSkipped, StateUnreachable, StateUnknown:
		return true
	default:
		return false
	}
}

// Reason is why a profile is in a state. Later versions may add reasons.
type Reason string

// The reasons.
const (
	ReasonNew          Reason = "new"           // pending: the node has no such profile
	ReasonChanged      Reason = "changed"       // pending: the node has another path
	ReasonDoubtful     Reason = "doubtful"      // pending: the result of an earlier activation is unknown
	ReasonNotRunning   Reason = "not-running"   // pending: the profile has the path, but the node runs another system
	ReasonReturned     Reason = "returned"      // pending: the path is active, but the environment was on another node since then
	ReasonAdopted      Reason = "adopted"       // active: an interrupted run activated it
	ReasonEvaluation   Reason = "evaluation"    // failed
	ReasonBuild        Reason = "build"         // failed
	ReasonSign         Reason = "sign"          // failed
	ReasonPush         Reason = "push"          // failed
	ReasonUnsigned     Reason = "unsigned"      // failed: the node trusts none of the signatures
	ReasonMove         Reason = "move"          // failed: its data could not be moved
	ReasonActivation   Reason = "activation"    // failed
	ReasonTimeout      Reason = "timeout"       // failed: its activation took longer than its limit, and was ended
	ReasonHealth       Reason = "health"        // restoring, failed: checks fail that did not fail before
	ReasonNoRoom       Reason = "no-room"       // failed: the node's disk is full; the path was not activated
	ReasonConflict     Reason = "conflict"      // failed: another user has the UID
	ReasonSystemFailed Reason = "system-failed" // skipped: the system of its node failed
	ReasonMovePending  Reason = "move-pending"  // skipped: an environment has to leave the node first
	ReasonInterrupted  Reason = "interrupted"   // skipped
	ReasonWave         Reason = "wave"          // skipped: too much failed in a wave before
	ReasonLost         Reason = "lost"          // unknown: the connection was lost, and a new one fails
)

// A Start is what a run was started with.
type Start struct {
	Plan   string `json:"plan"`             // SHA-256 of plan.json, without the fields that a deploy writes
	Serial int    `json:"serial,omitempty"` // of the plan
	By     string `json:"by"`
	// Commit is the commit of the provider's repository that was checked out, "" if
	// there was none. Uncommitted says that the plan or the state was not as in it.
	Commit      string `json:"commit,omitempty"`
	Uncommitted bool   `json:"uncommitted,omitempty"`

	Selected Selection `json:"selected"`
	Options  Options   `json:"options"`
	// Migrations are the options about moving data, nil if there are none.
	Migrations *Migrations `json:"migrations,omitempty"`
	SigningKey string      `json:"signingKey,omitempty"` // the file, if the operator named one
	DeployRs   string      `json:"deployRs,omitempty"`   // the program, if the operator named one
}

// Migrations are the options about moving data: which environments leave their data
// behind, and which nodes have the data of the others.
type Migrations struct {
	Skip         []string          `json:"skip,omitempty"`    // users
	Sources      map[string]string `json:"sources,omitempty"` // nodes by user
	IgnoreErrors bool              `json:"ignoreErrors,omitempty"`
}

// An End is how a run ended.
type End struct {
	Code        int            `json:"code"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Counts      map[string]int `json:"counts"` // of profiles, by state
}

// A Finding is a problem that a preflight found, or something that the operator
// should know.
type Finding struct {
	Level   Level  `json:"level"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Level is the consequence of a finding.
type Level string

// The levels.
const (
	Warning Level = "warning" // the run goes on
	Failure Level = "error"   // the run does not begin
)

func (f Finding) Error() string { return f.Message }

// Encode returns the event as a line of JSON.
func (e Event) Encode() []byte {
	line, err := json.Marshal(e)
	if err != nil { // no field can fail
		panic(fmt.Sprintf("encode an event: %v", err))
	}
	return append(problem.JSON(line), '\n')
}

// DecodeEvent reads a line of JSON.
func DecodeEvent(line []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return Event{}, err
	}
	if e.Type == "" {
		return Event{}, fmt.Errorf("an event without a type")
	}
	return e, nil
}
