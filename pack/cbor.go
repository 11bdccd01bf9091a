package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// packV1 is generation C, as far as provisioning needs it. Symbols are resolved
// where they are used.
type packV1 struct {
	PackID       *symbol `cbor:"pack_id"`
	Version      *string `cbor:"version"`
	Symbols      symbols `cbor:"symbols"`
	Capabilities []struct {
		Name symbol `cbor:"name"`
	} `cbor:"capabilities"`
	Components []struct {
		ID      symbol `cbor:"id"`
		Version string `cbor:"version"`
	} `cbor:"components"`
	Flows []struct {
		ID          string          `cbor:"id"`
		Entrypoints []string        `cbor:"entrypoints"`
		Flow        cbor.RawMessage `cbor:"flow"` // only one of them is looked into
	} `cbor:"flows"`
}

// generation is decoded first: the fields of other generations have other types.
type generation struct {
	SchemaVersion string `cbor:"schema_version"`
	Meta          struct {
		PackID  cbor.RawMessage `cbor:"pack_id"`
		Version cbor.RawMessage `cbor:"packVersion"`
	} `cbor:"meta"`
}

// symbols are the string tables that symbolised fields index.
type symbols struct {
	ComponentIDs    []string `cbor:"component_ids"`
	CapabilityNames []string `cbor:"capability_names"`
	PackIDs         []string `cbor:"pack_ids"`
}

// symbol is a symbolised field: an index into a table, or the string itself
// (older builds).
type symbol struct {
	text    string
	index   uint64
	isIndex bool
}

// UnmarshalCBOR implements cbor.Unmarshaler.
func (s *symbol) UnmarshalCBOR(b []byte) error {
	*s = symbol{}
	switch h, err := head(b); {
	case err != nil:
		return err
	case h.major == 0:
		s.index, s.isIndex = h.argument, true
		return nil
	case h.major == 3:
		s.text = string(b[h.length:])
		return nil
	}
	return errors.New("a symbol is neither an index nor a string")
}

func (s symbol) in(table []string, name string) (string, error) {
	switch {
	case !s.isIndex:
		return s.text, nil
	case s.index >= uint64(len(table)):
		return "", refuse(RuleSymbol, "", hintRebuild, "invalid symbol index %d in %s", s.index, name)
	}
	return table[s.index], nil
}

// decoder reads what checkCBOR has passed. Names match exactly: the library's
// default would take "PACK_ID" for pack_id. It repeats checkCBOR's bounds so
// that neither has to be trusted alone.
var decoder = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxNesting,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxElements,
		IndefLength:       cbor.IndefLengthAllowed, // of maps and arrays; checkCBOR refuses strings
		TagsMd:            cbor.TagsForbidden,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic(err) // constants out of the library's range
	}
	return mode
}()

func decodeCBOR(b []byte, v any) error {
	err := decoder.Unmarshal(b, v)
	if wrong, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok {
		return refuse(RuleManifest, "", "", "%s is a CBOR %s where %s is expected", quote(wrong.StructFieldName), wrong.CBORType, wrong.GoType)
	}
	if err != nil {
		return refuse(RuleSyntax, "", "", "%s", clean(err))
	}
	return nil
}

