package nixosnode

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The files of a base's keys.
const (
	sshKey        = "id_ed25519"     // the operator's, and .pub
	signingSecret = "signing.secret" // for closures
	signingPublic = "signing.public"
	caKey         = "pebble-key.pem" // of Pebble's own HTTPS
	caCertificate = "pebble-ca.pem"
)

// makeKeys makes all keys in a folder. They are not secret. All labs share them,
// because the keys that a node trusts are part of its system.
func makeKeys(dir string) error {
	if _, err := output(exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", filepath.Join(dir, sshKey))); err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	const name = Domain + "-1:"
	certificate, key, err := certify()
	if err != nil {
		return err
	}
	write := func(file string, data []byte) error { return os.WriteFile(filepath.Join(dir, file), data, 0o600) }
	return errors.Join(
		write(signingSecret, []byte(name+base64.StdEncoding.EncodeToString(private))),
		write(signingPublic, []byte(name+base64.StdEncoding.EncodeToString(public))),
		write(caCertificate, certificate),
		write(caKey, key),
	)
}

// certify makes a certificate for Pebble's HTTPS, signed by itself, in PEM.
func certify() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Pebble of tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{caHost},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), err
}
