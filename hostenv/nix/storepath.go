package nix

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// sourcePath returns the store path of a source with a narHash, as Nix names trees
// that it fetches for flakes; "" if the hash is not one of SRI and SHA-256.
func sourcePath(storeDir, narHash string) string {
	encoded, ok := strings.CutPrefix(narHash, "sha256-")
	hash, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(hash) != sha256.Size {
		return ""
	}
	fingerprint := sha256.Sum256([]byte("source:sha256:" + hex.EncodeToString(hash) + ":" + storeDir + ":source"))
	var folded [20]byte
	for i, b := range fingerprint {
		folded[i%len(folded)] ^= b
	}
	return storeDir + "/" + base32(folded[:]) + "-source"
}

// base32 is Nix's own: from the last bit to the first, without e, o, t and u.
func base32(data []byte) string {
	const digits = "0123456789abcdfghijklmnpqrsvwxyz"
	length := (len(data)*8-1)/5 + 1
	text := make([]byte, 0, length)
	for n := length - 1; n >= 0; n-- {
		bit := n * 5
		i, shift := bit/8, bit%8
		value := data[i] >> shift
		if i+1 < len(data) {
			value |= data[i+1] << (8 - shift)
		}
		text = append(text, digits[value&0x1f])
	}
	return string(text)
}
