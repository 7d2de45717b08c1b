package endtoend_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/internal/fleet"
	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// migration is a backup as hostenv makes it: services.drupal gives it this name and
// these tags, and its unit and its wrapper these names.
const (
	migration     = "drupal-migrate"
	migrationUnit = "restic-backups-drupal-migrate.service"
	migrationTags = "--tag drupal-migrate --tag migrate"
	// The log of the stand-in for systemctl on a node: its users and arguments.
	systemctlCalls = "/var/log/hostenv-fleet/systemctl"
)

// movable makes a fleet whose environment s1e1 can move between nodes. The nodes
// have the real hostenv-move, and a stand-in for systemd whose unit runs a real
// restic.
func movable(t *testing.T) (w *world, user string) {
	restic := testenv.Need(t, "restic")
	w = newWorld(t, standIn(t), fleet.Options{Nodes: 2, Environments: 1, Deployed: true, Inventory: func(inventory map[string]any) {
		environmentOf(inventory)["migrations"] = []any{migration}
	}})
	user = w.Nodes[0].Users()[0]
	const bash = "#!/run/current-system/sw/bin/bash\n"
	mover := readFile(t, "../../../nix/modules/hostenv-move.sh")
	mover = strings.NewReplacer("@profile@", "/nix/var/nix/profiles/per-user/$user/hostenv", "@runtime@", "/run/hostenv/user/$user").Replace(mover)
	// All nodes share this folder, in place of the provider's backup server.
	repository, err := os.MkdirTemp("/dev/shm", "hostenv-repository-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(repository); err != nil {
			t.Error(err)
		}
	})
	w.restic = fmt.Sprintf("env RESTIC_PASSWORD=x RESTIC_REPOSITORY=%s/restic RESTIC_CACHE_DIR=\"$HOME/.cache/%s\" %s", repository, strings.TrimSuffix(migrationUnit, ".service"), restic)
	for _, n := range w.Nodes {
		// Root also calls it, in the activation of a system, and may be the first.
		calls := n.Path(systemctlCalls)
		if err := errors.Join(os.WriteFile(calls, nil, 0o666), os.Chmod(calls, 0o666)); err != nil {
			t.Fatal(err)
		}
		n.Program(t, "hostenv-move", bash+mover)
		n.Program(t, "systemctl", bash+`
			printf '%s %s\n' "$(id -un)" "$*" >>`+systemctlCalls+`
			unit=${!#}
			case "$*" in
			*LoadState*) [ "$unit" = `+migrationUnit+` ] && echo loaded || echo not-found ;;
			*ActiveState*) echo inactive ;;
			*Result*) [ -e ~/backup-fails ] && echo exit-code || echo success ;;
			*" start "*)
				exec >>~/journal 2>&1
				if [ -e ~/backup-fails ]; then
					echo the disk of the backups is full
					exit 1
				fi
				mkdir -p ~/.local/state/mariabackup ~/.local/share/mysql/drupal
				cp -r ~/.local/share/mysql/drupal ~/.local/state/mariabackup/full # mysql-backup-incremental
				printf '%s\n' ~/.local/state/mariabackup >~/includes
				`+w.restic+` cat config >/dev/null || `+w.restic+` init
				`+w.restic+` backup `+migrationTags+` --files-from="$HOME/includes"
				status=$?
				rm -rf ~/.local/state/mariabackup
				exit $status ;;
			esac`)
		n.Program(t, "journalctl", bash+"tail -n 20 ~/journal\n")
	}
	if err := os.Chown(repository, w.Provider.State.Entries[user].UID, -1); err != nil {
		t.Fatal(err)
	}
	w.house(w.Nodes[1], user)
	w.wants(w.deploy(), 0) // the state then has the environment's node
	return w, user
}

