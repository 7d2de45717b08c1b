package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A certifier runs the hostenv-certificates of a node with stand-ins for systemd.
// To start an order, the stand-in does what the unit of NixOS does around it, and
// ends the order with the status in exits/NAME. It keeps every command line of the
// stand-ins.
type certifier struct {
	t                           *testing.T
	dir, script, calls          string
	bin, exits, records, wanted string
	lock                        string // of a switch
}

func newCertifier(t *testing.T) *certifier {
	t.Helper()
	bash := testenv.Need(t, "bash")
	testenv.Need(t, "jq")
	testenv.Need(t, "openssl")
	dir := t.TempDir()
	c := &certifier{t: t, dir: dir, script: filepath.Join(dir, "hostenv-certificates"), calls: filepath.Join(dir, "calls"), bin: filepath.Join(dir, "bin"),
		exits: filepath.Join(dir, "exits"), records: filepath.Join(dir, "records"), wanted: filepath.Join(dir, "wanted.json"), lock: lockFile(t)}
	for _, folder := range []string{c.bin, c.exits} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("../../nix/modules/certificates.sh")
	if err != nil {
		t.Fatal(err)
	}
	c.program(c.script, bash, strings.NewReplacer(
		"@path@", c.bin+":"+os.Getenv("PATH"), "/etc/hostenv/certificates.json", c.wanted, "/var/lib/hostenv-certificates", c.records,
		"/run/hostenv-certificates", filepath.Join(dir, "orders"), "/var/lib/acme", filepath.Join(dir, "acme"), "/run/nixos/switch-to-configuration.lock", c.lock,
	).Replace(string(text)))
	c.write("ca.pem", certificateOf(t, "Test CA 1"))
	c.write("self-signed.pem", certificateOf(t, "minica root ca 1234ab"))
	c.program(filepath.Join(c.bin, "systemctl"), bash, fmt.Sprintf(`
		cd '%s'
		printf '%%s\n' "$*" >>calls
		shift 2 # start --
		for unit; do
			name=${unit#acme-} name=${name%%.service}
			'%s' begin "$name" "$(jq -r --arg name "$name" '.certificates[$name].identity' wanted.json)"
			'%s' status >during.json
			status=$(cat "exits/$name" 2>/dev/null || echo exited:0)
			if [ "$status" = exited:0 ]; then cp ca.pem "acme/$name/fullchain.pem"; touch "acme/$name/fullchain.pem"; fi
			SERVICE_RESULT=$(cat "exits/$name.result" 2>/dev/null || echo success) EXIT_CODE=${status%%:*} EXIT_STATUS=${status#*:} INVOCATION_ID=of-$name '%s' end "$name"
		done`, dir, c.script, c.script, c.script))
	c.program(filepath.Join(c.bin, "journalctl"), bash, fmt.Sprintf(`
		case "$*" in
		*_SYSTEMD_INVOCATION_ID=of-*) cat '%s/said' ;;
		--sync) ;;
		*) exit 99 ;;
		esac`, dir))
	c.write("said", "+ lego run\nWaiting to acquire lock /run/acme/1.lock\n2026/11/29 [INFO] [a.test] acme: Obtaining\nYour account credentials have been saved\nCould not obtain certificates:\n\t[a.test] acme: error: 403\nFailed to fetch certificates. This may mean your DNS records are set up incorrectly.\n")
	return c
}

// lockFile is on a tmpfs, as /run is, if there is one: for a file of an overlay,
// /proc/locks does not have the device and inode that stat reports.
func lockFile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hostenv-switch-")
	if err != nil {
		return filepath.Join(t.TempDir(), "switch")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "switch")
}

func (c *certifier) program(file, bash, text string) {
	c.t.Helper()
	if err := os.WriteFile(file, []byte("#!"+bash+"\n"+text+"\n"), 0o755); err != nil {
		c.t.Fatal(err)
	}
}

