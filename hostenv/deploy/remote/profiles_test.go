package remote_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/deploy/remote"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

const (
	systemC = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-c"
	systemD = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-d"
	pathA   = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"
	pathB   = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b"
	pathC   = "/nix/store/2123456789abcdfghijklmnpqrsvwxyz-system-that-deploy-rs-did-not-bring"
	pathD   = "/nix/store/3123456789abcdfghijklmnpqrsvwxyz-d"
)

// profiles is a node with two paths of the form that deploy-rs installs, one of
// another form, and one that is broken. An activation writes its path to /run/done.
const profiles = `
touch /run/done; chmod 666 /run/done
for path in ` + pathA + " " + pathB + " " + pathD + `; do
	mkdir -p $path
	cat >$path/activate-rs <<'END'
#!/bin/sh
set -eu
[ "$1 $3 $5 $7" = "activate --profile-path --temp-path --confirm-timeout" ]
nix-env -p "$4" --set "$2"
[ ! -p /run/fifo ] || cat /run/fifo
seq 10000
PROFILE=$4 "$4/deploy-rs-activate"
END
	printf '#!/bin/sh\necho "$(id -un) $(readlink -f "$PROFILE")" >>/run/done\n' >$path/deploy-rs-activate
	chmod +x $path/*
done
printf '#!/bin/sh\necho it is broken >&2; exit 7\n' >` + pathD + `/deploy-rs-activate
mkdir -p ` + pathC + `/bin
printf '#!/bin/sh\necho "$(id -un) $0 $1" >>/run/done\n' >` + pathC + `/bin/switch-to-configuration
chmod +x ` + pathC + `/bin/*
`

func TestRestore(t *testing.T) { eachShell(t, testRestore) }

func testRestore(t *testing.T, shell string) {
	m := newMachine(t, shell+profiles, "")
	s := m.open(t, lockAs("alice", 0))
	active := func() [2]string {
		t.Helper()
		o, err := s.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{o.Profiles["system"].Active, o.Profiles["site"].Active}
	}
	if got := active(); got != [2]string{} {
		t.Errorf("before anything, %q are active", got)
	}
	steps := []struct {
		profile int
		path    string
		fails   string
		want    [2]string // of the system and of the environment
	}{
		{1, pathA, "", [2]string{"", pathA}},
		{1, pathB, "", [2]string{"", pathB}},
		{1, pathA, "", [2]string{"", pathA}},
		{0, pathB, "", [2]string{pathB, pathA}},
		{0, pathC, "", [2]string{pathC, pathA}},
		{1, pathD, "it is broken", [2]string{pathC, pathD}},
		{1, pathC, "no program to activate it", [2]string{pathC, pathC}},
		{1, pathA[:len(pathA)-1] + "gone", "is no longer on the node", [2]string{pathC, pathC}},
	}
	for _, step := range steps {
		err := s.Restore(t.Context(), m.Profiles[step.profile], step.path)
		var failed *remote.CommandError
		if step.fails == "" && err != nil || step.fails != "" && (!errors.As(err, &failed) || !strings.Contains(failed.Stderr, step.fails)) {
			t.Errorf("restoring %s: %v", step.path, err)
		}
		if got := active(); got != step.want {
			t.Errorf("after restoring %s, %q are active", step.path, got)
		}
	}
	want := strings.Join([]string{"site " + pathA, "site " + pathB, "site " + pathA, "root " + pathB, "root " + pathC + "/bin/switch-to-configuration switch", ""}, "\n")
	if got := m.sh(t, "cat /run/done"); got != want {
		t.Errorf("activated was\n%sand should be\n%s", got, want)
	}
	for _, path := range []string{"/etc/passwd", pathA + "/..", pathA + "; id", ""} {
		if err := s.Restore(t.Context(), m.site(), path); !errors.As(err, new(*problem.Problem)) {
			t.Errorf("restoring %q: %v", path, err)
		}
	}

	// A node of an older version has no program that stops the units. The second time
	// there is no link.
	const stopped = "site hostenv-units stop\n"
	for i, program := range []string{"", "exit 0", "echo it does not stop >&2; exit 1"} {
		m.sh(t, "rm -f /run/done /run/current-system/sw/bin/hostenv-units; touch /run/done; chmod 666 /run/done")
		if program != "" {
			m.sh(t, `printf '#!/bin/sh\necho "$(id -un) hostenv-units $*" >>/run/done; `+program+`\n' >/run/current-system/sw/bin/hostenv-units; chmod 755 /run/current-system/sw/bin/hostenv-units`)
		}
		err := s.Remove(t.Context(), m.site())
		if failed := (*remote.CommandError)(nil); (err != nil) != (i == 2) || i == 2 && (!errors.As(err, &failed) || !strings.Contains(failed.Stderr, "it does not stop")) {
			t.Fatal(err)
		}
		if got := active(); got != [2]string{pathC, ""} {
			t.Errorf("after removing, %q are active", got)
		}
		if got := m.sh(t, "cat /run/done"); got != strings.Repeat(stopped, min(i, 1)) {
			t.Errorf("it ran %q", got)
		}
	}
	if err := s.Remove(t.Context(), m.Profiles[0]); err == nil {
		t.Error("the system's profile can be removed")
	}
}

