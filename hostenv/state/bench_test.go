package state_test

import (
	"fmt"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/state"
)

var sizes = []int{1_000, 10_000, 20_000}

// largeClaims returns n environments with three host names each, on ten nodes.
func largeClaims(n int) []state.Claim {
	list := make([]state.Claim, n)
	for i := range list {
		organisation, project := fmt.Sprintf("org%d", i/30), fmt.Sprintf("project%d", i/3%10)
		environment := []string{"main", "staging", "dev"}[i%3]
		user := hostenvName(organisation, project, environment)
		list[i] = state.Claim{
			UserName: user, Organisation: organisation, Project: project, Environment: environment, Node: fmt.Sprintf("n%d", i%10),
			VirtualHosts: []string{
				user + ".hostenv.test",
				fmt.Sprintf("%s.%s.%s.test", environment, project, organisation),
				fmt.Sprintf("www.%s.%s.%s.test", environment, project, organisation),
			},
		}
	}
	return list
}

func largeRequest(n int) state.Request {
	return state.Request{Claims: largeClaims(n), UIDs: state.UIDRange{Min: 1002, Max: 59999}}
}

func BenchmarkNext(b *testing.B) {
	for _, n := range sizes {
		req := largeRequest(n)
		full := next(b, state.New(), req).State
		b.Run(fmt.Sprintf("all-new/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next(b, state.New(), req)
			}
		})
		b.Run(fmt.Sprintf("none-new/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next(b, full, req)
			}
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, n := range sizes {
		full := next(b, state.New(), largeRequest(n)).State
		data := full.Encode()
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := state.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				full.Encode()
			}
		})
	}
}
