package nixosnodes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"
)

// The secrets of acme's environments in the sops file: restic's passphrase, and
// the login at the backup server.
const (
	resticPassphrase = "passphrase-of-acme-2f91"
	resticLogin      = "acme"
	resticPassword   = "password-of-acme-77c0"
)

var acmeBackups = map[string]string{
	"backups_secret": resticPassphrase,
	"backups_env":    "RESTIC_REST_USERNAME=" + resticLogin + "\nRESTIC_REST_PASSWORD=" + resticPassword + "\n",
}

// A backupServer stores restic's repositories for all nodes of a lab, by the
// protocol in restic's documentation under "REST backend". It accepts one login.
type backupServer struct {
	url  string
	dir  string
	full atomic.Bool // whether the server refuses more data
}

func (s *labTest) backupServer() *backupServer {
	s.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(s.Resolver(), "8000"))
	if err != nil {
		s.t.Fatal(err)
	}
	b := &backupServer{url: "http://" + listener.Addr().String(), dir: s.t.TempDir()}
	server := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until it is closed
	s.t.Cleanup(func() { _ = server.Close() })
	return b
}

func (b *backupServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != resticLogin || password != resticPassword {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	file := filepath.Join(b.dir, filepath.FromSlash(path.Clean("/"+r.URL.Path)))
	var err error
	switch {
	case r.Method == http.MethodPost && b.full.Load():
		http.Error(w, "the disk of the backups is full", http.StatusInsufficientStorage)
	case r.Method == http.MethodPost && r.URL.Query().Get("create") == "true":
		for _, kind := range []string{"data", "index", "keys", "locks", "snapshots"} {
			err = errors.Join(err, os.MkdirAll(filepath.Join(file, kind), 0o700))
		}
	case r.Method == http.MethodPost:
		err = save(file, r.Body)
	case r.Method == http.MethodDelete:
		err = os.Remove(file)
	case strings.HasSuffix(r.URL.Path, "/"):
		err = list(w, file)
	default:
		http.ServeFile(w, r, file)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func save(file string, from io.Reader) error {
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func list(w http.ResponseWriter, dir string) error {
	type file struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	files := []file{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // the file was removed just now
		}
		files = append(files, file{entry.Name(), info.Size()})
	}
	w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v2")
	return json.NewEncoder(w).Encode(files)
}

// oddData makes files that a backup could get wrong: names, modes, times, links,
// holes.
const oddData = `set -eu
mkdir ~/data; cd ~/data
printf 'welcome back\n' >site.txt
printf 'a name with a line break' >$'two\nlines'
printf 'a name that looks like an option' >./-rf
printf 'a name of Latin-1' >$'latin-\xe9'
printf 'a name of UTF-8' >'ünïcödé 🐘'
printf 'spaces' >'  at both ends  '
printf 'a shell would run it' >'$(reboot) "; ` + "`id`" + `'
printf 'a pattern' >'*'
printf 'hidden' >.hidden
printf 'long' >"$(printf '%0255d' 0)"
: >empty
mkdir -p emptiness private shared deep/1/2/3/4/5/6/7/8/9
printf 'bottom' >deep/1/2/3/4/5/6/7/8/9/file
chmod 0700 private; chmod 2770 shared
printf 'read-only' >private/key; chmod 0400 private/key
printf 'a program' >run; chmod 0751 run
head -c 20000000 /dev/urandom >large
truncate -s 64M sparse; printf 'an end' >>sparse
ln -s /nowhere/at/all dangling; ln -s $'two\nlines' link; ln -s deep/1 folder
ln large twin
mkfifo pipe
touch -d '2001-02-03 04:05:06.123456789' site.txt; touch -h -d '1999-12-31 23:59:59.5' dangling; touch -d '1969-07-20 20:17:40' emptiness
`

// inventory lists the files below a folder of a node, one a line: type, mode,
// owners, time, links and content. It quotes names, which may have any bytes.
func inventory(t testing.TB, n *nixosnode.Node, dir string) []string {
	t.Helper()
	const script = `set -euo pipefail; export LC_ALL=C; cd "$1"
		find . \( -type d -printf '%P\t%y %m %U %G %T@\0' -o -printf '%P\t%y %m %U %G %T@ %n %s -> %l\0' \) | sort -z
		find . -type f -print0 | sort -z | xargs -0 sha256sum --zero`
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(n.Run(t, "bash", "-c", script, "bash", dir), "\x00"), "\x00") {
		lines = append(lines, strconv.Quote(line))
	}
	return lines
}

// changed returns when a file of a node changed last. It does not follow links.
func changed(t testing.TB, n *nixosnode.Node, file string) float64 {
	t.Helper()
	seconds, err := strconv.ParseFloat(n.Run(t, "stat", "-c", "%.9Y", file), 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

// An environment moves to another node by its own backup, and has the same data
// there, byte for byte. The node that it leaves is deployed last.
func TestMoves(t *testing.T) {
	t.Parallel()
	s := begin(t, "node-a", "node-b")
	a, b := s.Node("node-a"), s.Node("node-b")
	backups := s.backupServer()
	s.Provider.Secrets(t, map[string]map[string]string{"acme": acmeBackups})
	const name = "data-migrate"
	s.Provider.Add(t,
		nixosnode.Customer{Organisation: "acme", Project: "shop", Backups: []string{name}, Environments: map[string]nixosnode.Environment{
			"main": s.reachable(nixosnode.Environment{Hostenv: map[string]any{"backupsRepoHost": "rest:" + backups.url, "migrations": []string{name}}}),
		}},
		nixosnode.Customer{Organisation: "beta", Project: "portal", Environments: map[string]nixosnode.Environment{"main": s.reachable(nixosnode.Environment{})}},
	)
	s.mage(0, "plan")
	s.mage(0, "dnsGate", "-allowFlips") // the names have no addresses, so no node orders a certificate
	s.mage(0, "deploy")
	shop, beta := s.user("acme", "shop"), s.user("beta", "portal")
	home := "/home/" + shop
	s.ssh(a, shop, oddData)
	before := inventory(t, a, home+"/data")
	systems := map[*nixosnode.Node]string{a: a.System(t), b: b.System(t)}
	site := func(n *nixosnode.Node) string {
		out, err := n.Exec("curl", "-fsS", "-H", "Host: "+s.host("acme", "shop"), "http://127.0.0.1/data/site.txt")
		if err != nil {
			return err.Error()
		}
		return out
	}

	t.Run("sudo", func(t *testing.T) {
		refused := map[string][]string{
			"deploy": {
				"sudo -n -u " + shop + " hostenv-move",
				"sudo -n -u " + shop + " hostenv-move restore " + name,
				"sudo -n -u " + shop + " hostenv-move backup ../" + name,
				"sudo -n -u " + shop + " hostenv-move backup " + name + " " + name,
				"sudo -n -u " + shop + " hostenv-move snapshots " + name + " --help",
				"sudo -n -u " + shop + " hostenv-move plan -1",
				"sudo -n -u " + shop + " XDG_RUNTIME_DIR=/tmp hostenv-move discard",
				"sudo -n -u " + shop + " /tmp/hostenv-move discard",
				"sudo -n -u " + shop + " /nix/var/nix/profiles/per-user/" + shop + "/hostenv/bin/restic-" + name + " snapshots",
				"sudo -n -u " + shop + " systemctl --user start restic-backups-" + name,
				"sudo -n -u root hostenv-move discard",
				"sudo -n -u nginx hostenv-move discard",
				"sudo -n hostenv-move discard",
			},
			shop: {"sudo -n -u " + beta + " hostenv-move discard", "sudo -n -u " + shop + " hostenv-move discard"},
			beta: {"sudo -n -u " + shop + " hostenv-move snapshots " + name + " all"},
		}
		for user, commands := range refused {
			script := ""
			for _, command := range commands {
				script += command + " </dev/null >/dev/null 2>&1 && echo " + strconv.Quote(command) + "\n"
			}
			if out := s.ssh(a, user, "cp /run/current-system/sw/bin/true /tmp/hostenv-move 2>/dev/null\n"+script+"true"); out != "" {
				t.Errorf("%s may run\n%s", user, out)
			}
		}
		if out := s.ssh(a, "deploy", "sudo -n -u "+shop+" hostenv-move holds "+name); out != "" {
			t.Errorf("a new environment holds older data: %s", out)
		}
	})

	// The backup fails: the environment stays on its node and loses no data. The new
	// node has the environment's user, but not its profile.
	s.Provider.Set(t, "placement", `{ acme = "node-b"; }`)
	s.Provider.Commit(t)
	contains(t, s.mage(0, "plan").Stdout, "shop/main: moves from node-a to node-b")
	backups.full.Store(true)
	failed := s.mage(3, "deploy")
	contains(t, failed.Stdout+failed.Stderr, "restic-backups-"+name+".service failed", "507 Insufficient Storage")
	if now := a.System(t); now != systems[a] {
		t.Errorf("%s has another system, but %s has not left it yet", a.Name, shop)
	}
	if got := site(a); got != "welcome back" {
		t.Errorf("the site on its old node: %s", got)
	}
	if active := b.Profile(t, shop); active != "" {
		t.Errorf("%s is active on %s without its data: %s", shop, b.Name, active)
	}

	backups.full.Store(false)
	s.mage(0, "deploy", "-resume")
	if diff := cmp.Diff(before, inventory(t, b, home+"/data")); diff != "" {
		t.Errorf("the data on the new node (-old +new):\n%s", diff)
	}
	if blocks, err := strconv.Atoi(b.Run(t, "stat", "-c", "%b", home+"/data/sparse")); err != nil || blocks > 2048 {
		t.Errorf("a file of 64 MiB of holes takes %d blocks, %v", blocks, err)
	}
	if got := site(b); got != "welcome back" {
		t.Errorf("the site on its new node: %s", got)
	}
	if out := b.Run(t, "find", "/run/hostenv/user/"+shop+"/restore", "-type", "f"); out != "" {
		t.Errorf("the restore plan is still there: %s", out)
	}

	// The old node got its system after the environment was up on the new node.
	const system = "/nix/var/nix/profiles/system"
	profile := "/nix/var/nix/profiles/per-user/" + shop + "/hostenv"
	order := []struct {
		what string
		when float64
	}{
		{"the system of the new node", changed(t, b, system)},
		{"the environment's link there", changed(t, b, profile)},
		{"its activation", changed(t, b, profile+".activated")},
		{"the system of the old node", changed(t, a, system)},
	}
	for i := range order[1:] {
		if order[i].when >= order[i+1].when {
			t.Errorf("%s is at %f, want it before %s at %f", order[i].what, order[i].when, order[i+1].what, order[i+1].when)
		}
	}
	if out, err := a.Exec("getent", "passwd", shop); err == nil {
		t.Errorf("the old node still has the user: %s", out)
	}
	if now := a.System(t); now == systems[a] {
		t.Errorf("%s still has the system with %s", a.Name, shop)
	}
	// The data stay in the home on the old node, until the operator removes them.
	if diff := cmp.Diff(before, inventory(t, a, home+"/data")); diff != "" {
		t.Errorf("the data on the old node (-before +now):\n%s", diff)
	}
	if got := site(a); got == "welcome back" {
		t.Errorf("the old node still serves the site: %s", got)
	}

	// Another deploy changes nothing: the move runs only once.
	links := fmt.Sprint(changed(t, b, profile+".activated"))
	s.mage(0, "plan")
	s.mage(0, "deploy")
	if now := fmt.Sprint(changed(t, b, profile+".activated")); now != links {
		t.Errorf("%s was activated again at %s, after %s", shop, now, links)
	}
	s.mage(0, "status")
}