// A collection may delete the generation of a profile before it is the current one.
func TestRestoreBesideACollection(t *testing.T) {
	eachShell(t, func(t *testing.T, shell string) {
		m := newMachine(t, shell+profiles, "")
		s := m.open(t, lockAs("alice", 0))
		for i, path := range []string{pathB, pathC} { // by deploy-rs, and by the agent
			p := m.Profiles[1-i]
			m.sh(t, "touch "+p.Link+"-collect; chmod 666 "+p.Link+"-collect")
			if err := s.Restore(t.Context(), p, path); err != nil {
				t.Errorf("restoring %s: %v", path, err)
			}
			o, err := s.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Profiles[p.Name].Active; got != path {
				t.Errorf("after restoring %s, %s is at %q", path, p.Name, got)
			}
		}
	})
}

// TestRestoreOutlives cuts the connection during an activation: it reaches its
// end, though it prints more than any pipe holds.
func TestRestoreOutlives(t *testing.T) {
	m := newMachine(t, profiles+"mkfifo -m 666 /run/fifo\n", "")
	s := m.open(t, lockAs("alice", 0))
	restored := make(chan error, 1)
	go func() { restored <- s.Restore(t.Context(), m.site(), pathA) }()
	m.sh(t, "until [ -L "+m.site().Link+" ]; do sleep 0.01; done")

	// While it works, another sees that.
	look := m.open(t, deploy.OpenOptions{})
	if got := look.Observation().Profiles["site"].Activating; len(got) != 1 || !strings.HasSuffix(got[0], " "+pathA) {
		t.Errorf("the running activation is %q", got)
	}
	if got := look.Observation().Profiles["system"].Activating; len(got) != 0 {
		t.Errorf("the system counts as activated: %q", got)
	}

	// sshd's processes of the session go, as by a cut cable that it found out.
	m.sh(t, `for p in /proc/[0-9]*; do read -r name <$p/comm || continue; if [ "$name" = sshd ] && [ "${p#/proc/}" != 1 ]; then kill -9 "${p#/proc/}" || true; fi; done`)
	<-s.Lost()
	if err := <-restored; err == nil || !strings.Contains(err.Error(), ": the connection was lost") {
		t.Errorf("the error of the restore is %v", err)
	}
	m.sh(t, `echo >/run/fifo; until [ -s /run/done ]; do sleep 0.01; done`)
	if got := m.sh(t, "cat /run/done"); got != "site "+pathA+"\n" {
		t.Errorf("activated was %q", got)
	}
}

// TestCommandLinesThatWait has processes of two environments whose command lines no
// process can read to their ends, and an activation as root. The deploy sees the
// activation, and goes on.
func TestCommandLinesThatWait(t *testing.T) {
	m := newMachine(t, profiles+`
		mkfifo /run/never
		for uid in 40001 40002; do
			setpriv --reuid $uid --clear-groups sleep 3600 &
			mount --bind /run/never /proc/$!/cmdline
		done
		bash -c 'read -r' activate-rs activate `+pathA+` --profile-path /nix/var/nix/profiles/system 0<>/run/never &
	`, "")
	o := m.open(t, deploy.OpenOptions{}).Observation()
	if got := o.Profiles["system"].Activating; len(got) != 1 || !strings.HasSuffix(got[0], " "+pathA) {
		t.Errorf("the activation of the system is %q", got)
	}
	if got := o.Profiles["site"].Activating; len(got) != 0 {
		t.Errorf("the environment's activations are %q", got)
	}
}

