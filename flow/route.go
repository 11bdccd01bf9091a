package flow

import (
	"encoding/json"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// route finds the way on from a node.
//
// A failed component ends the flow unless a route is for its status or for
// "error".
func (f *frame) route(n Node, o outcome) (next, *Error) {
	verdict := "ok"
	if o.failed != nil {
		verdict = "error"
	}
	switch n.Routing.Kind {
	case RouteBranch:
		for _, status := range []string{o.status, verdict} {
			if to, ok := n.Routing.OnStatus[status]; ok {
				return next{node: to}, nil
			}
		}
		switch {
		case o.failed != nil:
			return next{}, o.failed
		case n.Routing.Default == "":
			return next{}, refuse(CodeNoRoute, "no route is for the status %s, and there is no default", hostile.Quote(o.status))
		}
		return next{node: n.Routing.Default}, nil
	case RouteCustom:
		return f.custom(n.Routing.Custom, o, verdict)
	}
	if o.failed != nil {
		return next{}, o.failed
	}
	switch n.Routing.Kind {
	case RouteNext:
		return next{node: n.Routing.Next}, nil
	case RouteEnd, RouteReply, "":
		return next{stop: true}, nil
	}
	return next{}, refuse(CodeRouting, "the routing is of the kind %s, which is not known", hostile.Quote(string(n.Routing.Kind)))
}

// custom takes the first of a list of routes that fits: {condition?, status?, to |
// out | reply}.
func (f *frame) custom(raw json.RawMessage, o outcome, verdict string) (next, *Error) {
	checked, wrong := plan.Read(raw)
	if wrong != nil {
		return next{}, refuse(CodeRouting, "the routing: %s", hostile.Error(wrong))
	}
	list, err := readRoutes(checked)
	if err != nil {
		return next{}, err
	}
	var seen *sight
	for _, route := range list {
		if route.onMessage || route.status != nil && *route.status != o.status && *route.status != verdict {
			continue
		}
		if o.failed != nil && route.status == nil {
			continue
		}
		if route.condition != nil {
			if seen == nil {
				seen = &sight{values: f.routing(o), texts: map[string]string{}}
			}
			holds, err := condition(*route.condition, seen)
			switch {
			case err != nil:
				return next{}, err
			case !holds:
				continue
			}
		}
		switch {
		case route.out || route.reply || route.to == "out":
			return next{stop: true}, nil
		case route.to != "":
			return next{node: route.to}, nil
		}
	}
	if o.failed != nil {
		return next{}, o.failed
	}
	return next{}, refuse(CodeNoRoute, "none of the %d routes fits; the runner would wait for a message, a provisioning run gets none", len(list))
}

// route is one entry of a custom routing.
type route struct {
	to                    string
	out, reply, onMessage bool
	status, condition     *string
}

// readRoutes reads a custom routing. Names it does not know say nothing about
// where to go, for none does upstream.
func readRoutes(raw json.RawMessage) ([]route, *Error) {
	list, ok := elements(raw)
	if !ok {
		return nil, refuse(CodeRouting, "the routing must be an array of routes, found %s", plan.Kind(raw))
	}
	routes := make([]route, len(list))
	for i, e := range list {
		m, ok := members(e)
		if !ok {
			return nil, refuse(CodeRouting, "route %d must be an object, found %s", i, plan.Kind(e))
		}
		r := &routes[i]
		for _, field := range m {
			name, v := field.name, field.value
			if absent(v) {
				continue
			}
			s, isText := text(v)
			isTrue := string(v) == "true"
			isBool := isTrue || string(v) == "false"
			switch {
			case name == "to" && isText:
				r.to = s
			case name == "status" && isText:
				r.status = &s
			case name == "condition" && isText:
				r.condition = &s
			case name == "out" && isBool:
				r.out = isTrue
			case name == "reply" && isBool:
				r.reply = isTrue
			case name == "on_message" && isBool:
				r.onMessage = isTrue
			case name == "to" || name == "status" || name == "condition" || name == "out" || name == "reply" || name == "on_message":
				return nil, refuse(CodeRouting, "%s of route %d must not be %s", hostile.Quote(name), i, plan.Kind(v))
			}
		}
	}
	return routes, nil
}

// routing is what conditions see: the fields of the output, over them entry and
// in, and as response the metadata and the text of the message in the entry.
func (f *frame) routing(o outcome) map[string]any {
	c := map[string]any{}
	if m, ok := o.value.(map[string]any); ok {
		for k, v := range m {
			c[k] = v
		}
	}
	c["entry"], c["in"] = f.entry, f.entry
	response := map[string]any{}
	for _, path := range [][]string{{"input", "metadata"}, {"metadata"}} {
		if v, ok := lookup(f.entry, path); ok {
			if m, ok := v.(map[string]any); ok {
				for k, v := range m {
					response[k] = v
				}
			}
			break
		}
	}
	for _, path := range [][]string{{"input", "text"}, {"text"}} {
		if v, ok := lookup(f.entry, path); ok {
			if v != nil {
				response["text"] = v
			}
			break
		}
	}
	c["response"] = response
	return c
}

// sight is what the conditions of a node see. texts are those of values that were
// compared: there may be a hundred thousand routes, and each may look at a megabyte.
type sight struct {
	values map[string]any
	texts  map[string]string // by JSON Pointer
}

// text gives a value as conditions compare it.
func (s *sight) text(path []string, v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	key := ""
	for _, name := range path {
		key += "/" + pointerEscaper.Replace(name)
	}
	text, known := s.texts[key]
	if !known {
		text = string(canonical(v))
		s.texts[key] = text
	}
	return text
}

// condition evaluates path == "text", path != "text" or path. Texts are compared
// without regard to ASCII case, other values as their JSON; a path that is not
// there equals nothing. A path alone holds where if would.
func condition(s string, seen *sight) (bool, *Error) {
	left, right, op := s, "", ""
	for i := range len(s) - 1 {
		if two := s[i : i+2]; two == "==" || two == "!=" {
			left, op, right = s[:i], two, strings.TrimSpace(s[i+2:])
			break
		}
	}
	path, ok := parsePath(strings.TrimSpace(left))
	if !ok {
		return false, refuse(CodeRouting, `the condition %s is neither path == "text" nor path != "text" nor a path`, hostile.Quote(s))
	}
	v, found := lookup(seen.values, path)
	if op == "" {
		return truthy(v), nil
	}
	for _, q := range []string{`"`, "'"} {
		if len(right) >= 2 && strings.HasPrefix(right, q) && strings.HasSuffix(right, q) {
			right = right[1 : len(right)-1]
			break
		}
	}
	equal := found && equalASCII(seen.text(path, v), right)
	return equal == (op == "=="), nil
}

// equalASCII is strings.EqualFold for ASCII only, as upstream compares.
func equalASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x|0x20 == y|0x20 && (x|0x20 >= 'a' && x|0x20 <= 'z') || x == y {
			continue
		}
		return false
	}
	return true
}
