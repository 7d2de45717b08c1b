package remote

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Keep makes the node record a plan; see [deploy.Session]. The record is the first line
// of ~/.hostenv-deploy/plan of the deploy user: serial, digest, commit, time, and who
// deployed it. The second line is "held" and the environments that are held back; the
// node's metrics have them (nix/modules/metrics.sh).
func (s *session) Keep(ctx context.Context, plan deploy.PlanRecord, held []string, lower bool) error {
	how := "keep"
	if lower {
		how = "lower"
	}
	by := []rune(printable(plan.By))
	record := fmt.Sprintf("%d %s %s %s %s", plan.Serial, cmp.Or(plan.Digest, "-"), cmp.Or(plan.Commit, "-"), cmp.Or(plan.Time, "-"), string(by[:min(len(by), 200)]))
	for i, user := range held {
		if !isUserName(user) {
			return refused(s.node.Name, fmt.Sprintf("%q is not a user name", user), "run `mage plan`")
		}
		if i == 0 {
			record += "\nheld"
		}
		record += " " + user
	}
	a, err := s.request(ctx, "keep", nil, strconv.Itoa(plan.Serial), record, how)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, s.node.User, "recording the plan", a.status, a.stderr}
	}
	return err
}

var (
	digest = regexp.MustCompile(`^[0-9a-f]{64}$`)
	commit = regexp.MustCompile(`^[0-9a-f]{7,64}(-dirty)?$`)
)

// readPlan reads the record of a plan. Of one that Keep did not write it keeps nothing.
func (r *report) readPlan(v []string) {
	line, _, _ := strings.Cut(v[0], "\n")
	fields := strings.SplitN(line, " ", 5)
	if len(fields) != 5 {
		return
	}
	serial, err := strconv.Atoi(fields[0])
	if err != nil || serial < 1 || !digest.MatchString(fields[1]) {
		return
	}
	r.plan = deploy.PlanRecord{Serial: serial, Digest: fields[1], By: printable(fields[4])}
	if commit.MatchString(fields[2]) {
		r.plan.Commit = fields[2]
	}
	if _, err := time.Parse(time.RFC3339, fields[3]); err == nil {
		r.plan.Time = fields[3]
	}
}
