package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// checkName applies the rules for names of entries. They are fs.ValidPath (valid
// UTF-8, not absolute, no empty, "." or ".." element) and what it leaves open.
//
// golang.org/x/mod/module.CheckFilePath would be the ready-made choice, but it
// refuses ':' and most punctuation; real packs hold names such as
// "components/setup_default::collect.wasm". google/safearchive is made for
// extracting, rewrites names instead of refusing them, and is not needed where
// nothing is extracted.
func checkName(name string) error {
	switch {
	case len(name) > MaxPath:
		return fmt.Errorf("is %d bytes long; at most %d are read", len(name), MaxPath)
	case !utf8.ValidString(name):
		return errors.New("is not valid UTF-8")
	case strings.ContainsRune(name, '\\'):
		return errors.New("contains a backslash; elements are separated by '/'")
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return errors.New("contains a control character")
	case len(name) >= 2 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z':
		return errors.New("begins with a drive letter")
	case name == "." || !fs.ValidPath(name):
		return errors.New(`is absolute or has an empty, "." or ".." element`)
	case strings.Count(name, "/") >= MaxDepth:
		return fmt.Errorf("has more than %d elements", MaxDepth)
	}
	return nil
}

// names finds entries that could not lie side by side in one directory: the
// same name twice, names that differ in case or in Unicode normalisation only
// (one file on Windows and macOS, and not the same one for every tool), a name
// that is a file here and a directory there.
type names struct {
	listed map[string]bool // as written, directories with their slash
	seen   map[string]seen // by folded name
}

type seen struct {
	name string
	dir  bool
}

func newNames() *names {
	return &names{listed: map[string]bool{}, seen: map[string]seen{}}
}

// add takes a name that passed checkName, with a final slash for a directory.
func (n *names) add(name string) error {
	if n.listed[name] {
		return refuse(RuleCollision, name, hintRebuild, "is in the archive twice")
	}
	n.listed[name] = true
	p, dir := strings.CutSuffix(name, "/")
	return n.place(p, cases.Fold().String(norm.NFC.String(p)), dir)
}

// place records p, then its parents. Cutting the folded name at its last slash
// folds the parent: neither folding nor NFC makes, removes or joins a slash.
func (n *names) place(p, folded string, dir bool) error {
	other, ok := n.seen[folded]
	switch {
	case ok && other.name != p:
		return refuse(RuleCollision, p, "rename one of them", "and %s are one name where case or Unicode normalisation does not count", hostile.Quote(other.name))
	case ok && other.dir != dir:
		return refuse(RuleCollision, p, "rename one of them", "is both a file and a directory")
	case ok:
		return nil // a directory, and so are its parents
	}
	n.seen[folded] = seen{p, dir}
	if parent := path.Dir(p); parent != "." {
		return n.place(parent, path.Dir(folded), true)
	}
	return nil
}

// maxIdentifier bounds ids that become parts of file names: with the affixes of
// resolve.go ("__validate.wasm", "@" and a version) an element stays below the
// 255 bytes that file systems allow. The longest real id has 46.
const maxIdentifier = 100

// checkIdentifier says what is wrong with a pack, flow or component id or a
// version. Ids become file names, cache keys and lines of output.
func checkIdentifier(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > maxIdentifier:
		return fmt.Errorf("is %d bytes long; at most %d are read", len(s), maxIdentifier)
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	case strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) >= 0:
		return fmt.Errorf("%s contains a character that cannot be shown", hostile.Quote(s))
	case strings.ContainsAny(s, `/\`), s == ".", s == "..":
		return fmt.Errorf("%s is or contains part of a path", hostile.Quote(s))
	}
	return nil
}
