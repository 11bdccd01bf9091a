package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The places where step modules lie, in the order of upstream's tool.
var (
	moduleDirs       = []string{"components", "wasm", "."}
	moduleExtensions = []string{".wasm", ".wat"}
)

// modules lists where the modules of these names may lie, best first. All plain
// places come before all places of assets, so that a pack that upstream can run
// resolves to the same files here.
//
// Modules with three underscores (components/FLOW___NODE.wasm, packs of January
// 2026) are not looked for: they belong to nodes of a flow, not to steps.
func modules(names ...string) []string {
	var out []string
	for _, prefix := range []string{"", assetPrefix} {
		for _, name := range names {
			for _, dir := range moduleDirs {
				for _, ext := range moduleExtensions {
					out = append(out, prefix+path.Join(dir, name+ext))
				}
			}
		}
	}
	return out
}

// places describes modules(names...) for people.
func places(names []string) string {
	return fmt.Sprintf("%s (%s) in %s, each also below %q", strings.ReplaceAll(hostile.QuoteAll(names), ", ", " and "),
		strings.Join(moduleExtensions, ", "), hostile.QuoteAll(moduleDirs), strings.TrimSuffix(assetPrefix, "/"))
}

// first gives the first candidate that the pack has, "" for none, and reports
// the others that are there too: search orders differ between tools (the
// secrets providers' own harness looks into wasm before components), so such a
// pack runs different code elsewhere.
func (d *draft) first(what string, candidates []string) (string, error) {
	var there []string
	for _, c := range candidates {
		f, err := d.src.find(c)
		if err != nil {
			return "", err
		}
		if f == present {
			there = append(there, c)
		}
	}
	if len(there) == 0 {
		return "", nil
	}
	if len(there) > 1 {
		d.note(plan.Warn, "MODULE_SHADOWED", there[0], "keep one of them", "several files fit %q: %s; the first counts", what, hostile.QuoteAll(there))
	}
	return there[0], nil
}

// locate finds the file of a component's binary, "" for none; why then says where
// it was looked for. It asks for a component once.
func (d *draft) locate(id string) (file, why string, err error) {
	if l, ok := d.located[id]; ok {
		return l.file, l.why, nil
	}
	file, why, err = d.search(id)
	d.located[id] = location{file, why}
	return file, why, err
}

type location struct{ file, why string }

func (d *draft) search(id string) (file, why string, err error) {
	if err := checkIdentifier(id); err != nil {
		return "", fmt.Sprintf("the component id %v", err), nil
	}
	var candidates []string
	version := ""
	if row := d.m.component(id); row != nil {
		version = row.Version
		candidates = append(candidates, row.file)
	}
	source := d.ext.sources[id]
	candidates = append(candidates, source.path, "components/"+id+".wasm")
	if version != "" && checkIdentifier(version) == nil {
		candidates = append(candidates, "components/"+id+"@"+version+"/component.wasm")
	}
	candidates = append(candidates, "components/"+id+"/component.wasm", "components/"+id+"/"+id+".wasm", blob(source.digest))
	candidates = slices.DeleteFunc(candidates, func(c string) bool { return c == "" })
	for _, c := range candidates {
		there, err := d.has(c)
		if there || err != nil {
			return c, "", err
		}
		if c == source.path {
			d.note(plan.Info, "COMPONENT_SOURCE_ABSENT", d.Manifest.File, "", "the component %s is not at %s, where the extension %q says", hostile.Quote(id), hostile.Quote(c), extSources)
		}
	}
	locks, err := d.lock()
	if err != nil {
		return "", "", err
	}
	for _, c := range []string{locks[id].path, blob(locks[id].digest)} {
		if c == "" {
			continue
		}
		candidates = append(candidates, c)
		if there, err := d.has(c); there || err != nil {
			return c, "", err
		}
	}
	return "", "looked for " + hostile.QuoteAll(candidates), nil
}

// has is find for names out of the manifest, some of which no entry could have.
func (d *draft) has(name string) (bool, error) {
	if checkName(name) != nil {
		return false, nil
	}
	f, err := d.src.find(name)
	return f == present, err
}

