package deploy

import (
	"encoding/json"
	"fmt"
)

// EventsVersion is the version of the events, in the first line of a journal
// and of what -json prints. Readers of 1.x must expect kinds, states, reasons
// and fields that they do not know. docs/deploy-events.schema.json describes
// them.
const EventsVersion = "1.0"

// An Event is one thing that happened, as data. Journal, JSON output, terminal
// and summary all render the same events.
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
	// Of type finding.
	Finding *Finding `json:"finding,omitempty"`
	// Of type profile.
	State  State  `json:"state,omitempty"`
	Reason Reason `json:"reason,omitempty"` // why it is in that state
	Was    string `json:"was,omitempty"`    // the path that was active before the run touched it
	Want   string `json:"want,omitempty"`   // the planned path
	Active string `json:"active,omitempty"` // the path that the node says is active
	Error  string `json:"error,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Log    string `json:"log,omitempty"` // the file that has more
	// Rollback says of an activation whether the node may go back by itself.
	Rollback bool `json:"rollback,omitempty"`
	// Of types verification, move and diff.
	Verification *Verification `json:"verification,omitempty"`
	Moved        *Moved        `json:"moved,omitempty"`
	Diff         *Diff         `json:"diff,omitempty"`
	// Of type end.
	End *End `json:"end,omitempty"`
}

// Type says what an event is about.
type Type string

// The types of events.
const (
	TypeVersion      Type = "version"      // the first line
	TypeRun          Type = "run"          // a run begins
	TypeResume       Type = "resume"       // an interrupted run is taken up
	TypeNode         Type = "node"         // a node was connected to, or could not be
	TypeFinding      Type = "finding"      // what is wrong, or was done otherwise than expected
	TypeProfile      Type = "profile"      // a profile enters a state
	TypeVerification Type = "verification" // what the checks of an environment found
	TypeMove         Type = "move"         // data is taken along from another node
	TypeDiff         Type = "diff"         // what a new closure changes
	TypeEnd          Type = "end"          // a run ends
)

// State is that of a node or a profile in a run.
type State string

// The states. Those of the second group are final.
const (
	StateReached    State = "reached"    // of a node: it answers, and is ours
	StatePending    State = "pending"    // it is to be activated
	StateBuilding   State = "building"   //
	StateSigning    State = "signing"    //
	StatePushing    State = "pushing"    //
	StatePushed     State = "pushed"     // it is on the node
	StateWaiting    State = "waiting"    // for an activation that another run began
	StateMoving     State = "moving"     // its data is backed up on the old node
	StateActivating State = "activating" // from here on the node is changed
	StateRestoring  State = "restoring"  // the path from before is made active again

	StateInSync      State = "in-sync"     // it was at the planned path before
	StateActive      State = "active"      // the node says that it is at the planned path
	StateFailed      State = "failed"      // it is not; Active says where it is
	StateSkipped     State = "skipped"     // it was not touched
	StateUnreachable State = "unreachable" // nothing could be asked; it was not touched
	StateUnknown     State = "unknown"     // it was touched, and the node does not answer
)

// Final reports whether nothing follows the state in this run.
func (s State) Final() bool {
	switch s {
	case StateInSync, StateActive, StateFailed, StateSkipped, StateUnreachable, StateUnknown:
		return true
	default:
		return false
	}
}

// Reason says why a profile is in a state. There may be more of them one day.
type Reason string

// The reasons.
const (
	ReasonNew          Reason = "new"           // pending: the node has no such profile
	ReasonChanged      Reason = "changed"       // pending: the node has another path
	ReasonDoubtful     Reason = "doubtful"      // pending: it was activated, and it is not known how that ended
	ReasonNotRunning   Reason = "not-running"   // pending: the path is the profile's, and the node runs another system
	ReasonReturned     Reason = "returned"      // pending: the path is active, and the environment was on another node meanwhile
	ReasonAdopted      Reason = "adopted"       // active: an interrupted run had brought it there
	ReasonEvaluation   Reason = "evaluation"    // failed
	ReasonBuild        Reason = "build"         // failed
	ReasonSign         Reason = "sign"          // failed
	ReasonPush         Reason = "push"          // failed
	ReasonUnsigned     Reason = "unsigned"      // failed: the node trusts no signature
	ReasonMove         Reason = "move"          // failed: its data could not be taken along
	ReasonActivation   Reason = "activation"    // failed
	ReasonNoRoom       Reason = "no-room"       // failed: the node's disk is full, and nothing was activated
	ReasonConflict     Reason = "conflict"      // failed: the user's UID is another's
	ReasonSystemFailed Reason = "system-failed" // skipped: the system of its node failed
	ReasonMovePending  Reason = "move-pending"  // skipped: an environment has to leave the node first
	ReasonInterrupted  Reason = "interrupted"   // skipped
	ReasonLost         Reason = "lost"          // unknown: the connection, and no new one
)

// A Start says what a run set out to do.
type Start struct {
	Plan     string    `json:"plan"` // SHA-256 of plan.json, but for what a deploy writes into it
	By       string    `json:"by"`
	Selected Selection `json:"selected"`
	Options  Options   `json:"options"`
	// Migrations are what was said of data that move, nil for nothing.
	Migrations *Migrations `json:"migrations,omitempty"`
	SigningKey string      `json:"signingKey,omitempty"` // the file, if it was named
	DeployRs   string      `json:"deployRs,omitempty"`   // the program, if it was named
}

// Migrations say which data are left where they are, and where others are.
type Migrations struct {
	Skip         []string          `json:"skip,omitempty"`    // users
	Sources      map[string]string `json:"sources,omitempty"` // nodes by user
	IgnoreErrors bool              `json:"ignoreErrors,omitempty"`
}

// An End says how a run ended.
type End struct {
	Code        int            `json:"code"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Counts      map[string]int `json:"counts"` // of profiles, by state
}

// A Finding is what a preflight found, or what the operator should know.
type Finding struct {
	Level   Level  `json:"level"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Level says what becomes of a finding.
type Level string

// The levels.
const (
	Warning Level = "warning" // the run goes on
	Failure Level = "error"   // nothing is begun
)

func (f Finding) Error() string { return f.Message }

// Encode returns the event as a line.
func (e Event) Encode() []byte {
	line, err := json.Marshal(e)
	if err != nil { // no field can fail
		panic(fmt.Sprintf("encode an event: %v", err))
	}
	return append(line, '\n')
}

// DecodeEvent reads a line.
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
