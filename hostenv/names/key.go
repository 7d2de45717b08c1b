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

// ParsePublicKey parses a line by its shape, as Nix can, too. [PublicKey.Check]
// looks into the key.
func ParsePublicKey(s string) (PublicKey, error) {
	m := publicKey.FindStringSubmatch(s)
	if m == nil {
		return PublicKey{}, errors.New("it is no line of a public key: a type, a key in base64, and perhaps a comment")
	}
	return PublicKey{m[1], m[2], m[3]}, nil
}

// Check returns an error if the key is cut off or broken. It begins with its
// type (RFC 4253, section 6.6), which must be k.Type.
func (k PublicKey) Check() error {
	blob, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil || len(blob) < 4 {
		return errors.New("its key is broken")
	}
	size := binary.BigEndian.Uint32(blob)
	if blob = blob[4:]; uint64(size) > uint64(len(blob)) || string(blob[:size]) != k.Type {
		return errors.New("its key is broken, or of another type than the line says")
	}
	return nil
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