func (m *manifest) decodePackV1() (Manifest, error) {
	if err := checkCBOR(m.bytes); err != nil {
		return Manifest{}, err
	}
	var g generation
	if err := decodeCBOR(m.bytes, &g); err != nil {
		return Manifest{}, err
	}
	switch {
	case g.SchemaVersion == "" && (g.Meta.PackID != nil || g.Meta.Version != nil):
		return Manifest{}, errLegacy()
	case g.SchemaVersion != GenerationPackV1:
		return Manifest{}, refuse(RuleGeneration, "", "", "has schema_version %s; this version reads %q", quote(g.SchemaVersion), GenerationPackV1)
	}
	var p packV1
	if err := decodeCBOR(m.bytes, &p); err != nil {
		return Manifest{}, err
	}
	if p.PackID == nil {
		return Manifest{}, refuse(RuleManifest, "", "", "has no %q", "pack_id")
	}
	if p.Version == nil {
		return Manifest{}, refuse(RuleManifest, "", "", "has no %q", "version")
	}
	out := Manifest{Generation: GenerationPackV1, Version: *p.Version}
	var err error
	if out.ID, err = p.PackID.in(p.Symbols.PackIDs, "pack_ids"); err != nil {
		return Manifest{}, err
	}
	for _, c := range p.Capabilities {
		name, err := c.Name.in(p.Symbols.CapabilityNames, "capability_names")
		if err != nil {
			return Manifest{}, err
		}
		out.Capabilities = append(out.Capabilities, name)
	}
	m.components = make(map[string]string, len(p.Components))
	for _, c := range p.Components {
		id, err := c.ID.in(p.Symbols.ComponentIDs, "component_ids")
		if err != nil {
			return Manifest{}, err
		}
		if _, twice := m.components[id]; twice {
			return Manifest{}, refuse(RuleManifest, "", hintRebuild, "lists the component %s twice", quote(id))
		}
		m.components[id] = c.Version
	}
	m.flows = make([]flow, 0, len(p.Flows))
	for _, f := range p.Flows {
		m.flows = append(m.flows, flow{id: f.ID, entrypoints: f.Entrypoints, graph: f.Flow})
	}
	m.symbols = p.Symbols
	return out, nil
}

