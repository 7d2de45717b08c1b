package remote

import (
	"context"
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Restore activates a path; see [deploy.Session]. It goes on, on the node, if the
// connection is lost. Its output is in ~/.hostenv-deploy/<profile>.log of the
// deploy user.
func (s *session) Restore(ctx context.Context, p deploy.Profile, path string) error {
	if err := checkProfile(s.node.Name, p); err != nil {
		return err
	}
	if !isStorePath(path) {
		return refused(s.node.Name, fmt.Sprintf("%q cannot be restored for %s: it is not a store path", path, p.Name), "see what the profile's link leads to")
	}
	kind := "environment"
	if p.IsSystem() {
		kind = "system"
	}
	a, err := s.request(ctx, "restore", nil, p.Name, p.User, p.Link, p.Temp, path, kind)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, p.User, "restoring " + path, a.status, a.stderr}
	}
	return err
}

// Remove removes the link of an environment; see [deploy.Session]. A link that
// does not exist is not an error.
func (s *session) Remove(ctx context.Context, p deploy.Profile) error {
	if err := checkProfile(s.node.Name, p); err != nil {
		return err
	}
	if p.IsSystem() || p.User == "root" {
		return refused(s.node.Name, "its system's profile cannot be removed", "restore an older system instead")
	}
	a, err := s.request(ctx, "remove", nil, p.User, p.Link)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, p.User, "removing " + p.Link, a.status, a.stderr}
	}
	return err
}
