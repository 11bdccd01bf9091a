package qa

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Bounds of setup.yaml. Published ones have up to 8 KiB. The YAML reader takes
// some 200 times the memory of the worst of texts, which is what MaxSetup is for.
// It also recurses for what nests, takes time and memory with the square of the
// members of a mapping and of the documents, and keeps the path of every value. So
// these are counted in its tokens before it parses: 256 KiB of "- - -" keep it busy
// for minutes otherwise.
const (
	MaxSetup       = 512 << 10 // bytes
	maxYAMLDepth   = 32
	maxYAMLTokens  = 100_000
	maxYAMLMembers = 1000     // of one mapping
	maxYAMLName    = 256      // bytes
	maxYAMLNames   = 64 << 20 // bytes of the paths that the reader keeps with every value
	maxYAMLValues  = 100_000  // with aliases followed
	maxYAMLText    = maxForm  // bytes of strings and names, with aliases followed: 10,000 of one of 20 KiB fit into 50
	maxYAMLTabs    = 1 << 28  // tabs times bytes: at each in quotes the scanner looks on to the end of the line
)

// ParseSetup reads a setup.yaml. Its questions are those of the form; title,
// description and provider_id are kept, version and what is not known are not.
//
// The error is for what is not read at all: text that is no UTF-8 or no YAML, more
// than one document, duplicate keys, merge keys, tags but those of scalars, names
// that are no strings, what is beyond the bounds, aliases that unfold beyond them.
// An empty document is a form without questions.
func ParseSetup(yaml []byte) (*Form, []plan.Diagnostic, error) {
	v, err := parseYAML(yaml)
	if err != nil {
		return nil, nil, fmt.Errorf("setup.yaml: %w", err)
	}
	m, ok := v.(object)
	switch {
	case v == nil:
		m = object{}
	case !ok:
		return nil, nil, errors.New("setup.yaml: must be a mapping")
	}
	b, err := plan.Canonical(m)
	if err == nil {
		// What a form is read from has one strictness, whoever wrote it.
		m, err = read(b, maxForm)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("setup.yaml: %w", err)
	}
	return parseForm(m, nil, FromSetup)
}

// parseYAML gives the one document of a text as JSON has values.
func parseYAML(b []byte) (v any, err error) {
	if len(b) > MaxSetup {
		return nil, fmt.Errorf("has %d bytes, more than %d", len(b), MaxSetup)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("is not UTF-8")
	}
	if bytes.Count(b, []byte("\t"))*len(b) > maxYAMLTabs {
		return nil, errors.New("has too many tabs for its size")
	}
	// The reader is not made for hostile text; what it does not survive is no YAML.
	defer func() {
		if recover() != nil {
			v, err = nil, errors.New("cannot be parsed")
		}
	}()
	tokens := lexer.Tokenize(string(b))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := yamlparser.Parse(tokens, 0)
	if err != nil {
		return nil, malformed(err)
	}
	c := converter{anchors: map[string]ast.Node{}, values: maxYAMLValues, text: maxYAMLText}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if v != nil {
			return nil, errors.New("has more than one document")
		}
		if v, err = c.value(doc.Body, 0); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// malformed says where a reader failed. The text of its error quotes the document,
// which may be a secret's, and takes time with the square of its tokens.
func malformed(err error) error {
	var at interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		return errors.New("cannot be parsed")
	}
	what := "cannot be parsed"
	if strings.HasPrefix(at.GetMessage(), "mapping key") {
		what = "a key is there twice"
	}
	p := at.GetToken().Position
	return fmt.Errorf("%s, at line:column %d:%d", what, p.Line, p.Column)
}

