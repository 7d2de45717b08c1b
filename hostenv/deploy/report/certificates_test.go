package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

func TestCertificates(t *testing.T) {
	until := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	at := time.Date(2026, 11, 29, 7, 0, 0, 0, time.UTC)
	var got strings.Builder
	if err := report.Certificates(&got, []deploy.Certificate{
		{Node: "n1", Name: "a.test", State: deploy.CertificateValid, Issuer: deploy.IssuerCA, NotAfter: until},
		{Node: "n1", Name: "moved.test", State: deploy.CertificateFailed, Issuer: deploy.IssuerSelfSigned, NotAfter: until,
			Failure: &deploy.OrderFailure{Since: at, Last: at, Times: 1, Exit: "10", Output: []string{"acme: error: 403", "n1    feigned.test\nvalid"}}},
		{Node: "n1", Name: "new.test", State: deploy.CertificateWaiting, Issuer: deploy.IssuerNone},
		{Node: "n1", Name: "old.test", State: deploy.CertificateExpired, Issuer: deploy.IssuerCA, NotAfter: until},
		{Node: "n2", Name: "renewed.test", State: deploy.CertificateFailed, Issuer: deploy.IssuerCA, NotAfter: until,
			Failure: &deploy.OrderFailure{Since: at, Last: at.Add(time.Hour), Times: 2, Exit: "timeout"}},
	}); err != nil {
		t.Fatal(err)
	}
	want := "\n" + `NODE  CERTIFICATE   STATE    IN PLACE
n1    moved.test    failed   self-signed
n1    new.test      waiting  nothing
n1    old.test      expired  expired 2027-01-31
n2    renewed.test  failed   valid until 2027-01-31

n1 moved.test: the order failed at 2026-11-29T07:00:00Z (exit status 10)
  acme: error: 403
  n1    feigned.test valid
hint: ` + "run `mage dnsGate` to see whether its names lead to the node; the node orders it again every hour for a day, then once a day; to order it at once, run `hostenv-certificates retry moved.test` as root on n1" + `

n2 renewed.test: 2 orders failed since 2026-11-29T07:00:00Z, the last at 2026-11-29T08:00:00Z (it timed out)
hint: ` + "run `mage dnsGate` to see whether its names lead to the node; the node orders it again every hour for a day, then once a day; to order it at once, run `hostenv-certificates retry renewed.test` as root on n2" + `

1 certificate is valid
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	got.Reset()
	if err := report.Certificates(&got, nil); err != nil || got.String() != "" {
		t.Errorf("without certificates the output is %q (%v)", got.String(), err)
	}
}
