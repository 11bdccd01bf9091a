package qa

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Op is what a Condition asks.
type Op string

// The operators. And, Or and Not have parts; the others have a field, and Eq a
// value.
const (
	OpAnd Op = "and"
	OpOr  Op = "or"
	OpNot Op = "not"
	OpSet Op = "is_set" // there is an answer, and it is not ""
	OpYes Op = "answer" // the answer is not one of falsehoods
	OpEq  Op = "eq"     // the answer is the value, as text
)

// Condition says when a question is asked; the package comment has its meaning.
type Condition struct {
	Op    Op
	Of    []Condition
	Field string
	Value string
}

// Bounds of conditions. A tree of FormSpec is as deep as JSON may be.
const (
	maxExpression = 1024 // bytes
	maxParts      = 64   // operators in one condition
)

// falsehoods are the texts of answers that are no yes.
var falsehoods = []string{"", "false", "f", "no", "n", "0"}

func (c *Condition) holds(answers object) bool {
	switch c.Op {
	case OpAnd:
		return !slices.ContainsFunc(c.Of, func(p Condition) bool { return !p.holds(answers) })
	case OpOr:
		return slices.ContainsFunc(c.Of, func(p Condition) bool { return p.holds(answers) })
	case OpNot:
		return !c.Of[0].holds(answers)
	case OpSet:
		v := answers[c.Field]
		return v != nil && v != ""
	}
	s, ok := scalar(answers[c.Field])
	if c.Op == OpEq {
		return ok && s == c.Value
	}
	return ok && !slices.Contains(falsehoods, s)
}

// fields adds the questions that the condition asks for.
func (c *Condition) fields(list []string) []string {
	for i := range c.Of {
		list = c.Of[i].fields(list)
	}
	if c.Field != "" {
		list = append(list, c.Field)
	}
	return list
}

// MarshalJSON writes the expression tree of FormSpec.
func (c Condition) MarshalJSON() ([]byte, error) {
	answer := map[string]any{"op": OpYes, "path": c.Field}
	switch c.Op {
	case OpAnd, OpOr:
		return json.Marshal(map[string]any{"op": c.Op, "expressions": c.Of})
	case OpNot:
		return json.Marshal(map[string]any{"op": OpNot, "expression": c.Of[0]})
	case OpSet:
		return json.Marshal(map[string]any{"op": OpSet, "path": c.Field})
	case OpEq:
		return json.Marshal(map[string]any{"op": OpEq, "left": answer, "right": map[string]any{"op": "literal", "value": c.Value}})
	}
	return json.Marshal(answer)
}

var errCondition = errors.New("it is none of the forms that are read")

func not(c Condition) Condition { return Condition{Op: OpNot, Of: []Condition{c}} }

// visibleIf reads a condition under which a question is asked: an expression, an
// expression tree, or {field, eq}.
func visibleIf(v any) (*Condition, error) {
	parts := maxParts
	switch v := v.(type) {
	case string:
		return parseExpression(v)
	case object:
		if _, tree := v["op"]; tree {
			return parseTree(v, &parts)
		}
		field := first(v, "field")
		if field == "" {
			return nil, errCondition
		}
		eq, given := v["eq"]
		if !given || eq == nil {
			return &Condition{Op: OpYes, Field: field}, nil
		}
		if s, ok := scalar(eq); ok {
			return &Condition{Op: OpEq, Field: field, Value: s}, nil
		}
	}
	return nil, errCondition
}

// parseTree reads an expression of FormSpec: of the comparisons those of an answer
// with a literal.
func parseTree(v any, parts *int) (*Condition, error) {
	m, _ := v.(object)
	if *parts--; *parts < 0 {
		return nil, fmt.Errorf("it has more than %d parts", maxParts)
	}
	switch op, _ := m["op"].(string); op {
	case "and", "or":
		list, _ := m["expressions"].([]any)
		if len(list) == 0 {
			return nil, errCondition
		}
		c := &Condition{Op: Op(op)}
		for _, e := range list {
			p, err := parseTree(e, parts)
			if err != nil {
				return nil, err
			}
			c.Of = append(c.Of, *p)
		}
		return c, nil
	case "not":
		p, err := parseTree(m["expression"], parts)
		if err != nil {
			return nil, err
		}
		c := not(*p)
		return &c, nil
	case "is_set":
		return leaf(OpSet, m)
	case "answer", "var":
		return leaf(OpYes, m)
	case "eq", "ne":
		left, _ := m["left"].(object)
		right, _ := m["right"].(object)
		if first(left, "op") == "literal" {
			left, right = right, left
		}
		if o := first(left, "op"); o != "answer" && o != "var" || first(right, "op") != "literal" {
			return nil, errCondition
		}
		c, err := leaf(OpEq, left)
		s, ok := scalar(right["value"])
		if err != nil || !ok {
			return nil, errCondition
		}
		if c.Value = s; op == "ne" {
			n := not(*c)
			c = &n
		}
		return c, nil
	}
	return nil, errCondition
}

func leaf(op Op, m object) (*Condition, error) {
	field := strings.TrimPrefix(first(m, "path"), "/")
	if field == "" {
		return nil, errCondition
	}
	return &Condition{Op: op, Field: field}, nil
}

