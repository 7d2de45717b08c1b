package names

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
)

// A PublicKey is a public key of ssh as a line of known_hosts or authorized_keys
// has it, without options: the type, the key in base64, and a comment.
type PublicKey struct {
	Type, Key string
	Comment   string // with what is inside of it; may be empty
}

var publicKey = regexp.MustCompile(`^([a-z0-9@.-]+) ([A-Za-z0-9+/=]+)(?: ([^[:cntrl:]]*))?$`)

// ParsePublicKey parses a line. The key itself says once more of what type it
// is (RFC 4253, section 6.6), and must agree.
func ParsePublicKey(s string) (PublicKey, error) {
	m := publicKey.FindStringSubmatch(s)
	if m == nil {
		return PublicKey{}, errors.New("it is no line of a public key: a type, a key in base64, and perhaps a comment")
	}
	blob, err := base64.StdEncoding.DecodeString(m[2])
	if err != nil || len(blob) < 4 {
		return PublicKey{}, errors.New("its key is broken")
	}
	size := binary.BigEndian.Uint32(blob)
	if blob = blob[4:]; uint64(size) > uint64(len(blob)) || string(blob[:size]) != m[1] {
		return PublicKey{}, errors.New("its key is of another type than it says")
	}
	return PublicKey{m[1], m[2], m[3]}, nil
}

// Bare returns type and key, which is what known_hosts compares.
func (k PublicKey) Bare() string { return k.Type + " " + k.Key }

// String returns the line.
func (k PublicKey) String() string {
	if k.Comment == "" {
		return k.Bare()
	}
	return k.Bare() + " " + k.Comment
}
