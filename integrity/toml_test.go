package integrity

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The two files were written by the crate toml 0.9.8 from one document of ours:
// to_string_pretty with a signature, to_string without.
func TestSplitTOMLGivesWhatTheBuilderSigned(t *testing.T) {
	signed, err := os.ReadFile("testdata/signed.toml")
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := os.ReadFile("testdata/unsigned.toml")
	if err != nil {
		t.Fatal(err)
	}
	got := splitTOML(string(signed))
	if d := cmp.Diff(string(unsigned), got.rest); d != "" {
		t.Error(d)
	}
	fields, err := readTable(got.signature)
	if err != nil || len(fields) != 5 || *fields["created_at"] != "2025-11-29T12:34:56.5Z" {
		t.Errorf("%q, %v", got.signature, err)
	}
	if again := splitTOML(got.rest); again.rest != got.rest || again.signature != "" {
		t.Errorf("what is flat does not stay as it is:\n%s", again.rest)
	}
}

func TestTheTableMayBeAnywhere(t *testing.T) {
	const table = "[greentic.signature]\nalg = \"ed25519\"\n"
	for name, tc := range map[string]struct{ text, rest string }{
		"alone":   {table, ""},
		"first":   {table + "\n[z]\na = 1\n", "[z]\na = 1\n"},
		"between": {"a = 1\n\n" + table + "\n[z]\na = 1\n", "a = 1\n\n[z]\na = 1\n"},
		"twice":   {table + "\n" + table, table}, // no TOML; one of them is not taken away
	} {
		if got := splitTOML(tc.text); got.rest != tc.rest || got.signature != "alg = \"ed25519\"\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
	// In a string it is none.
	text := "a = '''\n" + table + "'''\n"
	if got := splitTOML(text); got.signature != "" || got.rest != text {
		t.Errorf("%q", got)
	}
}

func FuzzSplitTOML(f *testing.F) {
	for _, name := range []string{"testdata/signed.toml", "testdata/unsigned.toml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("a = [\n    \"\"\"x\n],\n[greentic.signature]\n'")
	f.Fuzz(func(t *testing.T, text string) {
		got := splitTOML(text)
		if len(got.rest)+len(got.signature) > len(text)+1+strings.Count(text, "\n[") {
			t.Errorf("%d bytes became %d", len(text), len(got.rest)+len(got.signature))
		}
		if _, err := readTable(got.signature); err != nil && len(err.Error()) > 300 {
			t.Errorf("a long message: %v", err)
		}
	})
}
