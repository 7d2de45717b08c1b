package deploy_test

import (
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/deploy"
)

// A journal records how a run went, even if its driver was killed.
func ExampleOutcomeOf() {
	var events []deploy.Event
	for _, line := range []string{
		`{"type":"version","events":"1.0"}`,
		`{"type":"profile","node":"n1","profile":"system","state":"active"}`,
		`{"type":"profile","node":"n1","profile":"shop-main-4f7240c","state":"activating","was":"/nix/store/old","want":"/nix/store/new"}`,
	} {
		e, err := deploy.DecodeEvent([]byte(line))
		if err != nil {
			panic(err)
		}
		events = append(events, e)
	}
	outcome := deploy.OutcomeOf(events)
	for _, p := range outcome.Profiles {
		fmt.Println(p.Node, p.Profile, p.State, p.Good())
	}
	fmt.Println(outcome.Ended, outcome.Profiles[1].Doubt.Path)
	// Output:
	// n1 system active true
	// n1 shop-main-4f7240c activating false
	// false /nix/store/new
}
