package launcher

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fleet are targets of every shape.
var fleet = []Target{
	{Name: "plan", Flags: []Flag{{"dryRun", true}, {"detailedExitcode", true}, {"inventory", false}, {"out", false}}},
	{Name: "state:init", Flags: []Flag{{"out", false}}},
	{Name: "state:list", Flags: []Flag{{"json", true}, {"out", false}}},
	{Name: "dnsGate", Flags: []Flag{{"node", false}, {"timeout", false}}},
	{Name: "nodesBuild", Args: 1, Flags: []Flag{{"dryRun", true}, {"out", false}}},
	{Name: "deploy", Flags: []Flag{{"node", false}, {"dryRun", true}, {"n", false}}},
	{Name: "deploy:resume", Flags: []Flag{{"node", false}}},
	{Name: "status"},
}

// legacy are targets whose flags hostenv's own hostenv-provider called otherwise.
var legacy = []Target{
	{Name: "plan", Flags: []Flag{{"dryRun", true}}},
	{Name: "dnsGate", Flags: []Flag{{"node", false}, {"update", true}}},
	{Name: "deploy", Flags: []Flag{{"node", false}, {"signingKey", false}, {"dryRun", true}}},
	{Name: "nodesBuild", Args: 1, Flags: []Flag{{"out", false}}},
}

