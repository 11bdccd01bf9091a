package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Limits on structured documents.
const (
	MaxDocument  = 4 << 20  // bytes of one document
	MaxDocuments = 32 << 20 // bytes of all documents of a pack that are read
	MaxNesting   = 64       // arrays and objects within one another
	// MaxElements bounds each array and map. It bounds what a document of
	// MaxDocument bytes can make a decoder allocate: an empty element costs it
	// one byte to write and us a struct to hold.
	MaxElements = 65536
	// MaxValues bounds a document as a whole for the same reason. Names of members
	// count.
	MaxValues = 8 * MaxElements
)

// structured decodes a document of the pack, which is CBOR if its name ends so
// and JSON otherwise. Errors name it.
func (c *contents) structured(name string, v any) error {
	text, err := c.json(name)
	if err == nil {
		err = decode(text, v)
	}
	return inEntry(name, err)
}

// json gives a document as JSON, whatever it is encoded in, with its bounds and
// its syntax checked: decode and everything behind it may recurse.
func (c *contents) json(name string) ([]byte, error) {
	b, err := c.document(name)
	if err != nil {
		return nil, err
	}
	if path.Ext(name) == ".cbor" {
		b, err = cborToJSON(b)
	} else {
		err = checkJSON(b)
	}
	return b, inEntry(name, err)
}

// checkJSON checks the bounds and the syntax of a document in one pass that does
// not recurse.
func checkJSON(text []byte) error {
	// jsontext refuses duplicate member names and invalid UTF-8 by default.
	dec := jsontext.NewDecoder(bytes.NewBuffer(text))
	values := 0
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) && dec.InputOffset() == 0 {
			return refuse(RuleSyntax, "", "", "is empty")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return refuse(RuleSyntax, "", "", "%s", hostile.Error(err))
		}
		if kind := token.Kind(); kind != '}' && kind != ']' {
			values++
		}
		if values > MaxValues {
			return refuse(RuleDocument, "", "", "has more than %d values", MaxValues)
		}
		depth := dec.StackDepth()
		if depth > MaxNesting {
			return refuse(RuleDocument, "", "", "is nested deeper than %d levels", MaxNesting)
		}
		if kind, n := dec.StackIndex(depth); depth > 0 && (n > 2*MaxElements || kind == '[' && n > MaxElements) {
			return refuse(RuleDocument, "", "", "has more than %d elements in %s", MaxElements, hostile.Quote(string(dec.StackPointer().Parent())))
		}
	}
}

// decode takes a checked document, or a part of one, apart. Members that v has no
// field for are skipped: manifests carry much more than provisioning needs.
func decode(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		where := "the value"
		if wrong.JSONPointer != "" {
			where = hostile.Quote(string(wrong.JSONPointer))
		}
		if wrong.Err != nil && wrong.JSONKind == jsontext.KindInvalid {
			return refuse(RuleManifest, "", "", "%s: %s", where, hostile.Error(wrong.Err))
		}
		return refuse(RuleManifest, "", "", "%s is %s where %s is expected", where, kindName(wrong.JSONKind), expected(wrong.GoType))
	}
	if err != nil {
		return refuse(RuleSyntax, "", "", "%s", hostile.Error(err))
	}
	return nil
}

// kindName is the word for a kind of JSON value; jsontext prints the bracket.
func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 'n', 't', 'f':
		return k.String()
	}
	return "a " + k.String()
}

// expected says in JSON's words what a Go type is decoded from.
func expected(t reflect.Type) string {
	switch {
	case t == nil:
		return "another type"
	case t == reflect.TypeFor[symbol]():
		return "a string or an index"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return fmt.Sprint("a ", t.Kind())
}

// symbol is a symbolised field of pack-v1: an index into a table, or the string
// itself (older builds, and JSON).
type symbol struct {
	text    string
	index   uint64
	isIndex bool
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *symbol) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	t, err := dec.ReadToken()
	if err != nil {
		return err
	}
	*s = symbol{}
	switch t.Kind() {
	case '"':
		s.text = t.String()
		return nil
	case '0':
		if s.index, err = strconv.ParseUint(t.String(), 10, 64); err == nil {
			s.isIndex = true
			return nil
		}
	}
	return &json.SemanticError{JSONKind: t.Kind(), GoType: reflect.TypeFor[symbol]()}
}

func (s symbol) in(table []string, name string) (string, error) {
	switch {
	case !s.isIndex:
		return s.text, nil
	case s.index >= uint64(len(table)):
		return "", refuse(RuleSymbol, "", hintRebuild, "invalid symbol index %d in %s", s.index, name)
	}
	return table[s.index], nil
}
