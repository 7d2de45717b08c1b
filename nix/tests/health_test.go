package nix_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The activation of a system ends with the checks that the node makes itself: sshd and
// nginx answer, and no unit failed that had not failed before.
func TestSystemHealth(t *testing.T) {
	listen := func(answer func(net.Conn)) (port int) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				answer(c)
				c.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr).Port
	}
	ssh := listen(func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.9\r\n") })
	other := listen(func(c net.Conn) { fmt.Fprint(c, "220 mail.example ESMTP\r\n") })
	nginx := func(status string) int {
		return listen(func(c net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil || r.Host != "canary.hostenv.invalid" {
				_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\n\r\n")
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 %s\r\n\r\n", status)
		})
	}
	up, down := nginx("204 No Content"), nginx("502 Bad Gateway")

	for _, tt := range []struct {
		reason      string
		ssh         int
		old, nginx  int    // the ports of nginx before and after the switch
		exit        int    // of the switch
		before, now string // units that have failed
		status      int
		says        string
	}{
		{"all answers", ssh, up, up, 0, "", "", 0, ""},
		{"there is neither", 0, 0, 0, 0, "", "", 0, ""},
		{"another server has the port", other, up, up, 0, "", "", 1, fmt.Sprintf("failed check: sshd does not answer at 127.0.0.1 %d\n", other)},
		{"nginx does not serve", ssh, up, down, 0, "", "", 1, fmt.Sprintf("failed check: nginx does not answer at 127.0.0.1 %d\n", down)},
		{"the first nginx does not serve", ssh, 0, down, 0, "", "", 1, fmt.Sprintf("failed check: nginx does not answer at 127.0.0.1 %d\n", down)},
		{"nginx did not serve before", ssh, down, down, 0, "", "", 0, "warning: nginx does not answer before the switch"},
		{"nginx has another port", ssh, down, up, 0, "", "", 0, ""},
		{"nginx is gone", ssh, up, 0, 0, "", "", 0, ""},
		{"a unit fails", ssh, up, up, 0, "old", "old new", 1, "failed check: unit new.service failed\n"},
		{"one that had failed", ssh, up, up, 0, "old", "old", 0, ""},
		{"the switch says so", ssh, up, up, 4, "old", "old", 0, ""},
		{"the switch says so of another", ssh, up, up, 4, "old", "old new", 1, "failed check: unit new.service failed\n"},
		{"the switch says so of none", ssh, up, up, 4, "", "", 4, ""},
		{"the switch fails", ssh, up, up, 2, "old", "old", 2, ""},
		{"a customer's manager, a timer's unit and an order fail", ssh, up, up, 0, "", "user@1000 timed acme-order-renew-www.test", 0, ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			a := activation{dir: t.TempDir()}
			a.script = strings.NewReplacer("/var/log/", a.path("log")+"/", "/etc/hostenv/canary", a.path("canary")).Replace(string(first(t).run(t, "eval", "--raw", "--expr", fmt.Sprintf(`(import ../lib/activation.nix).system {
				config.services.openssh = { enable = %t; ports = [ %d ]; listenAddresses = [ ]; };
				coreutils = ""; sed = ""; limit = "900";
			}`, tt.ssh != 0, tt.ssh), "--impure")))
			canary := func(port int) string {
				if port == 0 {
					return ""
				}
				return fmt.Sprintf("127.0.0.1 %d canary.hostenv.invalid\n", port)
			}
			if tt.old != 0 {
				write(t, a.path("canary"), canary(tt.old), 0o666)
			}
			write(t, a.path("new-canary"), canary(tt.nginx), 0o666)
			write(t, a.path("profile/bin/switch-to-configuration"), fmt.Sprintf("#!/usr/bin/env bash\ntouch \"$DIR/switched\"\nrm -f \"$DIR/canary\"\n[ ! -s \"$DIR/new-canary\" ] || cp \"$DIR/new-canary\" \"$DIR/canary\"\nexit %d\n", tt.exit), 0o777)
			write(t, a.path("bin/journalctl"), "#!/usr/bin/env bash\necho Failed with result none\n", 0o777)
			write(t, a.path("bin/systemctl"), fmt.Sprintf(`#!/usr/bin/env bash
case "$*" in
*list-units*)
	units="%s"
	[ ! -e "$DIR/switched" ] || units="%s"
	for unit in $units; do echo "$unit.service loaded failed failed It"; done
	;;
*InvocationID*) echo "1$$" ;;
*TriggeredBy*timed.service) echo timed.timer ;;
esac
`, tt.before, tt.now), 0o777)
			cmd := a.command(t)
			cmd.Env = append(cmd.Env, "PATH="+a.path("bin")+":"+os.Getenv("PATH"))
			begun := time.Now()
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != tt.status || !strings.Contains(string(out), tt.says) || tt.says == "" && strings.Contains(string(out), "failed check") {
				t.Errorf("it ended with %d after %s:\n%s", status, time.Since(begun), out)
			}
			if succeeded := a.exists("profile.activated"); succeeded != (tt.status == 0) {
				t.Errorf("it recorded a success: %v", succeeded)
			}
		})
	}
}
