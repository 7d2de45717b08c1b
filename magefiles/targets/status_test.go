package targets

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// TestSayOnce: the table does not repeat an error that is printed below it.
func TestSayOnce(t *testing.T) {
	hostKey := &deploy.HostKeyError{Node: "n1", Cause: "ED25519 SHA256:x"}
	down := &deploy.UnreachableError{Node: "n2", Cause: "connection refused"}
	all := []deploy.Status{
		{Node: "n1", Profile: "system", Standing: deploy.StandingUnreachable, Detail: hostKey.Error()},
		{Node: "n2", Profile: "system", Standing: deploy.StandingUnreachable, Detail: down.Error()},
		{Node: "n3", Profile: "system", Standing: deploy.StandingBehind, Detail: "not deployed yet"},
	}
	want := []string{"see the error below", down.Error(), "not deployed yet"}
	var got []string
	for _, s := range sayOnce(all, errors.Join(hostKey)) {
		got = append(got, s.Detail)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	if all[0].Detail != hostKey.Error() {
		t.Error("the statuses, which -json prints, are changed")
	}
}
