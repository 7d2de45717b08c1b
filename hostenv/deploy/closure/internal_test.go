package closure

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
)

// p is a store path of a name.
func p(name string) string {
	return fmt.Sprintf("/nix/store/%032d-%s", len(name), name)
}

func TestPackageOf(t *testing.T) {
	for _, c := range []struct{ path, name, version, reason string }{
		{p("hello-2.10"), "hello", "2.10", "the plain case"},
		{p("hello-2.10-bin"), "hello", "2.10", "an output is no version"},
		{p("glibc-2.40-66-dev"), "glibc", "2.40-66", "a dash in the version"},
		{p("openssl-3.0.14-lib"), "openssl", "3.0.14", "an output"},
		{p("php-8.3.1-beta"), "php", "8.3.1-beta", "what is no output is version"},
		{p("font-awesome-6"), "font-awesome", "6", "dashes before letters are the name's"},
		{p("gtk+3-3.24.43"), "gtk+3", "3.24.43", "a digit in the name"},
		{p("etc"), "etc", "", "no version"},
		{p("unit-nginx.service"), "unit-nginx.service", "", "no version"},
		{p("site-main-b7ea262"), "site-main-b7ea262", "", "a letter after the dash"},
		{p("shop-main-4f7240c"), "shop-main", "4f7240c", "as Nix reads it"},
		{p("x-"), "x-", "", "a dash at the end"},
		{p("-1"), "", "1", "a name that is none"},
		{"/nix/store/short", "short", "", "no store path"},
	} {
		if name, version := packageOf(c.path); name != c.name || version != c.version {
			t.Errorf("%s (%s): got %q %q, want %q %q", c.path, c.reason, name, version, c.name, c.version)
		}
	}
}

// store makes a store of "name: size reference reference".
func storeOf(lines ...string) paths {
	made := paths{}
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, ": ")
		fields := strings.Fields(rest)
		var info pathInfo
		fmt.Sscan(fields[0], &info.Size)
		for _, reference := range fields[1:] {
			info.References = append(info.References, p(reference))
		}
		made[p(name)] = info
	}
	return made
}

