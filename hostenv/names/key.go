package names

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
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
// begin with its type (RFC 4253, section 6.6), which must equal k.Type, and consist
// of fields with a length before each. Those of a certificate have numbers as well,
// and are not checked.
func (k PublicKey) Check() error {
	blob, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil || len(blob) < 4 {
		return errors.New("its key is not base64, or is cut off")
	}
	size := binary.BigEndian.Uint32(blob)
	if blob = blob[4:]; uint64(size) > uint64(len(blob)) || string(blob[:size]) != k.Type {
		return errors.New("its key is cut off, or has another type than the line says")
	}
	fields := 0
	for blob = blob[size:]; !strings.Contains(k.Type, "-cert-") && (len(blob) > 0 || fields == 0); fields++ {
		if len(blob) < 4 || uint64(binary.BigEndian.Uint32(blob)) > uint64(len(blob)-4) {
			return errors.New("its key is cut off")
		}
		blob = blob[4+binary.BigEndian.Uint32(blob):]
	}
	return nil
}

// CheckAuthorizedKey returns an error for a line of authorized_keys in which sshd finds
// no key. Options of sshd(8) may stand before the key.
func CheckAuthorizedKey(line string) error {
	words := strings.Fields(line)
	for i, word := range words[:max(0, len(words)-1)] {
		if keyTypes[strings.TrimSuffix(word, "-cert-v01@openssh.com")] {
			return PublicKey{Type: word, Key: words[i+1]}.Check()
		}
	}
	return errors.New("it has no type of key, such as ssh-ed25519, with a key after it")
}

// keyTypes are the types that OpenSSH accepts.
var keyTypes = map[string]bool{
	"ssh-ed25519": true, "ssh-rsa": true, "ecdsa-sha2-nistp256": true, "ecdsa-sha2-nistp384": true, "ecdsa-sha2-nistp521": true,
	"sk-ssh-ed25519@openssh.com": true, "sk-ecdsa-sha2-nistp256@openssh.com": true, "sk-ssh-ed25519": true, "sk-ecdsa-sha2-nistp256": true,
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
