package flow

import (
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// renderer renders a mapping into JSON text. It writes text, not values, so that a
// value that is inserted a thousand times is counted a thousand times before it
// takes memory.
type renderer struct {
	root     any // what templates see
	lenient  bool
	pointers bool // a string that begins with "/" is a JSON Pointer
	limit    int  // for out
	steps    *int // left
	// warn tells of a path that was not found, and where in the mapping.
	warn func(at, expression string)

	at  []string // where in the mapping
	out []byte
}

// render renders v into r.out.
func (r *renderer) render(v any) *Error {
	switch v := v.(type) {
	case string:
		return r.string(v)
	case []any:
		return r.list(v)
	case map[string]any:
		return r.object(v)
	}
	return r.value(v)
}

func (r *renderer) list(v []any) *Error {
	r.out = append(r.out, '[')
	for i, e := range v {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		r.at = append(r.at, itoa(i))
		if err := r.render(e); err != nil {
			return err
		}
		r.at = r.at[:len(r.at)-1]
	}
	r.out = append(r.out, ']')
	return r.check()
}

func (r *renderer) object(v map[string]any) *Error {
	r.out = append(r.out, '{')
	for i, k := range keys(v) {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		r.quote(k)
		r.out = append(r.out, ':')
		r.at = append(r.at, k)
		if err := r.render(v[k]); err != nil {
			return err
		}
		r.at = r.at[:len(r.at)-1]
	}
	r.out = append(r.out, '}')
	return r.check()
}

func (r *renderer) string(s string) *Error {
	if r.pointers && strings.HasPrefix(s, "/") && !strings.Contains(s, "{{") {
		if err := r.step(); err != nil {
			return r.locate(err)
		}
		v, ok := pointer(r.root, s)
		return r.found(v, ok, s)
	}
	if path, ok := exact(s); ok {
		if err := r.step(); err != nil {
			return r.locate(err)
		}
		v, ok := lookup(r.root, path)
		return r.found(v, ok, s)
	}
	if strings.Contains(s, "{{") {
		t, err := parseTemplate(s)
		if err != nil {
			return r.locate(err)
		}
		w := writer{r: r, root: r.root, limit: r.limit - len(r.out)}
		if err := w.nodes(t, &scope{value: r.root}); err != nil {
			return r.locate(err)
		}
		s = string(w.out)
	}
	r.quote(s)
	return r.check()
}

// exact says whether s is one path in braces and nothing else, and which.
func exact(s string) ([]string, bool) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "{{") || !strings.HasSuffix(s, "}}") {
		return nil, false
	}
	return parsePath(strings.TrimSpace(strings.TrimRight(strings.TrimLeft(s, "{"), "}")))
}

// found inserts the value that expression s names.
func (r *renderer) found(v any, ok bool, s string) *Error {
	switch {
	case ok:
		return r.value(v)
	case !r.lenient:
		return r.locate(refuse(CodeTemplatePath, "%s names nothing that there is", hostile.Quote(strings.TrimSpace(s))))
	}
	r.missing(s)
	r.out = append(r.out, `""`...)
	return r.check()
}

func (r *renderer) missing(s string) { r.warn(r.where(), strings.TrimSpace(s)) }

// value inserts a value as it is: templates in values are text of whoever gave
// them.
func (r *renderer) value(v any) *Error {
	switch v := v.(type) {
	case nil:
		r.out = append(r.out, "null"...)
	case bool:
		if v {
			r.out = append(r.out, "true"...)
		} else {
			r.out = append(r.out, "false"...)
		}
	case json.Number:
		r.out = append(r.out, v...)
	case string:
		r.quote(v)
	case []any:
		r.out = append(r.out, '[')
		for i, e := range v {
			if i > 0 {
				r.out = append(r.out, ',')
			}
			if err := r.value(e); err != nil {
				return err
			}
		}
		r.out = append(r.out, ']')
	case map[string]any:
		r.out = append(r.out, '{')
		for i, k := range keys(v) {
			if i > 0 {
				r.out = append(r.out, ',')
			}
			r.quote(k)
			r.out = append(r.out, ':')
			if err := r.value(v[k]); err != nil {
				return err
			}
		}
		r.out = append(r.out, '}')
	}
	return r.check()
}

func (r *renderer) quote(s string) {
	b, err := jsontext.AppendQuote(r.out, s)
	if err != nil {
		panic("flow: " + err.Error()) // all strings come out of valid JSON
	}
	r.out = b
}

func (r *renderer) check() *Error {
	if len(r.out) > r.limit {
		return r.locate(refuse(CodeInputSize, "the rendered mapping is larger than %d bytes", r.limit))
	}
	return nil
}

func (r *renderer) step() *Error {
	if *r.steps--; *r.steps < 0 {
		return refuse(CodeTemplateSteps, "the templates of this run take more than %d steps", MaxTemplateSteps)
	}
	return nil
}

// locate puts the place in the mapping in front of an error's detail.
func (r *renderer) locate(err *Error) *Error {
	err.Detail = "mapping " + hostile.Quote(r.where()) + ": " + err.Detail
	return err
}

// where is the place as a JSON Pointer, its beginning left out when it is long.
func (r *renderer) where() string {
	where := ""
	for i := len(r.at) - 1; i >= 0; i-- {
		if len(where)+len(r.at[i]) >= hostile.MaxShown {
			return "…" + where
		}
		where = "/" + pointerEscaper.Replace(r.at[i]) + where
	}
	return where
}
