// Package nixosnodes_test tests an operator's work: the compiled targets
// plan and deploy to real NixOS nodes, see internal/nixosnode.
//
// Each test has a file of its own. It begins with a lab:
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
// and follows the documentation for operators. It changes the provider's
// repository ([nixosnode.Provider]: Add, Remove, Set, Module, Secrets, and Commit
// after the last three), runs targets ([labTest.mage], or Begin for a run that it
// kills), disturbs nodes ([nixosnode.Node]: PowerCut, CutOff, Reboot, FillStore),
// and checks the nodes (Run, Unit, Profile, System), their answers
// ([nixosnode.Lab.Client]) and the output of `mage status`.
//
// Rules. A test waits for an event with [nixosnode.Eventually], never for a time.
// It checks the node, not only the output of a target. If this machine lacks what a
// check needs (controllers of cgroups, for example), the check skips with a reason.
// Code that several tests need is in helpers_test.go. Up to GOMAXPROCS tests
// run in parallel, each with a network of its own.
//
// One test: go test ./magefiles/targets/nixosnodes -run=TestFirstDeploy -v
// A failed test logs the consoles and journals of its nodes.
package nixosnodes_test

import (
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/nixosnode"

	// The operator runs a program compiled from this package. The import makes go
	// test run the tests again when the package changes.
	_ "github.com/woolwichweb/hostenv-provider/magefiles/targets"
)

func TestMain(m *testing.M) { nixosnode.Main(m) }
