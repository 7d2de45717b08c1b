package nix_test

import (
	"fmt"
	"strings"
	"testing"

	hostnix "github.com/woolwichweb/hostenv-provider/hostenv/nix"

	"github.com/google/go-cmp/cmp"
)

// p returns a store path with a name.
func p(name string) string {
	return fmt.Sprintf("/nix/store/%032d-%s", len(name), name)
}

func TestPackageOf(t *testing.T) {
	for _, c := range []struct{ path, name, version, reason string }{
		{p("hello-2.10"), "hello", "2.10", "the plain case"},
		{p("hello-2.10-bin"), "hello", "2.10", "an output is no version"},
		{p("glibc-2.40-66-dev"), "glibc", "2.40-66", "a dash in the version"},
		{p("openssl-3.0.14-lib"), "openssl", "3.0.14", "an output"},
		{p("php-8.3.1-beta"), "php", "8.3.1-beta", "a suffix that is not an output belongs to the version"},
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
		if name, version := hostnix.PackageOf(c.path); name != c.name || version != c.version {
			t.Errorf("%s (%s): got %q %q, want %q %q", c.path, c.reason, name, version, c.name, c.version)
		}
	}
}

func TestParsePaths(t *testing.T) {
	want := hostnix.Paths{p("a-1"): {Size: 5, References: []string{p("b-22")}}, p("b-22"): {Size: 7}}
	for form, text := range map[string]string{
		"list":     `[{"path":%q,"narSize":5,"references":[%q]},{"path":%[2]q,"narSize":7,"references":[]}]`,
		"object":   `{%q:{"narSize":5,"references":[%q]},%[2]q:{"narSize":7,"references":[]}}`,
		"form two": `{"version":2,"storeDir":"/nix/store","info":{"00000000000000000000000000000003-a-1":{"narSize":5,"references":["00000000000000000000000000000004-b-22"]},"00000000000000000000000000000004-b-22":{"narSize":7,"references":[]}}}`,
	} {
		if form != "form two" {
			text = fmt.Sprintf(text, p("a-1"), p("b-22"))
		}
		got, err := hostnix.ParsePaths([]byte(text))
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
		if _, err := hostnix.ParsePaths([]byte(text)); err == nil || err.Error() != "/nix/store/x is not in the store" {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if got, err := hostnix.ParsePaths([]byte("\n")); err != nil || len(got) != 0 {
		t.Errorf("nothing: got %v, %v", got, err)
	}
	if _, err := hostnix.ParsePaths([]byte("sh: nix: not found")); err == nil {
		t.Error("ParsePaths accepts a text that is not JSON")
	}
}

func TestFailedBuilds(t *testing.T) {
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
		for _, found := range (&hostnix.CommandError{Log: c.log}).FailedBuilds() {
			messages = append(messages, found.Message)
			if found.Derivation != a {
				t.Errorf("%s: the failed build is %s", c.seen, found.Derivation)
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(messages, "\n---\n")); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", c.seen, diff)
		}
	}
}

func FuzzFailedBuilds(f *testing.F) {
	f.Add("error: builder for '/nix/store/7610f2qy8d6g69vgnymhmc1rxzsaxq83-bad-1.0.drv' failed\n")
	f.Add("error: a '/x.drv' b")
	f.Fuzz(func(t *testing.T, log string) {
		for _, b := range (&hostnix.CommandError{Log: log}).FailedBuilds() {
			if !strings.HasSuffix(b.Derivation, ".drv") || !strings.Contains(log, b.Derivation) {
				t.Errorf("a failed build of %q", b.Derivation)
			}
		}
	})
}
