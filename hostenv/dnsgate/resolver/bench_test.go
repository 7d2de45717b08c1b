package resolver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// BenchmarkCollect collects facts of 10,000 virtual hosts in 10,000 zones. It asks
// the two servers of each zone, which are one real NSD, and a resolver, which is the
// same NSD or a real unbound with an empty cache. For comparison it runs one dig
// process for each query of 40 of the hosts.
func BenchmarkCollect(b *testing.B) {
	const n = 10_000
	port, names := startNSD(b, n)
	for _, resolver := range []string{"nsd", "unbound"} {
		b.Run("resolver="+resolver, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				config := Config{Port: port, Private: loopback, Resolver: fmt.Sprintf("127.0.3.1:%d", port)}
				if resolver == "unbound" {
					config.Resolver = startUnbound(b, port)
				}
				var last Progress
				config.Progress = func(p Progress) { last = p }
				resetPeak()
				b.StartTimer()
				begin := time.Now()
				facts, err := New(config).Collect(b.Context(), dnsgate.Question{Names: names})
				took := time.Since(begin)
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(peak())/1024, "MB-peak")
				checkAll(b, facts, names)
				b.ReportMetric(float64(last.Questions), "questions")
				b.ReportMetric(float64(last.Questions)/took.Seconds(), "questions/s")
				b.ReportMetric(float64(last.Retries), "retries")
				perHost := digPerHost(b, config.Resolver, port, names[:40])
				b.ReportMetric(perHost.Seconds()*n/took.Seconds(), "times-dig")
				b.ReportMetric(float64(perHost.Milliseconds()), "ms-dig/host")
				b.StartTimer()
			}
		})
	}
}

func checkAll(b *testing.B, facts *dnsgate.Facts, names []string) {
	b.Helper()
	for i, name := range names {
		f := facts.Names[name]
		if f.A.Outcome != dnsgate.OutcomeAnswer || len(f.Servers) != 2 || f.CAA[0].Lookup.Failed() || f.AAAA.Failed() {
			b.Fatalf("%s: %s", name, show(f))
		}
		for _, s := range f.Servers {
			if s.A.Outcome != dnsgate.OutcomeAnswer || (s.AAAA.Outcome == dnsgate.OutcomeAnswer) != (i%2 == 0) {
				b.Fatalf("%s: %s", name, show(f))
			}
		}
	}
}

// digPerHost asks the questions that Collect asks for one host, except those that it
// shares with other hosts, with one process for each.
func digPerHost(b *testing.B, resolver string, port int, names []string) time.Duration {
	b.Helper()
	dig := testenv.Need(b, "dig")
	host, resolverPort, _ := bytes.Cut([]byte(resolver), []byte(":"))
	begin := time.Now()
	for _, name := range names {
		for _, q := range [][]string{{name, "A"}, {name, "AAAA"}, {name, "CAA"}, {parent(name), "CAA"}, {parent(name), "NS"}} {
			run(b, dig, "@"+string(host), "-p", string(resolverPort), "+dnssec", q[0], q[1])
		}
		run(b, dig, "@127.0.3.1", "-p", strconv.Itoa(port), "+norecurse", parent(name), "NS")
		for _, server := range []string{"127.0.3.1", "127.0.3.2"} {
			for _, q := range [][]string{{name, "A"}, {name, "AAAA"}, {name, "CAA"}, {parent(name), "CAA"}} {
				run(b, dig, "@"+server, "-p", strconv.Itoa(port), "+norecurse", q[0], q[1])
			}
		}
	}
	return time.Since(begin) / time.Duration(len(names))
}

func run(b *testing.B, program string, arguments ...string) {
	b.Helper()
	if out, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		b.Fatalf("%s %v: %v\n%s", program, arguments, err, out)
	}
}

// resetPeak and peak measure the peak memory of this process in KiB.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

func peak() (kib int) {
	status, _ := os.ReadFile("/proc/self/status")
	if _, after, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
		_, _ = fmt.Sscan(string(after), &kib)
	}
	return kib
}
