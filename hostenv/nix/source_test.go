package nix

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A source has a tree to fetch, a label for messages, and advice for a failure.
func TestSource(t *testing.T) {
	type attributes = map[string]any
	ask := func(command string) string {
		return "does the ref exist, and is the repository reachable from here? ask `git ls-remote " + command + "`"
	}
	tests := []struct {
		reason        string
		source, tree  attributes
		label, advice string
	}{{
		reason: "dir and allRefs are not of the tree",
		source: attributes{"type": "git", "url": "ssh://git@git.example/site?dir=x&y=1", "ref": "main", "dir": "x", "allRefs": true},
		tree:   attributes{"type": "git", "url": "ssh://git@git.example/site?y=1", "ref": "main"},
		label:  "git+ssh://git@git.example/site?y=1&ref=main",
		advice: ask("ssh://git@git.example/site?y=1 main"),
	}, {
		reason: "without dir of its own, dir in the address is the address",
		source: attributes{"type": "git", "url": "https://git.example/site?dir=x", "rev": "c0ffee"},
		tree:   attributes{"type": "git", "url": "https://git.example/site?dir=x", "rev": "c0ffee"},
		label:  "git+https://git.example/site?dir=x&rev=c0ffee",
		advice: ask("https://git.example/site?dir=x"),
	}, {
		reason: "a forge takes a branch's plain name",
		source: attributes{"type": "github", "owner": "acme", "repo": "site", "ref": "refs/heads/feature/x", "dir": ".hostenv"},
		tree:   attributes{"type": "github", "owner": "acme", "repo": "site", "ref": "feature/x"},
		label:  "github:acme/site/feature/x",
		advice: ask("https://github.com/acme/site feature/x"),
	}, {
		reason: "a forge of one's own, a group within a group",
		source: attributes{"type": "gitlab", "host": "git.example", "owner": "acme%2Fweb", "repo": "site", "ref": "main"},
		tree:   attributes{"type": "gitlab", "host": "git.example", "owner": "acme%2Fweb", "repo": "site", "ref": "main"},
		label:  "gitlab:acme%2Fweb/site/main?host=git.example",
		advice: ask("https://git.example/acme/web/site main"),
	}, {
		reason: "sourcehut",
		source: attributes{"type": "sourcehut", "owner": "~acme", "repo": "site"},
		tree:   attributes{"type": "sourcehut", "owner": "~acme", "repo": "site"},
		label:  "sourcehut:~acme/site",
		advice: ask("https://git.sr.ht/~acme/site"),
	}, {
		reason: "a relative path counts from the provider's folder",
		source: attributes{"type": "path", "path": "../site"},
		tree:   attributes{"type": "path", "path": "/srv/site"},
		label:  "path:/srv/site",
		advice: "does the folder /srv/site exist?",
	}, {
		reason: "any other kind",
		source: attributes{"type": "tarball", "url": "https://me:secret@git.example/site.tar.gz"},
		tree:   attributes{"type": "tarball", "url": "https://me:secret@git.example/site.tar.gz"},
		label:  "tarball+https://git.example/site.tar.gz",
		advice: "is tarball+https://git.example/site.tar.gz reachable from here?",
	}}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			s, err := (&Runner{Dir: "/srv/provider"}).sourceOf(test.source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.tree, s.tree); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			if s.label != test.label {
				t.Errorf("label %q, want %q", s.label, test.label)
			}
			if advice := s.advice(); advice != test.advice {
				t.Errorf("advice %q, want %q", advice, test.advice)
			}
		})
	}
}

// Each source is in one batch of at most maxBatch, and all batches of a repository
// are in turn.
func TestBatches(t *testing.T) {
	for _, processes := range []int{1, 2, 4, 16} {
		for _, repositories := range []int{1, 3, 40} {
			for _, total := range []int{1, 7, 49, 51, 300} {
				var sources []*source
				for i := range total {
					sources = append(sources, &source{repository: fmt.Sprint(i * i % repositories)})
				}
				seen := map[*source]bool{}
				home := map[string]int{}
				for job, inTurn := range batches(sources, processes) {
					for _, batch := range inTurn {
						if len(batch) == 0 || len(batch) > maxBatch {
							t.Errorf("%d sources of %d repositories for %d processes: a batch of %d", total, repositories, processes, len(batch))
						}
						for _, s := range batch {
							if at, ok := home[s.repository]; ok && at != job {
								t.Errorf("repository %s is fetched by two processes", s.repository)
							}
							home[s.repository] = job
							if seen[s] {
								t.Errorf("a source of repository %s is fetched twice", s.repository)
							}
							seen[s] = true
						}
					}
				}
				if len(seen) != total {
					t.Errorf("%d of %d sources are fetched", len(seen), total)
				}
			}
		}
	}
}

// A name may hold what ends a string in Nix, or code.
func TestQuote(t *testing.T) {
	if got, want := Quote(`a"b\c${d}$e`), `"a\"b\\c\${d}$e"`; got != want {
		t.Errorf("Quote gives %s, want %s", got, want)
	}
}
