package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/woolwichweb/hostenv-provider/internal/console"
)

// Every output that a document shows has a test that prints it: the one that a comment
// names, which names the document.
func TestOutputs(t *testing.T) {
	found := 0
	for path, text := range documents(t) {
		d := console.Parse(text)
		for _, block := range d.Blocks {
			first := strings.TrimSpace(block.Text)
			if !command.MatchString(first) && (printed.MatchString(first) || block.Language == "console") {
				t.Errorf("%s:%d: the block shows no command", path, block.At+1)
			}
		}
		for _, c := range d.Commands {
			if len(c.Output) == 0 {
				continue
			}
			found++
			test, dir, _ := strings.Cut(c.Owner, " in ")
			test, script, _ := strings.Cut(test, "/")
			dir = filepath.Join(root, dir)
			if c.Owner == "" || !declared(t, dir)[test] {
				t.Errorf("%s: no test prints the output of `%s`: no comment <!-- outputs: TestName in the/folder --> before it names one", path, c.Line)
				continue
			}
			if !names(t, dir, script, filepath.Base(path)) {
				t.Errorf("%s: %s does not read the document", path, c.Owner)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d outputs were found", found)
	}
}

// What a command prints begins so, or is in a block of commands. "# " is root's prompt.
var (
	printed = regexp.MustCompile(`^(error|hint|warning|wrote|project|node|host)[ :]`)
	command = regexp.MustCompile(`^[$#] `)
)

// names reports whether a test in a folder names a document, or its script does.
func names(t *testing.T, dir, script, document string) bool {
	t.Helper()
	pattern := "*_test.go"
	if script != "" {
		pattern = filepath.Join("testdata/script", script+".txtar")
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), document)
	})
}

// Every target that a document calls is there, and has the flags that it is given.
func TestCommands(t *testing.T) {
	flags := targets(t)
	found := 0
	for path, text := range documents(t) {
		if strings.Contains(path, "CHANGELOG") { // has commands of its day
			continue
		}
		for _, call := range regexp.MustCompile("(?:(?:^|[^\\w/-])mage|-- )((?: -?[a-z][^\\s`;|&)\"]*)+)").FindAllStringSubmatch(code(text), -1) {
			words := strings.Fields(call[1])
			known, isTarget := flags[words[0]]
			if !isTarget {
				continue
			}
			found++
			for _, word := range words[1:] {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				if more, isTarget := flags[word]; isTarget {
					known = more
				} else if word[0] == '-' && !slices.Contains(known, name) {
					t.Errorf("%s: mage%s: there is no flag -%s", path, call[1], name)
				}
			}
		}
		for _, call := range regexp.MustCompile("`mage ([a-z][A-Za-z:]*)").FindAllStringSubmatch(text, -1) {
			if flags[call[1]] == nil {
				t.Errorf("%s: there is no target %s", path, call[1])
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d commands were found", found)
	}
}

// targets are the flags of each target, from the table of the launcher.
func targets(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "magefiles/launcher/table.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	last := ""
	for _, row := range regexp.MustCompile(`(?m)^(\t+)\{"([A-Za-z:]+)"`).FindAllStringSubmatch(string(text), -1) {
		if len(row[1]) == 1 {
			last, all[row[2]] = row[2], []string{}
		} else {
			all[last] = append(all[last], row[2])
		}
	}
	return all
}

// code is the code of a text: its blocks, and what stands between backticks.
func code(text string) string {
	var all strings.Builder
	for _, block := range fence.FindAllString(text, -1) {
		all.WriteString(block + "\n")
	}
	for _, inline := range regexp.MustCompile("`[^`]+`").FindAllString(fence.ReplaceAllString(text, ""), -1) {
		all.WriteString(inline + "\n")
	}
	return all.String()
}

// elsewhere are messages that other programs print.
var elsewhere = []string{
	"No .go files marked with the mage build tag", "hostenv-move: command not found", "a password is required", "unknown user",
}

// Every message of the tables that begin with what a command prints is in the sources.
func TestMessages(t *testing.T) {
	source := sources(t)
	placeholder := regexp.MustCompile(`\.\.\.|<[a-z]+>|a string|\b[NXab]\b|uid |\.service|(generated/)?(state|plan)\.json|flake\.nix|[()]`)
	found := 0
	for path, text := range documents(t) {
		printed := false
		for line := range strings.Lines(text) {
			cells := strings.Split(line, "|")
			if len(cells) < 3 {
				printed = false
				continue
			}
			if first := strings.TrimSpace(cells[1]); first == "printed" || first == "it says" {
				printed = true
			}
			if !printed {
				continue
			}
			for _, message := range regexp.MustCompile("`[^`]+`").FindAllString(cells[1], -1) {
				message = strings.Trim(message, "`")
				if slices.Contains(elsewhere, message) {
					continue
				}
				for _, part := range placeholder.Split(message, -1) {
					if part = strings.Trim(part, " ,.:"); len(part) < 6 {
						continue
					}
					found++
					if !strings.Contains(source, part) {
						t.Errorf("%s: no command prints %q of `%s`", path, part, message)
					}
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d messages were found", found)
	}
}

// sources is the text of all sources except of tests.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"hostenv", "magefiles", "nix"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{".go", ".nix", ".sh"}, filepath.Ext(path)) {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(all.String(), `\"`, `"`)
}
