package integrity

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Limits on the documents that are read.
const (
	MaxDocument  = 4 << 20  // bytes of an inventory, lock or manifest
	MaxSignature = 64 << 10 // bytes of signatures/pack.sig and of signatures/chain.pem
	MaxTrust     = 1 << 20  // bytes of a list of trusted keys
	// MaxElements bounds each array and map: an empty element costs a document
	// one byte and us a struct.
	MaxElements = 65536
)

// read gives the content of a document. One that is too large is a problem, and
// ok is false.
func (c *checker) read(name string, most int64) (b []byte, ok bool, err error) {
	sum, err := c.in.Files.Sum(name)
	if err != nil {
		return nil, false, err
	}
	if sum.Size > most {
		c.fail(RuleDocument, name, "", "is %d bytes long; at most %d are read", sum.Size, most)
		return nil, false, nil
	}
	if b, err = c.in.Files.Read(name, most); err != nil {
		return nil, false, err
	}
	return b, true, nil
}

// fault is what is wrong with a document: fit to be shown.
type fault struct {
	rule Rule
	text string
}

func (f *fault) Error() string { return f.text }

func faultf(rule Rule, format string, args ...any) error {
	return &fault{rule, fmt.Sprintf(format, args...)}
}

// broken reports a fault, which is all that decoding gives. What is only too new
// is a warning.
func (c *checker) broken(severity plan.Severity, name, hint string, err error) {
	rule := RuleSyntax
	if f, ok := errors.AsType[*fault](err); ok {
		rule = f.rule
	}
	if rule == RuleUnchecked {
		severity = plan.Warn
	}
	c.problem(severity, rule, name, hint, "%v", err)
}

// decode reads a CBOR or JSON object into v, whose fields have tags for both.
// Fields that v lacks are ignored: these documents say more than is checked.
func decode(b []byte, isCBOR bool, v any) error {
	if isCBOR {
		return decodeCBOR(b, v)
	}
	return decodeJSON(b, v)
}

// cborMode reads no tags and no name twice, within the bounds of [plan.MaxDepth]
// and MaxElements. Names match exactly: the default would take "FORMAT" for
// format.
var cborMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   plan.MaxDepth,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxElements,
		TagsMd:            cbor.TagsForbidden,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic(err) // constants out of the library's range
	}
	return mode
}()

func decodeCBOR(b []byte, v any) error {
	err := cborMode.Unmarshal(b, v)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok {
		return faultf(RuleSyntax, "has a CBOR %s where another type is expected", wrong.CBORType)
	}
	if _, ok := errors.AsType[*cbor.MaxArrayElementsError](err); ok {
		return faultf(RuleDocument, "has more than %d elements in an array", MaxElements)
	}
	if _, ok := errors.AsType[*cbor.MaxMapPairsError](err); ok {
		return faultf(RuleDocument, "has more than %d members in a map", MaxElements)
	}
	if _, ok := errors.AsType[*cbor.MaxNestedLevelError](err); ok {
		return faultf(RuleDocument, "is nested deeper than %d levels", plan.MaxDepth)
	}
	return faultf(RuleSyntax, "is not CBOR as it is read here: %s", hostile.Error(err))
}

func decodeJSON(b []byte, v any, options ...json.Options) error {
	if _, err := plan.ReadObject(b); err != nil {
		return faultf(RuleSyntax, "%s", hostile.Error(err))
	}
	d := jsontext.NewDecoder(bytes.NewReader(b))
	for {
		_, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return faultf(RuleSyntax, "is malformed at byte %d", d.InputOffset())
		}
		// Names count as elements, too.
		if depth := d.StackDepth(); depth > 0 {
			if kind, n := d.StackIndex(depth); n > 2*MaxElements || kind == '[' && n > MaxElements {
				return faultf(RuleDocument, "has more than %d elements in %s", MaxElements, hostile.Quote(string(d.StackPointer().Parent())))
			}
		}
	}
	err := json.Unmarshal(b, v, options...)
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(err, json.ErrUnknownName) {
			return faultf(RuleSyntax, "%s is not a known member", hostile.Quote(string(wrong.JSONPointer)))
		}
		return faultf(RuleSyntax, "%s is of the wrong type", hostile.Quote(string(wrong.JSONPointer)))
	}
	if err != nil {
		return faultf(RuleSyntax, "is malformed")
	}
	return nil
}

// isHash says that s is a hash or key of 32 bytes in hexadecimal, of either case
// as upstream compares it.
func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// sha256Of reads "sha256:<hex>" or, if bare, "<hex>" and gives the hash in lower
// case.
func sha256Of(s string, bare bool) (string, error) {
	algorithm, hash, named := strings.Cut(s, ":")
	switch {
	case !named && bare:
		hash = s
	case !named:
		return "", faultf(RuleSyntax, "has the digest %s where \"sha256:\" and 64 hexadecimal digits are expected", hostile.Quote(s))
	case algorithm != "sha256":
		return "", faultf(RuleAlgorithm, "has a digest of the kind %s; only sha256 is read", hostile.Quote(algorithm))
	}
	if !isHash(hash) {
		return "", faultf(RuleSyntax, "has the digest %s, which is not 64 hexadecimal digits", hostile.Quote(s))
	}
	return strings.ToLower(hash), nil
}
