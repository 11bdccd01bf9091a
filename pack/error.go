package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rule names the rule of the package comment that a pack breaks.
type Rule string

// The rules. The package comment says what each of them asks.
const (
	RuleForm        Rule = "pack form"
	RuleArchive     Rule = "zip structure"
	RuleArchiveSize Rule = "archive size"
	RuleEntries     Rule = "entry count"
	RuleName        Rule = "entry name"
	RuleCollision   Rule = "name collision"
	RuleKind        Rule = "regular files only"
	RuleEncrypted   Rule = "no encryption"
	RuleMethod      Rule = "stored or deflate"
	RuleEntrySize   Rule = "entry size"
	RuleTotalSize   Rule = "total size"
	RuleTrueSize    Rule = "declared size"
	RuleChecksum    Rule = "checksum"
	RuleDocument    Rule = "document bounds"
	RuleSyntax      Rule = "document syntax"
	RuleManifest    Rule = "manifest"
	RuleGeneration  Rule = "manifest generation"
	RuleSymbol      Rule = "symbol index"
	RuleIdentifier  Rule = "identifier"
	RuleSetup       Rule = "no setup entry"
	RuleStep        Rule = "step not resolvable"
	RuleComponent   Rule = "component bytes"
)

// Error says which rule a pack breaks, and where. It never stands for trouble
// with the machine: a path that is missing or cannot be read gives the
// *fs.PathError of the operating system, so that callers can tell a wrong
// argument (errors.Is with fs.ErrNotExist, fs.ErrPermission) from a bad pack.
//
// Detail and Hint are one line each and safe to print: whatever comes out of
// the pack is quoted, escaped and cut to a bounded length.
type Error struct {
	Path   string // the pack, as the caller named it
	Entry  string // name inside the pack, raw: quote it before showing it; "" when the pack as a whole is meant
	Rule   Rule
	Detail string
	Hint   string // what to do about it; may be empty
}

// Error gives one line: what, where, which rule, what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("pack ")
	b.WriteString(quote(e.Path))
	if e.Entry != "" {
		b.WriteString(": entry ")
		b.WriteString(quote(e.Entry))
	}
	fmt.Fprintf(&b, ": %s: %s", e.Rule, e.Detail)
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// refuse makes an Error without Path, which the exported functions fill in.
func refuse(rule Rule, entry, hint, format string, args ...any) error {
	return &Error{Entry: entry, Rule: rule, Detail: fmt.Sprintf(format, args...), Hint: hint}
}

// at puts the pack's path into an *Error on its way out.
func at(path string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Path = path
		return e
	}
	return err
}

// maxShown bounds what a message repeats of a hostile string: a zip name may be
// 65,535 bytes long.
const maxShown = 120

// quote is %q with a bound.
func quote(s string) string {
	if len(s) <= maxShown {
		return strconv.Quote(s)
	}
	n := maxShown
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "…"
}

// quoteAll quotes names for a message, at most eight of them.
func quoteAll(names []string) string {
	const most = 8
	var b strings.Builder
	for i, n := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(n))
	}
	return b.String()
}

// clean makes the text of a library's error fit for one line: such texts repeat
// parts of the document.
func clean(err error) string {
	var b strings.Builder
	for _, r := range err.Error() {
		if b.Len() > 2*maxShown {
			b.WriteString("…")
			break
		}
		if unicode.IsGraphic(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// isMachine says that err is the operating system's, not the pack's.
func isMachine(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}