// restores makes the environment's activation on a node act like that of hostenv's
// Drupal. It restores the snapshot that the restore plan names, unless it did so
// before or the database has tables. In each case it removes the name from the
// restore plan.
func (w *world) restores(n *fleet.Node, user string) {
	w.t.Helper()
	n.OnActivation(w.t, user, fleet.Behaviour{Run: `
		plan=/run/hostenv/user/$(id -un)/restore/plan.json
		marker=$HOME/.local/state/hostenv/restored/drupal
		database=$HOME/.local/share/mysql
		if ! [ -e "$marker" ] && ! compgen -G "$database/drupal/*.ibd" >/dev/null && [ -e "$plan" ]; then
			snapshot=$(sed -n 's/.*"` + migration + `":"\([0-9a-f]*\)".*/\1/p' "$plan")
			rm -rf ~/restored
			` + w.restic + ` restore "$snapshot" --target ~/restored
			mkdir -p "$database" "$(dirname "$marker")"
			rm -rf "$database/drupal"
			cp -r ~/restored"$HOME"/.local/state/mariabackup/full "$database/drupal"
			touch "$marker"
		fi
		rm -f "$plan"
	`})
}

// table returns the content of the environment's database on a node, or "".
func (w *world) table(n *fleet.Node, user string) string {
	text, _ := os.ReadFile(n.Path("/home/" + user + "/.local/share/mysql/drupal/node.ibd"))
	return string(text)
}

func environmentOf(inventory map[string]any) map[string]any {
	project := inventory["projects"].(map[string]any)["acme__s1e1"].(map[string]any)
	return project["environments"].(map[string]any)["main"].(map[string]any)
}

// house does what a node's system does for a new environment. It makes the user,
// with the wrapper of the backup in its home, the folders, and the rules of sudo
// for that user. The user is the same on all nodes.
func (w *world) house(n *fleet.Node, user string) {
	w.t.Helper()
	entry := w.Provider.State.Entries[user]
	n.AddUser(w.t, user, entry.UID)
	id := fmt.Sprint(entry.UID)
	for _, folder := range [][2]string{{"/home/" + user, "700"}, {"/run/hostenv/deploy/" + user, "700"}, {"/run/hostenv/user/" + user, "2700"},
		{"/nix/var/nix/profiles/per-user/" + user, "755"}, {"/run/user/" + id, "700"}} {
		if _, err := n.Exec("install", "-d", "-o", id, "-g", id, "-m", folder[1], folder[0]); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, other := range w.Nodes {
		if other != n {
			w.allow(other, n, user)
			w.wrapper(other, user)
		}
	}
	w.wrapper(n, user)
}

// allow copies the rules of sudo for a user from one node to another.
func (w *world) allow(from, to *fleet.Node, user string) {
	w.t.Helper()
	var rules strings.Builder
	for line := range strings.Lines(readFile(w.t, from.Path("/etc/sudoers"))) {
		if strings.Contains(line, "("+user+")") {
			rules.WriteString(line)
		}
	}
	file := to.Path("/etc/sudoers")
	text := readFile(w.t, file) + rules.String()
	if err := os.WriteFile(file, []byte(text), 0o440); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wrapper(n *fleet.Node, user string) {
	w.t.Helper()
	const file = "~/.local/bin/restic-" + migration
	w.as(n, user, "mkdir -p ~/.local/bin; cat >"+file+"; chmod +x "+file, "#!/run/current-system/sw/bin/bash\n"+w.restic+` "$@"`+"\n")
}

// as runs shell text as a user of a node.
func (w *world) as(n *fleet.Node, user, script, input string) {
	w.t.Helper()
	if _, err := n.ExecAs(user, "bash", "-euc", `printf %s "$1" | { `+script+"\n}", "bash", input); err != nil {
		w.t.Fatal(err)
	}
}

// place plans the environment onto a node. It also plans new systems, because a
// change of environments changes them.
func (w *world) place(node, version string) {
	w.t.Helper()
	w.Provider.Replan(w.t, func(inventory map[string]any) {
		inventory["provider"].(map[string]any)["placement"].(map[string]any)["acme__s1e1"] = node
	})
	w.Provider.SetVersion(w.t, version, "n1/system", "n2/system")
}

// restorePlan returns the restore plan of an environment on a node, or "".
func (w *world) restorePlan(n *fleet.Node, user string) string {
	w.t.Helper()
	file := n.Path("/run/hostenv/user/" + user + "/restore/plan.json")
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return ""
	}
	var s, dir unix.Stat_t
	if err == nil {
		err = unix.Stat(file, &s)
	}
	if err == nil {
		err = unix.Stat(filepath.Dir(file), &dir)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	uid := w.Provider.State.Entries[user].UID
	if int(s.Uid) != uid || s.Mode&0o777 != 0o600 || int(dir.Uid) != uid || dir.Mode&0o7777 != 0o700 {
		w.t.Errorf("the restore plan belongs to UID %d with mode %o, in a folder of UID %d with mode %o", s.Uid, s.Mode, dir.Uid, dir.Mode)
	}
	return string(text)
}

// backups returns the backups that were started on a node.
func (w *world) backups(n *fleet.Node) (started []string) {
	text, _ := os.ReadFile(n.Path(systemctlCalls))
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " start ") {
			started = append(started, strings.TrimSpace(line))
		}
	}
	return started
}

