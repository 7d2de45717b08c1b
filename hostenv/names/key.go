package names

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
)

// A PublicKey is a public key of ssh, as in a line of known_hosts or
// authorized_keys without options: the type, the key in base64, and a comment.
type PublicKey struct {
	Type, Key string
	Comment   string // "" if the line has none
}

var publicKey = regexp.MustCompile(`^([a-z0-9@.-]+) ([A-Za-z0-9+/=]+)(?: ([^[:cntrl:]]*))?$`)

// ParsePublicKey checks only the shape of the line, which Nix can check as well.
// [PublicKey.Check] decodes the key.
func ParsePublicKey(s string) (PublicKey, error) {
	m := publicKey.FindStringSubmatch(s)
	if m == nil {
		return PublicKey{}, errors.New("it is not a public key: a type, a key in base64 and an optional comment, on one line")
	}
	return PublicKey{m[1], m[2], m[3]}, nil
}

// Check returns an error if the key is cut off or broken. The bytes of a key
// begin with its type (RFC 4253, section 6.6), which must equal k.Type.
func (k PublicKey) Check() error {
	blob, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil || len(blob) < 4 {
		return errors.New("its key is not base64, or is cut off")
	}
	size := binary.BigEndian.Uint32(blob)
	if blob = blob[4:]; uint64(size) > uint64(len(blob)) || string(blob[:size]) != k.Type {
		return errors.New("its key is cut off, or has another type than the line says")
	}
	return nil
}

// Bare returns the line without its comment, as ssh compares keys.
func (k PublicKey) Bare() string { return k.Type + " " + k.Key }

// String returns the line.
func (k PublicKey) String() string {
	if k.Comment == "" {
		return k.Bare()
	}
	return k.Bare() + " " + k.Comment
}
