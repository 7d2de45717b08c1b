package resolver

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
)

// Real servers and a real resolver give the same facts as the fakes.
func TestRealServers(t *testing.T) {
	port, names := startNSD(t, 20)
	config := Config{Port: port, Private: loopback, Resolver: startUnbound(t, port)}
	facts, err := New(config).Collect(t.Context(), dnsgate.Question{Names: append(names, "gone.z1.test", "test")})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][4]string{
		"www.z0.test":  {"answer 192.0.2.1", "answer 2001:db8::1", `answer 0 issue "letsencrypt.org"`, "z0.test"},
		"www.z1.test":  {"answer 192.0.2.1", "nodata", "nodata", "z1.test"},
		"gone.z1.test": {"nxdomain", "nxdomain", "nodata", "z1.test"},
	} {
		n := facts.Names[name]
		if len(n.CAA) < 2 {
			t.Fatalf("%s: the walk for CAA ended early:\n%s", name, show(n))
		}
		if got := [4]string{brief(n.A), brief(n.AAAA), brief(n.CAA[1].Lookup), n.Zone}; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if len(n.Servers) != 2 || brief(n.Servers[0].A) != want[0] || brief(n.Servers[1].AAAA) != want[1] {
			t.Errorf("%s: %s", name, show(n.Servers))
		}
	}
	if got := facts.Names["test"].Zone; got != "test" {
		t.Errorf("the zone of the top-level domain is %q", got)
	}
}
