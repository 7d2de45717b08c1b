package remote_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// slowDaemon is a daemon of Nix that answers five requests a second, on a node whose
// minutes are short: sleep takes no time.
const slowDaemon = `
mkdir -p /run/fast
printf '#!/bin/sh\n' >/run/fast/sleep
cat >/run/fast/nix-daemon <<'END'
#!/bin/sh
printf 'oixd\0\0\0\0\025\001\0\0\0\0\0\0stla\0\0\0\0'
answers=0
while [ "$answers" -lt 40 ]; do
	/bin/sleep 0.2
	printf 'stla\0\0\0\0\001\0\0\0\0\0\0\0'
	answers=$((answers + 1))
done
cat >/dev/null
END
chmod +x /run/fast/*
`

// A daemon that takes longer than a minute for all paths has time, as long as it answers;
// one that does not answer is given up.
func TestHoldOfASlowDaemon(t *testing.T) {
	m := newMachine(t, slowDaemon, "SetEnv PATH=/run/fast:/usr/bin:/bin")
	s := m.open(t, deploy.OpenOptions{Lock: true})
	path := func(n int) string { return fmt.Sprintf("/nix/store/%032d-path", n) }
	hold := func(paths int) error {
		var all []string
		for n := range paths {
			all = append(all, path(n))
		}
		return s.Hold(t.Context(), []deploy.Root{{Profile: "site", Kind: deploy.RootNext, Path: path(0)}}, all)
	}
	if err := hold(39); err != nil {
		t.Errorf("40 requests: %v", err)
	}
	if err := hold(40); !errorHas(err, "did not answer within a minute") {
		t.Errorf("41 requests, of which one gets no answer: %v", err)
	}
}

func errorHas(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