// TestActivationEndsMeanwhile ends an activation while the node is observed, when the agent
// runs one of its programs. Then either the activation still counts as running, or its
// success is seen: a deploy would take back what is neither.
func TestActivationEndsMeanwhile(t *testing.T) {
	programs := []string{"id", "head", "stat", "readlink", "getent", "cut", "sort", "timeout", "grep"}
	m := newMachine(t, `
		ln -s `+pathA+` /nix/var/nix/profiles/system
		mkdir /run/real /run/armed; chmod 777 /run/armed; mkfifo -m 666 /run/fifo
		for name in `+strings.Join(programs, " ")+`; do
			cp "$(readlink -f "/usr/bin/$name")" "/run/real/$name"
			cat >"/run/real/$name.sh" <<END
#!/bin/sh
if /bin/rm "/run/armed/$name" 2>/dev/null; then
	echo >/run/fifo
	while [ -e "/proc/\$(/bin/cat /run/pid)" ]; do /bin/sleep 0.01; done
fi
exec /run/real/$name "\$@"
END
			chmod 755 "/run/real/$name" "/run/real/$name.sh"
			mount --bind "/run/real/$name.sh" "$(readlink -f "/usr/bin/$name")"
		done
	`, "")
	s := m.open(t, deploy.OpenOptions{})
	for _, name := range programs {
		m.sh(t, `rm -f /nix/var/nix/profiles/system.activated
			bash -c 'read -r; echo "$2" >"$4.activated"' activate-rs activate `+pathA+` --profile-path /nix/var/nix/profiles/system 0<>/run/fifo >/dev/null 2>&1 &
			echo $! >/run/pid; : >"/run/armed/$1"; chmod 666 "/run/armed/$1"`, name)
		o, err := s.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.sh(t, `[ -e "/run/armed/$1" ] || echo ended`, name) == "" {
			t.Errorf("the agent does not run %s", name)
		}
		if p := o.Profiles["system"]; len(p.Activating) == 0 && p.Activated != pathA {
			t.Errorf("%s: the activation neither runs nor has succeeded: %+v", name, p)
		}
	}
}

func TestObserve(t *testing.T) { eachShell(t, testObserve) }

