package remote

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// An AuthError reports that a node refused the login of the deploy user.
type AuthError struct {
	Node, User string
	Keys       []string // the public keys' files that ssh has here
	Locked     []string // the private keys' files with a passphrase that no ssh-agent has
	Cause      string   // the text of ssh
}

func (e *AuthError) Error() string {
	return "node " + e.Node + " refuses the login of " + e.User + ": " + e.Cause
}

// Hint returns what to do.
func (e *AuthError) Hint() string {
	key := "the public key of one that ssh offers here (`ssh-add -L`, or ~/.ssh/*.pub)"
	if len(e.Keys) > 0 {
		key = "what is in " + strings.Join(e.Keys, " or ")
	}
	add := "add " + key + " to provider.deployPublicKeys, run `mage plan`, and ask an operator whose key is on the node to deploy it"
	switch {
	case strings.Contains(e.Cause, "Too many authentication failures"):
		return "the ssh-agent has more keys than the node tries: name the one for the node in ~/.ssh/config\nHost " + e.Node + "\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/KEY"
	case len(e.Locked) > 0:
		return "a key with a passphrase needs an ssh-agent: `ssh-add " + problem.Word(e.Locked[0]) + "`. If the node does not know that key, " + add
	}
	return add
}

// A CommandError reports that a command on a node failed.
type CommandError struct {
	Node, User string
	Command    string // its name, without arguments
	Status     int
	Stderr     string // the end of it
}

func (e *CommandError) Error() string {
	text := fmt.Sprintf("node %s: %s as %s ended with exit status %d", e.Node, e.Command, e.User, e.Status)
	if e.Stderr != "" {
		text += ": " + e.Stderr
	}
	return text
}

// Hint returns what to do.
func (e *CommandError) Hint() string {
	switch {
	case strings.Contains(e.Stderr, "you must have a tty to run sudo"):
		return deploy.NoTTY
	case strings.Contains(e.Stderr, "sudo: a password is required"):
		return "the node's sudo does not let the deploy user do this: deploy its system with this version first, or see hostenv.deploy.sudoCommands"
	case strings.Contains(e.Stderr, "No space left on device"), strings.Contains(e.Stderr, "Disk quota exceeded"):
		return "make room on the node: `df -h` there shows which disk is full"
	}
	return ""
}

// lostError reports that the connection ended before the answer to a request. The
// node may have finished the request, or may still work on it.
func lostError(node, cause string) error {
	text := "node " + node + ": the connection was lost"
	if cause != "" {
		text += ": " + cause
	}
	return errors.New(text)
}

// shellError reports that the node accepted the login, and did not run the agent.
func shellError(node, cause string) error {
	return problem.New("node "+node, "does not start a session: "+cause,
		"check `ssh <node>` as the deploy user: it needs a POSIX shell, a home of its own, coreutils, flock and sudo")
}

var (
	hostKeyFailed = regexp.MustCompile(`REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|host key is known for .* requested strict checking`)
	// Only this part of ssh's warning helps: its advice is about files of this run.
	keySent    = regexp.MustCompile(`fingerprint for the (\S+) key sent by the remote host is\s+(SHA256:[A-Za-z0-9+/]+)`)
	authFailed = regexp.MustCompile(`(?m)^(.*: )?(Permission denied \(.*\)\.?|Too many authentication failures|No supported authentication methods.*)\r?$|Received disconnect from .*: Too many authentication failures`)
	// sshd drops connections above MaxStartups, and while it starts.
	dropped = regexp.MustCompile(`(kex|ssh)_exchange_identification: (read: Connection reset by peer|Connection closed by remote host|banner line contains invalid|.*Not allowed at this time|.*Exceeded MaxStartups)|Connection (closed|reset) by \S+ port \d+`)
)

// failed returns why ssh has no session. ssh ends with its own status, 255, if there
// was no login; with any other status the node refused to run the agent.
func failed(n deploy.Node, status int, stderr, stdout string) error {
	cause := brief(stderr)
	switch {
	case status != 255:
		if stdout = brief(stdout); stdout != "" {
			cause = strings.TrimSpace(cause + " " + stdout)
		}
		if cause == "" {
			cause = fmt.Sprintf("exit status %d", status)
		}
		return shellError(n.Name, cause)
	case hostKeyFailed.MatchString(stderr):
		if sent := keySent.FindStringSubmatch(stderr); sent != nil {
			cause = sent[1] + " " + sent[2]
		}
		return &deploy.HostKeyError{Node: n.Name, Cause: cause}
	case authFailed.MatchString(stderr):
		return &AuthError{Node: n.Name, User: n.User, Cause: cause}
	}
	if cause == "" {
		cause = "ssh ended without a message"
	}
	return &deploy.UnreachableError{Node: n.Name, Cause: cause}
}

var noise = regexp.MustCompile(`^@+$|^@ .* @$|^Warning: Permanently added|^\s*$`)

// brief returns a text of ssh in one line, without its frames.
func brief(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(printable(line))
		if !noise.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// printable returns a text as one line that a terminal can show safely.
func printable(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(problem.Visible(text), "\n", " "))
}
