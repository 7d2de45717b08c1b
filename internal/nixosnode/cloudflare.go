package nixosnode

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/fakecloudflare"
)

// cloudflareHost is the host of Cloudflare's API, which lego asks.
const cloudflareHost = "api.cloudflare.com"

// StartCloudflare starts a stand-in for Cloudflare's API, with the zone of [Domain], at
// the address that the lab's [DNS] gives its name. Nodes trust its certificate as they
// trust Pebble's. The DNS publishes the TXT records that clients write.
func (l *Lab) StartCloudflare(t testing.TB) *fakecloudflare.Fake {
	t.Helper()
	const id = "023e105f4ecef8ad9ca31a8372d0c353"
	fake := fakecloudflare.New(t, fakecloudflare.Zone(id, "example.net"))
	published := map[string]map[string]bool{} // names by zone
	fake.Changed = func(zone string, records map[string]cloudflare.Record) {
		if published[zone] == nil {
			published[zone] = map[string]bool{}
		}
		texts := map[string][]string{}
		for name := range published[zone] {
			texts[name] = nil
		}
		for _, record := range records {
			if record.Type == "TXT" {
				texts[record.Name] = append(texts[record.Name], "TXT "+strconv.Quote(record.Content))
				published[zone][record.Name] = true
			}
		}
		for name, all := range texts {
			if err := l.DNS.set(name, all...); err != nil {
				t.Error(err)
			}
		}
	}
	certificate, err := issue(l.base.keys, cloudflareHost)
	must(t, err)
	l.DNS.Set(cloudflareHost, l.other(t, 443, &http.Server{Handler: fake, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}))
	return fake
}

// ZoneAtCloudflare adds a zone to the stand-in, which one token edits, and returns its id.
// The DNS says that Cloudflare has it.
func (l *Lab) ZoneAtCloudflare(t testing.TB, fake *fakecloudflare.Fake, name, token string) (id string) {
	t.Helper()
	const server = "ada.ns.cloudflare.com"
	id = fmt.Sprintf("%032x", len(fake.Zones))
	fake.Mu.Lock()
	fake.AddZone(fakecloudflare.Zone(id, name))
	if fake.Tokens == nil {
		fake.Tokens = map[string]string{}
	}
	fake.Tokens[token] = id
	fake.Mu.Unlock()
	l.DNS.Set(server, l.DNS.address)
	l.DNS.Records(t, name, "NS "+server+".")
	return id
}

// issue makes a certificate for a host, signed by the one of Pebble's HTTPS.
func issue(keys, host string) (tls.Certificate, error) {
	var blocks [2][]byte
	for i, name := range []string{caCertificate, caKey} {
		text, err := os.ReadFile(filepath.Join(keys, name))
		if err != nil {
			return tls.Certificate{}, err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return tls.Certificate{}, errors.New(name + " is not PEM")
		}
		blocks[i] = block.Bytes
	}
	issuer, err := x509.ParseCertificate(blocks[0])
	if err != nil {
		return tls.Certificate{}, err
	}
	signer, err := x509.ParsePKCS8PrivateKey(blocks[1])
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 1),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, issuer, private.Public(), signer)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}
