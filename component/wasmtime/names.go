//go:build cgo

package wasmtime

import (
	"encoding/binary"
	"slices"

	"github.com/greentic-ai/greentic-provision/component"
)

// maxName is the longest function name that is left in a module. When a guest
// traps, the engine copies the name of every frame's function, before anyone can
// stop it: 512 KiB of stack hold more than 10,000 frames and a name may have
// 100,000 bytes, so one module of 100 KiB could take over a gigabyte of the
// host's memory. Mangled names of compilers stay well below this.
const maxName = 1 << 10

// maxNesting is how deep components within components are looked into. The
// engine's validator refuses deeper ones (it allows 100 on its own stack).
const maxNesting = 100

// dropLongNames removes the name section of every core module in wasm that
// names a function with more than maxName bytes. What it cannot read it leaves
// as it is, for the engine to refuse. wasm itself is not changed.
func dropLongNames(wasm []byte) []byte {
	if out, changed := rewriteSections(wasm, 0); changed {
		return out
	}
	return wasm
}

func rewriteSections(wasm []byte, depth int) (out []byte, changed bool) {
	layer, ok := component.LayerOf(wasm)
	if !ok || depth > maxNesting {
		return wasm, false
	}
	const custom = 0
	out = slices.Clone(wasm[:8])
	for rest := wasm[8:]; len(rest) > 0; {
		id := rest[0]
		body, after, ok := lengthPrefixed(rest[1:])
		if !ok {
			return wasm, false
		}
		whole := rest[:len(rest)-len(after)]
		rest = after
		switch {
		case layer == component.LayerCore && id == custom:
			if name, content, ok := lengthPrefixed(body); ok && string(name) == "name" && hasLongName(content) {
				changed = true
				continue
			}
		case layer == component.LayerComponent && (id == sectionCoreModule || id == sectionComponent):
			if inner, innerChanged := rewriteSections(body, depth+1); innerChanged {
				changed = true
				out = append(out, id)
				out = binary.AppendUvarint(out, uint64(len(inner)))
				out = append(out, inner...)
				continue
			}
		}
		out = append(out, whole...)
	}
	return out, changed
}

// hasLongName reads the function names of a name section; one that cannot be
// read counts as long.
func hasLongName(content []byte) bool {
	const functions = 1
	for len(content) > 0 {
		id := content[0]
		sub, after, ok := lengthPrefixed(content[1:])
		if !ok {
			return true
		}
		content = after
		if id != functions {
			continue
		}
		count, n := leb32(sub)
		if n == 0 {
			return true
		}
		sub = sub[n:]
		for range count {
			_, n := leb32(sub)
			if n == 0 {
				return true
			}
			name, after, ok := lengthPrefixed(sub[n:])
			if !ok || len(name) > maxName {
				return true
			}
			sub = after
		}
	}
	return false
}

// lengthPrefixed splits b, which begins with a length, after that many bytes.
func lengthPrefixed(b []byte) (body, rest []byte, ok bool) {
	size, n := leb32(b)
	if n == 0 || uint64(size) > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}

// leb32 reads an unsigned number of at most five bytes, n of them; n is 0 when
// there is none. Padding with zero bits is allowed, as it is in wasm.
func leb32(b []byte) (v uint32, n int) {
	var wide uint64
	for i := 0; i < 5 && i < len(b); i++ {
		wide |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if wide > 1<<32-1 {
				return 0, 0
			}
			return uint32(wide), i + 1
		}
	}
	return 0, 0
}
