package flow

import (
	"strconv"
	"strings"
)

// parsePath parses a path of a template: names separated by dots, or in brackets:
// [0], ["a name"], ['a name'], [name]. A leading "this" is dropped, so "this"
// alone is the empty path, the whole context.
//
// Names outside of quotes hold letters, digits, "_", "-", ":", "$" and what is
// beyond ASCII. Upstream takes anything up to a dot or a bracket for a name, which
// makes one path out of "{{a}} and {{b}}", and a missing one.
func parsePath(s string) ([]string, bool) {
	var path []string
	for first := true; ; first = false {
		switch {
		case s == "":
			if len(path) > 0 && path[0] == "this" {
				path = path[1:]
				return path, true
			}
			return path, !first
		case s[0] == '[':
			segment, rest, ok := bracket(s)
			if !ok {
				return nil, false
			}
			path, s = append(path, segment), rest
			continue
		case s[0] == '.':
			if first {
				return nil, false
			}
			s = s[1:]
			if strings.HasPrefix(s, "[") { // a.[0], as Handlebars writes it
				continue
			}
		case !first:
			return nil, false // a name right behind a bracket
		}
		n := 0
		for n < len(s) && nameByte(s[n]) {
			n++
		}
		if n == 0 {
			return nil, false
		}
		path, s = append(path, s[:n]), s[n:]
	}
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("_-:$", c) >= 0
}

// bracket takes one segment in brackets off the front of s.
func bracket(s string) (segment, rest string, ok bool) {
	s = s[1:]
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		segment, rest, ok = strings.Cut(s[1:], s[:1])
		rest = strings.TrimLeft(rest, " \t")
		if !ok || !strings.HasPrefix(rest, "]") {
			return "", "", false
		}
		return segment, rest[1:], true
	}
	segment, rest, ok = strings.Cut(s, "]")
	segment = strings.TrimSpace(segment)
	if !ok || segment == "" {
		return "", "", false
	}
	for i := range len(segment) {
		if !nameByte(segment[i]) {
			return "", "", false
		}
	}
	return segment, rest, true
}

// lookup walks a path. A name of digits finds the element of an array.
func lookup(v any, path []string) (any, bool) {
	for _, segment := range path {
		switch c := v.(type) {
		case map[string]any:
			next, ok := c[segment]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, ok := index(segment)
			if !ok || i >= len(c) {
				return nil, false
			}
			v = c[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// index reads the index of an array as RFC 6901 writes it: no sign, no zeros in
// front.
func index(s string) (int, bool) {
	i, err := strconv.ParseUint(s, 10, 31)
	if err != nil || len(s) > 1 && s[0] == '0' || s[0] == '+' {
		return 0, false
	}
	return int(i), true
}

// pointer resolves a JSON Pointer (RFC 6901) that begins with "/".
func pointer(v any, p string) (any, bool) {
	path := strings.Split(p[1:], "/")
	for i := range path {
		path[i] = pointerUnescaper.Replace(path[i])
	}
	return lookup(v, path)
}

var (
	pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")
	pointerEscaper   = strings.NewReplacer("~", "~0", "/", "~1")
)

func itoa(i int) string { return strconv.Itoa(i) }
