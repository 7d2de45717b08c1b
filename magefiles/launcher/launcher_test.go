package launcher

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// fleet are targets of every shape.
var fleet = []*Target{
	{Name: "plan", Flags: []*Flag{{Name: "dryRun", Type: "bool"}, {Name: "detailedExitcode", Type: "bool"}, {Name: "inventory", Type: "string"}, {Name: "out", Type: "string"}}},
	{Name: "state:init", Flags: []*Flag{{Name: "out", Type: "string"}}},
	{Name: "state:list", Flags: []*Flag{{Name: "json", Type: "bool"}, {Name: "out", Type: "string"}}},
	{Name: "dnsGate", Flags: []*Flag{{Name: "node", Type: "string", List: true}, {Name: "timeout", Type: "string"}, {Name: "update", Type: "bool"}}},
	{Name: "nodesBuild", Args: []string{"node"}, Flags: []*Flag{{Name: "dryRun", Type: "bool"}, {Name: "out", Type: "string"}}},
	{Name: "deploy", Flags: []*Flag{{Name: "node", Type: "string", List: true}, {Name: "dryRun", Type: "bool"}, {Name: "jobs", Type: "int"}, {Name: "lockWait", Type: "time.Duration"}, {Name: "signingKey", Type: "string"}}},
	{Name: "deploy:resume", Flags: []*Flag{{Name: "node", Type: "string", List: true}, {Name: "n", Type: "string"}}},
	{Name: "status"},
}

