package pack_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
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

// integers makes CBOR integers of JSON numbers.
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
		n, err := v.Int64()
		if err != nil {
			t.Fatal(err)
		}
		return n
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
	fmt.Fprintf(&w, "setup %q by %s\n", b.Setup.ID, b.Setup.FoundBy)
	fmt.Fprintf(&w, "requirements %q\nsubscriptions %q\n", m.RequirementsFlow, m.SubscriptionsFlow)
	fmt.Fprintf(&w, "public base url %v\ncapabilities %q\n", m.RequiresPublicBaseURL, m.Capabilities)
	fmt.Fprintf(&w, "pattern %s\n", b.Pattern)
	for _, s := range b.Steps {
		if s.Component < 0 {
			fmt.Fprintf(&w, "step %s - %s\n", s.Step, s.Why)
		} else {
			fmt.Fprintf(&w, "step %s %d %s\n", s.Step, s.Component, b.Components[s.Component].Path)
		}
	}
	for i, c := range b.Components {
		fmt.Fprintf(&w, "component %d %s layer=%q text=%v size=%d\n", i, c.Path, c.Layer, c.Text, len(c.Bytes))
	}
	for _, f := range b.Findings {
		fmt.Fprintf(&w, "%s %s %s: %s\n", f.Severity, f.Code, f.Path, f.Message)
	}
	return w.String()
}

// Each txtar file is a pack: as an archive and as a directory it means the same,
// and what the want section says.
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
			fromZip, zipErr := pack.OpenBytes(zipOf(t, fsys), "pack")
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

			fromDir, dirErr := pack.Open(lay(t, fsys))
			if got := describe(fromDir, dirErr); got != describe(fromZip, zipErr) {
				t.Errorf("as a directory:\n%s\nas an archive:\n%s", got, describe(fromZip, zipErr))
			}
			if fromDir != nil {
				fromDir.Form = pack.FormZip
				if !reflect.DeepEqual(fromDir, fromZip) {
					t.Errorf("the directory's blueprint, digest %s, differs from the archive's, %s", fromDir.Digest, fromZip.Digest)
				}
			}
		})
	}
}
