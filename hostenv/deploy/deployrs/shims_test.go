package deployrs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/deployrs"
)

// A connection that fails before its login is tried again. One that was lost after it may
// have done its work, and is not.
func TestLogsInAgain(t *testing.T) {
	for _, test := range []struct {
		reason, ssh string
		fails       bool
		calls       int
	}{
		{"sshd drops two", `[ "$(wc -l <"$CALLS")" -ge 3 ] || exit 255`, false, 3},
		{"sshd drops all", `exit 255`, true, 6},
		{"the connection is lost after the login", `sh -c "${4#LocalCommand=}"; exit 255`, true, 1},
		{"the command fails", `exit 7`, true, 1},
	} {
		t.Run(test.reason, func(t *testing.T) {
			dir := t.TempDir()
			calls, bin := filepath.Join(dir, "calls"), filepath.Join(dir, "programs")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(bin, "deploy")
			for name, text := range map[string]string{
				"deploy": "#!/bin/sh\nHOSTENV_PATH=" + bin + ":$HOSTENV_PATH\nexport HOSTENV_PATH\nexec ssh deploy@n1 -F ssh_config true\n",
				"ssh":    "#!/bin/sh\nCALLS=" + calls + "\necho \"$@\" >>\"$CALLS\"\n" + test.ssh + "\n",
				"sleep":  "#!/bin/sh\n", // the pauses
			} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			n, p := example()
			var log bytes.Buffer
			a := deployrs.New(deployrs.Options{Dir: dir, SSHConfig: "/dev/null", Program: program})
			err := a.Activate(t.Context(), n, p, deploy.ActivateOptions{Status: filepath.Join(dir, "status")}, &log)
			text, _ := os.ReadFile(calls)
			if (err != nil) != test.fails || strings.Count(string(text), "\n") != test.calls {
				t.Errorf("%v, with the calls\n%s%s", err, text, log.String())
			}
			if !strings.HasSuffix(string(text), "deploy@n1 -F ssh_config true\n") {
				t.Errorf("the arguments are lost: %s", text)
			}
		})
	}
}
