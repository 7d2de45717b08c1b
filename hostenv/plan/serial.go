package plan

import (
	"crypto/sha256"
	"encoding/hex"
)

// A Serial numbers the plans of a provider, so that a node can refuse an older one.
// Every plan that differs from the last one has a higher number.
//
// Two clones may give one number to two plans. The digest tells them apart, and makes
// them conflict in git; a merge of both must raise the number again, see [Document.After].
type Serial struct {
	Digest string `json:"digest"` // [Document.Digest] of the plan that got the number
	Number int    `json:"number"` // from 1

	Carried Carried `json:",inline"`
}

// is reports whether both are of one plan.
func (s Serial) is(other Serial) bool { return s.Number == other.Number && s.Digest == other.Digest }

// Digest returns the SHA-256 of the plan in hexadecimal, without its serial and what a
// deploy writes into it: two plans with the same digest bring the nodes to the same state.
func (d Document) Digest() string {
	at := make(map[string]string, len(d.Environments))
	for user, e := range d.Environments {
		at[user] = e.Node
	}
	d.Serial = Serial{}
	d.Carried = d.Carried.Without("serial")
	sum := sha256.Sum256(d.WithDeployed(at, "").Encode())
	return hex.EncodeToString(sum[:])
}

// After returns the plan with its serial: that of last if last got it for this very
// plan, or else one above it. last is the zero Document if there is no plan before. A
// plan of an older version of this program has no serial, and gets one when it changes.
func (d Document) After(last Document) Document {
	d.Serial = last.Serial
	digest := d.Digest()
	if digest == last.Serial.Digest || last.Serial.Number == 0 && digest == last.Digest() {
		return d
	}
	d.Serial = Serial{Digest: digest, Number: last.Serial.Number + 1}
	return d
}
