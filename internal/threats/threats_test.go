package threats

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/threats.md")

func TestDocument(t *testing.T) {
	const path = "../../docs/threats.md"
	if *update {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(doc) != Markdown() {
		t.Error("docs/threats.md is not what the table says; run make golden")
	}
}

// A test that is named must be there. Subtests are checked by whoever ran them.
func TestEveryTestExists(t *testing.T) {
	ids := map[string]bool{}
	declared := map[string]map[string]bool{}
	for _, s := range Sections() {
		for _, r := range s.Rows {
			if ids[r.ID] {
				t.Errorf("two rows %s", r.ID)
			}
			ids[r.ID] = true
			if len(r.Tests) == 0 || r.Shape == "" || r.Holds == "" || strings.ContainsAny(r.Shape+r.Holds, "|\n") {
				t.Errorf("%s is not a whole row", r.ID)
			}
			for _, test := range r.Tests {
				if declared[test.Package] == nil {
					declared[test.Package] = tests(t, test.Package)
				}
				name, _, _ := strings.Cut(test.Name, "/")
				if !declared[test.Package][name] {
					t.Errorf("%s: %s has no %s", r.ID, test.Package, name)
				}
			}
		}
	}
}

// tests lists the test functions of a package.
func tests(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// What the documents name as proof has to be there.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git"):
			return filepath.SkipDir
		case e.IsDir():
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			for name := range tests(t, filepath.ToSlash(rel)) {
				known[name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+…?`) // … stands for several
	for _, doc := range []string{"SECURITY.md", "ARCHITECTURE.md", "RATIONALE.md", "README.md", "ipc/PROTOCOL.md", "docs/state.md", "docs/adapters.md", "docs/contract.md"} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(doc)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if !known[name] && !strings.HasSuffix(name, "…") {
				t.Errorf("%s names %s, which does not exist", doc, name)
			}
		}
	}
}
