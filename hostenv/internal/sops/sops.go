// Package sops runs sops to read one key of an encrypted file. The value comes
// through a pipe and stays in memory: no argument, log or file contains it.
package sops

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// A Key is a key in a sops file.
type Key struct {
	Name    string   // levels are separated by "/"
	File    string   // the sops file
	Program string   // "" means the sops of PATH
	Env     []string // the program's environment, the process's own if nil
}

// ErrNotInstalled reports that sops is not installed.
var ErrNotInstalled = errors.New("not installed")

// An Error reports that a key cannot be read. It contains no part of a value.
type Error struct {
	Problem, Remedy string
	Err             error
}

func (e *Error) Error() string { return e.Problem }

// Hint returns the fix.
func (e *Error) Hint() string { return e.Remedy }

func (e *Error) Unwrap() error { return e.Err }

// path returns a key's name as an argument of sops --extract.
func path(name string) (string, error) {
	var extract strings.Builder
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.ContainsFunc(part, func(c rune) bool { return c < ' ' || strings.ContainsRune(`"'\[]`, c) }) {
			return "", errors.New("it must be names of keys, separated by \"/\"")
		}
		fmt.Fprintf(&extract, `["%s"]`, part)
	}
	return extract.String(), nil
}

// grace is how long Read waits for the output of a sops that was killed.
const grace = 2 * time.Second

// Read returns the value of the key. Its error is an *[Error], or the context's.
func (k Key) Read(ctx context.Context) (string, error) {
	extract, err := path(k.Name)
	if err != nil {
		return "", &Error{fmt.Sprintf("the key %q: %v", k.Name, err), "name a key of the sops file, such as \"cloudflare/token\"", err}
	}
	name := cmp.Or(k.Program, "sops")
	program, err := exec.LookPath(name)
	if err != nil {
		return "", &Error{"the program " + name + " is not installed", "install sops", errors.Join(ErrNotInstalled, err)}
	}
	file := k.File
	if strings.HasPrefix(file, "-") {
		file = "./" + file
	}
	cmd := exec.CommandContext(ctx, program, "--decrypt", "--extract", extract, file)
	cmd.Env = k.Env // the process's own environment if nil
	cmd.WaitDelay = grace
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	defer clear(stdout.Bytes())
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", &Error{
			fmt.Sprintf("sops cannot read %s of %s: %v: %s", extract, k.File, err, withoutSecrets(stderr.String(), stdout.String())),
			"check that `sops --decrypt` can read the file on this machine, and that the file has the key", err,
		}
	}
	return stdout.String(), nil
}

const redacted = "[redacted]"

// longWord matches what may be a token or a key.
var longWord = regexp.MustCompile(`[A-Za-z0-9_+=-]{30,}`)

// withoutSecrets shortens the output of a failed sops and removes what may be a
// secret: the value itself, if sops printed it, and words as long as one.
func withoutSecrets(output, value string) string {
	if value = strings.TrimSpace(value); value != "" {
		output = strings.ReplaceAll(output, value, redacted)
	}
	output = longWord.ReplaceAllString(strings.TrimSpace(output), redacted)
	if lines := strings.Split(output, "\n"); len(lines) > 8 {
		output = strings.Join(append(lines[:8], "..."), "\n")
	}
	return output
}
