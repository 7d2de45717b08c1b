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
	{Name: "plan", Flags: []Flag{{"dryRun", true, false}, {"detailedExitcode", true, false}, {"inventory", false, false}, {"out", false, false}}},
	{Name: "state:init", Flags: []Flag{{"out", false, false}}},
	{Name: "state:list", Flags: []Flag{{"json", true, false}, {"out", false, false}}},
	{Name: "dnsGate", Flags: []Flag{{"node", false, true}, {"timeout", false, false}}},
	{Name: "nodesBuild", Args: 1, Flags: []Flag{{"dryRun", true, false}, {"out", false, false}}},
	{Name: "deploy", Flags: []Flag{{"node", false, true}, {"dryRun", true, false}, {"n", false, false}}},
	{Name: "deploy:resume", Flags: []Flag{{"node", false, true}}},
	{Name: "status"},
}

// legacy are targets whose flags hostenv's own hostenv-provider called otherwise.
var legacy = []Target{
	{Name: "plan", Flags: []Flag{{Name: "dryRun", Bool: true}}},
	{Name: "dnsGate", Flags: []Flag{{Name: "node", List: true}, {Name: "update", Bool: true}}},
	{Name: "deploy", Flags: []Flag{{Name: "node", List: true}, {Name: "signingKey"}, {Name: "dryRun", Bool: true}}},
	{Name: "nodesBuild", Args: 1, Flags: []Flag{{Name: "out"}}},
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
		{"DNSGATE -NODE=n1 -node=n2,n3", "DNSGATE -NODE=n1,n2,n3", "Mage would take n2 and n3 alone"},
		{"deploy --node a --dry-run -node=b -node c", "deploy -node=a,b,c -dryRun", ""},
		{"dns-gate -n a --node b", "dnsGate -node=a,b", ""},
		{"dns-gate --node a dns-gate --node b", "dnsGate -node=a dnsGate -node=b", "each of its own"},
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
		{"nodes build", `target "nodesBuild" wants 1 argument and has 0`, ""},
		{"nodes build --dry-run", `target "nodesBuild" wants 1 argument and has 0`, "Mage would build the node -dryRun"},
		{"nodes build --bogus n1", `unknown flag --bogus, or one without its value, of target "nodesBuild"`, "Mage would build the node --bogus"},
		{"nodes build --", `target "nodesBuild" wants 1 argument and has 0`, ""},
		{"plan --out a --out b", "-out is given twice", "Mage would take the last"},
		{"plan -out=a -OUT=b", "-out is given twice", ""},
		{"plan --dry-run --dry-run=false", "-dryRun is given twice", ""},
		{"deploy --node a --node=", "-node is given twice, once without a value", "a script forgot its variable"},
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

// TestRepeated: without the launcher a line is refused that Mage would run by
// halves.
func TestRepeated(t *testing.T) {
	for _, test := range []struct{ line, want, hint string }{
		{"deploy -node=a -NODE=b", "-node is given twice, and Mage takes the last", "write -node=a,b"},
		{"plan deploy -skipMigrations=a -plan -skipMigrations=b", "-skipMigrations is given twice, and Mage takes the last", "write -skipMigrations=a,b"},
		{"dns-gate -env=a -env=b", "-env is given twice, and Mage takes the last", "write -env=a,b"},
		{"nodesBuild n1 -out=a -out=b", "-out is given twice", "give it once, for it has one value"},
		{"deploy -plan -plan=false", "-plan is given twice", "give it once, for it has one value"},
		{"deploy -node= -node=b", "-node is given twice, once without a value", "leave it away if all is meant"},
		{"deploy -node=a -plan deploy -node=b", "", ""},
		{"mine -node=a -node=b deploy -node=c", "", ""},
		{"mine deploy -node=a -node=b", "-node is given twice, and Mage takes the last", "write -node=a,b"},
		{"-v -v deploy", "", ""},
		{"deploy -node=a -- -node=b", "", ""},
		{"deploy -bogus=a -bogus=b", "", ""},
		{"", "", ""},
	} {
		err := Repeated(strings.Fields(test.line))
		var usage *UsageError
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%q: %v", test.line, err)
		case test.want != "" && (!errors.As(err, &usage) || usage.Error() != test.want || usage.Hint() != test.hint):
			t.Errorf("%q: %v", test.line, err)
		}
	}
}

// FuzzMage: whatever Mage itself would run is left as it is, if it says each
// thing once.
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
		for _, i := range r.Perm(len(target.Flags))[:r.IntN(len(target.Flags)+1)] {
			flag := target.Flags[i]
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
		{"deploy --node n1 -node=n2 plan", "deploy -node=n1,n2 plan"},
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
	// What the launcher refuses, for Repeated to refuse.
	if got := strings.Join(Flags(legacy, strings.Fields("deploy --signing-key a -signingKey=b")), " "); got != "deploy -signingKey=a -signingKey=b" {
		t.Errorf("a flag that is given twice became %q", got)
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