func testObserve(t *testing.T, shell string) {
	m := newMachine(t, shell+profiles+`
		echo 'trusted-public-keys = cache.example-1:AAAA= hosting.example-1:BBBB=
			trusted-users = root @wheel' >/etc/nix/nix.conf
		ln -s system-7-link /nix/var/nix/profiles/system
		ln -s `+pathA+` /nix/var/nix/profiles/system-7-link
		mkdir -p /run/private/in; chmod 700 /run/private; mkdir -m 1777 /run/open; mkdir -m 700 /run/open/other /run/open/third; chown other /run/open/other; ln -s /run/hostenv /run/link; mkdir -m 777 /run/all; mkdir -m 755 /run/all/below
		mount -t tmpfs none /var/lib; mkdir /var/lib/hostenv
		printf '40001 site /home/site\n40001 former /home/former\n40002 other /home/other\n40001 ;id x\nbroken\n' >/var/lib/hostenv/users
		printf '#!/bin/sh\n' >/run/current-system/sw/bin/hostenv-users; chmod 755 /run/current-system/sw/bin/hostenv-users
		# A process of another customer pretends to be an activation.
		setpriv --reuid 40002 --clear-groups bash -c 'exec -a `+pathA+`/activate-rs sleep 3600' &
		setpriv --reuid 40002 --clear-groups bash -c 'exec -a "$0" cat' activate-rs activate `+pathA+` --profile-path /nix/var/nix/profiles/system </run/done &
	`, "")
	link := "/nix/var/nix/profiles/per-user/site/hostenv"
	s := m.open(t, deploy.OpenOptions{})
	o := s.Observation()
	if o.OS == "" || o.Profiles["system"].Active != pathA {
		t.Errorf("observed is %+v", o)
	}
	if testenv.Find("nix") != "" {
		if o.Nix == "" || o.TrustsUser || !slices.Equal(o.TrustedKeys, []string{"cache.example-1:AAAA=", "hosting.example-1:BBBB="}) {
			t.Errorf("of Nix is observed %q, %v, %q", o.Nix, o.TrustsUser, o.TrustedKeys)
		}
	}
	want := deploy.Observed{Temp: deploy.TempPrivate, UID: 40001, UIDOwner: "site", UIDNames: []string{"site", "former"}, HomeOwner: 40001}
	if got := o.Profiles["site"]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the environment is %+v", got)
	}
	if got := o.Profiles["system"]; got.Temp != deploy.TempPrivate || len(got.Activating) != 0 {
		t.Errorf("the system is %+v", got)
	}

	if !o.ListsLeftovers {
		t.Error("it has hostenv-users, and is not observed to")
	}
	m.sh(t, "rm /run/current-system/sw/bin/hostenv-users")

	links := []struct{ setup, active, linked string }{
		{"ln -s hostenv-1-link $1; ln -s " + pathB + " $1-1-link", pathB, ""},
		{"ln -s " + pathB + " $1", pathB, ""},
		{"ln -s ../site/hostenv-1-link $1; ln -s " + pathB + " $1-1-link", pathB, ""},
		{"mkdir -p $1", "", link},
		{"echo x >$1", "", link},
		{"ln -s /home/site/x $1", "", "/home/site/x"},
		{"ln -s " + pathB + "/.. $1", "", pathB + "/.."},
		{"ln -s \"$(printf '/nix/store/x\\nlink\\n')\" $1", "", "/nix/store/x\nlink"},
		{"ln -s '$(id) `id`\\000' $1", "", "/nix/var/nix/profiles/per-user/site/$(id) `id`\\000"},
		{"ln -s $1 $1", "", link},
		{"chmod 700 ${1%/*}", "", link},
		{"chmod 755 ${1%/*}", "", ""},
	}
	for _, test := range links {
		m.sh(t, "rm -rf $1 $1-1-link; "+test.setup, link)
		o, err := s.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Profiles["site"]; got.Active != test.active || got.Linked != test.linked {
			t.Errorf("%s: it leads to %q, or elsewhere, to %q", test.setup, got.Active, got.Linked)
		}
	}

	generations := []struct {
		setup                string
		rolledBack, deployRs bool
	}{
		{"ln -s hostenv-2-link $1", false, false},
		{"ln -s hostenv-9-link $1; ln -s " + pathB + " $1-10-link", true, false},
		{"ln -s hostenv-10-link $1; ln -s " + pathB + " $1-9-link; ln -s " + pathB + " $1-x-link", false, false},
		{"ln -s " + pathA + " $1", false, false},
		{"ln -s hostenv-1-link $1; ln -s " + pathA + " $1-1-link", false, true},
	}
	for _, test := range generations {
		m.sh(t, "rm -rf $1 $1-*-link; "+test.setup, link)
		o, err := s.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Profiles["site"]; got.RolledBack != test.rolledBack || got.DeployRs != test.deployRs {
			t.Errorf("%s: rolled back %v, from deploy-rs %v", test.setup, got.RolledBack, got.DeployRs)
		}
	}
	m.sh(t, "rm -rf $1 $1-*-link", link)

	if d := o.Disks[deploy.FolderStore]; d.Free <= 0 || d.ID == 0 || d.ID == o.Disks["/"].ID || o.Disks["/nix/var/nix/profiles/per-user/site"].ID != d.ID {
		t.Errorf("the disks are %v", o.Disks)
	}
	// A profile of deploy-rs links to the files of a NixOS system.
	m.sh(t, "mkdir -p $1 $2; touch $1/activate $2/activate; ln -s $1/activate $3/activate", systemC, systemD, pathA)
	for _, test := range []struct{ setup, running string }{
		{"", ""},
		{"mv /run/current-system/sw $1; rmdir /run/current-system; ln -s $1 /run/current-system", ""},
		{"mv $1/sw $2; ln -sfn $2 /run/current-system", systemD},
		{"rm $1/activate", ""}, // it is none of NixOS's
	} {
		m.sh(t, test.setup, systemC, systemD)
		o, err := s.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Profiles["system"].Running; got != test.running {
			t.Errorf("%s: another system runs: %q, want %q", test.setup, got, test.running)
		}
	}

	temps := []struct {
		user, path string
		want       deploy.Temp
		at         string // what makes it open
	}{
		{"root", "/run/none", deploy.TempMissing, ""},
		{"root", "/run/none/below", deploy.TempMissing, ""},
		{"root", "/run/private/in", deploy.TempUnknown, ""},
		{"root", "/run/open", deploy.TempOpen, "/run/open"},
		{"root", "/run/open/third", deploy.TempPrivate, ""}, // below a sticky one
		{"root", "/run/all/below", deploy.TempOpen, "/run/all"},
		{"root", "/run/link", deploy.TempLinked, "/run/link"},
		{"root", "/run/link/deploy", deploy.TempLinked, "/run/link"},
		{"root", "/run/hostenv/deploy/site", deploy.TempOpen, "/run/hostenv/deploy/site"},
		{"site", "/run/open/other", deploy.TempOpen, "/run/open/other"},
		{"nosuch", "/run/hostenv/deploy/site", deploy.TempOpen, "/run/hostenv/deploy/site"},
	}
	for _, test := range temps {
		n := m.Node
		name := test.user
		if name == "root" {
			name = "system"
		}
		n.Profiles = []deploy.Profile{{Name: name, User: test.user, UID: 40002, Link: link, Temp: test.path}}
		s, err := m.remote(t).Open(t.Context(), n, deploy.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Observation().Profiles[name]
		if got.Temp != test.want || got.TempOpenAt != test.at {
			t.Errorf("%s of %s is %q by %q, and should be %q by %q", test.path, test.user, got.Temp, got.TempOpenAt, test.want, test.at)
		}
		if test.user != "root" && got.UIDOwner != "other" || test.user == "nosuch" && got.UID != 0 {
			t.Errorf("%s is observed as %+v", test.user, got)
		}
		_ = s.Close()
	}
}