func TestCompare(t *testing.T) {
	before := storeOf("system-1: 10 glibc-2.39 nginx-1.26 old-1", "glibc-2.39: 100", "nginx-1.26: 50 glibc-2.39", "old-1: 5", "shared: 1", "site: 2 php-8.2.0 php-8.2.0-lib shared", "php-8.2.0: 30", "php-8.2.0-lib: 3")
	after := storeOf("system-22: 11 glibc-2.39.1 nginx-1.26 brand-new-1", "glibc-2.39.1: 101", "nginx-1.26: 50 glibc-2.39.1", "brand-new-1: 7 brand-new-1", "shared: 1", "sites: 2 php-8.3.0 php-8.2.0 shared glibc-2.39.1", "php-8.3.0: 31", "php-8.2.0: 30")
	lacking := map[string]bool{p("system-22"): true, p("glibc-2.39.1"): true, p("brand-new-1"): true, p("sites"): true, p("php-8.3.0"): true, p("elsewhere"): true}
	got := compare([]deploy.Pair{
		{Profile: "system", Old: p("system-1"), New: p("system-22")},
		{Profile: "site", Old: p("site"), New: p("sites")},
		{Profile: "new", New: p("sites")},
		{Profile: "same", Old: p("shared"), New: p("shared")},
	}, before, after, lacking)
	type change = deploy.PackageChange
	want := []deploy.Diff{
		{Profile: "system", Added: []change{{Name: "brand-new", New: []string{"1"}}}, Removed: []change{{Name: "old", Old: []string{"1"}}},
			Changed: []change{{Name: "glibc", Old: []string{"2.39"}, New: []string{"2.39.1"}}, {Name: "system", Old: []string{"1"}, New: []string{"22"}}},
			Copy:    11 + 101 + 7, Paths: 3, Size: 11 + 101 + 50 + 7, Delta: 4},
		{Profile: "site", Added: []change{{Name: "glibc", New: []string{"2.39.1"}}, {Name: "sites"}}, Removed: []change{{Name: "site"}},
			Changed: []change{{Name: "php", Old: []string{"8.2.0"}, New: []string{"8.2.0", "8.3.0"}}},
			Copy:    2 + 31, Paths: 2, Size: 2 + 31 + 30 + 1 + 101, Delta: 165 - 36},
		{Profile: "new", Added: []change{{Name: "glibc", New: []string{"2.39.1"}}, {Name: "php", New: []string{"8.2.0", "8.3.0"}}, {Name: "shared"}, {Name: "sites"}},
			Size: 165, Delta: 165}, // what it needs is counted already
		{Profile: "same", Size: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(got[3]); err != nil || string(text) != `{"profile":"same","bytesToCopy":0,"pathsToCopy":0,"closureSize":1,"closureDelta":0}` {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestParseInfos(t *testing.T) {
	want := storeOf("a-1: 5 b-22", "b-22: 7")
	for form, text := range map[string]string{
		"list":     `[{"path":%q,"narSize":5,"references":[%q]},{"path":%[2]q,"narSize":7,"references":[]}]`,
		"object":   `{%q:{"narSize":5,"references":[%q]},%[2]q:{"narSize":7,"references":[]}}`,
		"form two": `{"version":2,"storeDir":"/nix/store","info":{"00000000000000000000000000000003-a-1":{"narSize":5,"references":["00000000000000000000000000000004-b-22"]},"00000000000000000000000000000004-b-22":{"narSize":7,"references":[]}}}`,
	} {
		if form != "form two" {
			text = fmt.Sprintf(text, p("a-1"), p("b-22"))
		}
		got, err := parseInfos([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		for path, info := range want {
			if got[path].Size != info.Size || strings.Join(got[path].References, " ") != strings.Join(info.References, " ") {
				t.Errorf("%s: %s is %+v, want %+v", form, path, got[path], info)
			}
		}
	}
	for _, text := range []string{`[{"path":"/nix/store/x","valid":false}]`, `{"/nix/store/x":null}`, `{"storeDir":"/nix/store","info":{"x":null}}`} {
		missing := (*MissingError)(nil)
		if _, err := parseInfos([]byte(text)); !errors.As(err, &missing) || missing.Path != "/nix/store/x" {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if got, err := parseInfos([]byte("\n")); err != nil || len(got) != 0 {
		t.Errorf("nothing: got %v, %v", got, err)
	}
	if _, err := parseInfos([]byte("sh: nix: not found")); err == nil {
		t.Error("what is no JSON is taken for it")
	}
}

// What was seen of nix here and on the node, and of ssh.
func TestPushError(t *testing.T) {
	const path = "/nix/store/kb8rqw8h0a2a4af9djnkgzv28bybwrxk-library-1.0"
	for _, c := range []struct{ log, want, seen string }{
		{"copying 3 paths...\nerror: cannot add path '" + path + "' because it lacks a valid signature\n", "unsigned", "2.8 on the node"},
		{"error: cannot add path '" + path + "' because it lacks a signature by a trusted key\n", "unsigned", "2.26 and 2.34 on the node"},
		{"error:\n       … while adding\n\n       error: cannot add path '" + path + "' because it lacks a signature by a trusted key\n", "unsigned", "with a trace"},
		{"error: writing to file: No space left on device\n", "full", "2.8 and 2.26 on the node"},
		{"error: write of 65536 bytes: No space left on device\n", "full", "2.34 on the node"},
		{"error: executing SQLite statement 'insert': database or disk is full\n", "full", "the database"},
		{"Connection to 127.0.0.1 closed by remote host.\nerror: cannot open connection to remote store 'ssh-ng://n1': error: unexpected end-of-file\n", "dropped", "2.8, before the copy"},
		{"Connection to 127.0.0.1 closed by remote host.\nerror: cannot open connection to remote store 'ssh-ng://': error: Nix daemon disconnected unexpectedly (maybe it crashed?)\n", "dropped", "2.26"},
		{"client_loop: send disconnect: Broken pipe\nerror (ignored): error: writing to file: Broken pipe\nerror: writing to file: Broken pipe\n", "dropped", "2.8 in mid-copy"},
		{"client_loop: send disconnect: Broken pipe\nerror (ignored): write of 8 bytes: Broken pipe\nerror: write of 12304 bytes: Broken pipe\n", "dropped", "2.34 in mid-copy"},
		{"Timeout, server n1 not responding.\r\nerror: unexpected end-of-file\n", "dropped", "ServerAliveInterval"},
		{"ssh: connect to host 127.0.0.1 port 1: Connection refused\nerror: cannot open connection to remote store 'ssh-ng://n1': error: unexpected end-of-file\n", "unreachable", "2.8"},
		{"ssh: connect to host 127.0.0.1 port 1: Connection refused\nerror: failed to start SSH connection to 'n1'\n", "unreachable", "2.26 and 2.34"},
		{"ssh: connect to host 192.0.2.1 port 22: Connection timed out\nerror: failed to start SSH connection to 'n1'\n", "unreachable", "no route"},
		{"ssh: Could not resolve hostname n1: Name or service not known\r\nerror: failed to start SSH connection to 'n1'\n", "unreachable", "no name"},
		{"deploy@n1: Permission denied (publickey).\nerror: failed to start SSH connection to 'n1'\n", "unreachable", "no key"},
		{"No ED25519 host key is known for n1 and you have requested strict checking.\nHost key verification failed.\nerror: failed to start SSH connection to 'n1'\n", "host key", "another key"},
		{"sh: line 1: nix-daemon: command not found\nerror: cannot open connection to remote store 'ssh-ng://n1': error: unexpected end-of-file\n", "no nix", "bash"},
		{"error: path '" + path + "' is not valid\n", "other", "2.8 here"},
		{"error: cannot add path '" + path + "' because it is not signed by a trusted key\n", "unsigned", "no version yet"},
	} {
		err := pushError("n1", &nix.CommandError{Log: c.log, Err: errors.New("exit status 1")})
		var got string
		switch err := err.(type) {
		case *deploy.UnsignedError:
			got = "unsigned"
			if err.Path != path {
				t.Errorf("%s: of path %q", c.seen, err.Path)
			}
		case *DiskFullError:
			got = "full"
		case *DroppedError:
			got = "dropped"
		case *deploy.UnreachableError:
			got = "unreachable"
		case *deploy.HostKeyError:
			got = "host key"
		case *NoNixError:
			got = "no nix"
		case *nix.CommandError:
			got = "other"
		}
		if got != c.want || err.Error() == "" {
			t.Errorf("%s: got %s (%v), want %s", c.seen, got, err, c.want)
		}
	}
}

func TestParseComplaints(t *testing.T) {
	const a, b = "/nix/store/7610f2qy8d6g69vgnymhmc1rxzsaxq83-bad-1.0.drv", "/nix/store/80di0bjhcwhc92y5h13p7brmc8cwnmar-env-b-1.0.drv"
	for _, c := range []struct{ seen, log, want string }{
		{"2.8", "building '" + a + "'...\nbad> one\nother> two\nbad> three\nerror: builder for '" + a + "' failed with exit code 7\nerror: 1 dependencies of derivation '" + b + "' failed to build\n",
			"builder for '" + a + "' failed with exit code 7\n> one\n> three"},
		{"2.8 on a node", "bad> one\nerror: builder for '" + a + "' failed with exit code 7;\n       last 1 log lines:\n       > one\n       For full logs, run 'nix log " + a + "'.\nerror: build of '" + b + "' failed\n",
			"builder for '" + a + "' failed with exit code 7;\nlast 1 log lines:\n> one"},
		{"2.34", "bad> one\nerror: Cannot build '" + a + "'.\n       Reason: builder failed with exit code 7.\n       Output paths:\n         /nix/store/v76lj3lzxashipdlmq6m5pawnr76p24g-bad-1.0\nerror: Cannot build '" + b + "'.\n       Reason: 1 dependency failed.\n       Output paths:\n         /x\n",
			"Cannot build '" + a + "'.\nReason: builder failed with exit code 7.\n> one"},
		{"platform, 2.8", "error: a 'other-none' with features {} is required to build '" + a + "', but I am a 'x86_64-linux'\n",
			"a 'other-none' with features {} is required to build '" + a + "', but I am a 'x86_64-linux'"},
		{"none", "error: opening lock file: Permission denied\n", ""},
	} {
		var messages []string
		for _, found := range parseComplaints(c.log) {
			messages = append(messages, found.message)
			if found.derivation != a {
				t.Errorf("%s: about %s", c.seen, found.derivation)
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(messages, "\n---\n")); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", c.seen, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("error: builder for '/nix/store/7610f2qy8d6g69vgnymhmc1rxzsaxq83-bad-1.0.drv' failed\n")
	f.Add("error: a '/x.drv' b")
	f.Fuzz(func(t *testing.T, log string) {
		for _, c := range parseComplaints(log) {
			if !strings.HasSuffix(c.derivation, ".drv") || !strings.Contains(log, c.derivation) {
				t.Errorf("a complaint about %q", c.derivation)
			}
		}
		if pushError("n1", &nix.CommandError{Log: log, Err: errors.New("x")}) == nil {
			t.Error("an error is lost")
		}
	})
}
