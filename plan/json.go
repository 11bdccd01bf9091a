package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and arrays of hostile JSON may nest. The reader
// that enforces it keeps no stack of its own, so that everything behind it may
// recurse.
const MaxDepth = 64

// JSONError says what is wrong with a JSON text and where. Path is a JSON Pointer
// (RFC 6901); the empty one means the whole text. It names members of the text,
// whole or not at all, and may thus be hostile. Reason is in our own words and
// quotes nothing: JSON that is malformed at a secret is malformed by a piece of it.
type JSONError struct {
	Path   string
	Reason string
}

func (e *JSONError) Error() string {
	if e.Path == "" {
		return "JSON: " + e.Reason
	}
	return "JSON at " + e.Path + ": " + e.Reason
}

const (
	// maxPath bounds the path of a JSONError: names in hostile JSON may be as long
	// as the text.
	maxPath = 256
	// maxToken bounds one name in it.
	maxToken = 128
	longName = "(a long name)"
)

func jsonError(path, format string, args ...any) *JSONError {
	return &JSONError{Path: shorten(path), Reason: fmt.Sprintf(format, args...)}
}

// shorten leaves out whole names only: a part of one may be a part of a secret,
// which scrubbing does not know. The end is kept, for it says more than the
// beginning.
func shorten(path string) string {
	if len(path) <= maxPath {
		return path
	}
	tokens := strings.Split(path, "/")
	size := 0
	for i := len(tokens) - 1; i >= 0; i-- {
		if len(tokens[i]) > maxToken {
			tokens[i] = longName
		}
		if size += 1 + len(tokens[i]); size > maxPath {
			return "…/" + strings.Join(tokens[i+1:], "/")
		}
	}
	return strings.Join(tokens, "/")
}

// Read reads one JSON value strictly and gives its canonical form. It refuses
// invalid UTF-8 (also as \u escapes), duplicate names, nesting deeper than
// MaxDepth, anything behind the value, and numbers that no float64 holds: those
// that overflow it and those that it rounds to zero. The caller bounds the size.
// An error is a *JSONError.
//
// Strictness is there because a lenient reader is a second opinion: two programs
// that take different members of {"a":1,"a":2} disagree about what was reviewed.
func Read(b []byte) (json.RawMessage, error) {
	if err := check(b); err != nil {
		return nil, err
	}
	return canonicalize(b, MaxDepth)
}

// ReadObject is Read for texts that must be an object.
func ReadObject(b []byte) (json.RawMessage, error) {
	v, err := Read(b)
	if err != nil {
		return nil, err
	}
	if v[0] != '{' {
		return nil, jsonError("", "must be an object, found %s", Kind(v))
	}
	return v, nil
}

// check is the part of Read that meets hostile bytes: one pass over tokens.
func check(b []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	for first := true; ; first = false {
		t, err := d.ReadToken()
		switch {
		case err == io.EOF && first:
			return jsonError("", "is empty")
		case err == io.EOF:
			return nil
		case err != nil:
			return syntax(err)
		case !first && d.StackDepth() == 0 && t.Kind() != '}' && t.Kind() != ']':
			return jsonError("", "has more than one value")
		}
		switch t.Kind() {
		case '{', '[':
			if !first && d.StackDepth() == 1 {
				return jsonError("", "has more than one value")
			}
			if d.StackDepth() > MaxDepth {
				return jsonError(string(d.StackPointer()), "nests deeper than %d", MaxDepth)
			}
		case '0':
			if _, reason := number(t.String()); reason != "" {
				return jsonError(string(d.StackPointer()), "%s", reason)
			}
		}
	}
}

// syntax turns the decoder's error into ours.
func syntax(err error) *JSONError {
	var s *jsontext.SyntacticError
	if !errors.As(err, &s) {
		return jsonError("", "cannot be read") // reading from memory gives no other errors
	}
	path := string(s.JSONPointer)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return jsonError(path, "is a duplicate name")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return jsonError(path, "ends too early")
	case errors.Is(err, jsontext.ErrNonStringName):
		return jsonError(path, "has a name that is not a string, at byte %d", s.ByteOffset)
	}
	// The decoder's other errors have no identity but their text, which goes on to
	// quote the input; it is matched and never repeated.
	for _, fault := range []struct{ theirs, ours string }{
		{"invalid UTF-8", "is not UTF-8"},
		{"invalid surrogate pair", "has half of a surrogate pair"},
		{"invalid escape sequence", "has an invalid escape"},
		{"invalid character", "has an invalid character"},
	} {
		if s.Err != nil && strings.HasPrefix(s.Err.Error(), fault.theirs) {
			return jsonError(path, "%s, at byte %d", fault.ours, s.ByteOffset)
		}
	}
	return jsonError(path, "is malformed, at byte %d", s.ByteOffset)
}

