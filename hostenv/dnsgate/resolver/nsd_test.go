package resolver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// startNSD runs a real NSD at two addresses on loopback. It has the zone "test" with
// the names of its servers, and n zones with one virtual host each, www.zN.test: all
// with an A record, every second with an AAAA record, every tenth with a CAA record.
func startNSD(t testing.TB, n int) (port int, names []string) {
	t.Helper()
	nsd := testenv.Need(t, "nsd")
	dir := t.TempDir()
	port = freePort(t)
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  ip-address: 127.0.3.1@%d\n  ip-address: 127.0.3.2@%d\n  username: \"\"\n  chroot: \"\"\n  zonesdir: %q\n"+
		"  pidfile: %q\n  xfrdfile: %q\n  zonelistfile: %q\n  logfile: %q\n  database: \"\"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n",
		port, port, dir, dir+"/pid", dir+"/xfrd", dir+"/zonelist", dir+"/log")
	zone := func(name, records string) {
		file := filepath.Join(dir, name+".zone")
		text := "$TTL 60\n@ SOA ns1.nic.test. h.nic.test. 1 3600 600 86400 60\n@ NS ns1.nic.test.\n@ NS ns2.nic.test.\n" + records
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&conf, "zone:\n  name: %q\n  zonefile: %q\n", name, file)
	}
	var delegations strings.Builder
	delegations.WriteString("ns1.nic A 127.0.3.1\nns2.nic A 127.0.3.2\n")
	for i := range n {
		name := fmt.Sprintf("z%d", i)
		fmt.Fprintf(&delegations, "%s NS ns1.nic\n%s NS ns2.nic\n", name, name)
		records := "www A 192.0.2.1\n"
		if i%2 == 0 {
			records += "www AAAA 2001:db8::1\n"
		}
		if i%10 == 0 {
			records += "@ CAA 0 issue \"letsencrypt.org\"\n"
		}
		zone(name+".test", records)
		names = append(names, "www."+name+".test")
	}
	zone("test", delegations.String())
	start(t, nsd, "-d", dir, conf.String(), fmt.Sprintf("127.0.3.2:%d", port), "z0.test")
	return port, names
}

// startUnbound runs a real unbound on loopback that asks the server of "test" for all
// names.
func startUnbound(t testing.TB, upstreamPort int) (address string) {
	t.Helper()
	unbound := testenv.Need(t, "unbound")
	dir, port := t.TempDir(), freePort(t)
	conf := fmt.Sprintf("server:\n  interface: 127.0.3.9@%d\n  directory: %q\n  chroot: \"\"\n  username: \"\"\n  pidfile: %q\n  use-syslog: no\n"+
		"  do-not-query-localhost: no\n  ede: yes\n  module-config: \"iterator\"\n  do-ip6: no\n  num-threads: 1\n  outgoing-range: 4096\n  num-queries-per-thread: 2048\n  msg-cache-size: 64m\n  rrset-cache-size: 64m\n"+
		"  local-zone: \"test.\" nodefault\n"+
		"remote-control:\n  control-enable: no\nstub-zone:\n  name: \"test.\"\n  stub-addr: 127.0.3.1@%d\n", port, dir, dir+"/pid", upstreamPort)
	address = fmt.Sprintf("127.0.3.9:%d", port)
	start(t, unbound, "-d", dir, conf, address, "www.z0.test")
	return address
}

// start runs a server until the test ends, and waits for it to answer.
func start(t testing.TB, program, flag, dir, conf, address, name string) {
	t.Helper()
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	cmd := exec.Command(program, flag, "-c", file)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(testenv.Patience):
			_ = cmd.Process.Kill()
		}
	})
	client := dns.Client{Timeout: 200 * time.Millisecond}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeSOA)
	for deadline := time.Now().Add(testenv.Patience); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("%s ended: %v\n%s%s", program, err, output.String(), log)
		default:
		}
		if reply, _, err := client.ExchangeContext(context.Background(), question, address); err == nil && reply.Rcode == dns.RcodeSuccess {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not answer at %s", program, address)
}

func freePort(t testing.TB) int {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}
