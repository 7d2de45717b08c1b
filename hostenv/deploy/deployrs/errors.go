package deployrs

import (
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// programError reports that there is no deploy-rs to run.
func programError(p deploy.Profile, err error) error {
	return problem.WithHint(fmt.Errorf("find the deploy-rs that activates %s: %w", p.Key(), err),
		"check that flake.nix has the input deploy-rs, or name the program: -deployRs=/nix/store/...-deploy-rs/bin/deploy")
}

// exitError reports that deploy-rs failed, by the exit status of a shell: 128 and
// the signal's number if one ended it. It does not tell the node's state.
func exitError(p deploy.Profile, status int) error {
	const seeLogs = "read the log of the profile for the output of deploy-rs, and on the node the log of the activation, in " + deploy.ActivationLogs
	switch status {
	case 1:
		return problem.New("deploy-rs", "failed to activate "+p.Key(), seeLogs)
	case 2:
		return problem.New("deploy-rs", "rejects the arguments for "+p.Key(),
			"this hostenv-provider and this deploy-rs do not work together: please report it, with the log")
	case 126, 127:
		return problem.New("deploy-rs", "cannot be run for "+p.Key(), seeLogs)
	}
	return problem.New("deploy-rs", fmt.Sprintf("failed to activate %s and ended with status %d", p.Key(), status), seeLogs)
}