// nodes gives the distinct component ids that the nodes of a flow name, in the
// order of the nodes. Without a flow of that id, or in the other generation,
// there are none.
func (m *manifest) nodes(flowID string) ([]string, error) {
	for _, f := range m.flows {
		if f.id != flowID || len(f.graph) == 0 {
			continue
		}
		var graph struct {
			Nodes []struct {
				Component struct {
					ID symbol `cbor:"id"`
				} `cbor:"component"`
			} `cbor:"nodes"`
		}
		if err := decodeCBOR(f.graph, &graph); err != nil {
			return nil, err
		}
		var ids []string
		seen := map[string]bool{}
		for _, n := range graph.Nodes {
			id, err := n.Component.ID.in(m.symbols.ComponentIDs, "component_ids")
			if err != nil {
				return nil, err
			}
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
		return ids, nil
	}
	return nil, nil
}

// level is an array or map that checkCBOR is in.
type level struct {
	items uint64 // to come, when the length is definite
	seen  uint64 // so far; in a map, every other one is a key
	open  bool   // of indefinite length: a break ends it
	isMap bool
	keys  keySet // of this map so far
}

// each is how many items make an element.
func (l *level) each() uint64 {
	if l.isMap {
		return 2
	}
	return 1
}

// checkCBOR walks a whole document without recursion and without allocating for
// what it declares: nesting, element counts, lengths against the bytes that are
// left, text keys, no key twice, no strings in pieces, no tags, nothing behind
// the end. Maps and arrays of indefinite length are taken: every published
// messaging pack has some, below "extensions". The cbor package checks most of it
// too, but looks for duplicate keys only in the maps it decodes, not in those it
// skips.
func checkCBOR(b []byte) error {
	stack := make([]level, 0, MaxNesting)
	offset := 0
	for {
		for len(stack) > 0 && !stack[len(stack)-1].open && stack[len(stack)-1].seen == stack[len(stack)-1].items {
			stack = stack[:len(stack)-1]
		}
		if len(stack) == 0 && offset > 0 {
			break
		}
		h, err := head(b[offset:])
		if err != nil {
			return refuse(RuleSyntax, "", "", "%v at byte %d", err, offset)
		}
		start := offset
		offset += h.length
		left := uint64(len(b) - offset)
		isKey := false
		if h.isBreak() {
			top := len(stack) - 1
			if top < 0 || !stack[top].open || stack[top].isMap && stack[top].seen%2 == 1 {
				return refuse(RuleSyntax, "", "", "a break where nothing can end, at byte %d", start)
			}
			stack = stack[:top]
			continue
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			isKey = top.isMap && top.seen%2 == 0
			top.seen++
			if top.open && top.seen > MaxElements*top.each() {
				return refuse(RuleDocument, "", "", "has more than %d elements at byte %d", MaxElements, start)
			}
		}
		if isKey && h.major != 3 {
			return refuse(RuleSyntax, "", "", "a map key that is not text at byte %d", start)
		}
		switch h.major {
		case 2, 3:
			if h.argument > left {
				return refuse(RuleSyntax, "", "", "a string of %d bytes with %d bytes left at byte %d", h.argument, left, start)
			}
			text := b[offset : offset+int(h.argument)]
			offset += int(h.argument)
			if h.major == 3 && !utf8.Valid(text) {
				return refuse(RuleSyntax, "", "", "text that is not UTF-8 at byte %d", start)
			}
			if isKey && !stack[len(stack)-1].keys.add(text) {
				return refuse(RuleSyntax, "", "", "the map key %s is there twice, at byte %d", quote(string(text)), start)
			}
		case 4, 5:
			next := level{open: h.indefinite, isMap: h.major == 5}
			each := next.each()
			if h.argument > MaxElements {
				return refuse(RuleDocument, "", "", "has %d elements at byte %d; at most %d are read", h.argument, start, MaxElements)
			}
			if each*h.argument > left {
				return refuse(RuleSyntax, "", "", "%d elements with %d bytes left at byte %d", h.argument, left, start)
			}
			if len(stack) == MaxNesting {
				return refuse(RuleDocument, "", "", "is nested deeper than %d levels", MaxNesting)
			}
			stack = stack[:len(stack)+1]
			next.items = each * h.argument
			next.keys = stack[len(stack)-1].keys // the buffer of the last map at this level
			next.keys.reset()
			stack[len(stack)-1] = next
		case 6:
			return refuse(RuleSyntax, "", "", "a tag at byte %d; tags have no meaning in a manifest", start)
		}
	}
	if offset != len(b) {
		return refuse(RuleSyntax, "", "", "%d bytes after the end of the document", len(b)-offset)
	}
	return nil
}

// keySet is the keys of one map. Most maps have few, so those are compared one
// by one in a buffer that is used again: a document of four million small maps
// would otherwise make as many Go maps.
type keySet struct {
	few  [][]byte
	many map[string]struct{}
}

const fewKeys = 16

func (k *keySet) reset() { k.few, k.many = k.few[:0], nil }

// add says whether the key is new.
func (k *keySet) add(key []byte) bool {
	if k.many != nil {
		_, twice := k.many[string(key)]
		k.many[string(key)] = struct{}{}
		return !twice
	}
	for _, other := range k.few {
		if bytes.Equal(other, key) {
			return false
		}
	}
	k.few = append(k.few, key)
	if len(k.few) > fewKeys {
		k.many = make(map[string]struct{}, 2*fewKeys)
		for _, other := range k.few {
			k.many[string(other)] = struct{}{}
		}
	}
	return true
}

// itemHead is the first part of a CBOR item (RFC 8949, 3).
type itemHead struct {
	major      byte
	argument   uint64
	length     int  // bytes of the head itself
	indefinite bool // an array or map that a break ends, or the break itself
}

func (h itemHead) isBreak() bool { return h.indefinite && h.major == 7 }

func head(b []byte) (itemHead, error) {
	if len(b) == 0 {
		return itemHead{}, errors.New("the document ends early")
	}
	h := itemHead{major: b[0] >> 5, length: 1}
	info := b[0] & 0x1f
	switch {
	case info < 24:
		h.argument = uint64(info)
		return h, nil
	case info == 31 && (h.major == 4 || h.major == 5 || h.major == 7):
		h.indefinite = true
		return h, nil
	case info == 31:
		return itemHead{}, errors.New("an indefinite length")
	case info > 27:
		return itemHead{}, fmt.Errorf("reserved additional information %d", info)
	}
	n := 1 << (info - 24)
	if len(b) < 1+n {
		return itemHead{}, errors.New("the document ends early")
	}
	var wide [8]byte
	copy(wide[8-n:], b[1:1+n])
	h.argument, h.length = binary.BigEndian.Uint64(wide[:]), 1+n
	return h, nil
}
