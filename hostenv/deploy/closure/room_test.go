package closure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is measured is what files take on a disk at most, and not far more.
func TestOnDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		write(fmt.Sprintf("many/%d", i), 20)
	}
	write("big", 3<<20+1)
	write("empty", 0)
	if err := os.Symlink(strings.Repeat("x", 200), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	bytes, files, err := onDisk(dir)
	if err != nil || files != 505 {
		t.Fatalf("%d bytes in %d files, %v", bytes, files, err)
	}
	out, err := exec.Command("du", "-s", "--block-size=1", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	var used int64
	if _, err := fmt.Sscan(string(out), &used); err != nil {
		t.Fatal(err)
	}
	if bytes < used || bytes > used*3/2 {
		t.Errorf("measured are %d bytes, and the disk has %d", bytes, used)
	}
	if _, _, err := onDisk(filepath.Join(dir, "gone")); !os.IsNotExist(err) {
		t.Errorf("a path that does not exist: %v", err)
	}
}

func TestKernels(t *testing.T) {
	// A path of a store that need not be this machine's.
	system := filepath.Join(t.TempDir(), "store", "0123456789abcdfghijklmnpqrsvwxyz-nixos")
	kernel := filepath.Join(filepath.Dir(system), "1123456789abcdfghijklmnpqrsvwxyz-linux")
	for _, dir := range []string{system + "/specialisation/a", kernel} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(kernel+"/bzImage", make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"/kernel", "/specialisation/a/kernel", "/specialisation/a/initrd"} {
		if err := os.Symlink(kernel+"/bzImage", system+link); err != nil {
			t.Fatal(err)
		}
	}
	s := &Store{}
	if got := s.Kernels(system); len(got) != 1 || got[0].Bytes != 1000 || got[0].Path != kernel+"/bzImage" {
		t.Errorf("got %+v", got)
	}
	if got := s.Kernels(kernel); len(got) != 0 {
		t.Errorf("what is no system has %+v", got)
	}
}