// when returns the index of an event among those of the last run, or -1.
func (w *world) when(node, profile string, state deploy.State) int {
	w.t.Helper()
	ids, err := deploy.Runs(w.runs())
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := deploy.ReadJournal(w.runs(), ids[len(ids)-1])
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.IndexFunc(events, func(e deploy.Event) bool {
		return e.Type == deploy.TypeProfile && e.Node == node && e.Profile == profile && e.State == state
	})
}

func (w *world) previousNode(user string) string {
	w.t.Helper()
	return w.planned().Environments[user].PreviousNode
}

// An environment moves to another node with its data, and back.
func TestMove(t *testing.T) {
	w, user := movable(t)
	n1, n2 := w.Nodes[0], w.Nodes[1]
	w.place("n2", "2")
	if got := w.previousNode(user); got != "n1" {
		t.Fatalf("the plan moves the environment from %v", got)
	}
	// The old node's system would remove the user. It must not be deployed alone.
	contains(t, w.wants(w.deploy("-node=n1"), 1).stderr, "the new system of n1 does not have "+user, "-node=n1,n2")

	r := w.wants(w.deploy(), 0)
	contains(t, r.stderr, "n2 "+user+": moves its data from n1 (1 snapshots)")
	planned := regexp.MustCompile(`^\{"sourceNode":"n1","snapshots":\{"drupal-migrate":"[0-9a-f]{64}"\}\}\n$`)
	if got := w.restorePlan(n2, user); !planned.MatchString(got) {
		t.Errorf("the restore plan is %q, want %s", got, planned)
	}
	if got := w.backups(n1); len(got) != 1 || got[0] != user+" --user start --wait -- "+migrationUnit {
		t.Errorf("the old node started %q", got)
	}
	steps := []int{
		w.when("n2", "system", deploy.StateActive), w.when("n2", user, deploy.StateMoving), w.when("n2", user, deploy.StateActivating),
		w.when("n2", user, deploy.StateActive), w.when("n1", "system", deploy.StateActivating), w.when("n1", "system", deploy.StateActive),
	}
	if steps[0] < 0 || !slices.IsSorted(steps) {
		t.Errorf("the steps have the indexes %v", steps)
	}
	if got := w.deployedNode(user); got != "n2" {
		t.Errorf("the state has it on %q", got)
	}
	if got := w.previousNode(user); got != "" {
		t.Errorf("the plan still moves the environment from %v", got)
	}
	w.wants(w.run("status"), 0)
	contains(t, w.wants(w.deploy(), 0).stdout, "4 in sync")

	// The environment moves back to a node that still has its old profile, which is
	// activated, with its data.
	w.place("n1", "3")
	r = w.wants(w.deploy(), 0)
	contains(t, r.stderr, "n1 "+user+": moves its data from n2 (1 snapshots)")
	if got := w.backups(n2); len(got) != 1 {
		t.Errorf("the node that the environment left started %q", got)
	}
	if w.when("n1", user, deploy.StateActive) < 0 {
		t.Errorf("the environment was not activated on its return: %s", r)
	}
	if got := w.deployedNode(user); got != "n1" {
		t.Errorf("the state has it on %q", got)
	}
}

