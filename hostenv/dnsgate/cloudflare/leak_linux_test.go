package cloudflare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// childEnv makes a re-executed test binary run [updateChild].
const childEnv = "CLOUDFLARE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := updateChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// updateChild is the child process of TestTokenLeaksNowhere. It does the same as the gate
// with -update: it reads the token, updates a zone of the fake at the URL in dir/url,
// logs to dir/log.json, prints the outcomes, and runs another program.
func updateChild(dir string) error {
	ctx := context.Background()
	token, err := cloudflare.TokenSource{Secret: "cloudflare/token", File: filepath.Join(dir, "secrets.yaml")}.Token(ctx)
	if err != nil {
		return err
	}
	url, err := os.ReadFile(filepath.Join(dir, "url"))
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log.json"))
	if err != nil {
		return err
	}
	defer log.Close()
	client := cloudflare.NewClient(token, string(url), nil)
	report, err := cloudflare.Apply(ctx, client, want("www.shop.example", "taken.shop.example", "www.denied.example"), config, cloudflare.Options{
		Log:      func(e cloudflare.Entry) error { return json.NewEncoder(log).Encode(e) },
		Progress: func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	if err != nil {
		return err
	}
	fmt.Printf("%v %+v %v %+v %#v\n", token, client, report, report, report)
	for _, o := range report.Outcomes {
		fmt.Println(o, o.Hint())
	}
	next := exec.Command("sops", "next")
	next.Stdout, next.Stderr = os.Stdout, os.Stderr
	return next.Run()
}

// TestTokenLeaksNowhere runs a whole update in a child process, with the token from sops
// and from the environment. It then searches every place to which the token may leak:
// arguments and environments of all started programs (in /proc, and in the trace of
// strace if that is installed), output, log and files.
func TestTokenLeaksNowhere(t *testing.T) {
	for _, from := range []string{"sops", "environment"} {
		t.Run(from, func(t *testing.T) {
			dir, bin := t.TempDir(), t.TempDir()
			f := newFake(t, zone(zoneA, "shop.example"), zone("zone-b", "denied.example"))
			f.ReadOnly["zone-b"] = true
			f.Add(zoneA, cloudflare.Record{Name: "taken.shop.example", Type: "A", Content: "192.0.2.1", TTL: 1})
			failed := false
			f.Fault = faultOnce(&failed, fault{Status: 502, CarryOut: true})

			// The decrypted file is outside of dir, which the test searches for tokens.
			secret := filepath.Join(bin, "decrypted")
			write(t, secret, fakeToken)
			write(t, filepath.Join(dir, "secrets.yaml"), "cloudflare:\n  token: ENC[AES256_GCM]\n")
			write(t, filepath.Join(dir, "url"), f.URL)
			write(t, filepath.Join(bin, "sops"), fmt.Sprintf(`#!/bin/sh
for p in $$ $PPID; do
	tr '\0' '\n' < /proc/$p/cmdline >> %[1]s/argv
done
tr '\0' '\n' < /proc/$$/environ >> %[1]s/environ
echo run >> %[1]s/runs
if [ "$1" = next ]; then exit 0; fi
cat %[2]s
`, dir, secret))
			if err := os.Chmod(filepath.Join(bin, "sops"), 0o755); err != nil {
				t.Fatal(err)
			}

			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(exe)
			strace := testenv.Find("strace")
			if strace == "" && testenv.Required("strace") {
				t.Fatal("strace is required, but it is missing or ptrace is not allowed")
			}
			if strace != "" {
				cmd = exec.Command(strace, "-f", "-v", "-s", "65536", "-e", "trace=execve,openat,unlink,rename", "-o", filepath.Join(dir, "trace"), exe)
			}
			cmd.Env = append(os.Environ(), childEnv+"="+dir, "PATH="+bin+":"+os.Getenv("PATH"))
			runs := 2
			if from == "environment" {
				cmd.Env = append(cmd.Env, cloudflare.TokenVariable+"="+fakeToken)
				runs = 1
			}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s%s", err, stdout.Bytes(), stderr.Bytes())
			}

			if !strings.Contains(stdout.String(), "www.shop.example: upserted") || !strings.Contains(stdout.String(), "www.denied.example: refused (no-rights)") {
				t.Errorf("the update has wrong outcomes:\n%s%s", stdout.Bytes(), stderr.Bytes())
			}
			if got, err := os.ReadFile(filepath.Join(dir, "runs")); err != nil || strings.Count(string(got), "run") != runs {
				t.Errorf("sops was run %q, want %d times (%v)", got, runs, err)
			}
			wantNoToken(t, "stdout", stdout.Bytes())
			wantNoToken(t, "stderr", stderr.Bytes())
			seen := map[string]bool{}
			err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				data, err := os.ReadFile(path)
				name := filepath.Base(path)
				seen[name] = len(data) > 0
				if name == "trace" {
					data = withoutOwnStart(t, data)
				}
				wantNoToken(t, name, data)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"argv", "environ", "log.json"} {
				if !seen[name] {
					t.Errorf("%s is empty", name)
				}
			}
			if strace == "" {
				t.Log("without strace")
			}
		})
	}
}

// withoutOwnStart removes the first line of a trace: the start of the child process,
// whose environment is the test's.
func withoutOwnStart(t *testing.T, trace []byte) []byte {
	first, rest, _ := bytes.Cut(trace, []byte("\n"))
	if !bytes.Contains(first, []byte("execve(")) || !bytes.Contains(rest, []byte("execve(")) {
		t.Errorf("the trace shows no program started:\n%.2000s", trace)
	}
	return rest
}

// faultOnce returns a fault for only the first write.
func faultOnce(done *bool, once fault) func(r *http.Request) fault {
	return func(r *http.Request) fault {
		if *done || !isWrite(r) {
			return fault{}
		}
		*done = true
		return once
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
