package flow

import (
	"encoding/json"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// A template is text with tags, what Handlebars calls a program.
type template []templateNode

// templateNode is one of: text; a tag that inserts a value; a block.
type templateNode struct {
	text string
	// expr is the path of a tag or the argument of a block.
	expr *expression
	// block is if, unless, each or with; "" for a tag.
	block    string
	params   []string // as |value key|
	body     template
	inverse  template
	reported string // how to name the tag: its beginning, for a loop may name it a million times
}

// expression is a path as tags have it.
type expression struct {
	up   int    // how many ../
	data string // @index, @key, @first, @last or @root, without the @
	path []string
	self bool // begins with "this" or "./": no block parameter
}

// maxBlocks is how deep blocks may nest.
const maxBlocks = 32

// tag is a tag of the text, or text.
type tag struct {
	isTag      bool
	s          string // what is in the braces, trimmed; or text
	standalone bool   // takes its line with it where it is alone on it
}

// parseTemplate parses the Handlebars that flows use: {{path}}, {{{path}}} and
// {{&path}} (all without HTML escaping), comments, blocks if, unless, each and
// with, else and else if, ../, @index, @key, @first, @last, @root, as |a b|, "~",
// and "\{{" for braces that mean nothing. There are no helpers, partials or
// decorators.
func parseTemplate(s string) (template, *Error) {
	tags, err := scanTemplate(s)
	if err != nil {
		return nil, err
	}
	type open struct {
		block templateNode
		// done is what came before the block; chained says that the block is an
		// "else if" and ends with the one around it.
		done    template
		chained bool
		inElse  bool
	}
	var stack []open
	var now template
	begin := func(name, rest string, chained bool) *Error {
		if len(stack) == maxBlocks {
			return refuse(CodeTemplate, "blocks nest deeper than %d", maxBlocks)
		}
		node, err := parseBlock(name, rest)
		if err != nil {
			return err
		}
		stack = append(stack, open{block: node, done: now, chained: chained})
		now = nil
		return nil
	}
	for _, t := range tags {
		name, rest := word(t.s)
		switch {
		case !t.isTag:
			if t.s != "" {
				now = append(now, templateNode{text: t.s})
			}
		case strings.HasPrefix(t.s, "!"):
		case strings.HasPrefix(t.s, "#"):
			if err := begin(name[1:], rest, false); err != nil {
				return nil, err
			}
		case name == "else" || t.s == "^":
			if len(stack) == 0 {
				return nil, refuse(CodeTemplate, "%s stands outside of a block", hostile.Quote(t.s))
			}
			top := &stack[len(stack)-1]
			if top.inElse {
				return nil, refuse(CodeTemplate, "the block %s has an else behind its else", hostile.Quote(top.block.block))
			}
			top.block.body, top.inElse = now, true
			now = nil
			if rest != "" {
				name, rest := word(rest)
				if err := begin(name, rest, true); err != nil {
					return nil, err
				}
			}
		case strings.HasPrefix(t.s, "/"):
			name := strings.TrimSpace(t.s[1:])
			for closed := false; !closed; {
				if len(stack) == 0 {
					return nil, refuse(CodeTemplate, "%s closes a block that is not open", hostile.Quote(t.s))
				}
				top := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if top.inElse {
					top.block.inverse = now
				} else {
					top.block.body = now
				}
				closed = !top.chained
				if closed && top.block.block != name {
					return nil, refuse(CodeTemplate, "%s closes the block %s", hostile.Quote(t.s), hostile.Quote(top.block.block))
				}
				now = append(top.done, top.block)
			}
		default:
			expr, err := parseExpression(strings.TrimSpace(strings.TrimPrefix(t.s, "&")))
			if err != nil {
				return nil, err
			}
			now = append(now, templateNode{expr: expr, reported: hostile.Cut(t.s, hostile.MaxShown+1)})
		}
	}
	if len(stack) > 0 {
		return nil, refuse(CodeTemplate, "the block %s is never closed", hostile.Quote(stack[len(stack)-1].block.block))
	}
	return now, nil
}

// parseBlock parses what follows "#".
func parseBlock(name, rest string) (templateNode, *Error) {
	switch name {
	case "if", "unless", "each", "with":
	default:
		return templateNode{}, refuse(CodeTemplate, "the block helper %s is not known; there are if, unless, each and with", hostile.Quote(name))
	}
	n := templateNode{block: name, reported: "#" + name + " " + rest}
	if before, params, ok := strings.Cut(rest, " as |"); ok {
		params, ok := strings.CutSuffix(strings.TrimSpace(params), "|")
		n.params = strings.Fields(params)
		if !ok || len(n.params) == 0 || len(n.params) > 2 || name == "if" || name == "unless" {
			return templateNode{}, refuse(CodeTemplate, "%s has block parameters that make no sense", hostile.Quote(n.reported))
		}
		rest = strings.TrimSpace(before)
	}
	expr, err := parseExpression(rest)
	n.expr = expr
	return n, err
}

func parseExpression(s string) (*expression, *Error) {
	e := &expression{}
	rest := s
	for strings.HasPrefix(rest, "../") {
		e.up, rest = e.up+1, rest[3:]
	}
	switch {
	case rest == ".." || rest == "." || rest == "" && e.up > 0:
		if rest == ".." {
			e.up++
		}
		e.self = true
		return e, nil
	case strings.HasPrefix(rest, "@"):
		e.data, rest, _ = strings.Cut(rest[1:], ".")
		switch e.data {
		case "index", "key", "first", "last", "root":
		default:
			return nil, refuse(CodeTemplate, "%s is not known", hostile.Quote("@"+e.data))
		}
		if e.up > 0 || rest == "" && strings.HasSuffix(s, ".") {
			return nil, refuse(CodeTemplate, "%s is no path", hostile.Quote(s))
		}
		if rest == "" {
			return e, nil
		}
	case strings.HasPrefix(rest, "./"):
		e.self, rest = true, rest[2:]
	case rest == "this" || strings.HasPrefix(rest, "this.") || strings.HasPrefix(rest, "this["):
		e.self = true
	}
	path, ok := parsePath(rest)
	switch {
	case ok:
		e.path = path
		return e, nil
	case s == "":
		return nil, refuse(CodeTemplate, "a tag is empty")
	case strings.HasPrefix(s, ">"):
		return nil, refuse(CodeTemplate, "%s is a partial; there are none", hostile.Quote(s))
	case strings.ContainsAny(s, " \t\r\n|("):
		return nil, refuse(CodeTemplate, "%s calls a helper or a filter; there are none", hostile.Quote(s))
	}
	return nil, refuse(CodeTemplate, "%s is no path", hostile.Quote(s))
}

// scanTemplate cuts a template into text and tags and applies the rules for space:
// "~", and blocks and comments that are alone on their line. Text and tags
// alternate, with text at both ends.
func scanTemplate(s string) ([]tag, *Error) {
	var tags []tag
	var text strings.Builder
	trim := false // the text has a "~" in front
	flush := func() {
		t := text.String()
		if trim {
			t = strings.TrimLeft(t, space)
		}
		tags = append(tags, tag{s: t})
		text.Reset()
	}
	for {
		before, rest, found := strings.Cut(s, "{{")
		if !found {
			text.WriteString(s)
			break
		}
		if literal, ok := strings.CutSuffix(before, `\`); ok {
			text.WriteString(literal + "{{")
			s = rest
			continue
		}
		text.WriteString(before)
		inside, after, found := tagEnd(rest)
		if !found {
			return nil, refuse(CodeTemplate, "a tag is never closed: %s", hostile.Quote("{{"+hostile.Cut(rest, hostile.MaxShown)))
		}
		flush()
		if strings.HasPrefix(inside, "~") {
			inside = inside[1:]
			last := &tags[len(tags)-1]
			last.s = strings.TrimRight(last.s, space)
		}
		inside, trim = strings.CutSuffix(inside, "~")
		inside = strings.Trim(inside, space)
		name, _ := word(inside)
		tags = append(tags, tag{isTag: true, s: inside,
			standalone: name == "else" || inside != "" && strings.IndexByte("#/!^", inside[0]) >= 0})
		s = after
	}
	flush()
	trimStandalone(tags)
	return tags, nil
}

// space is what "~" and the ends of tags take away.
const space = " \t\r\n"

// tagEnd finds the end of a tag whose opening braces are off the front of s. Of a
// comment it gives the beginning and the "~" at its end, for "--" makes it go past
// braces.
func tagEnd(s string) (inside, after string, found bool) {
	switch {
	case strings.HasPrefix(s, "{"):
		return strings.Cut(s[1:], "}}}")
	case strings.HasPrefix(strings.TrimPrefix(s, "~"), "!--"):
		open := strings.Index(s, "!--") + len("!--")
		for rest := s[open:]; ; {
			_, rest, found = strings.Cut(rest, "--")
			switch {
			case !found:
				return "", "", false
			case strings.HasPrefix(rest, "}}"):
				return s[:open], rest[2:], true
			case strings.HasPrefix(rest, "~}}"):
				return s[:open] + "~", rest[3:], true
			}
		}
	}
	return strings.Cut(s, "}}")
}

// word cuts the first word off a tag.
func word(s string) (first, rest string) {
	i := strings.IndexAny(s, space)
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.Trim(s[i:], space)
}

// trimStandalone takes the line away around tags that are alone on it.
func trimStandalone(tags []tag) {
	// What is cut is decided before anything is: of two tags on a line neither is
	// alone.
	type cuts struct{ tail, head bool }
	text := make([]cuts, len(tags))
	for i := 1; i < len(tags)-1; i += 2 {
		if !tags[i].standalone {
			continue
		}
		before, after := tags[i-1].s, tags[i+1].s
		line := before[strings.LastIndexByte(before, '\n')+1:]
		begins := strings.Trim(line, " \t") == "" && (i == 1 || len(line) < len(before))
		rest, _, newline := strings.Cut(after, "\n")
		ends := strings.Trim(rest, " \t\r") == "" && (newline || i == len(tags)-2)
		if begins && ends {
			text[i-1].tail, text[i+1].head = true, true
		}
	}
	for i := range tags {
		if text[i].head {
			_, tags[i].s, _ = strings.Cut(tags[i].s, "\n")
		}
		if text[i].tail {
			tags[i].s = tags[i].s[:strings.LastIndexByte(tags[i].s, '\n')+1]
		}
	}
}

// scope is what paths in a block see.
type scope struct {
	value  any
	outer  *scope
	loop   bool // in each
	index  int
	last   bool
	key    *string        // of an object
	params map[string]any // block parameters
}

// writer renders a template.
type writer struct {
	r     *renderer
	root  any
	limit int
	out   []byte
}

func (w *writer) nodes(t template, s *scope) *Error {
	for _, n := range t {
		if err := w.r.step(); err != nil {
			return err
		}
		var err *Error
		switch {
		case n.expr == nil:
			err = w.write(n.text)
		case n.block == "":
			v, ok := w.lookup(n.expr, s)
			if !ok {
				w.r.missing("{{" + n.reported + "}}")
			}
			err = w.value(v)
		default:
			err = w.block(n, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) block(n templateNode, s *scope) *Error {
	v, _ := w.lookup(n.expr, s)
	switch n.block {
	case "if", "unless":
		if truthy(v) == (n.block == "if") {
			return w.nodes(n.body, s)
		}
		return w.nodes(n.inverse, s)
	case "with":
		if !truthy(v) {
			return w.nodes(n.inverse, s)
		}
		inner := &scope{value: v, outer: s}
		if len(n.params) > 0 {
			inner.params = map[string]any{n.params[0]: v}
		}
		return w.nodes(n.body, inner)
	}
	return w.each(n, v, s)
}

func (w *writer) each(n templateNode, v any, s *scope) *Error {
	var names []string
	count := 0
	switch v := v.(type) {
	case []any:
		count = len(v)
	case map[string]any:
		names = keys(v)
		count = len(names)
	}
	if count == 0 {
		return w.nodes(n.inverse, s)
	}
	for i := range count {
		if err := w.r.step(); err != nil {
			return err
		}
		inner := &scope{outer: s, loop: true, index: i, last: i == count-1}
		var key any = json.Number(itoa(i))
		if names != nil {
			inner.key = &names[i]
			inner.value, key = v.(map[string]any)[names[i]], names[i]
		} else {
			inner.value = v.([]any)[i]
		}
		if len(n.params) > 0 {
			inner.params = map[string]any{n.params[0]: inner.value}
		}
		if len(n.params) > 1 {
			inner.params[n.params[1]] = key
		}
		if err := w.nodes(n.body, inner); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) lookup(e *expression, s *scope) (any, bool) {
	for range e.up {
		if s.outer == nil {
			return nil, false
		}
		s = s.outer
	}
	if e.data != "" {
		v, ok := w.data(e.data, s)
		if !ok {
			return nil, false
		}
		return lookup(v, e.path)
	}
	if !e.self && len(e.path) > 0 {
		for t := s; t != nil; t = t.outer {
			if v, ok := t.params[e.path[0]]; ok {
				return lookup(v, e.path[1:])
			}
		}
	}
	return lookup(s.value, e.path)
}

// data finds @index and its like in the innermost loop.
func (w *writer) data(name string, s *scope) (any, bool) {
	if name == "root" {
		return w.root, true
	}
	for ; s != nil; s = s.outer {
		if !s.loop {
			continue
		}
		switch name {
		case "index":
			return json.Number(itoa(s.index)), true
		case "first":
			return s.index == 0, true
		case "last":
			return s.last, true
		}
		if s.key == nil {
			return nil, false
		}
		return *s.key, true
	}
	return nil, false
}

// truthy is what if takes for true: not null, false, zero, or empty.
func truthy(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return false
}

// value writes a value the way handlebars-rust does: null is nothing, an object is
// "[object]", an array its elements in brackets.
func (w *writer) value(v any) *Error {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		if v {
			return w.write("true")
		}
		return w.write("false")
	case json.Number:
		return w.write(v.String())
	case string:
		return w.write(v)
	case map[string]any:
		return w.write("[object]")
	case []any:
		if err := w.write("["); err != nil {
			return err
		}
		for i, e := range v {
			if i > 0 {
				if err := w.write(", "); err != nil {
					return err
				}
			}
			if err := w.value(e); err != nil {
				return err
			}
		}
	}
	return w.write("]")
}

func (w *writer) write(s string) *Error {
	if len(w.out)+len(s) > w.limit {
		return refuse(CodeInputSize, "the rendered mapping is larger than %d bytes", w.r.limit)
	}
	w.out = append(w.out, s...)
	return nil
}
