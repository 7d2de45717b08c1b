package remote

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// answer makes what a daemon of a protocol says: numbers, and texts with padding.
func answerOf(parts ...any) []byte {
	var b []byte
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		case string:
			b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
			b = append(b, v...)
			b = append(b, make([]byte, padding(len(v)))...)
		}
	}
	return b
}

func TestDaemonTalk(t *testing.T) {
	talk := newDaemonTalk()
	talk.ask(opAddIndirectRoot, "/home/deploy/.hostenv-deploy/roots/shop-next")
	talk.ask(opAddTempRoot, "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a")
	if len(talk.said)%8 != 0 || !bytes.Contains(talk.said, []byte("roots/shop-next\x00")) {
		t.Errorf("it says %q", talk.said)
	}
	for _, c := range []struct {
		reason string
		answer []byte
		fails  string
	}{
		{"Nix 2.8", answerOf(daemonMagic, 1<<8|34, "2.8.0", msgLast, msgLast, 1, msgLast, 1), ""},
		{"Nix 2.34", answerOf(daemonMagic, 1<<8|38, "2.34.8", 0, msgLast, msgLast, 1, msgLast, 1), ""},
		{"a daemon before 2.4", answerOf(daemonMagic, 1<<8|21, msgLast, msgLast, 1, msgLast, 1), ""},
		{"it logs", answerOf(daemonMagic, 1<<8|34, "2.8.0", msgLast, msgNext, "waiting", msgStart, 1, 3, 0, "collects", 2, 0, 7, 1, "x", 0, msgResult, 1, 101, 1, 0, 5, msgStop, 1, msgLast, 1, msgLast, 1), ""},
		{"it refuses", answerOf(daemonMagic, 1<<8|34, "2.8.0", msgLast, msgError, "Error", 0, "Error", "you are not allowed to connect", 0, 0), "you are not allowed to connect"},
		{"another program", []byte("Welcome to n1!\nHave a nice day\n"), "nix-daemon answered with"},
		{"an unknown message", answerOf(daemonMagic, 1<<8|34, "2.8.0", msgLast, 0x1234), "of the kind 1234"},
		{"a length that is wrong", answerOf(daemonMagic, 1<<8|34, 1<<40), "too long"},
	} {
		err := talk.check(c.answer)
		if c.fails == "" {
			if err != nil {
				t.Errorf("%s: %v", c.reason, err)
			}
			if len(c.answer) < talk.least() {
				t.Errorf("%s: it is shorter than %d", c.reason, talk.least())
			}
			for cut := range c.answer { // read while the daemon writes
				if err := talk.check(c.answer[:cut]); !errors.Is(err, errUnfinished) {
					t.Fatalf("%s, cut off at %d: %v", c.reason, cut, err)
				}
			}
		} else if err == nil || !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", c.reason, err, c.fails)
		}
	}
}

func FuzzDaemonAnswer(f *testing.F) {
	f.Add(answerOf(daemonMagic, 1<<8|38, "2.34.8", 0, msgLast, msgLast, 1))
	f.Add(answerOf(daemonMagic, 1<<8|34, "2.8.0", msgLast, msgStart, 1, 3, 0, "", 1<<40, 0))
	f.Fuzz(func(t *testing.T, answer []byte) {
		talk := newDaemonTalk()
		talk.ask(opAddTempRoot, "/nix/store/x")
		if err := talk.check(answer); err == nil && len(answer) < talk.least() {
			t.Errorf("%q is complete", answer)
		}
	})
}

// A boot loader that copies kernels does so to a file system of its own.
func TestBoot(t *testing.T) {
	for _, c := range []struct {
		reason, fields, want string
	}{
		{"one disk", "disk|/|1 4096 10 0 0|disk|/nix/store|1 4096 10 0 0|disk|/boot|1 4096 10 0 0", ""},
		{"a /boot of its own", "disk|/|1 4096 10 0 0|disk|/nix/store|1 4096 10 0 0|disk|/boot|2 512 10 0 0", "/boot"},
		{"EFI's is closed, and /boot has none", "disk|/|1 4096 10 0 0|disk|/boot|1 4096 10 0 0|disk|/boot/efi|2 512 10 0 0", ""},
		{"EFI's has kernels", "disk|/|1 4096 10 0 0|disk|/boot|1 4096 10 0 0|disk|/boot/efi|2 512 10 0 0|kernels|/boot/efi|a b", "/boot/efi"},
		{"/boot is the store's", "disk|/|1 4096 10 0 0|disk|/nix/store|2 4096 10 0 0|disk|/boot|2 4096 10 0 0", ""},
		{"a number is none", "disk|/|1 4096 10 0 0|disk|/boot|2 x 10 0 0", ""},
	} {
		r, err := readReport([]byte(strings.ReplaceAll(c.fields, "|", "\x00") + "\x00"))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.boot(); got != c.want {
			t.Errorf("%s: %q, want %q", c.reason, got, c.want)
		}
	}
	r, err := readReport([]byte("disk\x00/nix/store\x007 4096 10 100 40\x00disk\x00/boot\x008 512 4 0 0\x00root\x00shop-next\x00/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a\x00root\x00.new\x00/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a\x00root\x00x-next\x00/etc\x00"))
	if err != nil || r.disks["/nix/store"].Files != 40 || r.disks["/nix/store"].Free != 40960 || r.disks["/boot"].Files != -1 || len(r.roots) != 1 {
		t.Errorf("read are %+v, %v, %v", r.disks, r.roots, err)
	}
}