func TestTranslate(t *testing.T) {
	for _, test := range []struct {
		line, want string
		why        string
	}{
		{"dns-gate --node n1", "dnsGate -node=n1", ""},
		{"dns gate --node=n1", "dnsGate -node=n1", ""},
		{"dns-gate -n n1", "dnsGate -node=n1", "-n is short for -node"},
		{"dns-gate -n=n1", "dnsGate -node=n1", ""},
		{"dns-gate -node n1", "dnsGate -node=n1", "Mage wants the equals sign"},
		{"deploy -n n1", "deploy -n=n1", "a flag of that very name goes first"},
		{"deploy --node n1 --dry-run", "deploy -node=n1 -dryRun", ""},
		{"deploy --dry-run=false --node n1", "deploy -dryRun=false -node=n1", ""},
		{"deploy --dryRun", "deploy -dryRun", ""},
		{"deploy resume", "deploy:resume", "the longest name wins"},
		{"deploy status", "deploy status", "two targets"},
		{"state list", "state:list", ""},
		{"state-list --json", "state:list -json", ""},
		{"state list plan --dry-run", "state:list plan -dryRun", "a switch takes no value"},
		{"plan --dry-run state list --out x", "plan -dryRun state:list -out=x", ""},
		{"plan --inventory - --out=", "plan -inventory=- -out=", "a single hyphen is a value"},
		{"plan --inventory=--odd", "plan -inventory=--odd", "only so can a value begin with a hyphen"},
		{"plan --detailed-exitcode", "plan -detailedExitcode", ""},
		{"nodes build n1", "nodesBuild n1", ""},
		{"nodes-build n1 --dry-run", "nodesBuild n1 -dryRun", ""},
		{"nodes build --dry-run n1 --out x", "nodesBuild n1 -dryRun -out=x", "arguments come before flags in Mage"},
		{"nodes build plan plan", "nodesBuild plan plan", "a node may be called as a target is"},
		{"nodes build state state list", "nodesBuild state state:list", ""},

		{"--verbose plan", "-v plan", ""},
		{"--timeout 5m plan", "-t=5m plan", ""},
		{"--timeout=5m plan", "-t=5m plan", ""},
		{"--list", "-l", ""},
		{"--help plan", "-h plan", ""},
		{"help state list", "-h state:list", ""},
		{"-h dns-gate", "-h dnsGate", ""},
		{"plan --help", "-h plan", ""},
		{"state list -h", "-h state:list", ""},
		{"nodes build --help", "-h nodesBuild", "without its argument"},
		{"plan deploy --help", "-h deploy", "nothing is run"},

		{"plan --bogus --dry-run", "plan --bogus --dry-run", "Mage complains of --bogus"},
		{"plan --bogus x", "plan --bogus x", ""},
		{"plan --inventory", "plan --inventory", "Mage complains of a flag without value"},
		{"plan --inventory --dry-run", "plan --inventory --dry-run", ""},
		{"status --bogus", "status --bogus", ""},
		{"plan -- state list --out x", "plan -- state list --out x", "what follows -- is not touched"},
		{"-- dns-gate --node n1", "-- dns-gate --node n1", ""},
		{"deploy --node n1 -- --node n2", "deploy -node=n1 -- --node n2", ""},

		// Mage's own.
		{"", "", ""},
		{"-l", "-l", ""},
		{"-h", "-h", ""},
		{"-h unknown", "-h unknown", ""},
		{"-l unknown", "-l unknown", ""},
		{"-v -t 5m plan", "-v -t 5m plan", ""},
		{"--v -t=5m plan", "--v -t=5m plan", ""},
		{"-v=false plan", "-v=false plan", ""},
		{"DNSGATE -NODE=n1", "DNSGATE -NODE=n1", "Mage knows no case"},
		{"dnsGate -node=n1 plan -dryRun state:list -json=true", "dnsGate -node=n1 plan -dryRun state:list -json=true", ""},
		{"nodesBuild n1 -dryrun deploy -node=", "nodesBuild n1 -dryrun deploy -node=", ""},
	} {
		got, err := Translate(fleet, strings.Fields(test.line))
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%q is %q (%v), not %q: %s", test.line, strings.Join(got, " "), err, test.want, test.why)
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	for _, test := range []struct {
		line, want string
		why        string
	}{
		{"bogus", `unknown target "bogus", nothing was run`, ""},
		{"deploy n1", `unknown target "n1", nothing was run`, "Mage would deploy every node first"},
		{"plan bogus", `unknown target "bogus", nothing was run`, "Mage would plan first"},
		{"state", `unknown target "state", nothing was run`, ""},
		{"--node n1 deploy", "unknown flag --node before the first target", "Mage would end with 0"},
		{"-x", "unknown flag -x before the first target", ""},
		{"-t soon plan", `invalid value "soon" for flag -t: parse error`, "Mage would end with 0"},
		{"-t", "flag needs an argument: -t", ""},
		{"nodes build", `target "nodesBuild" wants 1 arguments and has 0`, ""},
		{"nodes build --dry-run", `target "nodesBuild" wants 1 arguments and has 0`, "Mage would build the node -dryRun"},
		{"nodes build --bogus n1", `unknown flag --bogus, or one without its value, of target "nodesBuild"`, "Mage would build the node --bogus"},
		{"nodes build --", `target "nodesBuild" wants 1 arguments and has 0`, ""},
		{"nodes build n1 n2", `unknown target "n2", nothing was run`, ""},
	} {
		got, err := Translate(fleet, strings.Fields(test.line))
		var usage *UsageError
		if !errors.As(err, &usage) || err.Error() != test.want || usage.Hint() == "" {
			t.Errorf("%q is %q, %v, not %q: %s", test.line, got, err, test.want, test.why)
		}
	}
	for line, want := range map[string]error{
		"--help": ErrHelp, "-help": ErrHelp, "help": ErrHelp, "-v --help": ErrHelp,
		"--version": ErrVersion, "-version": ErrVersion, "--version plan": ErrVersion,
	} {
		if _, err := Translate(fleet, strings.Fields(line)); err != want {
			t.Errorf("%q: %v, not %v", line, err, want)
		}
	}
}

// FuzzMage: whatever Mage itself would run is left as it is.
func FuzzMage(f *testing.F) {
	f.Add(uint64(1), "n1")
	f.Fuzz(func(t *testing.T, seed uint64, value string) {
		args := mageLine(rand.New(rand.NewPCG(seed, 0)), value)
		got, err := Translate(fleet, args)
		if err != nil || !slices.Equal(got, args) {
			t.Errorf("%q became %q, %v", args, got, err)
		}
		if got := Flags(fleet, args); !slices.Equal(got, args) {
			t.Errorf("in a magefile %q became %q", args, got)
		}
	})
}

// mageLine returns a line that Mage would run, with the value here and there.
func mageLine(r *rand.Rand, value string) []string {
	maybe := func() bool { return r.IntN(2) == 0 }
	anyCase := func(name string) string {
		if maybe() {
			return strings.ToUpper(name)
		}
		return name
	}
	var args []string
	for range r.IntN(3) {
		args = append(args, [][]string{{"-v"}, {"--v=true"}, {"-t", "1s"}, {"-t=5m"}}[r.IntN(4)]...)
	}
	for range r.IntN(5) {
		target := fleet[r.IntN(len(fleet))]
		args = append(args, anyCase(target.Name))
		for range target.Args {
			args = append(args, "x"+value)
		}
		for range r.IntN(len(target.Flags) + 1) {
			flag := target.Flags[r.IntN(len(target.Flags))]
			word := "-" + anyCase(flag.Name)
			if !flag.Bool || maybe() {
				word += "=" + value
			}
			args = append(args, word)
		}
	}
	return args
}

// FuzzTranslate: a translated line is in Mage's spelling, so that to translate
// it again changes nothing; and what follows -- is left alone.
func FuzzTranslate(f *testing.F) {
	for _, line := range []string{"dns-gate --node n1 -- x", "nodes build --dry-run n1", "--timeout 5m state list --json", "deploy --help"} {
		f.Add(strings.ReplaceAll(line, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		before := slices.Clone(args)
		once, err := Translate(fleet, args)
		if !slices.Equal(before, args) {
			t.Errorf("the arguments were changed in place: %q", args)
		}
		if err != nil {
			return
		}
		twice, err := Translate(fleet, once)
		if err != nil || !slices.Equal(once, twice) {
			t.Errorf("%q is %q, and that %q, %v", args, once, twice, err)
		}
		if i := slices.Index(args, "--"); i >= 0 && !slices.Contains(once, "-h") {
			if rest := args[i:]; len(once) < len(rest) || !slices.Equal(once[len(once)-len(rest):], rest) {
				t.Errorf("%q is %q: what follows -- was touched", args, once)
			}
		}
	})
}

// TestFormerly: lines as hostenv's own hostenv-provider took them, by the
// launcher and in a magefile with targets of its own; and what the latter leaves
// alone.
func TestFormerly(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"plan --dry-run", "plan -dryRun"},
		{"dns-gate --with-dns-update -n n1", "dns-gate -update -node=n1"},
		{"dnsGate -withDnsUpdate", "dnsGate -update"},
		{"dns-gate --with-dns-update=false", "dns-gate -update=false"},
		{"deploy --signing-key-file key --dry-run", "deploy -signingKey=key -dryRun"},
		{"deploy -signingKeyFile=key --node n1", "deploy -signingKey=key -node=n1"},
		{"-v -t 5m nodes-build n1 --out x plan --dry-run", "-v -t 5m nodes-build n1 -out=x plan -dryRun"},
	} {
		flags := strings.Join(Flags(legacy, strings.Fields(test.line)), " ")
		if flags != test.want {
			t.Errorf("in a magefile %q is %q, not %q", test.line, flags, test.want)
		}
		translated, err := Translate(legacy, strings.Fields(test.line))
		if again, _ := Translate(legacy, strings.Fields(test.want)); err != nil || !slices.Equal(translated, again) {
			t.Errorf("the launcher makes %q of %q (%v), and %q of %q", translated, test.line, err, again, test.want)
		}
	}
	for _, line := range []string{
		"own plan --dry-run", "plan own --dry-run", "plan --with-dns-update", "plan --bogus --dry-run", "-- plan --dry-run",
		"nodesBuild", "-t", "-test.v -test.run=X", "", "plan -- --dry-run",
	} {
		if got := strings.Join(Flags(legacy, strings.Fields(line)), " "); got != line {
			t.Errorf("%q became %q", line, got)
		}
	}
}

// Every former name is that of a flag that there is, and of no other.
func TestFormerNames(t *testing.T) {
	translation := &translation{targets: table}
	for name, flags := range formerly {
		target := translation.find(name)
		for old, now := range flags {
			if target == nil || target.find(now) == nil || target.find(old) != nil {
				t.Errorf("%s: %s is said to be %s", name, old, now)
			}
		}
	}
}
