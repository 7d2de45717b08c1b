// Package docs_test holds the documents to what they name.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// documents are all texts in Markdown of this repository, by their path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			texts[path] = string(data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var (
	link    = regexp.MustCompile(`\]\(([^)#: ]*)(#[^)]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
)

// Every relative link leads to a file, and to a heading in it.
func TestLinks(t *testing.T) {
	texts := documents(t)
	found := 0
	for path, text := range texts {
		for _, l := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			found++
			target := path
			if l[1] != "" {
				target = filepath.Join(filepath.Dir(path), l[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if l[2] != "" && !slices.Contains(anchors(texts[target]), l[2]) {
				t.Errorf("%s: %s has no heading %s", path, target, l[2])
			}
		}
	}
	if len(texts) < 25 || found < 80 {
		t.Errorf("only %d documents with %d links were found", len(texts), found)
	}
}

// anchors are the links to a text's headings, as forges make them.
func anchors(text string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := strings.ToLower(strings.NewReplacer("`", "", "*", "", " ", "-").Replace(h[1]))
		all = append(all, "#"+regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, ""))
	}
	return all
}

// docs/README.md lists every document here, and README.md that list.
func TestListed(t *testing.T) {
	texts := documents(t)
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || name == "README.md" || filepath.Ext(name) == ".go" {
			continue
		}
		if !strings.Contains(texts["../docs/README.md"], "]("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
	if !strings.Contains(texts["../README.md"], "(docs/README.md)") {
		t.Error("README.md does not name docs/README.md")
	}
}

// Words that tell the reader too little; put a program, a user or an operator there.
var vague = regexp.MustCompile(`(?i)\b(nobody|whoever|somebody|anybody|(is|are) told|says? nothing|had better)\b`)

func TestPlainWords(t *testing.T) {
	for path, text := range documents(t) {
		for number, line := range strings.Split(text, "\n") {
			if word := vague.FindString(line); word != "" {
				t.Errorf("%s:%d: %q", path, number+1, word)
			}
		}
	}
}

// What architecture.md names as `package.Name` is there.
func TestArchitectureNames(t *testing.T) {
	text := documents(t)["../docs/architecture.md"]
	found := 0
	for _, name := range regexp.MustCompile("`([a-z][a-z/]*)\\.([A-Z][A-Za-z]*)(\\.[A-Z][A-Za-z]*)?(?:\\([^`]*\\))?`").FindAllStringSubmatch(text, -1) {
		found++
		dirs, _ := filepath.Glob(filepath.Join(root, "hostenv", name[1]))
		for _, parent := range []string{"hostenv/*", "magefiles"} {
			more, _ := filepath.Glob(filepath.Join(root, parent, name[1]))
			dirs = append(dirs, more...)
		}
		if !slices.ContainsFunc(dirs, func(dir string) bool { return declared(t, dir)[name[2]+name[3]] }) {
			t.Errorf("docs/architecture.md names %s, which no package %s declares", name[0], name[1])
		}
	}
	for _, path := range regexp.MustCompile("`((?:hostenv|magefiles|nix|internal|golden|examples)/[A-Za-z0-9/_.-]*)`").FindAllStringSubmatch(text, -1) {
		found++
		if _, err := os.Stat(filepath.Join(root, path[1])); err != nil {
			t.Errorf("docs/architecture.md: %v", err)
		}
	}
	if found < 30 {
		t.Errorf("only %d names were found", found)
	}
}

// declared are the names of a package's functions, types and methods, which are
// Type.Method.
func declared(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names[spec.Name.Name] = true
						if s, ok := spec.Type.(*ast.StructType); ok {
							for _, field := range s.Fields.List {
								for _, name := range field.Names {
									names[spec.Name.Name+"."+name.Name] = true
								}
							}
						}
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							names[name.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}