// checkTokens holds the tokens against the bounds. How deep blocks nest is seen
// from the columns in which their entries begin, as the parser sees it.
func checkTokens(tokens token.Tokens) error {
	if len(tokens) > maxYAMLTokens {
		return fmt.Errorf("has %d tokens, more than %d", len(tokens), maxYAMLTokens)
	}
	type level struct {
		column, members int
		entry           token.Type
		flow            bool
	}
	var stack []level
	prefixes, deepest, longest, headers, ends := 0, 0, 0, 0, 0
	for i, t := range tokens {
		// Anchors and tags nest what they stand before.
		if t.Type == token.AnchorType || t.Type == token.TagType {
			prefixes++
		} else if i > 0 && tokens[i-1].Type != token.AnchorType {
			prefixes = 0
		}
		switch t.Type {
		case token.DocumentHeaderType:
			if headers++; headers > 1 {
				return errors.New("has more than one document")
			}
		case token.DocumentEndType:
			if ends++; ends > 1 {
				return errors.New("has more than one document")
			}
		case token.DirectiveType:
			return errors.New("has a directive, which is not read")
		case token.MergeKeyType:
			return errors.New("has a merge key, which is not read")
		case token.SequenceStartType, token.MappingStartType:
			stack = append(stack, level{flow: true})
		case token.SequenceEndType, token.MappingEndType:
			for len(stack) > 0 {
				last := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if last.flow {
					break
				}
			}
		case token.SequenceEntryType, token.MappingValueType, token.MappingKeyType:
			at := t.Position.Column
			if t.Type == token.MappingValueType && i > 0 {
				at = tokens[i-1].Position.Column
				longest = max(longest, len(tokens[i-1].Value))
			}
			// A list may stand in the column of the name that it belongs to.
			for n := len(stack) - 1; n >= 0 && !stack[n].flow && (stack[n].column > at ||
				n > 0 && stack[n].entry != t.Type && stack[n-1].column == at && stack[n-1].entry == t.Type); n-- {
				stack = stack[:n]
			}
			if n := len(stack) - 1; n < 0 || !stack[n].flow && (stack[n].column < at || stack[n].entry != t.Type) {
				stack = append(stack, level{column: at, entry: t.Type})
			}
			top := &stack[len(stack)-1]
			if t.Type != token.SequenceEntryType {
				if top.members++; top.members > maxYAMLMembers {
					return fmt.Errorf("has a mapping with more than %d members", maxYAMLMembers)
				}
			}
		}
		if deepest = max(deepest, len(stack)+prefixes); deepest > maxYAMLDepth {
			return fmt.Errorf("nests deeper than %d", maxYAMLDepth)
		}
	}
	if longest > maxYAMLName {
		return fmt.Errorf("has a name of more than %d bytes", maxYAMLName)
	}
	if longest*deepest*len(tokens) > maxYAMLNames {
		return errors.New("has too long names for so many values")
	}
	return nil
}

// converter makes values of nodes. How many values and how much text are left
// bounds what aliases can unfold to.
type converter struct {
	anchors      map[string]ast.Node
	values, text int
}

// take counts text before it is kept.
func (c *converter) take(s string) (string, error) {
	if c.text -= len(s); c.text < 0 {
		return "", fmt.Errorf("has more than %d bytes of text, aliases followed", maxYAMLText)
	}
	return s, nil
}

func (c *converter) value(n ast.Node, depth int) (any, error) {
	if c.values--; c.values < 0 {
		return nil, fmt.Errorf("has more than %d values, aliases followed", maxYAMLValues)
	}
	// An alias within its own anchor ends here too.
	if depth > maxYAMLDepth {
		return nil, fmt.Errorf("nests deeper than %d, aliases followed", maxYAMLDepth)
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.StringNode:
		return c.take(n.Value)
	case *ast.LiteralNode:
		return c.take(n.Value.Value)
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		return n.Value, nil
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.InfinityNode:
		return nil, errNumber(n)
	case *ast.NanNode:
		return nil, errNumber(n)
	case *ast.AnchorNode:
		c.anchors[n.Name.GetToken().Value] = n.Value
		return c.value(n.Value, depth+1)
	case *ast.AliasNode:
		to, ok := c.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, errors.New("has an alias without an anchor before it")
		}
		return c.value(to, depth+1)
	case *ast.TagNode:
		switch n.Start.Value {
		case "!!str":
			if s, ok := n.Value.(ast.ScalarNode); ok {
				if t := s.GetToken(); t != nil && n.Value.Type() != ast.LiteralType {
					return c.take(t.Value)
				}
			}
			return c.value(n.Value, depth+1)
		case "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
			return c.value(n.Value, depth+1)
		}
		return nil, errors.New("has a tag that is not read")
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, e := range n.Values {
			v, err := c.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.MappingNode:
		return c.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return c.mapping([]*ast.MappingValueNode{n}, depth)
	}
	return nil, fmt.Errorf("has a value that is not read (%s)", n.Type())
}

func errNumber(n ast.Node) error {
	return fmt.Errorf("has a number that JSON has not (%s)", n.Type())
}

func (c *converter) mapping(values []*ast.MappingValueNode, depth int) (any, error) {
	m := make(object, len(values))
	for _, mv := range values {
		var name string
		switch k := mv.Key.(type) {
		case *ast.StringNode:
			name = k.Value
		case *ast.BoolNode, *ast.IntegerNode:
			name = k.GetToken().Value
		default:
			return nil, errors.New("has a key that is no string")
		}
		if _, twice := m[name]; twice {
			return nil, errors.New("a key is there twice")
		}
		if _, err := c.take(name); err != nil {
			return nil, err
		}
		v, err := c.value(mv.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return nil, errors.New("has a number that JSON has not")
		}
		m[name] = v
	}
	return m, nil
}
