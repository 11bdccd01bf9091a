package componenttest

import (
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/component"
)

// HostInterface is the import of a Relay.
const HostInterface = "test:echo/host"

// libc is the core module the generated components allocate with: a bump
// allocator that reset empties.
const libc = `(core module $libc
    (memory (export "memory") 3)
    (global $top (mut i32) (i32.const 131072))
    (func (export "cabi_realloc") (param $old i32) (param $oldsize i32) (param $align i32) (param $size i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and
        (i32.sub (i32.add (global.get $top) (local.get $align)) (i32.const 1))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $p) (local.get $size)))
      (block $enough
        (loop $grow
          (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
          (br_if $grow (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
          unreachable))
      (if (local.get $old) (then (memory.copy (local.get $p) (local.get $old) (local.get $oldsize))))
      (local.get $p))
    (func (export "reset") (global.set $top (i32.const 131072)))
  )
  (core instance $libc (instantiate $libc))
`

// Echo is the text of a component that exports
//
//	echo: func(x: list<T>) -> list<T>
//
// and gives back what it got, all by itself. (A list, because then the guest
// need not know the layout of T.)
func Echo(t *component.Type) string {
	var defs typeWriter
	elem := defs.write(t)
	return fmt.Sprintf(`(component
  %s
  %s
  (type $list (list %s))
  (core module $m
    (import "libc" "memory" (memory 1))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 1024) (local.get 0))
      (i32.store (i32.const 1028) (local.get 1))
      (i32.const 1024)))
  (core instance $i (instantiate $m (with "libc" (instance $libc))))
  (func $echo (param "x" $list) (result $list)
    (canon lift (core func $i "echo") (memory $libc "memory")
      (realloc (func $libc "cabi_realloc")) (post-return (func $post "post"))))
  (export "echo" (func $echo))
)`, libc+postReturn([]string{"i32"}), defs.text(), elem)
}

// Relay is the text of a component that imports and exports
//
//	echo: func(x: T) -> T
//
// (imported from HostInterface, exported from the world) and passes each call on
// to the host, so that T crosses the border four times, flattened as the
// canonical ABI has it.
func Relay(t *component.Type) string {
	host := typeWriter{how: inInstance}
	hostType := host.write(t)
	world := typeWriter{how: aliased}
	worldType := world.write(t)

	flat := Flatten(t)
	params, results := flat, flat
	if len(params) > 16 {
		params = []string{"i32"} // spilled to memory
	}
	importParams := params
	call := gets(len(params)) + " (call $echo)"
	if len(results) > 1 {
		results = []string{"i32"}
		importParams = append(params[:len(params):len(params)], "i32")
		call = gets(len(params)) + " (i32.const 1024) (call $echo) (i32.const 1024)"
	}
	importResults := results
	if len(flat) > 1 {
		importResults = nil
	}
	return fmt.Sprintf(`(component
  (import %q (instance $host
    %s
    (export "echo" (func (param "x" %s) (result %s)))))
  %s
  %s
  (core func $lowered (canon lower (func $host "echo") (memory $libc "memory") (realloc (func $libc "cabi_realloc"))))
  (core module $m
    (import "host" "echo" (func $echo%s%s))
    (func (export "echo")%s%s %s))
  (core instance $i (instantiate $m (with "host" (instance (export "echo" (func $lowered))))))
  (func $echo (param "x" %s) (result %s)
    (canon lift (core func $i "echo") (memory $libc "memory")
      (realloc (func $libc "cabi_realloc")) (post-return (func $post "post"))))
  (export "echo" (func $echo))
)`, HostInterface, host.text(), hostType, hostType, libc+postReturn(results), world.text(),
		sig("param", importParams), sig("result", importResults), sig("param", params), sig("result", results), call,
		worldType, worldType)
}

// postReturn is an instance whose "post" takes the core results of a function
// and empties the allocator.
func postReturn(results []string) string {
	return fmt.Sprintf(`
  (core module $postm
    (import "libc" "reset" (func $reset))
    (func (export "post")%s (call $reset)))
  (core instance $post (instantiate $postm (with "libc" (instance $libc))))
`, sig("param", results))
}

func sig(word string, types []string) string {
	if len(types) == 0 {
		return ""
	}
	return " (" + word + " " + strings.Join(types, " ") + ")"
}

