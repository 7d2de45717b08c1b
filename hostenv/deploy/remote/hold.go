package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// isRootName reports whether a name is one of [deploy.Root.Name].
func isRootName(name string) bool {
	for _, kind := range deploy.RootKinds {
		if profile, ok := strings.CutSuffix(name, "-"+string(kind)); ok {
			return profile == deploy.SystemProfile || isUserName(profile)
		}
	}
	return false
}

// Hold keeps paths from the node's garbage collector; see [deploy.Session].
//
// The collector ignores a root whose path is not valid yet, and what is copied
// of a closure before its top. So the session also holds a connection to Nix's daemon, which
// has asked for a temporary root of each path: those count for a path that becomes valid
// later, and for a collection that is running. Nix copies without them what the
// node has already.
func (s *session) Hold(ctx context.Context, roots []deploy.Root, paths []string) error {
	if s.state == "" || s.state[0] != '/' {
		return refused(s.node.Name, "it does not say where the deploy user keeps its files", "set a home for the deploy user")
	}
	talk := newDaemonTalk()
	var args []string
	for _, root := range roots {
		if !isRootName(root.Name()) || !isStorePath(root.Path) {
			return refused(s.node.Name, fmt.Sprintf("%q cannot be a root for %s", root.Path, root.Profile), "run `mage plan`")
		}
		talk.ask(opAddIndirectRoot, s.state+"/roots/"+root.Name())
		args = append(args, root.Name(), root.Path)
	}
	for _, path := range paths {
		if !isStorePath(path) {
			return refused(s.node.Name, fmt.Sprintf("%q is not a store path", path), "run `mage plan`")
		}
		talk.ask(opAddTempRoot, path)
	}
	a, err := s.request(ctx, "hold", talk.said, append([]string{strconv.Itoa(talk.least())}, args...)...)
	for {
		if err == nil && a.status != 0 {
			err = &CommandError{s.node.Name, s.node.User, "asking Nix to keep what is copied", a.status, a.stderr}
		}
		if err != nil {
			return err
		}
		head, answer, _ := bytes.Cut(a.stdout, []byte("\n"))
		number, process, ok := strings.Cut(string(head), " ")
		if !ok {
			return fmt.Errorf("node %s: asking Nix to keep what is copied: it wrote %.100q", s.node.Name, a.stdout)
		}
		err = talk.check(answer)
		if !errors.Is(err, errUnfinished) {
			if err != nil {
				err = fmt.Errorf("node %s: asking Nix to keep what is copied: %w", s.node.Name, err)
			}
			return err
		}
		a, err = s.request(ctx, "held", nil, number, strconv.Itoa(len(answer)+1), process)
	}
}

// Release removes roots; see [deploy.Session].
func (s *session) Release(ctx context.Context, names []string) error {
	for _, name := range names {
		if !isRootName(name) {
			return refused(s.node.Name, fmt.Sprintf("%q is not the name of a root", name), "")
		}
	}
	a, err := s.request(ctx, "release", nil, names...)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, s.node.User, "removing roots", a.status, a.stderr}
	}
	return err
}

// The protocol of Nix's daemon, of Nix 2.8 to 2.34: numbers of eight bytes, and texts with
// their length before them and zeros after them. Every daemon speaks with a client that
// is older, as this version is.
const (
	clientMagic   = 0x6e697863
	daemonMagic   = 0x6478696f
	clientVersion = 1<<8 | 35

	opAddTempRoot     = 11
	opAddIndirectRoot = 12

	msgLast   = 0x616c7473 // the end of a request's messages
	msgNext   = 0x6f6c6d67 // a text
	msgError  = 0x63787470
	msgStart  = 0x53545254 // of an activity
	msgStop   = 0x53544f50
	msgResult = 0x52534c54
)

// A daemonTalk is all that a client says to a daemon, and what it expects. The client does
// not wait for answers.
type daemonTalk struct {
	said []byte
	asks int
}

func newDaemonTalk() *daemonTalk {
	t := &daemonTalk{}
	// The last two are of older protocols: whether to use one core, and to reserve space.
	for _, n := range []uint64{clientMagic, clientVersion, 0, 0} {
		t.number(n)
	}
	return t
}

func (t *daemonTalk) number(n uint64) { t.said = binary.LittleEndian.AppendUint64(t.said, n) }

// ask makes a request with one text.
func (t *daemonTalk) ask(op uint64, text string) {
	t.asks++
	t.number(op)
	t.number(uint64(len(text)))
	t.said = append(t.said, text...)
	t.said = append(t.said, make([]byte, padding(len(text)))...)
}

func padding(length int) int { return (8 - length%8) % 8 }

// least returns the length of the shortest answer: magic, version, the end of the start,
// and for each request the end of its messages and a number.
func (t *daemonTalk) least() int { return 24 + 16*t.asks }

var errUnfinished = errors.New("the daemon's answer is cut off")

// check reads an answer. The error is errUnfinished if more is to come.
func (t *daemonTalk) check(answer []byte) error {
	r := &daemonAnswer{rest: answer}
	if magic := r.number(); r.err == nil && magic != daemonMagic {
		return fmt.Errorf("nix-daemon answered with %.60q", answer)
	}
	version := r.number() & 0xff
	if version >= 33 {
		r.text() // Nix's own version
	}
	if version >= 35 {
		r.number() // whether it trusts us
	}
	r.messages()
	for range t.asks {
		r.messages()
		r.number()
	}
	return r.err
}

// A daemonAnswer reads an answer; err is its first error.
type daemonAnswer struct {
	rest []byte
	err  error
}

func (r *daemonAnswer) take(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.err = errUnfinished
	}
	if r.err != nil {
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *daemonAnswer) number() uint64 {
	if taken := r.take(8); taken != nil {
		return binary.LittleEndian.Uint64(taken)
	}
	return 0
}

func (r *daemonAnswer) text() string {
	length := r.number()
	if length > maxOutput {
		r.err = errors.New("a text in the daemon's answer is too long")
		return ""
	}
	text := r.take(int(length))
	r.take(padding(int(length)))
	return string(text)
}

// messages reads what the daemon logs for a request, to its end.
func (r *daemonAnswer) messages() {
	for r.err == nil {
		switch kind := r.number(); kind {
		case msgLast:
			return
		case msgNext:
			r.text()
		case msgStart: // its number, level, kind, text, fields, and the one above it
			r.take(24)
			r.text()
			r.fields()
			r.number()
		case msgStop:
			r.number()
		case msgResult:
			r.take(16)
			r.fields()
		case msgError:
			r.text() // "Error"
			r.number()
			r.text()
			if text := r.text(); r.err == nil {
				r.err = errors.New(brief(text))
			}
		default:
			if r.err == nil {
				r.err = fmt.Errorf("the daemon of Nix sent a message of the kind %x", kind)
			}
		}
	}
}

func (r *daemonAnswer) fields() {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		if r.number() == 0 {
			r.number()
		} else {
			r.text()
		}
	}
}
