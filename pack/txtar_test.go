package pack_test

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/tools/txtar"

	"github.com/greentic-ai/greentic-provision/pack"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata")

// files gives the pack that a txtar file describes. A file NAME.hex becomes NAME
// with the bytes, NAME.cbor-json becomes NAME.cbor: both keep binary out of
// testdata.
func files(t *testing.T, ar *txtar.Archive) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for _, f := range ar.Files {
		name, data := f.Name, f.Data
		switch {
		case name == "want":
			continue
		case path.Ext(name) == ".hex":
			b, err := hex.DecodeString(strings.Join(strings.Fields(string(data)), ""))
			if err != nil {
				t.Fatal(err)
			}
			name, data = strings.TrimSuffix(name, ".hex"), b
		case path.Ext(name) == ".cbor-json":
			name, data = strings.TrimSuffix(name, "-json"), toCBOR(t, data)
		}
		out[name] = &fstest.MapFile{Data: data}
	}
	return out
}

func toCBOR(t *testing.T, text []byte) []byte {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	mode, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(integers(t, v))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// integers makes CBOR integers of JSON numbers where they are.
func integers(t *testing.T, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = integers(t, v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(t, v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return v
}

func zipOf(t *testing.T, dir fs.FS) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := pack.Write(&b, dir); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lay writes the files into a fresh directory.
func lay(t *testing.T, files fstest.MapFS) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

// describe renders what a test wants to know.
func describe(b *pack.Blueprint, err error) string {
	var w strings.Builder
	if e, ok := errors.AsType[*pack.Error](err); ok {
		fmt.Fprintf(&w, "error %s\nentry %q\ndetail %s\nhint %s\n", e.Rule, e.Entry, e.Detail, e.Hint)
		return w.String()
	}
	if err != nil {
		return "failed: " + err.Error() + "\n"
	}
	m := b.Manifest
	fmt.Fprintf(&w, "pack %s %s (%s, %s)\n", m.ID, m.Version, m.Generation, m.File)
	for _, f := range m.Entries {
		fmt.Fprintf(&w, "flow of %s %q by %s\n", f.Entry, f.ID, f.FoundBy)
	}
	fmt.Fprintf(&w, "public base url %v\ncapabilities %q\n", m.RequiresPublicBaseURL, m.Capabilities)
	fmt.Fprintf(&w, "%s by %s\n", b.Entry, b.Flow.FoundBy)
	if b.Nothing {
		fmt.Fprintln(&w, "nothing to do")
	}
	path := func(i int) string {
		if i < 0 {
			return "-"
		}
		return b.Components[i].Path
	}
	for _, way := range b.Ways {
		if !way.Possible() {
			fmt.Fprintf(&w, "no way %s: %s\n", way.Via, way.Problem)
			continue
		}
		fmt.Fprintf(&w, "way %s: %s\n", way.Via, way.Why)
		if way.Component >= 0 {
			fmt.Fprintf(&w, "  %s\n", path(way.Component))
		}
		for _, s := range way.Steps {
			fmt.Fprintf(&w, "  step %s %s %s\n", s.Step, path(s.Component), s.Why)
		}
		for _, id := range slices.Sorted(maps.Keys(way.Nodes)) {
			fmt.Fprintf(&w, "  component %s %s\n", id, path(way.Nodes[id]))
		}
	}
	if b.Requirements.Component >= 0 {
		fmt.Fprintf(&w, "requirements %s\n", path(b.Requirements.Component))
	}
	for _, id := range slices.Sorted(maps.Keys(b.Graphs)) {
		fmt.Fprintf(&w, "graph %s (%s)\n", id, b.Graphs[id].Kind)
		for _, n := range b.Graphs[id].Nodes {
			r := n.Routing
			fmt.Fprintf(&w, "  %s = %s %q %s -> %s next=%q on=%v default=%q custom=%s\n", n.ID, n.Component, n.Operation, n.Mapping, r.Kind, r.Next, r.OnStatus, r.Default, r.Custom)
		}
	}
	if b.Provider != nil {
		fmt.Fprintf(&w, "provider %+v\n", *b.Provider)
	}
	for _, key := range slices.Sorted(maps.Keys(b.Extensions)) {
		fmt.Fprintf(&w, "extension %s %s\n", key, b.Extensions[key])
	}
	for _, c := range b.Declared {
		fmt.Fprintf(&w, "declared %s %s %s %v %s\n", c.ID, c.Version, c.World, c.Operations, c.Capabilities)
	}
	for _, doc := range []struct {
		name string
		*pack.Document
	}{{"setup", b.Setup}, {"form", b.QuestionForm}, {"secrets", b.SecretRequirements}, {"requirements", b.RequirementsFile}, {"schema", b.ConfigSchema}} {
		if doc.Document != nil {
			fmt.Fprintf(&w, "document %s %s %d bytes\n", doc.name, doc.Path, len(doc.Bytes))
		}
	}
	for i, c := range b.Components {
		fmt.Fprintf(&w, "binary %d %s id=%q layer=%q text=%v size=%d\n", i, c.Path, c.ID, c.Layer, c.Text, len(c.Bytes))
	}
	for _, f := range b.Findings {
		fmt.Fprintf(&w, "%s %s %s: %s\n", f.Severity, f.Code, f.Path, f.Message)
	}
	return w.String()
}

// options are the lines "entry: NAME" and "provider: TYPE" above the files.
func options(t *testing.T, ar *txtar.Archive) pack.Options {
	t.Helper()
	var o pack.Options
	for line := range strings.Lines(string(ar.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "entry":
			o.Entry = pack.Entry(value)
		case "provider":
			o.Provider = value
		}
	}
	return o
}

// Each txtar file is a pack: as an archive of either kind and as a directory it
// means the same, and what the want section says.
func TestPacks(t *testing.T) {
	names, err := filepath.Glob("testdata/packs/*.txtar")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fsys := files(t, ar)
			o := options(t, ar)
			fromZip, zipErr := pack.OpenBytes(zipOf(t, fsys), "pack", o)
			got := describe(fromZip, zipErr)
			want := ar.Files[len(ar.Files)-1]
			if want.Name != "want" {
				t.Fatal("the last section is not want")
			}
			if *update {
				ar.Files[len(ar.Files)-1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want.Data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want.Data)
			}

			dir := lay(t, fsys)
			fromDir, dirErr := pack.Open(dir, o)
			fromTar, tarErr := pack.OpenBytes(tarOf(t, fsys), "pack", o)
			for form, other := range map[pack.Form]struct {
				b   *pack.Blueprint
				err error
			}{pack.FormDir: {fromDir, dirErr}, pack.FormTar: {fromTar, tarErr}} {
				if got := describe(other.b, other.err); got != describe(fromZip, zipErr) {
					t.Errorf("as a %s:\n%s\nas a zip archive:\n%s", form, got, describe(fromZip, zipErr))
				}
				if other.b == nil {
					continue
				}
				if other.b.Form != form {
					t.Errorf("form %s; want %s", other.b.Form, form)
				}
				same := *other.b
				same.Form, same.Integrity = pack.FormZip, fromZip.Integrity // a directory needs no inventory
				if !reflect.DeepEqual(&same, fromZip) {
					t.Errorf("the blueprint of a %s, digest %s, differs from the archive's, %s", form, same.Digest, fromZip.Digest)
				}
			}

			// A description agrees with what would be run.
			in, err := pack.Inspect(dir, o)
			if err != nil {
				if fromDir != nil {
					t.Fatal(err)
				}
				return
			}
			if (len(in.Problems) == 0) != (fromDir != nil) || fromDir != nil && in.Digest != fromDir.Digest {
				t.Errorf("inspected: digest %s, problems %+v", in.Digest, in.Problems)
			}
		})
	}
}

// tarOf packs a directory with the standard library's writer.
func tarOf(t *testing.T, dir fs.FS) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layFile writes an archive into a fresh directory.
func layFile(t *testing.T, archive []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "p.gtpack")
	if err := os.WriteFile(name, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
