package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// BogusZone has a trust anchor in every resolver but no signatures, so that all
// names below it are bogus.
const BogusZone = "bogus.com."

// Unbound is a validating resolver.
type Unbound struct {
	Plain string // host:port for DNS
	HTTPS string // host:port for DNS over HTTPS
	cmd   *exec.Cmd
	front *http.Server
	log   string
	// order is the order of the addresses in answers: 0 is by chance, anew for each answer,
	// and any other number is an order that each name keeps.
	order *atomic.Uint64
}

// unboundConf is unbound's configuration. Other options have unbound's defaults: 0x20 is
// off, minimised questions are on. Customers' zones have a TTL of 0, so that a resolver
// keeps no record from one lookup to the next. It keeps a SERVFAIL for 5 seconds, as Let's
// Encrypt's resolver does.
const unboundConf = `server:
  interface: 127.0.0.1@%d
  access-control: 127.0.0.0/8 allow
  num-threads: 1
  do-ip6: no
  outgoing-interface: 11.0.8.%d
  do-daemonize: no
  use-syslog: no
  logfile: %q
  verbosity: 0
  username: ""
  chroot: ""
  directory: %q
  pidfile: ""
  root-hints: "root.hints"
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor: "%s DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000"
  ede: yes
  rrset-roundrobin: yes
  cache-min-ttl: 0
  infra-cache-min-rtt: %d
  neg-cache-size: 0
  incoming-num-tcp: 500
  num-queries-per-thread: 4096
  jostle-timeout: 60000
  so-rcvbuf: 1m
remote-control:
  control-enable: no
`

// StartUnbound starts the n-th resolver and waits until it answers.
func (l *Lab) StartUnbound(n int) (*Unbound, error) {
	u := &Unbound{Plain: fmt.Sprintf("127.0.0.1:%d", 5300+n), HTTPS: fmt.Sprintf("127.0.0.1:%d", 8443+n), order: &l.order}
	dir := filepath.Join(l.dir, fmt.Sprintf("unbound-%d", n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	u.log = filepath.Join(dir, "log")
	config := fmt.Sprintf(unboundConf, 5300+n, n+1, u.log, dir, BogusZone, l.waits.resolver.Milliseconds())
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "unbound.conf"), []byte(config), 0o644),
		os.WriteFile(filepath.Join(dir, "root.hints"), []byte(". 3600 NS root.dnsfleet.net.\nroot.dnsfleet.net. 3600 A "+Servers["root"].String()+"\n"), 0o644),
	); err != nil {
		return nil, err
	}
	u.cmd = exec.Command("unbound", "-d", "-c", filepath.Join(dir, "unbound.conf"))
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out strings.Builder
	u.cmd.Stdout, u.cmd.Stderr = &out, &out
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start unbound: %w", err)
	}
	query := new(dns.Msg)
	query.SetQuestion(fleetDomain, dns.TypeSOA)
	deadline := time.Now().Add(testenv.Patience)
	for {
		reply, err := dns.Exchange(query, u.Plain)
		if err == nil && reply.Rcode == dns.RcodeSuccess {
			return u, u.serveHTTPS(l.cert, l.key)
		}
		if time.Now().After(deadline) {
			messages, _ := os.ReadFile(u.log)
			return nil, errors.Join(fmt.Errorf("unbound does not answer: %v\n%s%s", reply, out.String(), messages), err, u.Close())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// serveHTTPS serves RFC 8484 in front of the resolver. unbound supports it too, but
// 1.17 closes the connection on questions that take long.
func (u *Unbound) serveHTTPS(cert, key string) error {
	listener, err := net.Listen("tcp", u.HTTPS)
	if err != nil {
		return err
	}
	u.front = &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(io.LimitReader(r.Body, dns.MaxMsgSize))
		if err != nil || len(query) < 12 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		reply, err := exchange(r.Context(), "udp", u.Plain, query)
		for (err != nil || reply[2]&0x02 != 0) && r.Context().Err() == nil { // no answer, or a truncated one
			reply, err = exchange(r.Context(), "tcp", u.Plain, query)
			if err == nil {
				break
			}
		}
		if err != nil {
			return // the caller has gone
		}
		if order := u.order.Load(); order != 0 {
			reorder(reply, order)
		}
		w.Header().Set("Content-Type", "application/dns-message")
		_, _ = w.Write(reply)
	})}
	go func() { _ = u.front.ServeTLS(listener, cert, key) }()
	return nil
}

// exchange returns the bytes of the reply to those of a query, as they are: to read and to
// write them anew would lose what the DNS library does not keep, such as a backslash in a
// CAA record.
func exchange(ctx context.Context, network, address string, query []byte) ([]byte, error) {
	timeout := time.Minute
	if network == "udp" {
		timeout = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn := dns.Conn{Conn: raw, UDPSize: dns.MaxMsgSize}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	reply := make([]byte, dns.MaxMsgSize)
	for {
		n, err := conn.Read(reply)
		if err != nil {
			return nil, err
		}
		if n >= 12 && reply[0] == query[0] && reply[1] == query[1] {
			return reply[:n], nil
		}
	}
}

// reorder exchanges the addresses in an answer, so that the same name has the same order
// of addresses in each answer with the same seed. It leaves what it cannot read.
func reorder(reply []byte, seed uint64) {
	owner, at, err := dns.UnpackDomainName(reply, 12)
	if err != nil || binary.BigEndian.Uint16(reply[4:]) != 1 {
		return
	}
	at += 4
	var places [][]byte
	for range binary.BigEndian.Uint16(reply[6:]) {
		if _, at, err = dns.UnpackDomainName(reply, at); err != nil || at+10 > len(reply) {
			return
		}
		kind, length := binary.BigEndian.Uint16(reply[at:]), int(binary.BigEndian.Uint16(reply[at+8:]))
		if at += 10; at+length > len(reply) {
			return
		}
		if kind == dns.TypeA && length == 4 || kind == dns.TypeAAAA && length == 16 {
			places = append(places, reply[at:at+length])
		}
		at += length
	}
	addresses := make([]string, len(places))
	for i, place := range places {
		addresses[i] = string(place)
	}
	slices.Sort(addresses) // unbound has them in an order of its own
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(strings.ToLower(owner)))
	rand.New(rand.NewPCG(seed, hash.Sum64())).Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	for i, place := range places {
		copy(place, addresses[i])
	}
}

// Close ends the resolver.
func (u *Unbound) Close() error {
	if u.front != nil {
		_ = u.front.Close()
	}
	if err := u.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = u.cmd.Wait() // the error reports the kill
	return nil
}

// writeCertificate makes a certificate that signs itself, for 127.0.0.1 and
// the names, and returns the paths of it and its key.
func writeCertificate(dir string, names ...string) (cert, key string, pool *x509.CertPool, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return "", "", nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "conformance"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{netip.MustParseAddr("127.0.0.1").AsSlice()}, DNSNames: names,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return "", "", nil, err
	}
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return "", "", nil, err
	}
	pool.AddCert(parsed)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return cert, key, pool, errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600),
	)
}