func TestTranslate(t *testing.T) {
	for _, test := range []struct {
		line, want string
		why        string
	}{
		{"dns-gate --node n1", "dnsGate -node=n1", ""},
		{"dns gate --node=n1", "dnsGate -node=n1", ""},
		{"dns-gate -n n1", "dnsGate -node=n1", "-n is short for --node"},
		{"dns-gate -n=n1", "dnsGate -node=n1", ""},
		{"dns-gate -node n1", "dnsGate -node=n1", "Mage wants the equals sign"},
		{"deploy resume -n n1", "deploy:resume -n=n1", "a flag of exactly that name comes first"},
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
		{"plan --inventory=--odd", "plan -inventory=--odd", "with an equals sign a value may begin with a hyphen"},
		{"plan --detailed-exitcode", "plan -detailedExitcode", ""},
		{"nodes build n1", "nodesBuild n1", ""},
		{"nodes-build n1 --dry-run", "nodesBuild n1 -dryRun", ""},
		{"nodes build --dry-run n1 --out x", "nodesBuild n1 -dryRun -out=x", "Mage wants arguments before flags"},
		{"nodes build plan plan", "nodesBuild plan plan", "a node may be called as a target is"},
		{"nodes build state state list", "nodesBuild state state:list", ""},

		{"--verbose plan", "-v plan", ""},
		{"--timeout 5m plan", "-t 5m plan", ""},
		{"--timeout=5m plan", "-t=5m plan", ""},
		{"--list", "-l", ""},

		{"-- dns-gate --node n1", "-- dns-gate --node n1", "only Mage reads what follows"},

		// Mage's spelling.
		{"", "", ""},
		{"-l", "-l", ""},
		{"-l unknown", "-l unknown", ""},
		{"-v -t 5m plan", "-v -t 5m plan", ""},
		{"--v -t=5m plan", "--v -t=5m plan", ""},
		{"-v=false plan", "-v=false plan", ""},
		{"DNSGATE -NODE=n1", "DNSGATE -NODE=n1", "Mage ignores case"},
		{"DNSGATE -NODE=n1 -node=n2,n3", "DNSGATE -NODE=n1,n2,n3", "Mage would take n2 and n3 alone"},
		{"deploy --node a --dry-run -node=b -node c", "deploy -node=a,b,c -dryRun", ""},
		{"dns-gate -n a --node b", "dnsGate -node=a,b", ""},
		{"dns-gate --node a dns-gate --node b", "dnsGate -node=a dnsGate -node=b", "each target has its own flags"},
		{"dnsGate -node=n1 plan -dryRun state:list -json=true", "dnsGate -node=n1 plan -dryRun state:list -json=true", ""},
		{"nodesBuild n1 -dryrun deploy -node=", "nodesBuild n1 -dryrun deploy -node=", ""},
	} {
		l, err := translate(fleet, strings.Fields(test.line))
		if got := strings.Join(l.done, " "); err != nil || got != test.want {
			t.Errorf("%q is %q (%v), not %q: %s", test.line, got, err, test.want, test.why)
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	for _, test := range []struct{ line, want, hint, why string }{
		{"bogus", `there is no target "bogus"; no target ran`, "`hostenv-provider --help` lists the targets; the value of a flag is written --flag=value", ""},
		{"plna", `there is no target "plna"; no target ran`, "did you mean plan?", "letters are swapped"},
		{"dnsgat", `there is no target "dnsgat"; no target ran`, "did you mean dns-gate?", ""},
		{"state lst", `there is no target "state"; no target ran`, "did you mean state list?", ""},
		{"stat list --json", `there is no target "stat"; no target ran`, "did you mean state list?", ""},
		{"state", `there is no target "state"; no target ran`, "write state init, or state list", ""},
		{"deploy n1", `there is no target "n1"; no target ran`, "", "Mage would deploy every node first"},
		{"plan bogus", `there is no target "bogus"; no target ran`, "", "Mage would plan first"},
		{"-h bogus", `there is no target "bogus"; no target ran`, "", ""},
		{"--node n1 deploy", "flag --node precedes the first target, and is not a flag of the program", "write a flag of a target after the target's name", "Mage would end with 0"},
		{"-x", "flag -x precedes the first target, and is not a flag of the program", "", ""},
		{"-t soon plan", `invalid value "soon" for flag -t: parse error`, "", "Mage would end with 0"},
		{"-t", "flag needs an argument: -t", "", ""},
		{"plan --bogus --dry-run", "plan has no flag --bogus; no target ran", "`hostenv-provider plan --help` lists its flags", ""},
		{"plan --dryrum=false", "plan has no flag --dryrum; no target ran", "did you mean --dry-run?", ""},
		{"plan -inventori=x", "plan has no flag -inventori; no target ran", "did you mean --inventory?", ""},
		{"plan --inventory", "--inventory has no value", "write --inventory FILE", ""},
		{"plan --inventory --dry-run", "--inventory has no value", "", "a value that begins with a hyphen wants an equals sign"},
		{"status --bogus", "status has no flag --bogus; no target ran", "", "the target has no flags"},
		{"state list -- x", "state list has no flag --; no target ran", "", "Mage refuses it as well"},
		{"plan --dry-run=perhaps", `--dry-run is "perhaps"; no target ran`, "write the flag alone, or with =false", "Mage would first run the targets before it"},
		{"deploy --jobs many", `--jobs is "many"; no target ran`, "write a whole number, such as 4", ""},
		{"deploy --lock-wait 5", `--lock-wait is "5"; no target ran`, "write a duration, such as 90s or 5m", ""},
		{"nodes build", "nodes-build lacks its node", "write nodes-build NODE", ""},
		{"nodes build --dry-run", "nodes-build lacks its node", "", "Mage would build the node -dryRun"},
		{"nodes build --bogus n1", "nodes-build has no flag --bogus; no target ran", "", "Mage would build the node --bogus"},
		{"nodes build n1 n2", `there is no target "n2"; no target ran`, "", ""},
		{"plan --out a --out b", "--out is given twice, and has one value", "give it once", "Mage would take the last"},
		{"plan -out=a -OUT=b", "--out is given twice, and has one value", "", ""},
		{"plan --dry-run --dry-run=false", "--dry-run is given twice, and has one value", "", ""},
		{"deploy --node a --node=", "--node is given twice, once without a value", "leave the flag out to select everything", "a script forgot its variable"},
	} {
		l, err := translate(fleet, strings.Fields(test.line))
		hint := problem.Hint(err)
		if err == nil || err.Error() != test.want || hint == "" || test.hint != "" && hint != test.hint {
			t.Errorf("%q is %q, %v (%s), not %q: %s", test.line, l.done, err, hint, test.want, test.why)
		}
	}
}

func TestTranslateHelp(t *testing.T) {
	for line, want := range map[string]string{
		"--help": "", "-help": "", "help": "", "-v --help": "", "-h": "",
		"--help plan": "plan", "help state list": "state:list", "-h dns-gate": "dnsGate", "plan --help": "plan", "state list -h": "state:list",
		"nodes build --help": "nodesBuild", "plan deploy --help": "deploy",
	} {
		l, err := translate(fleet, strings.Fields(line))
		about := ""
		if l.about != nil {
			about = l.about.Name
		}
		if err != nil || !l.help || about != want {
			t.Errorf("%q asks for help about %q, not %q: %v", line, about, want, err)
		}
	}
	for _, line := range []string{"--version", "-version", "--version plan"} {
		if l, err := translate(fleet, strings.Fields(line)); err != nil || !l.version {
			t.Errorf("%q does not ask for the version: %v", line, err)
		}
	}
	// Commands of the launcher do not run beside targets.
	for _, line := range []string{"completion bash plan", "plan completion bash", "man man"} {
		if _, err := translate(append(fleet, own...), strings.Fields(line)); err == nil {
			t.Errorf("%q is accepted", line)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"plan", "deploy", "status", "state list"}
	for typed, want := range map[string]string{"paln": "plan", "Deplyo": "deploy", "statelist": "state list", "staus": "status", "x": "", "pl": "", "": "", "leftovers": ""} {
		if got := nearest(typed, names); got != want {
			t.Errorf("nearest to %q is %q, not %q", typed, got, want)
		}
	}
}

// A line that the launcher does not see, and of which Mage would run a part only.
func TestRepeated(t *testing.T) {
	for _, test := range []struct{ line, want, hint string }{
		{"deploy -node=a -NODE=b", "-node is given twice, and Mage takes the last", "write -node=a,b"},
		{"plan deploy -skipMigrations=a -plan -skipMigrations=b", "-skipMigrations is given twice, and Mage takes the last", "write -skipMigrations=a,b"},
		{"dns-gate -env=a -env=b", "-env is given twice, and Mage takes the last", "write -env=a,b"},
		{"nodesBuild n1 -out=a -out=b", "--out is given twice, and has one value", "give it once"},
		{"deploy -plan -plan=false", "--plan is given twice, and has one value", "give it once"},
		{"deploy -node= -node=b", "--node is given twice, once without a value", "leave the flag out to select everything"},
		{"deploy -node=a -plan deploy -node=b", "", ""},
		{"mine -node=a -node=b deploy -node=c", "", ""},
		{"mine deploy -node=a -node=b", "-node is given twice, and Mage takes the last", "write -node=a,b"},
		{"-v -v deploy", "", ""},
		{"deploy -node=a -- -node=b", "", ""},
		{"deploy -bogus=a -bogus=b", "", ""},
		{"", "", ""},
	} {
		err := Repeated(strings.Fields(test.line))
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want || problem.Hint(err) != test.hint) {
			t.Errorf("%q: %v", test.line, err)
		}
	}
}

// FuzzMage: a line that Mage would run and that gives each flag once is not
// changed.
func FuzzMage(f *testing.F) {
	f.Add(uint64(1), "n1")
	f.Fuzz(func(t *testing.T, seed uint64, value string) {
		args := mageLine(rand.New(rand.NewPCG(seed, 0)), value)
		l, err := translate(fleet, args)
		if err != nil || !slices.Equal(l.done, args) {
			t.Errorf("%q became %q, %v", args, l.done, err)
		}
		if got := flags(fleet, args); !slices.Equal(got, args) {
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
			if flag.Type != "bool" || maybe() {
				word += "=" + map[string]string{"bool": "true", "int": "3", "time.Duration": "5m", "string": value}[flag.Type]
			}
			args = append(args, word)
		}
	}
	return args
}

// FuzzTranslate: a translated line is in Mage's spelling, so that a second
// translation changes nothing. Of a line that is not understood no word is lost.
func FuzzTranslate(f *testing.F) {
	for _, line := range []string{"dns-gate --node n1 -- x", "nodes build --dry-run n1", "--timeout 5m state list --json", "deploy --help", "own plan --dry-run"} {
		f.Add(strings.ReplaceAll(line, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		before := slices.Clone(args)
		once, err := translate(fleet, args)
		left := flags(fleet, args)
		if !slices.Equal(before, args) {
			t.Errorf("the arguments were changed in place: %q", args)
		}
		if again := flags(fleet, left); !slices.Equal(again, left) {
			t.Errorf("in a magefile %q is %q, and that %q", args, left, again)
		}
		if err != nil || once.help || once.version {
			return
		}
		twice, err := translate(fleet, once.done)
		if err != nil || !slices.Equal(once.done, twice.done) {
			t.Errorf("%q is %q, and that %q, %v", args, once.done, twice.done, err)
		}
	})
}

// TestFormerly: lines as the legacy generator took them, in the packaged program
// and in a magefile with targets of its own; and lines that the latter keeps.
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
		flags := strings.Join(flags(fleet, strings.Fields(test.line)), " ")
		if flags != test.want {
			t.Errorf("in a magefile %q is %q, not %q", test.line, flags, test.want)
		}
		translated, err := translate(fleet, strings.Fields(test.line))
		if again, _ := translate(fleet, strings.Fields(test.want)); err != nil || !slices.Equal(translated.done, again.done) {
			t.Errorf("the launcher makes %q of %q (%v), and %q of %q", translated.done, test.line, err, again.done, test.want)
		}
	}
	// The magefile keeps what Repeated refuses.
	if got := strings.Join(flags(fleet, strings.Fields("deploy --signing-key a -signingKey=b")), " "); got != "deploy -signingKey=a -signingKey=b" {
		t.Errorf("a flag that is given twice became %q", got)
	}
	for _, line := range []string{
		"own plan --dry-run", "plan own --dry-run", "plan --with-dns-update", "plan --bogus --dry-run", "-- plan --dry-run",
		"nodesBuild", "-t", "-test.v -test.run=X", "", "plan -- --dry-run",
	} {
		if got := strings.Join(flags(fleet, strings.Fields(line)), " "); got != line {
			t.Errorf("%q became %q", line, got)
		}
	}
}

// TestFormerNames: a former name is that of one flag, and of no other.
func TestFormerNames(t *testing.T) {
	for name, flags := range formerly {
		target := find(table, name)
		for old, now := range flags {
			is := func(name string) bool {
				return target != nil && slices.ContainsFunc(target.Flags, func(f *Flag) bool { return strings.EqualFold(f.Name, name) })
			}
			if !is(now) || is(old) {
				t.Errorf("%s: %s is not the former name of %s", name, old, now)
			}
		}
	}
}
