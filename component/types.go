package component

import "fmt"

// Kind is a value kind of the component model (streams, futures and error
// contexts are not supported; a function that uses one has an Unsupported
// parameter or result).
type Kind uint8

// The kinds.
const (
	Unsupported Kind = iota
	Bool
	S8
	U8
	S16
	U16
	S32
	U32
	S64
	U64
	F32
	F64
	Char
	String
	List    // Elem
	Record  // Fields, all with a Type
	Tuple   // Fields, without names
	Variant // Fields; a case without payload has a nil Type
	Enum    // Labels
	Option  // Elem
	Result  // Ok, Err; nil where there is no payload
	Flags   // Labels
	Own     // Resource
	Borrow  // Resource
)

// Type is a value type. It is a finite tree: WIT has no recursive types.
type Type struct {
	Kind   Kind
	Elem   *Type
	Fields []Field
	Labels []string
	Ok     *Type
	Err    *Type
}

// Field is a record field, tuple member or variant case.
type Field struct {
	Name string
	Type *Type
}

// Func is a function type. Result is nil when there is none.
type Func struct {
	Params []Field
	Result *Type
}

// Types is everything a program imports and exports, in binary order.
type Types struct {
	Layer   Layer
	Imports []Item
	Exports []Item
}

// ItemKind says what an import or export is.
type ItemKind string

// The item kinds. Core modules have only ItemCore* items, whose Name is
// "module.field" for imports.
const (
	ItemFunc       ItemKind = "func"
	ItemInstance   ItemKind = "instance"
	ItemResource   ItemKind = "resource"
	ItemType       ItemKind = "type"
	ItemComponent  ItemKind = "component"
	ItemModule     ItemKind = "module"
	ItemCoreFunc   ItemKind = "core-func"
	ItemCoreMemory ItemKind = "core-memory"
	ItemCoreOther  ItemKind = "core-other"
)

// Item is one import or export.
type Item struct {
	Name  string
	Kind  ItemKind
	Func  *Func     // ItemFunc
	Items []Item    // ItemInstance: its exports
	Core  *CoreFunc // ItemCoreFunc
}

// CoreFunc is a core function type; the letters are "i32", "i64", "f32", "f64",
// "v128", "funcref", "externref" or "other".
type CoreFunc struct {
	Params, Results []string
}

// Find gives the item of that name.
func Find(items []Item, name string) (Item, bool) {
	for _, it := range items {
		if it.Name == name {
			return it, true
		}
	}
	return Item{}, false
}

var kindNames = [...]string{"unsupported", "bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64",
	"f32", "f64", "char", "string", "list", "record", "tuple", "variant", "enum", "option", "result", "flags", "own", "borrow"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}
