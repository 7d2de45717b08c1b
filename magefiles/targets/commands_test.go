package targets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/woolwichweb/hostenv-provider/examples"
	"github.com/woolwichweb/hostenv-provider/hostenv/state/store"
	"github.com/woolwichweb/hostenv-provider/internal/console"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// condition decides [mountns]: whether a process may have its own mounts.
func condition(name string) (bool, error) {
	switch name {
	case "mountns":
		// Without a user namespace: no script with this condition uses one.
		return exec.Command("unshare", "--mount", "true").Run() == nil || testenv.Required("mounts"), nil
	default:
		return false, fmt.Errorf("there is no condition %q", name)
	}
}

// exits CODE PROGRAM ARGS... fails the script if the program ends with another code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// projects FROM TO INPUT... writes an inventory with some of its projects.
func projects(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var doc map[string]any
	ts.Check(json.Unmarshal(text, &doc))
	maps.DeleteFunc(doc["projects"].(map[string]any), func(input string, _ any) bool { return !slices.Contains(args[2:], input) })
	doc["provider"].(map[string]any)["frontDoor"] = map[string]any{"raw": args[2:]}
	text, err = json.Marshal(doc)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o666))
}

// need TOOL... skips the script, or fails it, as [testenv.Need] does.
func need(ts *testscript.TestScript, _ bool, tools []string) {
	for _, tool := range tools {
		testenv.Need(scriptTB{ts: ts}, tool)
	}
}

type scriptT struct{}

// scriptTB has the methods that testenv and console call.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (s scriptTB) Helper()                           {}
func (s scriptTB) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }
func (s scriptTB) Errorf(format string, args ...any) { s.ts.Fatalf(format, args...) }
func (s scriptTB) Skipf(format string, args ...any) {
	s.ts.Value(scriptT{}).(testscript.T).Skip(fmt.Sprintf(format, args...))
}

// await FILE waits until a program in the background has written the file, and
// sets the variable of its name to the file's first line.
func await(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], awaitLine(ts, ts.MkAbs(args[0])))
}

// get STATUS HOST LINE asks the server whose URL is the first word of a line for the page
// of a host name at its port, prints the answer, and holds its status to that.
func get(ts *testscript.TestScript, _ bool, args []string) {
	address, _, _ := strings.Cut(args[2], " ")
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	ts.Check(err)
	r.Host = net.JoinHostPort(args[1], r.URL.Port())
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	_, err = io.Copy(ts.Stdout(), answer.Body)
	ts.Check(err)
	if want, err := strconv.Atoi(args[0]); err != nil || answer.StatusCode != want {
		ts.Fatalf("status %d, want %s", answer.StatusCode, args[0])
	}
}

// stat FILE... prints the inode and time of files, which change with every write.
func stat(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		info, err := os.Stat(ts.MkAbs(file))
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s %d %s\n", file, info.Sys().(*syscall.Stat_t).Ino, info.ModTime().Format(time.RFC3339Nano))
	}
}

// example DIR makes the example provider and its customers, and sets the
// environment for a Nix that stays on this machine.
func example(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	env := testenv.NixEnv(filepath.Join(ts.Getenv("WORK"), ".nix"))
	ts.Check(examples.Make(context.Background(), dir, examples.Options{Library: "../..", Env: env}))
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "NIX_") || name == "HOME" {
			ts.Setenv(name, value)
		}
	}
}

// shown FILE PROGRAM ARGS... runs every command that a document shows, each as
// PROGRAM ARGS... COMMAND, and holds what it prints to the output that is shown.
func shown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: shown file program [args...]")
	}
	console.Walk(scriptTB{ts: ts}, filepath.Join("../..", args[0]), *update, func(c console.Command) string {
		if err := ts.Exec(args[1], append(args[2:len(args):len(args)], c.Line)...); err != nil {
			ts.Fatalf("$ %s: %v", c.Line, err)
		}
		return ts.ReadFile("stdout")
	})
}

// nonsense KIND FILE writes ten megabytes of invalid input.
func nonsense(ts *testscript.TestScript, _ bool, args []string) {
	kinds := map[string][3]string{ // begin, repeated part, end
		"bytes":       {"", "\xf3\x00({\"\x1b[31m", ""},
		"numbers":     {"[0", ",0", "]"},
		"nested":      {"", "[", ""},
		"projects":    {`{"formatVersion":1,"provider":{},"projects":{"a":0`, `,"%d":0`, "}}"},
		"one string":  {`{"formatVersion":"`, "x", `"}`},
		"environment": {`{"formatVersion":1,"provider":{},"projects":{"a__b":{"environments":{"main":{"virtualHosts":"`, "x", `"}}}}}`},
	}
	kind, ok := kinds[args[0]]
	if !ok {
		ts.Fatalf("there is no nonsense of the kind %q", args[0])
	}
	text := []byte(kind[0])
	for i := 0; len(text) < 10_000_000; i++ {
		if strings.Contains(kind[1], "%d") {
			text = fmt.Appendf(text, kind[1], i)
		} else {
			text = append(text, kind[1]...)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), append(text, kind[2]...), 0o666))
}

// holdLock is a program that locks a folder, writes its pid to a file and waits
// until it is killed.
func holdLock() {
	if _, err := store.Open(os.Args[1]).Lock(context.Background()); err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Args[2], fmt.Appendln(nil, os.Getpid()), 0o666); err != nil {
		panic(err)
	}
	testenv.UntilKilled()
}