// component reads and checks a binary, once, and gives its index. From an error
// about the binary itself the caller may go on, see soft.
func (d *draft) component(id, file string) (int, error) {
	if i, ok := d.loaded[file]; ok {
		if d.Components[i].ID == "" {
			d.Components[i].ID = id
		}
		return i, nil
	}
	if err, ok := d.broken[file]; ok {
		return -1, err
	}
	x := examiner{text: strings.HasSuffix(file, ".wat")}
	w := io.Writer(&x)
	var b bytes.Buffer
	if !d.describe {
		b.Grow(int(min(d.src.size(file), MaxEntry)))
		w = io.MultiWriter(&x, &b)
	}
	err := d.src.stream(w, file, MaxEntry, RuleEntrySize)
	if err != nil {
		return -1, err
	}
	c := Component{ID: id, Path: file, Text: x.text, SHA256: d.src.sums[file].SHA256, Size: d.src.sums[file].Size}
	if c.Layer, err = x.layer(file, c.Size); err == nil && isBlob(file) && file != blob(c.SHA256) {
		err = refuse(RuleComponent, file, "build the pack again", "is named after a digest and has another, %s", c.SHA256)
	}
	if err != nil {
		d.broken[file] = err
		e, _ := errors.AsType[*Error](err)
		d.note(plan.Warn, "COMPONENT_UNREADABLE", file, e.Hint, "%s %s; it is not run", hostile.Quote(file), e.Detail)
		return -1, err
	}
	if !d.describe {
		c.Bytes = b.Bytes()
	}
	d.uses(file)
	d.loaded[file] = len(d.Components)
	d.Components = append(d.Components, c)
	return d.loaded[file], nil
}

// soft says that err is about one binary: other ways may be possible without it.
func soft(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Rule == RuleComponent
}

// examiner tells binary from text while content goes by. The extension decides
// and the bytes must agree: a file that is one thing for a person who reads its
// name and another for the engine is not what was reviewed.
type examiner struct {
	text  bool
	start []byte // the first bytes; of text, from the first that is no blank
	rest  []byte // of text, the part of a rune at the end of the last write
	bad   bool   // text that is not UTF-8, or has a NUL
}

const preamble = 8

// Write implements io.Writer. It never fails.
func (x *examiner) Write(b []byte) (int, error) {
	n := len(b)
	if len(x.start) < preamble {
		head := b
		if len(x.start) == 0 {
			trimmed := bytes.TrimLeft(b, " \t\r\n")
			if x.text || len(trimmed) > 0 && trimmed[0] == '(' {
				head = trimmed
			}
		}
		x.start = append(x.start, head[:min(len(head), preamble-len(x.start))]...)
	}
	if !x.text || x.bad {
		return n, nil
	}
	if len(x.rest) > 0 {
		b = append(x.rest, b...)
		x.rest = nil
	}
	for i := max(0, len(b)-utf8.UTFMax); i < len(b); i++ {
		if utf8.RuneStart(b[i]) && !utf8.FullRune(b[i:]) {
			x.rest = bytes.Clone(b[i:])
			b = b[:i]
			break
		}
	}
	x.bad = !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0
	return n, nil
}

// layer says what it was.
func (x *examiner) layer(name string, size int64) (component.Layer, error) {
	if x.text {
		switch {
		case x.bad || len(x.rest) > 0:
			return "", refuse(RuleComponent, name, "name a binary .wasm", "is not UTF-8 text")
		case len(x.start) == 0 || x.start[0] != '(' && x.start[0] != ';':
			return "", refuse(RuleComponent, name, "", "is not WebAssembly text: it begins with neither '(' nor a comment")
		}
		return "", nil
	}
	layer, ok := component.LayerOf(x.start)
	switch {
	case ok:
		return layer, nil
	case bytes.HasPrefix(x.start, []byte("(")):
		return "", refuse(RuleComponent, name, "name a text .wat", "is WebAssembly text under the name of a binary")
	case size < preamble:
		return "", refuse(RuleComponent, name, "build the component again", "is %d bytes long; a preamble has %d", size, preamble)
	}
	return "", refuse(RuleComponent, name, "build the component again", "begins with % x, which is neither a core module nor a component", x.start)
}