// When the activation of a hostenv environment ends, its data are on the new node.
// If the node has older data, as on the way back, the environment does not start
// with those.
func TestMoveData(t *testing.T) {
	w, user := movable(t)
	n1, n2 := w.Nodes[0], w.Nodes[1]
	write := func(n *fleet.Node, text string) {
		t.Helper()
		w.as(n, user, "mkdir -p ~/.local/share/mysql/drupal; cat >~/.local/share/mysql/drupal/node.ibd", text)
	}
	for _, n := range w.Nodes {
		w.restores(n, user)
	}
	write(n1, "one")
	w.place("n2", "2")
	w.wants(w.deploy(), 0)
	if got := w.table(n2, user); got != "one" {
		t.Fatalf("the new node has the data %q", got)
	}
	if plan := w.restorePlan(n2, user); plan != "" {
		t.Errorf("the restore plan is still there: %s", plan)
	}

	// Moving back, the node has the old data: deploy does not activate over them.
	write(n2, "two")
	w.place("n1", "3")
	r := w.wants(w.deploy(), 3)
	contains(t, r.stdout, "failed (move)", user+" has older data on n1, and would start with those instead of restoring from n2: /home/"+user+"/.local/share/mysql",
		"hint: move them aside, on n1 as "+user, "-skipMigrations="+user)
	if got := w.deployedNode(user); got != "n2" {
		t.Errorf("the state has it on %q", got)
	}
	if w.when("n1", user, deploy.StateActivating) >= 0 || w.table(n1, user) != "one" {
		t.Errorf("the environment was activated over older data: %s", r)
	}
	// Do as the hint says.
	w.as(n1, user, "mkdir ~/before-move && mv ~/.local/share/mysql ~/before-move/", "")
	w.wants(w.deploy(), 0)
	if got := w.table(n1, user); got != "two" || w.deployedNode(user) != "n1" {
		t.Errorf("back on the old node, the data are %q", got)
	}

	// With -skipMigrations, the environment starts with the older data.
	write(n1, "three")
	w.place("n2", "4")
	w.wants(w.deploy("-skipMigrations="+user), 0)
	if got := w.table(n2, user); got != "two" {
		t.Errorf("with -skipMigrations, the data are %q", got)
	}
}

// A move can fail in several ways, each with its own report.
func TestMoveFlags(t *testing.T) {
	w, user := movable(t)
	n1, n2 := w.Nodes[0], w.Nodes[1]
	before := n1.Active(t, "system")
	w.as(n1, user, "cat >~/backup-fails", "")
	w.place("n2", "2")
	r := w.wants(w.deploy(), 3)
	contains(t, r.stdout, "failed (move)", migrationUnit+" failed (exit-code)", "the disk of the backups is full", "skipped (move-pending)")
	if n1.Active(t, "system") != before || n2.Active(t, user) != "" || w.restorePlan(n2, user) != "" {
		t.Error("a failed backup changed the nodes")
	}
	if got := w.deployedNode(user); got != "n1" {
		t.Errorf("the state has it on %q", got)
	}
	// The same move, without its data.
	r = w.wants(w.deploy("-resume", "-ignoreMigrationErrors"), 0)
	contains(t, r.stderr, "warning: environment "+user+" moves without its data")
	if n2.Active(t, user) == "" || w.restorePlan(n2, user) != "" {
		t.Error("the environment is not deployed without its data")
	}

	// If the data stay, deploy removes a restore plan that an earlier run left.
	for i, flag := range []string{"-skipMigrations=" + user, "-skipMigrations=*"} {
		node := w.Nodes[i%2]
		w.as(node, user, `mkdir -p -m 700 /run/hostenv/user/$(id -un)/restore; (umask 077; cat >/run/hostenv/user/$(id -un)/restore/plan.json)`, "{}")
		w.place(node.Name, fmt.Sprint(3+i))
		w.wants(w.deploy(flag), 0)
		if plan := w.restorePlan(node, user); plan != "" {
			t.Errorf("%s: the restore plan is %s", flag, plan)
		}
		if w.when(node.Name, user, deploy.StateActive) < 0 {
			t.Errorf("%s: the environment was not activated", flag)
		}
	}
	if got := w.backups(n2); len(got) > 0 {
		t.Errorf("the node started %q", got)
	}

	// The environment's node was removed, with its data.
	w.place("n1", "5")
	n2.StopSSH(t)
	r = w.wants(w.deploy("-node=n1"), 1)
	contains(t, r.stderr, "the data of environment "+user+" is on another node: node n2 is unreachable", "make it possible to deploy to n2; or leave its data behind")
	r = w.wants(w.deploy("-node=n1", "-ignoreMigrationErrors"), 0)
	contains(t, r.stderr, "warning: environment "+user+" moves without its data", "from n2: the node cannot be reached")
	if got := w.deployedNode(user); got != "n1" {
		t.Errorf("the state has it on %q", got)
	}

	// Flags that are refused.
	for flag, words := range map[string]string{
		"-migrationSource=" + user:         "environment=node",
		"-migrationSource=" + user + "=n9": "is not a node of the plan",
		"-migrationSource=absent=n1":       "is not an environment of the plan",
		"-skipMigrations=absent":           "is not an environment of the plan",
	} {
		contains(t, w.wants(w.deploy(flag), 1).stderr, words)
	}
}

