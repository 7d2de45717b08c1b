package nixosnode

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Pebble is Let's Encrypt's test CA, on the operator's address. It validates
// by HTTP-01 through the lab's [DNS].
type Pebble struct {
	Directory string // the URL that ACME clients begin with

	lab   *Lab
	cmd   *exec.Cmd
	log   string
	roots *x509.CertPool
}

// Pebble's name, and where ACME clients begin.
const (
	caHost          = "ca.example.net"
	pebbleDirectory = "https://" + caHost + ":14000/dir"
)

// PebbleCAFile is the file in the provider's repository with the certificate by
// which nodes trust Pebble's own HTTPS.
const PebbleCAFile = caCertificate

// StartPebble starts a CA for all nodes. It writes [PebbleCAFile] and a module
// that names the CA's directory; commit the provider before you plan. A second
// call starts a new CA, which does not know the accounts of the first.
func (l *Lab) StartPebble(t testing.TB) *Pebble {
	t.Helper()
	must(t, l.acme.close())
	p := &Pebble{lab: l, Directory: pebbleDirectory, log: filepath.Join(l.dir, "pebble.log")}
	l.acme = p
	must(t, p.start())
	must(t, p.module())
	return p
}

// CA returns the lab's Pebble, or nil before [Lab.StartPebble].
func (l *Lab) CA() *Pebble { return l.acme }

// module writes the file and the module with which nodes use the CA.
func (p *Pebble) module() error {
	own, err := os.ReadFile(filepath.Join(p.lab.base.keys, caCertificate))
	if err != nil {
		return err
	}
	provider := p.lab.Provider
	provider.modules["pebble"] = true
	return errors.Join(provider.write(PebbleCAFile, string(own)), provider.write("modules/pebble.nix", fmt.Sprintf(`{
  security.acme.defaults.server = %s;
  security.pki.certificateFiles = [ ../%s ];
}
`, nixString(p.Directory), PebbleCAFile)))
}

func (p *Pebble) start() error {
	o := p.lab.Operator
	p.lab.DNS.Set(caHost, p.lab.gateway())
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": p.lab.gateway() + ":14000", "managementListenAddress": p.lab.gateway() + ":15000",
		"certificate": "/root/pebble/" + caCertificate, "privateKey": "/root/pebble/" + caKey,
		"httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
	}})
	if err != nil {
		return err
	}
	if err := o.write("/root/pebble/config.json", string(config)); err != nil {
		return err
	}
	for _, name := range []string{caCertificate, caKey} {
		if err := copyFile(filepath.Join(p.lab.base.keys, name), o.Path("/root/pebble/"+name)); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = o.Command("pebble", "-config", "/root/pebble/config.json", "-dnsserver", p.lab.gateway()+":53", "-strict")
	p.cmd.Env = append(p.cmd.Env, "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0") // each order is validated
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return p.fetchRoot()
}

// fetchRoot waits until Pebble answers, and fetches its root certificate.
func (p *Pebble) fetchRoot() error {
	certificate, err := os.ReadFile(filepath.Join(p.lab.base.keys, caCertificate))
	if err != nil {
		return err
	}
	own := x509.NewCertPool()
	own.AppendCertsFromPEM(certificate)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: own, ServerName: caHost}, DisableKeepAlives: true}}
	for end := time.Now().Add(Deadline); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var response *http.Response
		if response, err = client.Get("https://" + p.lab.gateway() + ":15000/roots/0"); err != nil {
			continue
		}
		root, readErr := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err = readErr; err != nil {
			continue
		}
		p.roots = x509.NewCertPool()
		if !p.roots.AppendCertsFromPEM(bytes.TrimSpace(root)) {
			return fmt.Errorf("pebble's root is not a certificate: %s", root)
		}
		return nil
	}
	return fmt.Errorf("pebble does not answer: %w\n%s", err, p.Log())
}

// tls returns a configuration that trusts Pebble's certificates; p may be nil.
func (p *Pebble) tls() *tls.Config {
	if p == nil {
		return nil
	}
	return &tls.Config{RootCAs: p.roots}
}

// Log returns the log of Pebble.
func (p *Pebble) Log() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Validations counts how often Pebble asked a host for the proof of an order.
// Pebble's log does not name orders. Each order leads to a validation, unless
// an earlier order proved the host a short while ago.
func (p *Pebble) Validations(host string) int {
	return strings.Count(p.Log(), "Attempting to validate w/ HTTP: http://"+host+":80/") + strings.Count(p.Log(), "Attempting to validate w/ HTTP: http://"+host+"/")
}

// close ends Pebble's process; p may be nil.
func (p *Pebble) close() error {
	if p == nil || p.cmd == nil || p.cmd.Process == nil || p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	if _, killed := errors.AsType[*exec.ExitError](p.cmd.Wait()); !killed {
		return errors.New("pebble ended by itself")
	}
	return nil
}
