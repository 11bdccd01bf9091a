package qa

import (
	"encoding/json"
	"slices"

	"github.com/greentic-ai/greentic-provision/plan"
)

// JSONSchema describes the answers to the form as a JSON Schema (draft 2020-12),
// as Form.Answers gives them: flat and typed. It accepts what Check accepts;
// unknown answers too, which are a warning there. Secrets are writeOnly and have
// the format password. Members of canonical JSON are sorted: x-order has the
// questions in theirs.
func (f *Form) JSONSchema() json.RawMessage {
	properties, required, order, conditions := object{}, []any{}, []any{}, []any{}
	for _, q := range f.Questions {
		order = append(order, q.ID)
		always := q.Required && q.VisibleIf == nil
		properties[q.ID] = q.schema(always)
		switch {
		case always:
			required = append(required, q.ID)
		case q.Required:
			conditions = append(conditions, object{"if": q.VisibleIf.schema(),
				"then": object{"required": []any{q.ID}, "properties": object{q.ID: answered(q.Kind)}}})
		}
	}
	s := object{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": properties}
	put(s, "title", f.Title)
	put(s, "description", f.Description)
	for name, list := range map[string][]any{"required": required, "x-order": order, "allOf": conditions} {
		if len(list) > 0 {
			s[name] = list
		}
	}
	return canonical(s)
}

func put(m object, name, text string) {
	if text != "" {
		m[name] = text
	}
}

// answered is what the value of an answer must be like to be one.
func answered(k Kind) object {
	switch k {
	case KindText:
		return object{"not": object{"enum": []any{"", nil}}}
	case KindMultichoice, KindTable:
		return object{"minItems": 1}
	}
	return object{}
}

func (q Question) schema(required bool) object {
	s := object{}
	switch q.Kind {
	case KindBoolean:
		s["type"] = "boolean"
	case KindNumber, KindInteger:
		s["type"] = string(q.Kind)
	case KindChoice:
		s["enum"] = q.values()
	case KindMultichoice:
		s["type"], s["items"] = "array", object{"enum": q.values()}
	case KindTable:
		s["type"], s["items"] = "array", q.row()
	default:
		switch scalars := []any{"string", "number", "boolean"}; {
		case q.Format == "json":
		case q.Multilingual:
			s["type"] = append(scalars, "object")
			s["additionalProperties"] = object{"type": "string"}
		default:
			s["type"] = scalars
		}
	}
	if k := q.Kind; k == KindText || k == KindNumber || k == KindInteger {
		constraints := q.constraints()
		if _, number := constraints["minimum"]; len(constraints) > 0 && !required && k == KindText && (len(constraints) > 1 || !number) {
			// An optional text may be left empty.
			s["anyOf"] = []any{object{"const": ""}, constraints}
		} else {
			for name, c := range constraints {
				s[name] = c
			}
		}
	}
	if required {
		for name, c := range answered(q.Kind) {
			s[name] = c
		}
	}
	if n := q.MinRows; q.Kind == KindTable && n != nil && (*n > 0 || !required) {
		s["minItems"] = *n
	}
	if q.Kind == KindTable && q.MaxRows != nil {
		s["maxItems"] = *q.MaxRows
	}
	put(s, "title", q.Label)
	put(s, "description", q.Help)
	if q.Default != nil {
		s["default"] = q.Default
	}
	if q.Secret {
		s["writeOnly"], s["format"] = true, "password"
	}
	return s
}

// constraints are those of the keywords that hold for texts or numbers only, as
// Check has it.
func (q Question) constraints() object {
	s := object{}
	put(s, "pattern", q.Pattern)
	if q.Min != nil {
		s["minimum"] = *q.Min
	}
	if q.Max != nil {
		s["maximum"] = *q.Max
	}
	if q.MinLength != nil {
		s["minLength"] = *q.MinLength
	}
	if q.MaxLength != nil {
		s["maxLength"] = *q.MaxLength
	}
	return s
}

// row is the schema of a row of a table; null in a cell is no answer.
func (q Question) row() object {
	properties, required := object{}, []any{}
	for _, c := range q.Columns {
		s := c.schema(c.Required)
		if c.Required {
			required = append(required, c.ID)
		} else {
			s = object{"anyOf": []any{object{"type": "null"}, s}}
		}
		properties[c.ID] = s
	}
	s := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// values are the answers that are one of the choices: their texts, and the number
// or boolean that such a text is.
func (q Question) values() []any {
	list := []any{}
	for _, c := range q.Choices {
		list = append(list, alike(c.Value)...)
	}
	return list
}

func alike(s string) []any {
	list := []any{s}
	switch {
	case s == "true" || s == "false":
		list = append(list, s == "true")
	case number.MatchString(s):
		if v := typed(Question{Kind: KindNumber}, s); v != any(s) && v == any(json.Number(s)) {
			list = append(list, v)
		}
	}
	return list
}

// schema is the condition as one on the answers.
func (c *Condition) schema() object {
	parts := make([]any, len(c.Of))
	for i := range c.Of {
		parts[i] = c.Of[i].schema()
	}
	switch c.Op {
	case OpAnd:
		return object{"allOf": parts}
	case OpOr:
		return object{"anyOf": parts}
	case OpNot:
		return object{"not": parts[0]}
	case OpSet:
		return object{"required": []any{c.Field}, "properties": object{c.Field: object{"not": object{"enum": []any{"", nil}}}}}
	case OpEq:
		return object{"required": []any{c.Field}, "properties": object{c.Field: object{"enum": alike(c.Value)}}}
	}
	var none []any
	for _, s := range falsehoods {
		none = append(none, alike(s)...)
	}
	return object{"required": []any{c.Field}, "properties": object{c.Field: object{
		"type": []any{"string", "number", "boolean"}, "not": object{"enum": none}}}}
}

// AdaptiveCard gives the form as an Adaptive Card, version 1.5. What is submitted
// are flat answers. A card has no tables and no conditions: a table is a text that
// says so, and what is asked under a condition is not required.
func (f *Form) AdaptiveCard() json.RawMessage {
	body := []any{}
	if f.Title != "" {
		body = append(body, object{"type": "TextBlock", "text": f.Title, "size": "large", "weight": "bolder", "wrap": true})
	}
	if f.Description != "" {
		body = append(body, object{"type": "TextBlock", "text": f.Description, "wrap": true})
	}
	group := ""
	for _, q := range f.Questions {
		if q.Group != group && q.Group != "" {
			body = append(body, object{"type": "TextBlock", "text": q.Group, "weight": "bolder", "wrap": true, "separator": true})
		}
		group = q.Group
		body = append(body, q.input())
		if q.Help != "" {
			body = append(body, object{"type": "TextBlock", "text": q.Help, "isSubtle": true, "size": "small", "wrap": true, "spacing": "none"})
		}
	}
	return canonical(object{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.5",
		"body": body, "actions": []any{object{"type": "Action.Submit", "title": "Submit"}},
	})
}

func (q Question) input() object {
	if q.Kind == KindTable {
		return object{"type": "TextBlock", "text": q.Label + " (a table: give its rows in the answers)", "wrap": true}
	}
	in := object{"id": q.ID, "label": q.Label}
	value, _ := scalar(plan.Tree(q.Default))
	switch q.Kind {
	case KindBoolean:
		in["type"], in["title"], in["valueOn"], in["valueOff"] = "Input.Toggle", q.Label, "true", "false"
	case KindNumber, KindInteger:
		in["type"] = "Input.Number"
		if q.Min != nil {
			in["min"] = *q.Min
		}
		if q.Max != nil {
			in["max"] = *q.Max
		}
	case KindChoice, KindMultichoice:
		in["type"], in["choices"] = "Input.ChoiceSet", q.Choices
		if q.Kind == KindMultichoice {
			in["isMultiSelect"] = true
		}
	default:
		in["type"] = "Input.Text"
		put(in, "regex", q.Pattern)
		if q.MaxLength != nil {
			in["maxLength"] = *q.MaxLength
		}
		if q.Secret {
			in["style"], value = "password", ""
		}
		if q.Format == "json" || q.Format == "textarea" || q.Format == "multiline" {
			in["isMultiline"] = true
		}
	}
	if _, isNumber := plan.Tree(q.Default).(json.Number); isNumber && in["type"] == "Input.Number" {
		in["value"] = q.Default
	} else {
		put(in, "value", value)
	}
	put(in, "placeholder", q.Placeholder)
	required := q.Required && q.VisibleIf == nil
	if required {
		in["isRequired"] = true
	}
	if required || q.Pattern != "" {
		in["errorMessage"] = q.complaint()
	}
	return in
}

// complaint is what a card says of a wrong answer.
func (q Question) complaint() string {
	switch {
	case q.Error != "":
		return q.Error
	case q.Pattern != "":
		return "must match " + q.Pattern
	case slices.Contains([]Kind{KindChoice, KindMultichoice}, q.Kind):
		return "choose one"
	}
	return "an answer is required"
}
