package render

import (
	"strings"
	"testing"
)

// TestSections: columns are as wide as they must be, and what is said wraps under itself.
func TestSections(t *testing.T) {
	list := []Section{
		{Title: "Limits", Rows: []Row{{"--max-this", "64MiB", "memory"}, {"--that", "1", strings.Repeat("so much and no more ", 8)}}},
		{Title: "Filters", About: "(of the kernel)", Rows: []Row{{"run", "0123456789abcdef", "3 rules"}}},
		{Title: "Nothing"},
	}
	text := Sections(list, Style{})
	fits(t, text)
	golden(t, "sections.txt", text)
	uncolour(t, Sections(list, Style{Color: true}), text)
}
