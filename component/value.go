package component

// Value is a component-model value as a native Go value, by kind:
//
//	bool          bool
//	s8…u64        int8 uint8 int16 uint16 int32 uint32 int64 uint64
//	f32 f64       float32 float64
//	char          rune
//	string        string (valid UTF-8)
//	list<u8>      []byte
//	list<T>       []Value
//	record tuple  []Value, in the order of Type.Fields
//	variant       Case
//	enum          string, the label
//	option        Opt
//	result        Res
//	flags         []string, the labels that are set, in declaration order
//	own borrow    Handle
type Value any

// Case is a variant value. Value is nil for a case without payload.
type Case struct {
	Name  string
	Value Value
}

// Opt is an option value.
type Opt struct {
	Some  bool
	Value Value
}

// Some wraps v in a present option.
func Some(v Value) Opt { return Opt{Some: true, Value: v} }

// None is the absent option.
var None = Opt{}

// Res is a result value. Value is nil where that side has no payload.
type Res struct {
	IsErr bool
	Value Value
}

// Ok is a successful result.
func Ok(v Value) Res { return Res{Value: v} }

// Err is a failed result.
func Err(v Value) Res { return Res{IsErr: true, Value: v} }

// Handle is a resource handle. For resources of the host, Kind and Rep are the
// HostResource.Kind and the number the host gave when it made the handle. A
// handle to a guest's resource has Guest set instead: an opaque token that only
// the runtime which made it can use, valid while its instance lives.
type Handle struct {
	Own   bool
	Kind  uint32
	Rep   uint32
	Guest any
}
