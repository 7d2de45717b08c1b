package move

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// program is the program on a node that makes backups and writes restore plans. Its
// source is nix/modules/hostenv-move.sh.
const program = "hostenv-move"

// An oldNode is a session on the node that has an environment's data, with the
// environment's user.
type oldNode struct {
	session deploy.Session
	user    string
}

func (o oldNode) run(ctx context.Context, argv ...string) ([]byte, error) {
	return o.session.Run(ctx, o.user, nil, append([]string{program}, argv...)...)
}

// snapshot makes a backup and returns its snapshot.
//
// If the node has no backup <base>-migrate, snapshot makes <base> instead: the
// environment may have been deployed before it had the first. It looks for the
// snapshot by a tag with the backup's name, then without a tag, and then in the
// journal of the backup's service.
func (o oldNode) snapshot(ctx context.Context, name string) (string, error) {
	base, isMigrate := strings.CutSuffix(name, "-migrate")
	isMigrate = isMigrate && base != ""
	ran := name
	since, err := o.backup(ctx, ran)
	if err == nil && since.IsZero() && isMigrate {
		ran = base
		since, err = o.backup(ctx, ran)
	}
	if err != nil {
		return "", err
	}
	if since.IsZero() {
		names := "restic-backups-" + name + ".service"
		if isMigrate {
			names += " nor restic-backups-" + base + ".service"
		}
		return "", fmt.Errorf("its user has no %s", names)
	}

	var reasons []string
	try := func(what string, pick func([]byte) (string, error), argv ...string) string {
		out, err := o.run(ctx, argv...)
		id := ""
		if err == nil {
			id, err = pick(out)
		}
		if err != nil {
			reasons = append(reasons, what+": "+shown(err))
		}
		return id
	}
	pick := func(choose func([]snapshot, time.Time) (string, error)) func([]byte) (string, error) {
		return func(out []byte) (string, error) {
			list, err := decodeSnapshots(out)
			if err != nil {
				return "", err
			}
			return choose(list, since)
		}
	}
	id := try("snapshots tagged "+ran, pick(newest), "snapshots", ran, "tagged")
	if id == "" {
		id = try("all snapshots", pick(only), "snapshots", ran, "all")
	}
	if id == "" && isMigrate && ran == name {
		id = try("all snapshots by restic-"+base, pick(only), "snapshots", base, "all")
	}
	if id == "" {
		id = try("the journal of its service", fromJournal, "journal", ran, strconv.FormatInt(since.Unix(), 10))
	}
	if id == "" {
		return "", fmt.Errorf("it succeeded, but its snapshot was not found (%s)", strings.Join(reasons, "; "))
	}
	return id, nil
}

var began = regexp.MustCompile(`^since ([0-9]{1,12})[.]([0-9]{9})\n$`)

// backup makes a backup and waits until it ends. It returns when the backup began,
// by the node's clock; zero if the user has no such backup.
func (o oldNode) backup(ctx context.Context, name string) (time.Time, error) {
	out, err := o.run(ctx, "backup", name)
	if err != nil {
		return time.Time{}, err
	}
	if string(out) == "missing\n" {
		return time.Time{}, nil
	}
	match := began.FindSubmatch(out)
	if match == nil {
		return time.Time{}, fmt.Errorf("%s printed %.100q", program, out)
	}
	// Neither can fail: both are digits only, and few enough.
	seconds, _ := strconv.ParseInt(string(match[1]), 10, 64)
	nanoseconds, _ := strconv.ParseInt(string(match[2]), 10, 64)
	return time.Unix(seconds, nanoseconds), nil
}
