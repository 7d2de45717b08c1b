package deploy

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
)

// TestPaths holds the paths of a node against the table that nix/tests/paths.nix
// holds nix/lib/paths.nix against. The default of tempPath is that of a golden plan.
func TestPaths(t *testing.T) {
	text, err := os.ReadFile("testdata/paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var table map[string]string
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile("../../golden/002-b-two-orgs-some-new/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := plan.DecodeDocument(written)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := Planned(document)
	if err != nil {
		t.Fatal(err)
	}
	system, environment := nodes[0].Profiles[0], nodes[0].Profiles[1]
	ofUser := func(path string) string { return strings.ReplaceAll(path, environment.User, "site-main") }
	logs := strings.Replace(ActivationLogs, "~/.local/state", "$XDG_STATE_HOME", 1)
	for name, has := range map[string]bool{
		"systemProfile":    system.Link == table["systemProfile"],
		"profile":          ofUser(environment.Link) == table["profile"],
		"temp":             system.Temp == table["temp"],
		"systemLogs":       strings.HasPrefix(logs, table["systemLogs"]+","),
		"userLogs":         strings.Contains(logs, " "+table["userLogs"]+" "),
		"frontDoor":        strings.Contains(askFrontDoor, " "+table["frontDoor"]+" "),
		"frontDoorStarted": strings.Contains(askFrontDoor, " "+table["frontDoorStarted"]+";"),
	} {
		if table[name] == "" || !has {
			t.Errorf("the path %s is not %q", name, table[name])
		}
		delete(table, name)
	}
	if len(table) > 0 {
		t.Errorf("paths that only Nix has: %v", table)
	}
}
