package targets

import (
	"os"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/report"
)

// showCertificates prints certificates, and returns how the target ends if the
// order of one failed.
func (r *lookRun) showCertificates(all []deploy.Certificate) (failed, err error) {
	if r.json {
		for _, c := range all {
			if err := printJSON(c); err != nil {
				return nil, err
			}
		}
	} else if err := report.Certificates(os.Stdout, all); err != nil {
		return nil, err
	}
	if deploy.OrdersFailed(all) {
		failed = &outcomeError{deploy.ExitChanges, "the order of a certificate failed"}
	}
	return failed, nil
}
