// Package nodes_test evaluates nodes of plans as whole NixOS systems, made from
// nix/lib/nodes.nix and nix/modules, with NixOS's own modules and sops-nix.
package nodes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// A node is a node to evaluate, in the form that eval.nix takes.
type node struct {
	Plan     string         `json:"plan"` // a file
	Node     string         `json:"node"`
	Provider map[string]any `json:"provider"`
	Sops     bool           `json:"sops"`    // whether the provider has the input sops-nix
	Modules  []string       `json:"modules"` // files, as provider.nodeModules

	NodesPath   *string `json:"nodesPath"`
	SecretsPath *string `json:"secretsPath"`
}

// A system is the result of eval.nix for a whole node.
type system struct {
	Assertions []string // the failed assertions
	Warnings   []string
	Toplevel   string // "" if an assertion failed
}

// evaluate asks for `what` of the nodes (see eval.nix), in one run of Nix. The
// error holds Nix's message.
func evaluate[T any](t *testing.T, what string, nodes map[string]node) (map[string]T, error) {
	t.Helper()
	return evaluateBy[T](t, testenv.Need(t, "nix"), what, nodes)
}

// evaluateBy is evaluate with a chosen Nix.
func evaluateBy[T any](t *testing.T, binary, what string, nodes map[string]node) (map[string]T, error) {
	t.Helper()
	root := testenv.Need(t, "nixos-eval")
	for name, n := range nodes {
		if n.Modules == nil {
			n.Modules = []string{}
			nodes[name] = n
		}
	}
	cases := write(t, "cases.json", encode(t, nodes))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "eval", "--json", "--impure", "--offline", "--expr",
		fmt.Sprintf("import %s/eval.nix { root = %s; cases = /. + %q; what = %q; }", here, root, cases, what))
	// A larger initial heap saves time for garbage collection.
	cmd.Env = append(testenv.NixEnv(testenv.NixDir(t)), "GC_INITIAL_HEAP_SIZE=1G")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, log.String())
	}
	answers := map[string]T{}
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return answers, nil
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// write makes a file in a new folder.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// read decodes a JSON file.
func read(t *testing.T, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// scenarios returns the folders of golden/ that have a plan.
func scenarios(t *testing.T) []string {
	t.Helper()
	plans, err := filepath.Glob("../../../golden/*/plan.json")
	if err != nil || len(plans) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	dirs := make([]string, len(plans))
	for i, plan := range plans {
		dirs[i] = filepath.Dir(plan)
	}
	return dirs
}

// scenario returns the folder of golden/ whose name begins with the number.
func scenario(t *testing.T, number string) string {
	t.Helper()
	for _, dir := range scenarios(t) {
		if strings.HasPrefix(filepath.Base(dir), number+"-") {
			return dir
		}
	}
	t.Fatalf("no scenario %s", number)
	return ""
}

// provider returns the provider's options of a scenario, with a signing key.
func provider(t *testing.T, dir string) map[string]any {
	p := read(t, filepath.Join(dir, "inventory.json"))["provider"].(map[string]any)
	p["nixSigning"] = map[string]any{"trustedPublicKeys": []string{"hosting.example-1:VpyNRlfoLMTuZrSzZZZqEYxcZJ7MPkbbL2tBGGGQrQ4="}}
	return p
}

// secrets writes a sops file with the secrets that the environments of a plan
// need: in turn the environment's own, the project's and the organisation's.
func secrets(t *testing.T, plan map[string]any) *string {
	places := map[string]bool{}
	environments, _ := plan["environments"].(map[string]any)
	for i, user := range slices.Sorted(maps.Keys(environments)) {
		h, _ := environments[user].(map[string]any)["hostenv"].(map[string]any)
		organisation := fmt.Sprint(h["organisation"])
		places[[]string{user, organisation + "_" + fmt.Sprint(h["project"]), organisation}[i%3]] = true
	}
	path := sopsFile(t, slices.Sorted(maps.Keys(places))...)
	if wildcards, ok := plan["wildcards"].([]any); ok {
		tokens := map[string]bool{}
		for _, w := range wildcards {
			tokens[fmt.Sprint(w.(map[string]any)["apiTokenSecret"])] = true
		}
		for token := range tokens {
			path = withSecret(t, path, token)
		}
	}
	return &path
}

// withSecret adds a key of the second level to a file of [sopsFile].
func withSecret(t *testing.T, file, key string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	place, name, _ := strings.Cut(key, "/")
	return write(t, "secrets.yaml", place+":\n    "+name+": ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]\n"+string(text))
}

// sopsFile writes a file in the format of sops, with both secrets of backups at each
// of the places.
func sopsFile(t *testing.T, places ...string) string {
	const value = ": ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]\n"
	text := ""
	for _, place := range places {
		text += place + ":\n    backups_secret" + value + "    backups_env" + value
	}
	return write(t, "secrets.yaml", text+"sops:\n    version: 3.9.1\n")
}

// path returns the value at a path of a decoded document.
func path(document map[string]any, names ...string) map[string]any {
	for _, name := range names {
		next, ok := document[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			document[name] = next
		}
		document = next
	}
	return document
}
