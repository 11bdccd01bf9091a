package capability

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKey is the longest key, subscription id or provider name, in bytes.
const MaxKey = 512

// checkKey says what is wrong with a key, or "". A key ends up in plans, in
// diagnostics and on terminals, so it must be text that is safe to escape and
// short enough to read.
func checkKey(k string) string {
	if k == "" {
		return "the key is empty"
	}
	return checkText(k, MaxKey)
}

// checkText says what is wrong with a text that may be empty, or "".
func checkText(s string, max int) string {
	if len(s) > max {
		return fmt.Sprintf("the text has %d bytes, over the limit of %d", len(s), max)
	}
	if !utf8.ValidString(s) {
		return "the text is not valid UTF-8"
	}
	// C0, DEL and C1: all three are control characters to some terminal.
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }) {
		return "the text holds a control character"
	}
	return ""
}

// CanonicalSecret is the form under which secrets are compared, the one that
// Greentic's stores use: trimmed, ASCII letters lowered, every character other
// than a-z, 0-9 and _ replaced by _. Plans show a key as the guest wrote it;
// only look-ups use this form. The second result says what is wrong with k.
func CanonicalSecret(k string) (string, string) {
	if why := checkKey(k); why != "" {
		return "", why
	}
	k = strings.TrimSpace(k)
	if k == "" {
		return "", "the key is blank"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_':
			return r
		}
		return '_'
	}, k), ""
}
