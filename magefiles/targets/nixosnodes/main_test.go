// Package nixosnodes_test tells what an operator lives through, as stories: the
// compiled targets plan and deploy to real NixOS nodes, see internal/nixosnode.
//
// A story is a test in a file of its own, <story>_test.go. It begins with a lab:
//
//	func TestCertificates(t *testing.T) {
//		t.Parallel()
//		s := begin(t, "node-a", "node-b") // nodes are up, the provider has no customer
//		s.Provider.Add(t, nixosnode.Customer{Organisation: "acme", Project: "shop"})
//		s.mage(0, "plan")
//		s.mage(0, "deploy")
//		s.serves("http://"+s.user("acme", "shop")+"."+nixosnode.Domain, "acme__shop")
//	}
//
// and goes on as the documentation tells an operator to: it changes the
// provider's repository ([nixosnode.Provider]: Add, Remove, Set, Module, Secrets,
// and Commit after the last three), runs targets ([story.mage], or Begin for one
// that is to be killed), does to nodes what the world does ([nixosnode.Node]:
// PowerCut, CutOff, Reboot, FillStore) and looks at the nodes (Run, Unit,
// Profile, System), at what they answer ([nixosnode.Lab.Client]) and at what
// `mage status` says.
//
// Rules. A story waits for an event by [nixosnode.Eventually], never for a time.
// It looks at the node, not only at what a target said. A check that needs what
// this machine may lack (controllers of cgroups, say) skips with a reason. Where
// stories need the same, it goes to helpers_test.go. Stories run in parallel, up
// to as many as GOMAXPROCS; each has a network of its own.
//
// One story: go test ./magefiles/targets/nixosnodes -run=TestFirstDeploy -v
// A failed one shows the consoles and journals of its nodes.
package nixosnodes_test

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"

	// What the operator runs, so that go test knows that a change of it is one here.
	_ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

func TestMain(m *testing.M) { nixosnode.Main(m) }
