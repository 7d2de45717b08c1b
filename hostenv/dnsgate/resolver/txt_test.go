package resolver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/hostenv/domains"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A real resolver and real servers: a domain is proved by a TXT record in its own
// zone, and by nothing that a CNAME or a wildcard leads to.
func TestTXT(t *testing.T) {
	nsd := testenv.Need(t, "nsd")
	port, dir := freePort(t), t.TempDir()
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  ip-address: 127.0.3.1@%d\n  ip-address: 127.0.3.2@%d\n  username: \"\"\n  chroot: \"\"\n  zonesdir: %q\n  pidfile: %q\n  xfrdfile: %q\n  zonelistfile: %q\n  logfile: %q\n"+
		"  database: \"\"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n", port, port, dir, dir+"/pid", dir+"/xfrd", dir+"/zonelist", dir+"/log")
	acme, beta := domains.Token("hosting.test", "acme"), domains.Token("hosting.test", "beta")
	for name, records := range map[string]string{
		"test":        "ns1.nic A 127.0.3.1\nns2.nic A 127.0.3.2\nproved NS ns1.nic\nvictim NS ns1.nic\nlame NS ns9.nic\nns9.nic A 127.0.3.9\nwww.z0 A 192.0.2.1\n",
		"proved.test": fmt.Sprintf("@ TXT \"v=spf1 -all\"\n_hostenv TXT \"other\"\n_hostenv TXT %q\nlong TXT \"hostenv\" \"-joined\"\n", acme),
		// A wildcard that leads to the attacker's zone, and another to a text.
		"victim.test": fmt.Sprintf("* CNAME proof.evil.test.\n@ TXT %q\n", acme),
		"evil.test":   fmt.Sprintf("proof TXT %q\n_hostenv.victim TXT %q\n", beta, beta),
	} {
		file := filepath.Join(dir, name+".zone")
		if err := os.WriteFile(file, []byte("$TTL 60\n@ SOA ns1.nic.test. h.nic.test. 1 3600 600 86400 60\n@ NS ns1.nic.test.\n"+records), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&conf, "zone:\n  name: %q\n  zonefile: %q\n", name, file)
	}
	start(t, nsd, "-d", dir, conf.String(), fmt.Sprintf("127.0.3.2:%d", port), "proved.test")
	config := Config{Port: port, Private: loopback, Resolver: startUnbound(t, port)}
	names := []string{"_hostenv.proved.test", "_hostenv.victim.test", "_hostenv.none.test", "long.proved.test"}
	got, err := New(config).TXT(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	records := func(name string) []string {
		if got[name].Error != "" {
			t.Errorf("%s: %s", name, got[name].Error)
		}
		return slices.Sorted(slices.Values(got[name].Texts))
	}
	if texts := records("_hostenv.proved.test"); !slices.Equal(texts, []string{acme, "other"}) || !slices.Equal(domains.Match("hosting.test", []string{"acme", "beta"}, texts), []string{"acme"}) {
		t.Errorf("the proof is %q", texts)
	}
	for _, name := range []string{"_hostenv.victim.test", "_hostenv.none.test"} {
		if texts := records(name); len(texts) > 0 {
			t.Errorf("%s has %q", name, texts)
		}
	}
	if texts := records("long.proved.test"); !slices.Equal(texts, []string{"hostenv-joined"}) {
		t.Errorf("a record of two strings is %q", texts)
	}
	// Trouble is not the same as no record.
	config.Resolver, config.ResolverTimeouts = "127.0.3.77:9", config.Timeouts
	if got, err = New(config).TXT(t.Context(), names[:1]); err != nil || got[names[0]].Error != dnsgate.ErrorTimeout && got[names[0]].Error != dnsgate.ErrorNetwork {
		t.Errorf("%v, %v", got, err)
	}
}