// skipIf reads a condition of component-qa 0.6.0 under which a question is not
// asked: {condition: {field, equals | not_equals | is_empty | is_not_empty}} and
// and, or, not of them.
func skipIf(v any) (*Condition, error) {
	parts := maxParts
	c, err := parseSkip(v, &parts)
	if err != nil {
		return nil, err
	}
	n := not(*c)
	return &n, nil
}

func parseSkip(v any, parts *int) (*Condition, error) {
	m, _ := v.(object)
	if *parts--; *parts < 0 {
		return nil, fmt.Errorf("it has more than %d parts", maxParts)
	}
	if len(m) != 1 {
		return nil, errCondition
	}
	for _, op := range []Op{OpAnd, OpOr} {
		list, _ := m[string(op)].([]any)
		if len(list) == 0 {
			continue
		}
		c := &Condition{Op: op}
		for _, e := range list {
			p, err := parseSkip(e, parts)
			if err != nil {
				return nil, err
			}
			c.Of = append(c.Of, *p)
		}
		return c, nil
	}
	if inner, ok := m["not"]; ok {
		c, err := parseSkip(inner, parts)
		if err != nil {
			return nil, err
		}
		n := not(*c)
		return &n, nil
	}
	m, _ = m["condition"].(object)
	field := first(m, "field")
	if field == "" {
		return nil, errCondition
	}
	// All that is said must hold, as upstream evaluates it.
	all := &Condition{Op: OpAnd}
	set := Condition{Op: OpSet, Field: field}
	if s, ok := scalar(m["equals"]); ok {
		all.Of = append(all.Of, Condition{Op: OpEq, Field: field, Value: s})
	}
	if s, ok := scalar(m["not_equals"]); ok {
		all.Of = append(all.Of, not(Condition{Op: OpEq, Field: field, Value: s}))
	}
	if m["is_empty"] == true {
		all.Of = append(all.Of, not(set))
	}
	if m["is_not_empty"] == true {
		all.Of = append(all.Of, set)
	}
	if len(all.Of) == 0 {
		return nil, errCondition
	}
	return all, nil
}

// nextLexeme matches an operator, a quoted literal, or a word.
var nextLexeme = regexp.MustCompile(`^\s*(?:(\|\||&&|==|!=|!)|"([^"\\]*)"|'([^'\\]*)'|(-?[\pL\pN_][\pL\pN_.\-]*))`)

type lexeme struct {
	op, word string
	literal  bool // in quotes
}

// parseExpression reads an expression of setup.yaml.
func parseExpression(s string) (*Condition, error) {
	if len(s) > maxExpression {
		return nil, fmt.Errorf("it has more than %d bytes", maxExpression)
	}
	var list []lexeme
	for strings.TrimSpace(s) != "" {
		at := nextLexeme.FindStringSubmatchIndex(s)
		if at == nil {
			return nil, errCondition
		}
		text := func(group int) string { return s[at[2*group]:at[2*group+1]] }
		switch {
		case at[2] >= 0:
			list = append(list, lexeme{op: text(1)})
		case at[4] >= 0:
			list = append(list, lexeme{word: text(2), literal: true})
		case at[6] >= 0:
			list = append(list, lexeme{word: text(3), literal: true})
		default:
			list = append(list, lexeme{word: text(4)})
		}
		s = s[at[1]:]
	}
	or := Condition{Op: OpOr}
	for _, alternative := range split(list, "||") {
		and := Condition{Op: OpAnd}
		for _, part := range split(alternative, "&&") {
			c, err := term(part)
			if err != nil {
				return nil, err
			}
			and.Of = append(and.Of, c)
		}
		or.Of = append(or.Of, simple(and))
	}
	c := simple(or)
	return &c, nil
}

// simple is the only part of a condition that has one.
func simple(c Condition) Condition {
	if len(c.Of) == 1 {
		return c.Of[0]
	}
	return c
}

func split(list []lexeme, op string) [][]lexeme {
	var parts [][]lexeme
	for {
		i := slices.IndexFunc(list, func(l lexeme) bool { return l.op == op })
		if i < 0 {
			return append(parts, list)
		}
		parts = append(parts, list[:i])
		list = list[i+1:]
	}
}

func term(list []lexeme) (Condition, error) {
	isField := func(l lexeme) bool { return l.op == "" && !l.literal }
	switch {
	case len(list) == 1 && isField(list[0]):
		return Condition{Op: OpYes, Field: list[0].word}, nil
	case len(list) == 2 && list[0].op == "!" && isField(list[1]):
		return not(Condition{Op: OpYes, Field: list[1].word}), nil
	case len(list) == 3 && isField(list[0]) && list[2].op == "" && (list[2].literal || isLiteral(list[2].word)):
		c := Condition{Op: OpEq, Field: list[0].word, Value: list[2].word}
		switch list[1].op {
		case "==":
			return c, nil
		case "!=":
			return not(c), nil
		}
	}
	return Condition{}, errCondition
}

var number = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`)

// isLiteral says that a word without quotes is a value and not another field.
func isLiteral(s string) bool { return s == "true" || s == "false" || number.MatchString(s) }
