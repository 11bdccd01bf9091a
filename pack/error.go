package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Rule names the rule of the package comment that a pack breaks.
type Rule string

// The rules. The package comment says what each of them asks.
const (
	RuleForm          Rule = "pack form"
	RuleArchive       Rule = "zip structure"
	RuleTar           Rule = "tar structure"
	RuleArchiveSize   Rule = "archive size"
	RuleEntries       Rule = "entry count"
	RuleName          Rule = "entry name"
	RuleCollision     Rule = "name collision"
	RuleKind          Rule = "regular files only"
	RuleEncrypted     Rule = "no encryption"
	RuleMethod        Rule = "stored or deflate"
	RuleEntrySize     Rule = "entry size"
	RuleTotalSize     Rule = "total size"
	RuleTrueSize      Rule = "declared size"
	RuleChecksum      Rule = "checksum"
	RuleDocument      Rule = "document bounds"
	RuleSyntax        Rule = "document syntax"
	RuleManifest      Rule = "manifest"
	RuleGeneration    Rule = "manifest generation"
	RuleSymbol        Rule = "symbol index"
	RuleIdentifier    Rule = "identifier"
	RuleFlow          Rule = "flow graph"
	RuleSetup         Rule = "no setup entry"
	RuleSubscriptions Rule = "no subscriptions entry"
	RuleUpdate        Rule = "no update entry"
	RuleRemove        Rule = "no remove entry"
	RuleStep          Rule = "step not resolvable"
	RuleComponent     Rule = "component bytes"
	RuleIntegrity     Rule = "integrity"
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
	b.WriteString(hostile.Quote(e.Path))
	if e.Entry != "" {
		b.WriteString(": entry ")
		b.WriteString(hostile.Quote(e.Entry))
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

// inEntry names the entry that an *Error is about, if it does not yet.
func inEntry(entry string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Entry == "" {
		e.Entry = entry
	}
	return err
}

// detail is what an error says without where, for a finding that says that itself.
func detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return hostile.Error(err)
}

// at puts the pack's path into an *Error on its way out.
func at(path string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Path = path
		return e
	}
	return err
}

// isMachine says that err is the operating system's, not the pack's.
func isMachine(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}