// number gives the canonical form of a number, or the reason why it has none.
//
// Integers that fit 64 bits are exact, others are float64: what serde_json does,
// and with it Greentic's own reader. (RFC 8785 takes every number for a float64;
// ids beyond 2^53 would silently change.)
func number(s string) (canonical, reason string) {
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			return "0", ""
		}
		if _, err := strconv.ParseInt(s, 10, 64); err == nil {
			return s, ""
		}
		if _, err := strconv.ParseUint(s, 10, 64); err == nil {
			return s, ""
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return "", "is a number outside the range of float64"
	}
	if f == 0 {
		mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
		if strings.ContainsAny(mantissa, "123456789") {
			return "", "is a number too small for float64"
		}
		return "0", "" // -0.0 too: RFC 8785 writes it so
	}
	// The shortest text that reads back as f, in the notation of ECMAScript.
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e21 {
		format = 'e'
	}
	out := strconv.FormatFloat(f, format, -1, 64)
	if format == 'e' {
		out = strings.Replace(out, "e-0", "e-", 1) // strconv writes at least two digits
	}
	return out, ""
}

// Tree takes a JSON value apart that Read has given: nil, bool, string, json.Number,
// []any and map[string]any. What is no JSON, such as nothing, gives nil.
func Tree(v json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil {
		return nil
	}
	return tree
}

// Kind names the type of a JSON value that Read has given, for people: "an object".
func Kind(v json.RawMessage) string {
	if len(v) == 0 {
		return "nothing"
	}
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// The functions below take values apart that Read has given, so the text is
// well-formed and only types can be wrong. Each is given the path of its value.

// members calls f for each member of an object, in its order.
func members(path string, v json.RawMessage, f func(name, path string, v json.RawMessage) error) error {
	if Kind(v) != "an object" {
		return jsonError(path, "must be an object, found %s", Kind(v))
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return syntax(err)
	}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return syntax(err)
		}
		name := t.String()
		val, err := d.ReadValue()
		if err != nil {
			return syntax(err)
		}
		if err := f(name, path+"/"+pointerEscaper.Replace(name), json.RawMessage(val.Clone())); err != nil {
			return err
		}
	}
	return nil
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// elements calls f for each element of an array.
func elements(path string, v json.RawMessage, f func(path string, v json.RawMessage) error) error {
	if Kind(v) != "an array" {
		return jsonError(path, "must be an array, found %s", Kind(v))
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return syntax(err)
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		val, err := d.ReadValue()
		if err != nil {
			return syntax(err)
		}
		if err := f(path+"/"+strconv.Itoa(i), json.RawMessage(val.Clone())); err != nil {
			return err
		}
	}
	return nil
}

func text(path string, v json.RawMessage) (string, error) {
	if Kind(v) != "a string" {
		return "", jsonError(path, "must be a string, found %s", Kind(v))
	}
	return unquote(v), nil
}

// optionalText takes null for nothing.
func optionalText(path string, v json.RawMessage) (*string, error) {
	if isNull(v) {
		return nil, nil
	}
	if Kind(v) != "a string" {
		return nil, jsonError(path, "must be a string or null, found %s", Kind(v))
	}
	s := unquote(v)
	return &s, nil
}

func boolean(path string, v json.RawMessage) (bool, error) {
	if Kind(v) != "a boolean" {
		return false, jsonError(path, "must be a boolean, found %s", Kind(v))
	}
	return v[0] == 't', nil
}

func texts(path string, v json.RawMessage) ([]string, error) {
	list := []string{}
	err := elements(path, v, func(path string, v json.RawMessage) error {
		s, err := text(path, v)
		list = append(list, s)
		return err
	})
	return list, err
}

func object(path string, v json.RawMessage) (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	err := members(path, v, func(name, _ string, v json.RawMessage) error {
		m[name] = v
		return nil
	})
	return m, err
}

func isNull(v json.RawMessage) bool { return Kind(v) == "null" }

// unquote decodes a string literal that Read has let through.
func unquote(v json.RawMessage) string {
	b, err := jsontext.AppendUnquote(nil, []byte(v))
	if err != nil {
		panic("plan: " + err.Error()) // Read checked it
	}
	return string(b)
}
