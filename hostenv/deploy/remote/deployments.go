package remote

import (
	"bytes"
	"context"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// Record makes the node keep a deployment; see [deploy.Session]. The newest are the lines
// of ~/.hostenv-deploy/deploys of the deploy user, the newest last.
func (s *session) Record(ctx context.Context, d deploy.Deployment) error {
	a, err := s.request(ctx, "record", nil, string(d.Encode()))
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, s.node.User, "recording the deployment", a.status, a.stderr}
	}
	return err
}

// Deployments returns what Record wrote; see [deploy.Session].
func (s *session) Deployments(ctx context.Context) ([]deploy.Deployment, error) {
	a, err := s.request(ctx, "records", nil)
	if err == nil && a.status != 0 {
		err = &CommandError{s.node.Name, s.node.User, "reading the deployments", a.status, a.stderr}
	}
	if err != nil {
		return nil, err
	}
	return deploy.ReadDeployments(s.node.Name, bytes.Split(a.stdout, []byte("\n"))), nil
}
