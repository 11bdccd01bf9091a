package seal

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for spec, want := range map[string]Source{
		"file:/a/b":                             {Kind: File, Path: "/a/b"},
		"/a/b":                                  {Kind: File, Path: "/a/b"},
		"identity.txt":                          {Kind: File, Path: "identity.txt"},
		"./odd:name":                            {Kind: File, Path: "./odd:name"},
		"file:odd:name":                         {Kind: File, Path: "odd:name"},
		"file:with blank":                       {Kind: File, Path: "with blank"},
		"passphrase:key.age":                    {Kind: Passphrase, Path: "key.age"},
		"command:pass show me":                  {Kind: Command, Argv: []string{"pass", "show", "me"}},
		"command: \t a \t b ":                   {Kind: Command, Argv: []string{"a", "b"}},
		`command:a 'b c' "d e"'f g' "" '"' "'"`: {Kind: Command, Argv: []string{"a", "b c", "d ef g", "", `"`, "'"}},
		`command:a \b $c *d|e`:                  {Kind: Command, Argv: []string{"a", `\b`, "$c", "*d|e"}},
		"command:a ü\u00a0b":                    {Kind: Command, Argv: []string{"a", "ü\u00a0b"}},
	} {
		got, err := Parse(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", spec, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"":                 `"" names no file`,
		"file:":            `"file:" names no file`,
		"passphrase:":      `"passphrase:" names no file`,
		"command:":         "names no program",
		"command:  ":       "names no program",
		`command:"" a`:     "names no program",
		`command:a "b`:     "quote is not closed",
		"command:a 'b\"":   "quote is not closed",
		"comand:pass show": `none of the kind "comand"`,
		"keyring:me":       "a file with a colon in its name is file:PATH",
	} {
		got, err := Parse(spec)
		wantConfigError(t, err, want)
		if diff := cmp.Diff(Source{}, got); diff != "" {
			t.Errorf("%s gives something with its error:\n%s", spec, diff)
		}
	}
}

func TestParseDoesNotRepeatAnIdentity(t *testing.T) {
	id := newIdentity(t).String()
	for _, spec := range []string{id, "file:" + id, "command:echo " + id, strings.ToLower(id), id[:30]} {
		_, err := Parse(spec)
		wantConfigError(t, err, "cannot be given")
		if strings.Contains(strings.ToUpper(err.Error()), id[len("AGE-SECRET-KEY-1"):30]) {
			t.Error("a part of it is shown")
		}
	}
}

func TestDefaultPathIsInTheUsersConfiguration(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", "")
	path, err := DefaultPath()
	if err != nil || !strings.HasPrefix(path, dir) || !strings.HasSuffix(path, filepath.Join("greentic-provision", "identity.txt")) {
		t.Errorf("got %s, %v", path, err)
	}
	t.Setenv("HOME", "")
	_, err = DefaultPath()
	wantConfigError(t, err, "no configuration directory", "--identity")
}