func gets(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " (local.get %d)", i)
	}
	return b.String()
}

// Flatten gives the core types that a value of type t is passed as
// (CanonicalABI.md, "flattening").
func Flatten(t *component.Type) []string {
	switch t.Kind {
	case component.S64, component.U64:
		return []string{"i64"}
	case component.F32:
		return []string{"f32"}
	case component.F64:
		return []string{"f64"}
	case component.String, component.List:
		return []string{"i32", "i32"}
	case component.Record, component.Tuple:
		var flat []string
		for _, f := range t.Fields {
			flat = append(flat, Flatten(f.Type)...)
		}
		return flat
	case component.Variant:
		var cases []*component.Type
		for _, f := range t.Fields {
			cases = append(cases, f.Type)
		}
		return flattenCases(cases)
	case component.Option:
		return flattenCases([]*component.Type{nil, t.Elem})
	case component.Result:
		return flattenCases([]*component.Type{t.Ok, t.Err})
	}
	return []string{"i32"}
}

func flattenCases(cases []*component.Type) []string {
	flat := []string{"i32"}
	for _, c := range cases {
		if c == nil {
			continue
		}
		for i, ft := range Flatten(c) {
			if i+1 == len(flat) {
				flat = append(flat, ft)
			} else {
				flat[i+1] = join(flat[i+1], ft)
			}
		}
	}
	return flat
}

func join(a, b string) string {
	switch {
	case a == b:
		return a
	case (a == "i32" && b == "f32") || (a == "f32" && b == "i32"):
		return "i32"
	}
	return "i64"
}

// typeWriter writes type definitions in the text format. Records, variants,
// enums and flags must have a name wherever a function that uses them is
// imported or exported; how they get it depends on the place. They are numbered
// in the order they are met, so two writers number one type alike.
type typeWriter struct {
	how   place
	lines []string
	n     int
}

type place int

const (
	inWorld    place = iota // defined in the component and exported
	inInstance              // defined in an instance type and exported from it
	aliased                 // taken from the instance $host and exported again
)

func (w *typeWriter) text() string { return strings.Join(w.lines, "\n    ") }

// write gives a reference to t.
func (w *typeWriter) write(t *component.Type) string {
	var body string
	named := false
	switch t.Kind {
	case component.List, component.Option:
		body = fmt.Sprintf("(%s %s)", t.Kind, w.write(t.Elem))
	case component.Result:
		body = "(result"
		if t.Ok != nil {
			body += " " + w.write(t.Ok)
		}
		if t.Err != nil {
			body += " (error " + w.write(t.Err) + ")"
		}
		body += ")"
	case component.Tuple:
		body = "(tuple"
		for _, f := range t.Fields {
			body += " " + w.write(f.Type)
		}
		body += ")"
	case component.Record:
		body, named = "(record", true
		for _, f := range t.Fields {
			body += fmt.Sprintf(" (field %q %s)", f.Name, w.write(f.Type))
		}
		body += ")"
	case component.Variant:
		body, named = "(variant", true
		for _, f := range t.Fields {
			if f.Type == nil {
				body += fmt.Sprintf(" (case %q)", f.Name)
			} else {
				body += fmt.Sprintf(" (case %q %s)", f.Name, w.write(f.Type))
			}
		}
		body += ")"
	case component.Enum, component.Flags:
		body, named = "("+t.Kind.String(), true
		for _, l := range t.Labels {
			body += fmt.Sprintf(" %q", l)
		}
		body += ")"
	default:
		return t.Kind.String()
	}
	n := w.n
	w.n++
	switch {
	case !named:
		w.lines = append(w.lines, fmt.Sprintf("(type $t%d %s)", n, body))
	case w.how == inWorld:
		w.lines = append(w.lines, fmt.Sprintf(`(type $d%d %s) (export $t%d "t%d" (type $d%d))`, n, body, n, n, n))
	case w.how == inInstance:
		w.lines = append(w.lines, fmt.Sprintf(`(type $d%d %s) (export "t%d" (type $t%d (eq $d%d)))`, n, body, n, n, n))
	default:
		w.lines = append(w.lines, fmt.Sprintf(`(alias export $host "t%d" (type $a%d)) (export $t%d "t%d" (type $a%d))`, n, n, n, n, n))
	}
	return fmt.Sprintf("$t%d", n)
}