// A resumed run keeps the flags for migrations that it began with, unless new flags
// replace them.
func TestMoveResumed(t *testing.T) {
	w, user := movable(t)
	n1, n2 := w.Nodes[0], w.Nodes[1]
	fails := func(n *fleet.Node) {
		t.Helper()
		n.OnActivation(t, user, fleet.Behaviour{Fail: 3})
		t.Cleanup(func() { n.OnActivation(t, user, fleet.Behaviour{}) })
	}
	w.place("n2", "2")
	fails(n2)
	w.wants(w.deploy("-skipMigrations=*"), 3)
	w.wants(w.deploy("-resume"), 3)
	if got := w.backups(n1); len(got) > 0 {
		t.Errorf("the resumed run started %q", got)
	}
	n2.OnActivation(t, user, fleet.Behaviour{})
	w.wants(w.deploy("-resume", "-migrationSource="+user+"=n1"), 0)
	contains(t, w.restorePlan(n2, user), `"sourceNode":"n1"`)

	w.place("n1", "3")
	w.Provider.SetVersion(t, "3", "n1/"+user)
	w.forget(user)
	fails(n1)
	w.wants(w.deploy("-migrationSource="+user+"=n2"), 3)
	w.wants(w.deploy("-resume"), 3)
	n1.OnActivation(t, user, fleet.Behaviour{})
	w.wants(w.deploy("-resume", "-skipMigrations="+user), 0)
	if plan := w.restorePlan(n1, user); plan != "" {
		t.Errorf("the restore plan is %s", plan)
	}
}

// If neither plan nor state knows where the data are, deploy asks DNS. Without an
// answer from DNS, a flag must name the node.
func TestMoveSource(t *testing.T) {
	w, user := movable(t)
	n2 := w.Nodes[1]
	w.place("n2", "2")
	w.forget(user)
	// A preview also shows it.
	for _, mode := range []string{"-plan", "-dryRun"} {
		r := w.wants(w.deploy(mode), 1)
		contains(t, r.stderr, "-migrationSource="+user+"=")
		contains(t, r.stdout, "n2 "+user+": pending (new)")
		contains(t, w.wants(w.deploy(mode, "-migrationSource="+user+"=n1"), 0).stdout, "n2 "+user+": pending (new)")
	}
	r := w.wants(w.deploy(), 1)
	contains(t, r.stderr, "environment "+user, "-migrationSource="+user+"=")
	contains(t, r.stdout, "no profile was changed")
	w.wants(w.deploy("-migrationSource="+user+"=n1"), 0)
	contains(t, w.restorePlan(n2, user), `"sourceNode":"n1"`, migration)
}

// planned returns plan.json.
func (w *world) planned() plan.Document {
	w.t.Helper()
	document, err := plan.DecodeDocument([]byte(readFile(w.t, filepath.Join(w.Provider.Dir, "generated", "plan.json"))))
	if err != nil {
		w.t.Fatal(err)
	}
	return document
}

// forget removes from state and plan where an environment is, as if older tools,
// which do not record it, had written them.
func (w *world) forget(user string) {
	w.t.Helper()
	s := w.Provider.State
	entry := s.Entries[user]
	entry.DeployedNode = ""
	s.Entries[user] = entry
	document := w.Provider.Plan.WithDeployed(map[string]string{user: entry.Node}, s.Digest())
	for name, text := range map[string][]byte{"state.json": s.Encode(), "plan.json": document.Encode()} {
		if err := os.WriteFile(filepath.Join(w.Provider.Dir, "generated", name), text, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}
