// Package threats maps everything that attacks the program to the tests that show that it
// holds. The table is written to docs/threats.md; a test keeps the two the same and sees
// that every test named exists, and CI sees that every one of them passed, as root and,
// where walls are raised, as an ordinary user (internal/threats/check).
package threats

import (
	"fmt"
	"strings"
)

// Section is one kind of attacker.
type Section struct {
	Title string
	About string
	Rows  []Row
}

// Row is one threat.
type Row struct {
	ID    string // letter and number, never used twice
	Shape string // what happens
	Holds string // what must come of it
	Tests []Test
}

// Test names a test.
type Test struct {
	Package string // below this module
	Name    string // with its subtests, as they are called where they are written: "TestX/some case"
	Anyone  bool   // must also pass for an ordinary user, because it raises walls
}

// Output is the name as go test prints it.
func (t Test) Output() string { return strings.ReplaceAll(t.Name, " ", "_") }

// Module is what Test.Package is below.
const Module = "github.com/greentic-ai/greentic-provision/"

// Markdown gives docs/threats.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# What attacks the program, and what holds

Made from ` + "`internal/threats`" + ` by ` + "`make golden`" + `; do not edit. A test sees that every test named here exists. CI
sees that each of them passed, those with ° as root and as an ordinary user (` + "`internal/threats/check`" + `).

A row holds when the verdict is the one named; the supervisor, every other run and the next run are unaffected; nothing is
written; no process, descriptor or temporary file is left; no secret appears anywhere.
`)
	for _, s := range Sections() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | threat | what must hold | tests |\n|---|---|---|---|\n", s.Title, s.About)
		for _, r := range s.Rows {
			var tests []string
			byPackage := map[string]int{}
			for _, t := range r.Tests {
				name := "`" + t.Name + "`"
				if t.Anyone {
					name += "°"
				}
				if i, ok := byPackage[t.Package]; ok {
					tests[i] += ", " + name
					continue
				}
				byPackage[t.Package] = len(tests)
				tests = append(tests, t.Package+": "+name)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, r.Shape, r.Holds, strings.Join(tests, "; "))
		}
	}
	return b.String()
}
