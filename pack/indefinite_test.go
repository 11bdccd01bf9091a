package pack_test

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/greentic-ai/greentic-provision/pack"
)

// Every published messaging pack writes the payloads of its extensions as maps
// of indefinite length (Rust's serde, for structs with flattened parts).
func TestIndefiniteLengthsAreRead(t *testing.T) {
	var manifest bytes.Buffer
	enc := cbor.NewEncoder(&manifest)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(enc.StartIndefiniteMap())
	for _, v := range []any{
		"schema_version", "pack-v1", "pack_id", "indefinite", "version", "1.2.3",
		"flows", []any{map[string]any{"id": "setup_default", "entrypoints": []string{"setup"}}},
	} {
		do(enc.Encode(v))
	}
	do(enc.Encode("extensions"))
	do(enc.StartIndefiniteMap())
	do(enc.Encode("inline"))
	do(enc.StartIndefiniteArray())
	do(enc.Encode(1))
	do(enc.EndIndefinite())
	do(enc.EndIndefinite())
	do(enc.EndIndefinite())

	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, body := range map[string][]byte{
		"manifest.cbor":                        manifest.Bytes(),
		"components/setup_default__apply.wasm": []byte("\x00asm\x01\x00\x00\x00"),
	} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		do(err)
		_, err = f.Write(body)
		do(err)
	}
	do(w.Close())
	b, err := pack.OpenBytes(archive.Bytes(), "x.gtpack", pack.Options{})
	if err != nil || b.Manifest.ID != "indefinite" || b.Flow.ID != "setup_default" {
		t.Fatalf("%+v, %v", b, err)
	}
}
