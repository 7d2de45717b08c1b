package targets

import (
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/served"
)

func TestPrintServed(t *testing.T) {
	var got strings.Builder
	if err := printServed(&got, 2, nil); err != nil || got.String() != "\nover TLS: 2 virtual hosts are served as the plan has it\n" {
		t.Errorf("without differences it prints %q (%v)", got.String(), err)
	}
	got.Reset()
	evil := served.Difference{Kind: served.NoAnswer, Node: "n1", Detail: "refused\n\x1b[2Jhint: rm"}
	if err := printServed(&got, 2, []served.Difference{evil}); err != nil || strings.Contains(got.String(), "\x1b") || strings.Contains(got.String(), "\nhint") {
		t.Errorf("it prints %q (%v)", got.String(), err)
	}
	if want := "\nover TLS:\n  n1: takes no connection: refused"; !strings.HasPrefix(got.String(), want) {
		t.Errorf("it prints %q, want %q first", got.String(), want)
	}
}
