// Package drive deploys a provider: it reads the plan, selects profiles, evaluates
// the flake, signs, keeps the journal, resumes an earlier run, and records the node
// of every environment. `mage deploy` calls [Run], and so can any other program.
//
// Package deploy decides what a run does to nodes, and in which order. Drive
// connects it to ssh, Nix, deploy-rs and the files of the provider.
package drive

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/nix"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// Options select what a run does. The zero value deploys all environments of the
// provider in the working folder.
type Options struct {
	deploy.Options

	Root   string            // the provider's root, where its flake.nix is; "" is the working folder
	Folder *generated.Folder // of state and plan; nil is "generated" in Root
	Mode   deploy.Mode
	// Selection selects the profiles. A resumed run has its own.
	Selection deploy.Selection
	// Resume resumes the last run of the folder with its selection and its options.
	// Options that are set here take precedence.
	Resume bool
	// Migrations are exceptions to how data moves with environments. The user
	// "*" in Skip is every environment.
	Migrations deploy.Migrations
	// Reviewed is the digest ([plan.Digest]) of the plan to deploy, as it was
	// committed. Run refuses any other. "" is for the plan that is here.
	Reviewed   string
	SigningKey string // the file of the secret key, see [nix.OpenKey]
	DeployRs   string // deploy-rs's program, see [deployrs.Options]
	Holder     string // names this run to others that wait for its locks; "" is [Holder]
	// Nix returns the runner for Root. Run calls it once, after it has checked the
	// plan and the selection; nil is a runner without access tokens.
	Nix func(ctx context.Context) (*nix.Runner, error)
	// Stop ends the run early when it is closed, see [deploy.Runner].
	Stop <-chan struct{}
}

// A Sink receives what happens, for people to read. Each function may be nil, and
// must be safe for concurrent use.
type Sink struct {
	Event func(deploy.Event) // every event, once it is durable
	Phase func(text string)  // a slow step before the first event
	Warn  func(text string)
	// Plan gets the plan that is deployed, before anything else: the deploy keeps the
	// projects that it holds back at what it has of them.
	Plan func(plan.Document)
}

func (o Options) withDefaults() Options {
	if o.Root == "" {
		o.Root = "."
	}
	if o.Folder == nil {
		o.Folder = generated.Open(filepath.Join(o.Root, generated.Default))
	}
	if o.Holder == "" {
		o.Holder = Holder()
	}
	if o.Nix == nil {
		o.Nix = func(context.Context) (*nix.Runner, error) { return &nix.Runner{Dir: o.Root}, nil }
	}
	return o
}

func (s Sink) withDefaults() Sink {
	none := func(string) {}
	if s.Event == nil {
		s.Event = func(deploy.Event) {}
	}
	if s.Phase == nil {
		s.Phase = none
	}
	if s.Warn == nil {
		s.Warn = none
	}
	if s.Plan == nil {
		s.Plan = func(plan.Document) {}
	}
	return s
}

// check refuses options that contradict each other.
func (o Options) check() error {
	selects := len(o.Selection.Nodes)+len(o.Selection.Profiles)+len(o.Selection.Exclude) > 0
	switch {
	case o.Mode < deploy.Deploy || o.Mode > deploy.Look:
		return problem.New("Options.Mode", fmt.Sprintf("is %d", o.Mode), "use deploy.Deploy, deploy.Preview or deploy.Look")
	case o.Resume && o.Mode != deploy.Deploy:
		return problem.New("", "-resume deploys, and cannot be combined with -plan or -dryRun", "omit -resume to see what a deploy would change")
	case o.Resume && selects:
		return problem.New("", "-resume has the selection of the last run, and cannot be combined with -node, -env or -exclude", "omit -resume to deploy something else")
	case o.DetailedExitcode && o.Mode == deploy.Deploy:
		return problem.New("", "-detailedExitcode has no effect without -plan or -dryRun", "add -plan")
	case o.Jobs < 0:
		return problem.New("-jobs", fmt.Sprintf("is %d", o.Jobs), "write a whole number above 0, such as 4")
	}
	return nil
}

// Holder names this process to other runs that wait for its locks.
func Holder() string {
	name := "an unknown user"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("%s@%s, process %d", name, host, os.Getpid())
}