func (c *certifier) write(file, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// has sets the certificates that the system has, from the text, by name. Each starts
// with a self-signed certificate unless it has another.
func (c *certifier) has(certificates map[string]string) {
	c.t.Helper()
	wanted := map[string]any{}
	for name, identity := range certificates {
		wanted[name] = map[string]string{"identity": identity}
		if _, err := os.Stat(filepath.Join(c.dir, "acme", name)); err != nil {
			text, err := os.ReadFile(filepath.Join(c.dir, "self-signed.pem"))
			if err != nil {
				c.t.Fatal(err)
			}
			c.write("acme/"+name+"/fullchain.pem", string(text))
		}
	}
	data, err := json.Marshal(map[string]any{"parallel": 3, "certificates": wanted})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("wanted.json", string(data))
}

// run runs the program, and returns the units that it started, one on each line.
func (c *certifier) run(args ...string) string {
	c.t.Helper()
	_ = os.Remove(c.calls)
	out, err := exec.Command(c.script, args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("hostenv-certificates %v: %v\n%s", args, err, out)
	}
	return c.called()
}

func (c *certifier) called() string {
	calls, _ := os.ReadFile(c.calls)
	return strings.NewReplacer("start -- ", "", "acme-", "", ".service", "").Replace(string(calls))
}

// status returns what a deploy reads from the program, by certificate.
func (c *certifier) status() map[string]deploy.Certificate {
	c.t.Helper()
	out, err := exec.Command(c.script, "status").Output()
	if err != nil {
		c.t.Fatal(err)
	}
	all := map[string]deploy.Certificate{}
	for _, certificate := range look(c.t, string(out)) {
		all[certificate.Name] = certificate
	}
	return all
}

// age makes the last order of a certificate an hour older.
func (c *certifier) age(name string) {
	c.t.Helper()
	c.change(name, func(record map[string]any) { record["tried"] = record["tried"].(float64) - 3600 })
}

// change changes the record of a certificate.
func (c *certifier) change(name string, change func(record map[string]any)) {
	c.t.Helper()
	file := "records/" + name + ".json"
	record := map[string]any{}
	data, err := os.ReadFile(filepath.Join(c.dir, file))
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	change(record)
	data, err = json.Marshal(record)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(file, string(data))
}

func certificateOf(t *testing.T, issuer string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Unix(1_000_000_000, 0), NotAfter: time.Unix(2_100_000_000, 0), DNSNames: []string{"a.test"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// The first order that succeeds makes the account. An order that fails does not stop
// the others.
func TestCertificatesAreOrdered(t *testing.T) {
	c := newCertifier(t)
	c.has(map[string]string{"a.test": "1", "b.test": "1", "c.test": "1", "d.test": "1", "e.test": "1", "f.test": "1"})
	c.write("exits/a.test", "exited:10")
	c.write("exits/d.test", "exited:11")
	if got := c.status()["b.test"]; got.State != deploy.CertificateWaiting {
		t.Errorf("before its order it is %+v", got)
	}
	expect(t, "ordered", c.run("order"), "a.test\nb.test\nc.test d.test e.test\nf.test\n")
	all := c.status()
	for name, want := range map[string]deploy.CertificateState{"a.test": deploy.CertificateFailed, "b.test": deploy.CertificateValid, "d.test": deploy.CertificateFailed, "f.test": deploy.CertificateValid} {
		if all[name].State != want {
			t.Errorf("%s: %+v", name, all[name])
		}
	}
	if got := all["a.test"]; got.Issuer != deploy.IssuerSelfSigned || strings.Join(got.Failure.Output, "|") != "Could not obtain certificates:|[a.test] acme: error: 403" || got.Failure.Exit != "10" {
		t.Errorf("%+v, %+v", got, got.Failure)
	}
	if got := all["b.test"]; got.Issuer != deploy.IssuerCA || got.NotAfter.Unix() != 2_100_000_000 {
		t.Errorf("%+v", got)
	}
	during, err := os.ReadFile(filepath.Join(c.dir, "during.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, certificate := range look(t, string(during)) {
		if ordering := certificate.State == deploy.CertificateOrdering; ordering != (certificate.Name == "f.test") {
			t.Errorf("while f.test is ordered, %s is %s", certificate.Name, certificate.State)
		}
	}

	expect(t, "right after it", c.run("order"), "")
	c.age("a.test")
	expect(t, "an hour later", c.run("order"), "a.test\n")
	if got := c.status()["a.test"].Failure; got.Times != 2 || !got.Since.Before(got.Last.Add(time.Second)) {
		t.Errorf("the order failed twice, and the certificate is %+v", got)
	}
	expect(t, "all, by hand", c.run("retry"), "a.test\nd.test\n")
	_ = os.Remove(filepath.Join(c.exits, "a.test"))
	expect(t, "one, by hand", c.run("retry", "a.test"), "a.test\n")
	if got := c.status()["a.test"]; got.State != deploy.CertificateValid || got.Failure != nil {
		t.Errorf("%+v", got)
	}
	if out, err := exec.Command(c.script, "retry", "z.test").CombinedOutput(); err == nil || !strings.Contains(string(out), "the system has no certificate z.test") {
		t.Errorf("%s (%v)", out, err)
	}

	// An order that failed all day is left to the daily timer of NixOS.
	c.age("d.test")
	c.change("d.test", func(record map[string]any) { record["failed"].(map[string]any)["times"] = 24 })
	expect(t, "the last time of a day", c.run("order"), "d.test\n")
	c.age("d.test")
	expect(t, "after a day", c.run("order"), "")
	// A certificate with another host name is a new certificate.
	c.has(map[string]string{"b.test": "2", "d.test": "2"})
	if got := c.status(); len(got) != 2 || got["b.test"].State != deploy.CertificateWaiting || got["b.test"].Issuer != deploy.IssuerCA {
		t.Errorf("%+v", got)
	}
	c.write("exits/b.test", "exited:10")
	expect(t, "with another name", c.run("order"), "b.test\nd.test\n")
	if got := c.status(); got["b.test"].State != deploy.CertificateFailed || got["b.test"].Issuer != deploy.IssuerCA || got["d.test"].Failure.Times != 1 {
		t.Errorf("%+v", got)
	}
	if left, _ := filepath.Glob(c.records + "/*.json"); len(left) != 2 {
		t.Errorf("it remembers what the system has no more: %v", left)
	}
}

func TestCertificatesAfterAccidents(t *testing.T) {
	c := newCertifier(t)
	c.has(map[string]string{"a.test": "1", "b.test": "1"})
	c.run("order")
	// A power cut has emptied a file, and another certificate was removed by hand.
	c.write("records/a.test.json", "")
	self, err := os.ReadFile(filepath.Join(c.dir, "self-signed.pem"))
	if err != nil {
		t.Fatal(err)
	}
	c.write("acme/b.test/fullchain.pem", string(self))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(c.dir, "acme/b.test/fullchain.pem"), later, later); err != nil {
		t.Fatal(err)
	}
	expect(t, "after the accidents", c.run("order"), "a.test\nb.test\n")

	// The lines of an order are shown even if none of them names an error.
	c.write("said", "+ mkdir\nPlease ensure that the webroot is there\n")
	c.write("exits/b.test", "exited:1")
	c.run("retry", "b.test")
	if got := c.status()["b.test"].Failure; got == nil || strings.Join(got.Output, "|") != "Please ensure that the webroot is there" {
		t.Errorf("%+v", got)
	}

	// An order that was stopped has not failed; an order that timed out has.
	c.write("exits/a.test", "killed:TERM")
	c.run("retry", "a.test")
	if got := c.status()["a.test"]; got.State != deploy.CertificateValid {
		t.Errorf("stopped: %+v", got)
	}
	c.write("exits/a.test.result", "timeout")
	c.run("retry", "a.test")
	if got := c.status()["a.test"]; got.State != deploy.CertificateFailed || got.Failure.Exit != "timeout" {
		t.Errorf("hung: %+v, %+v", got, got.Failure)
	}
}

// Files that a power cut left incomplete keep nginx from starting. The program
// makes these again, and no others.
func TestCertificatesStayComplete(t *testing.T) {
	c := newCertifier(t)
	const key, chain = "-----KEY\n-----END\n", "-----CERTIFICATE\n-----END\n"
	tests := map[string]struct {
		files map[string]string
		kept  bool
	}{
		"whole.test":     {map[string]string{"key": key, "fullchain": chain, "full": key + chain}, true},
		"new.test":       {nil, true},
		"nochain.test":   {map[string]string{"key": key}, false},
		"emptykey.test":  {map[string]string{"key": "", "fullchain": chain, "full": chain}, false},
		"otherkey.test":  {map[string]string{"key": "-----OTHER\n", "fullchain": chain, "full": key + chain}, false},
		"halfwhole.test": {map[string]string{"key": key, "fullchain": chain, "full": key}, false},
	}
	certificates := map[string]string{}
	for name, test := range tests {
		certificates[name] = "1"
		c.write("acme/"+name+"/other", "")
		for file, text := range test.files {
			c.write("acme/"+name+"/"+file+".pem", text)
		}
		c.write("records/"+name+".json", `{"name":"`+name+`","identity":"1","issuer":"ca","notAfter":2100000000,"tried":1}`)
	}
	c.has(certificates)
	c.run("check")
	for name, test := range tests {
		left, err := filepath.Glob(filepath.Join(c.dir, "acme", name, "*.pem"))
		want := 0
		if test.kept {
			want = len(test.files)
		}
		if err != nil || len(left) != want {
			t.Errorf("%s: there are %v (%v)", name, left, err)
		}
		if known := c.status()[name].State == deploy.CertificateValid; known != test.kept {
			t.Errorf("%s: it is taken for whole: %v", name, known)
		}
	}
}

// The program orders no certificate during a switch.
func TestCertificatesWaitForSwitch(t *testing.T) {
	c := newCertifier(t)
	c.has(map[string]string{"a.test": "1"})
	c.program(filepath.Join(c.bin, "sleep"), testenv.Need(t, "bash"), fmt.Sprintf("echo wait >>'%s'", c.calls))
	lock, err := os.Create(c.lock)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	order := exec.Command(c.script, "order")
	if err := order.Start(); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "a second look at the lock", func() bool { return strings.Contains(c.called(), "wait\nwait\n") })
	if calls := c.called(); strings.Contains(calls, "a.test") {
		t.Errorf("it ordered within a switch: %s", calls)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := order.Wait(); err != nil {
		t.Fatal(err)
	}
	if calls := c.called(); !strings.HasSuffix(calls, "wait\na.test\n") {
		t.Errorf("it did not order after the switch: %s", calls)
	}
	// Its lock is a file that stays.
	c.has(map[string]string{"b.test": "1"})
	expect(t, "with an old lock", c.run("order"), "b.test\n")
}
