package remote

import (
	"strings"
	"sync"
)

// A tail keeps only the end of what is written to it, because errors come last.
type tail struct {
	mu   sync.Mutex
	kept []byte
	cut  bool
}

const tailSize = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
		t.cut = true
	}
	return len(p), nil
}

// String returns the text that was kept, without blanks around it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?"))
	if t.cut {
		text = "[...] " + text
	}
	return text
}
