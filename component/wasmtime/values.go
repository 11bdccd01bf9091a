//go:build cgo

package wasmtime

import (
	"fmt"

	"github.com/greentic-ai/greentic-provision/component"
)

// maxValues is how many values of one function the compiler can tell apart: it keeps
// their numbers in 24 bits, and drops what does not fit (ValueDataPacked in
// cranelift/codegen/src/ir/dfg.rs; CVE-2026-115889). Beyond, a function computes with
// other values than it says, and so leaves its memory: a function of 68 KiB, in 1.1 GB
// and 30 s of compilation, was made to give 7 for 7 * 12.
const maxValues = 1<<24 - 1

// valuesPerOperator is more than an operator makes, on average over a function: a
// load is translated to some ten, and the optimiser tries up to five others for each
// (egraph.rs, MATCHES_LIMIT).
const valuesPerOperator = 32

// checkValues refuses wasm with a function that may need more than maxValues. It
// reckons from above, without the compiler's insight. Of 560 real modules and
// components (StarlingMonkey and published packs among them) the largest function
// comes to 28 % of it, the largest of a pack to 8 %. What it cannot read the engine
// refuses (TestOperators).
func checkValues(wasm []byte) error { return eachModule(wasm, 0, checkModuleValues) }

// eachModule calls f with the core modules within wasm, as far as it can be read.
func eachModule(wasm []byte, depth int, f func(module []byte) error) error {
	layer, ok := component.LayerOf(wasm)
	switch {
	case !ok || depth > maxNesting:
		return nil
	case layer == component.LayerCore:
		return f(wasm)
	}
	return eachSection(wasm, func(id byte, body []byte) error {
		if id == sectionCoreModule || id == sectionComponent {
			return eachModule(body, depth+1, f)
		}
		return nil
	})
}

// Sections of components.
const (
	sectionCoreModule = 1
	sectionComponent  = 4
)

// eachSection calls f with the sections of one module or component.
func eachSection(wasm []byte, f func(id byte, body []byte) error) error {
	for rest := wasm[8:]; len(rest) > 0; {
		id := rest[0]
		body, after, ok := lengthPrefixed(rest[1:])
		if !ok {
			return nil
		}
		if err := f(id, body); err != nil {
			return err
		}
		rest = after
	}
	return nil
}

func checkModuleValues(module []byte) error {
	const (
		types = 1 // sections of modules
		code  = 10
	)
	var signatures []signature
	function := 0
	return eachSection(module, func(id byte, body []byte) error {
		r := reader{rest: body}
		switch id {
		case types:
			signatures = r.signatures()
		case code:
			for range r.u32() {
				f, after, ok := lengthPrefixed(r.rest)
				if !ok {
					return nil
				}
				if n := countValues(f, signatures); n > maxValues {
					return fmt.Errorf("wasmtime: compile: function %d of a core module may need %d values and the engine can tell %d apart: split the function",
						function, n, maxValues)
				}
				r.rest = after
				function++
			}
		}
		return nil
	})
}

// signature is how many values a function type takes and gives.
type signature struct{ params, results uint64 }

// signatures reads a type section, as far as it has function types only.
func (r *reader) signatures() []signature {
	const functionType = 0x60
	var list []signature
	for range r.u32() {
		if r.byte() != functionType {
			break
		}
		s := signature{params: uint64(r.u32())}
		r.skip(s.params) // a value type is one byte while references to types are off
		s.results = uint64(r.u32())
		r.skip(s.results)
		list = append(list, s)
	}
	return list
}

// countValues reckons how many values the compiler makes of a function's body: of
// its operators, of what blocks and calls take and give, and, where control flow
// comes together, of the locals that are read.
func countValues(body []byte, signatures []signature) uint64 {
	var operators, passed, joins uint64
	largest := uint64(0) // result of any function
	for _, s := range signatures {
		largest = max(largest, s.results)
	}
	r := reader{rest: body}
	for range r.u32() { // of locals
		if r.failed {
			break
		}
		r.u32()
		r.skip(1)
	}
	read := map[uint32]bool{}
	for len(r.rest) > 0 && !r.failed {
		operators++
		switch op := r.byte(); op {
		case opBlock, opLoop, opIf:
			s := signature{results: 1}
			if i := r.s33(); i >= 0 && i < int64(len(signatures)) {
				s = signatures[i]
			}
			passed += s.params + s.results
			joins++
			if op == opLoop {
				joins += 2 // its head, and the look at the clock
			}
		case opCall, opCallIndirect:
			passed += largest
			r.immediates(op)
			joins++
		case opTableGet:
			r.immediates(op)
			joins++
		case opLocalGet:
			read[r.u32()] = true
		default:
			r.immediates(op)
		}
	}
	return valuesPerOperator*operators + passed + joins*uint64(len(read))
}
