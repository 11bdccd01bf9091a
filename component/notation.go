package component

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// walk writes a type in WIT notation to emit, piece by piece, until emit says
// stop. Types come from hostile binaries and a small binary can describe a tree
// of a million nodes (a record of records of …, each member the same type), so
// whoever compares or prints one must be able to stop early.
func (t *Type) walk(emit func(string) bool) bool {
	if t == nil {
		return emit("_")
	}
	if !emit(t.Kind.String()) {
		return false
	}
	switch t.Kind {
	case List, Option:
		return emit("<") && t.Elem.walk(emit) && emit(">")
	case Result:
		return emit("<") && t.Ok.walk(emit) && emit(", ") && t.Err.walk(emit) && emit(">")
	case Enum, Flags:
		if !emit(" {") {
			return false
		}
		for i, l := range t.Labels {
			if i > 0 && !emit(", ") || !emit(l) {
				return false
			}
		}
		return emit("}")
	case Tuple:
		return emit("<") && walkFields(t.Fields, emit, func(f Field) bool { return f.Type.walk(emit) }) && emit(">")
	case Record:
		return emit(" {") && walkFields(t.Fields, emit, func(f Field) bool {
			return emit(f.Name) && emit(": ") && f.Type.walk(emit)
		}) && emit("}")
	case Variant:
		return emit(" {") && walkFields(t.Fields, emit, func(f Field) bool {
			if f.Type == nil {
				return emit(f.Name)
			}
			return emit(f.Name) && emit("(") && f.Type.walk(emit) && emit(")")
		}) && emit("}")
	}
	return true
}

func (f *Func) walk(emit func(string) bool) bool {
	ok := emit("func(") && walkFields(f.Params, emit, func(p Field) bool { return p.Type.walk(emit) }) && emit(")")
	if ok && f.Result != nil {
		ok = emit(" -> ") && f.Result.walk(emit)
	}
	return ok
}

func walkFields(fields []Field, emit func(string) bool, one func(Field) bool) bool {
	for i, f := range fields {
		if i > 0 && !emit(", ") || !one(f) {
			return false
		}
	}
	return true
}

// String writes the type in WIT notation, records and variants in full; two
// types are structurally equal exactly when their strings are (resources are
// written without identity).
func (t *Type) String() string {
	var b strings.Builder
	t.walk(func(s string) bool { b.WriteString(s); return true })
	return b.String()
}

// String writes the function type in WIT notation, without parameter names
// (names are no part of structural matching).
func (f *Func) String() string {
	var b strings.Builder
	f.walk(func(s string) bool { b.WriteString(s); return true })
	return b.String()
}

// Is says whether String gives wit. It looks at no more of the type than the
// length of wit, however large the type is.
func (f *Func) Is(wit string) bool {
	all := f.walk(func(s string) bool {
		rest, ok := strings.CutPrefix(wit, s)
		wit = rest
		return ok
	})
	return all && wit == ""
}

// Supported says whether values of all the function's types can cross the border
// to the host: none of them is Unsupported, and there are no more than 65,536 of
// them, parts of types counted.
func (f *Func) Supported() bool {
	left := 1 << 16
	for _, p := range f.Params {
		if !p.Type.supported(&left) {
			return false
		}
	}
	return f.Result.supported(&left)
}

func (t *Type) supported(left *int) bool {
	if t == nil {
		return true
	}
	*left--
	if *left < 0 || t.Kind == Unsupported || !t.Elem.supported(left) || !t.Ok.supported(left) || !t.Err.supported(left) {
		return false
	}
	for _, f := range t.Fields {
		if !f.Type.supported(left) {
			return false
		}
	}
	return true
}

// Abbreviate gives String as Quote shows it, written no further than needed.
func (f *Func) Abbreviate(max int) string {
	var b strings.Builder
	f.walk(func(s string) bool { b.WriteString(s); return b.Len() <= max })
	return Quote(b.String(), max)
}

// Quote makes hostile text fit to be shown: at most max bytes of it, with
// everything that is not printable ASCII escaped, and "…" where it was cut.
func Quote(s string, max int) string {
	cut := ""
	if len(s) > max {
		for max > 0 && !utf8.RuneStart(s[max]) {
			max--
		}
		s, cut = s[:max], "…"
	}
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`) + cut
}
