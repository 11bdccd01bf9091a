package integrity

import (
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// The signature of a directory covers its manifest as the Rust crate toml (0.9)
// writes it, to_string, without [greentic.signature]. The file itself was written
// by the same crate with to_string_pretty. The two differ in one thing: pretty
// puts each element of an array that has several on a line of its own. So no TOML
// has to be understood, only its strings and brackets. A file that was edited
// since gives a text that was not signed.

const signatureTable = "[greentic.signature]"

// splitManifest is a manifest without its signature, and the lines of the
// signature's table without the header.
type splitManifest struct{ rest, signature string }

// splitTOML takes a manifest as the crate writes it apart.
func splitTOML(text string) splitManifest {
	var out splitManifest
	var sections []string // the members of the document, then each table with its header
	for len(text) > 0 {
		n := endOfTable(text)
		table := strings.TrimRight(text[:n], "\n") + "\n"
		text = text[n:]
		if body, ok := strings.CutPrefix(table, signatureTable+"\n"); ok && out.signature == "" {
			out.signature = body
		} else if table != "\n" {
			sections = append(sections, table)
		}
	}
	out.rest = flatten(strings.Join(sections, "\n"))
	return out
}

// endOfTable gives where the next header after the first byte begins, or the end.
func endOfTable(text string) int {
	depth := 0
	for i := 0; i < len(text); {
		header := text[i] == '[' && (i == 0 || text[i-1] == '\n') && depth == 0
		switch {
		case header && i > 0:
			return i
		case header: // the brackets of a header are no array
			for i < len(text) && text[i] != '\n' {
				i += skip(text[i:])
			}
			continue
		case text[i] == '[':
			depth++
		case text[i] == ']':
			depth--
		}
		i += skip(text[i:])
	}
	return len(text)
}

// skip is the length of the string that s begins with, or 1.
func skip(s string) int {
	switch s[0] {
	case '"':
		if strings.HasPrefix(s, `"""`) {
			return closing(s, `"""`, true)
		}
		return closing(s, `"`, true)
	case '\'':
		if strings.HasPrefix(s, "'''") {
			return closing(s, "'''", false)
		}
		return closing(s, "'", false)
	}
	return 1
}

// closing gives where a string ends that begins with quotes, or the end of s.
func closing(s, quotes string, escapes bool) int {
	for i := len(quotes); i < len(s); i++ {
		if escapes && s[i] == '\\' {
			i++
			continue
		}
		if strings.HasPrefix(s[i:], quotes) {
			i += len(quotes)
			// Up to two quotes may stand before the three that close.
			for n := 0; len(quotes) == 3 && n < 2 && i < len(s) && s[i] == quotes[0]; n++ {
				i++
			}
			return i
		}
	}
	return len(s)
}

// flatten puts arrays on one line.
func flatten(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	depth := 0
	for i := 0; i < len(text); {
		n := skip(text[i:])
		token := text[i : i+n]
		header := token == "[" && (i == 0 || text[i-1] == '\n') && depth == 0
		i += n
		if header {
			b.WriteString(token)
			for i < len(text) && text[i] != '\n' {
				n := skip(text[i:])
				b.WriteString(text[i : i+n])
				i += n
			}
			continue
		}
		switch {
		case token == "[":
			depth++
			b.WriteString(token)
			i += lineBreak(text[i:])
		case token == "]":
			depth--
			b.WriteString(token)
		case token == "," && depth > 0:
			n := lineBreak(text[i:])
			i += n
			switch {
			case n == 0:
				b.WriteString(token)
			case i == len(text) || text[i] != ']': // else it is behind the last element
				b.WriteString(", ")
			}
		default:
			b.WriteString(token)
		}
	}
	return b.String()
}

// lineBreak is the length of the space that s begins with if there is a new line
// in it, else 0.
func lineBreak(s string) int {
	n := len(s) - len(strings.TrimLeft(s, " \n"))
	if strings.Contains(s[:n], "\n") {
		return n
	}
	return 0
}

// readTable reads a table of strings as the crate writes strings that need no
// escapes.
func readTable(body string) (map[string]*string, error) {
	out := map[string]*string{}
	for line := range strings.Lines(body) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
		if len(value) < 2 || value[0] != value[len(value)-1] || value[0] != '"' && value[0] != '\'' {
			ok = false
		}
		if ok {
			value = value[1 : len(value)-1]
			ok = !strings.ContainsAny(value, "\"'\\")
		}
		if !ok {
			return nil, faultf(RuleEnvelope, "has a line in %s that is not a name and a simple string", signatureTable)
		}
		if out[key] != nil {
			return nil, faultf(RuleEnvelope, "has %s twice in %s", hostile.Quote(key), signatureTable)
		}
		out[key] = &value
	}
	return out, nil
}
