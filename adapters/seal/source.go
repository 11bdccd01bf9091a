package seal

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Kind is a kind of source.
type Kind string

// The kinds of sources.
const (
	File       Kind = "file"       // Path is a file as age-keygen writes it
	Passphrase Kind = "passphrase" // Path is such a file encrypted as by age -p, binary or armored
	Command    Kind = "command"    // Argv prints such a file
)

// Source is where an identity is. Files must be ours and of mode 0600 or stricter.
//
// A command is run without a shell, with our environment, no input and no terminal,
// so that it can be killed with everything that it started: a password manager that
// asks must do so in a window or through an agent. It has a minute and 64 KiB.
type Source struct {
	Kind Kind
	Path string   // of File and Passphrase
	Argv []string // of Command
}

// DefaultPath gives greentic-provision/identity.txt in the user's configuration
// directory.
func DefaultPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", refuse("there is no configuration directory to keep it in: "+hostile.Error(err), pointToIt)
	}
	return filepath.Join(dir, "greentic-provision", "identity.txt"), nil
}

var (
	scheme = regexp.MustCompile(`^([a-z]{2,}):`)
	// secretKey is an identity or the beginning of one.
	secretKey = regexp.MustCompile(`(?i)AGE-SECRET-KEY-[0-9a-z-]*`)
)

// Parse reads what --identity takes: file:PATH, passphrase:PATH, command:ARGV, or PATH
// for file:PATH. ARGV is a program and its arguments with blanks between them. Within
// '…' or "…" everything, blanks too, stands for itself; there is no other syntax: no
// escapes, variables or patterns.
func Parse(spec string) (Source, error) {
	if secretKey.MatchString(spec) {
		return Source{}, refuse("an identity itself cannot be given: everybody who lists processes would see it", pointToIt)
	}
	kind, rest := string(File), spec
	if m := scheme.FindStringSubmatch(spec); m != nil {
		kind, rest = m[1], spec[len(m[0]):]
	}
	s := Source{Kind: Kind(kind)}
	switch s.Kind {
	case File, Passphrase:
		s.Path = rest
		if rest == "" {
			return Source{}, refuse(hostile.Quote(spec)+" names no file", pointToIt)
		}
	case Command:
		var err error
		if s.Argv, err = words(rest); err != nil {
			return Source{}, refuse("command: "+err.Error(), `as in command:pass show "my store"`)
		}
	default:
		return Source{}, refuse("there are none of the kind "+hostile.Quote(kind), "a file with a colon in its name is file:PATH; otherwise: "+pointToIt)
	}
	return s, nil
}

// words splits the rest of command:.
func words(s string) ([]string, error) {
	var (
		all   []string
		word  strings.Builder
		in    bool // a word has begun
		quote rune // that ends what was quoted, or 0
	)
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r != ' ' && r != '\t':
			word.WriteRune(r)
			in = true
		case in:
			all = append(all, word.String())
			word.Reset()
			in = false
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if in {
		all = append(all, word.String())
	}
	if len(all) == 0 || all[0] == "" {
		return nil, errors.New("it names no program")
	}
	return all, nil
}
