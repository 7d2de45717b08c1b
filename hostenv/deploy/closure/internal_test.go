package closure

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// p returns a store path with a name.
func p(name string) string {
	return fmt.Sprintf("/nix/store/%032d-%s", len(name), name)
}

// storeOf returns the paths of lines "name: size reference reference".
func storeOf(lines ...string) nix.Paths {
	made := nix.Paths{}
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, ": ")
		fields := strings.Fields(rest)
		var info nix.PathInfo
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
			Size: 165, Delta: 165}, // the profile before it counts what this one needs
		{Profile: "same", Size: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(got[3]); err != nil || string(text) != `{"profile":"same","bytesToCopy":0,"pathsToCopy":0,"closureSize":1,"closureDelta":0}` {
		t.Errorf("got %s, %v", text, err)
	}
}

// The logs are what nix, here and on the node, and ssh wrote.
func TestNodeError(t *testing.T) {
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
		err := nodeError("n1", &nix.CommandError{Log: c.log, Err: errors.New("exit status 1")})
		var got string
		switch err := err.(type) {
		case *deploy.UnsignedError:
			got = "unsigned"
			if err.Path != path {
				t.Errorf("%s: of path %q", c.seen, err.Path)
			}
		case *deploy.UnreachableError:
			got = "unreachable"
		case *deploy.CutOffError:
			got = "dropped"
		case *deploy.HostKeyError:
			got = "host key"
		case *problem.Problem:
			for text, kind := range map[string]string{"has no room left": "full", "has no nix-daemon": "no nix"} {
				if strings.Contains(err.Error(), text) && err.Fix != "" {
					got = kind
				}
			}
		case *nix.CommandError:
			got = "other"
		}
		if got != c.want || err.Error() == "" {
			t.Errorf("%s: got %s (%v), want %s", c.seen, got, err, c.want)
		}
	}
}

func FuzzNodeError(f *testing.F) {
	f.Add("error: cannot add path '/nix/store/x' because it lacks a valid signature\n")
	f.Fuzz(func(t *testing.T, log string) {
		if err := nodeError("n1", &nix.CommandError{Log: log, Err: errors.New("x")}); err == nil {
			t.Error("nodeError lost the error")
		}
	})
}

// Long names of packages do not make an argument longer than the kernel takes.
func TestPartsFitAnArgument(t *testing.T) {
	e := &evaluation{packages: map[string]nix.Package{}}
	var all []string
	for i := range 1000 {
		user := fmt.Sprint("user", i)
		path := "/nix/store/" + strings.Repeat("0", 32) + "-" + strings.Repeat("n", 200)
		e.packages[user] = nix.Package{Name: strings.Repeat("n", 150), Path: path, Derivation: path + ".drv", Output: strings.Repeat("o", 40)}
		all = append(all, user)
	}
	var seen []string
	for _, part := range e.parts(all) {
		known := map[string]nix.Package{}
		for _, p := range part {
			known[p] = e.packages[p]
		}
		text, err := json.Marshal(known)
		if argument := nix.Quote(string(text)); err != nil || len(argument) > 120<<10 || len(part) > atOnce {
			t.Errorf("%d profiles in %d bytes, %v", len(part), len(argument), err)
		}
		seen = append(seen, part...)
	}
	if !slices.Equal(seen, all) {
		t.Errorf("%d of %d profiles", len(seen), len(all))
	}
}
