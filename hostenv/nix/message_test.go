package nix

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The logs are those of several versions of nix.
func TestMessage(t *testing.T) {
	tests := []struct{ name, log, want string }{{
		name: "2.8: the message first",
		log: `warning: Git tree '/srv/provider' is dirty
error: attribute 'foo' missing

       at /nix/store/axmsg644h5xjn6hc67kxk5kml1vmpmxa-source/flake.nix:1:246:

            1| { password = "hunter2"; }
             |                ^
(use '--show-trace' to show detailed location information)
`,
		want: "attribute 'foo' missing\nat /nix/store/axmsg644h5xjn6hc67kxk5kml1vmpmxa-source/flake.nix:1:246",
	}, {
		name: "2.8 with a trace",
		log:  "error: alice is gone\n\n       … while evaluating 'toData'\n\n       at /srv/json.nix:65:18:\n\n           64|\n           65|   toData = path: value:\n",
		want: "alice is gone",
	}, {
		name: "2.26 and later: the message last",
		log: `error:
       … while evaluating project acme__site

       … while calling the 'throw' builtin
         at «path:/srv?narHash=sha256-x»/flake.nix:1:167:
            1| { password = "hunter2"; }
             |   ^
            2|

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error: project acme__site: environments is missing
       hint: declare environments.<name>
`,
		want: "project acme__site: environments is missing\nhint: declare environments.<name>",
	}, {
		name: "further lines that are indented themselves",
		log:  "error:\n       … while x\n\n       error: two\n         lines\n",
		want: "two\n  lines",
	}, {
		name: "2.26 and later: a message whose first line is empty",
		log: `error:
       … while evaluating the option ` + "`system.build.toplevel'" + `:

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error:
       Failed assertions:
       - provider.cache.publicKey is not set
`,
		want: "Failed assertions:\n- provider.cache.publicKey is not set",
	}, {
		name: "2.8: a message whose first line is empty",
		log:  "error: \n       Failed assertions:\n       - provider.cache.publicKey is not set\n\n       … while evaluating the attribute 'value'\n",
		want: "Failed assertions:\n- provider.cache.publicKey is not set",
	}, {
		name: "git writes before nix",
		log:  "fatal: couldn't find remote ref refs/heads/nope\nerror: program 'git' failed with exit code 128\n",
		want: "program 'git' failed with exit code 128\ncouldn't find remote ref refs/heads/nope",
	}, {
		name: "git alone",
		log:  "remote: Counting objects: 1\nfatal: couldn't find remote ref refs/heads/nope\n",
		want: "couldn't find remote ref refs/heads/nope",
	}, {
		name: "credentials",
		log:  "error: unable to download 'https://user:hunter2@git.example/x?private_token=hunter2&ref=main', ssh://git:hunter2@git.example/y and git+ssh://git@git.example/z\n",
		want: "unable to download 'https://git.example/x?private_token=...&ref=main', ssh://git@git.example/y and git+ssh://git@git.example/z",
	}, {
		name: "no error at all",
		log:  "Killed\n",
		want: "Killed",
	}, {
		name: "nothing but a trace",
		log:  "error:\n       … while evaluating x\n",
		want: "",
	}, {
		name: "nothing",
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, message(test.log)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Progress receives whole lines without colours, however nix writes them; the
// listener keeps all others for the error.
func TestListener(t *testing.T) {
	var subjects []string
	runner := &Runner{Progress: func(e Event) { subjects = append(subjects, e.Subject) }}
	l := &listener{events: &counter{runner: runner, phase: Evaluate, mark: "XY"}}
	for _, part := range []string{"trace: hostenv-pro", "vider XY: evaluating acme__site\nwarn", "ing: x\n\x1b[35mtrace: hostenv-provider XY: evaluating y\x1b[0m\n", "trace: hostenv-provider: evaluating a\ntrace: hostenv-provider XX: evaluating b\ntrace: mine\nerror: z"} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"acme__site", "y"}, subjects); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("warning: x\ntrace: hostenv-provider: evaluating a\ntrace: hostenv-provider XX: evaluating b\ntrace: mine\nerror: z", l.log()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// The listener keeps the end of what nix writes, up to a limit.
func TestListenerIsBounded(t *testing.T) {
	l := &listener{}
	line := make([]byte, 1<<16)
	for i := range line {
		line[i] = 'x'
	}
	line[len(line)-1] = '\n'
	for range 100 {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Write([]byte("error: at last\n")); err != nil {
		t.Fatal(err)
	}
	if n := len(l.log()); n > 2*maxLog+len(line) {
		t.Errorf("%d bytes are kept", n)
	}
	if got := message(l.log()); got != "at last" {
		t.Errorf("message %.100q", got)
	}
}
