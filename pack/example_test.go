package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/greentic-ai/greentic-provision/pack"
)

// A directory is packed and read back: what would setup execute?
func Example() {
	dir := fstest.MapFS{
		"pack.json": {Data: []byte(`{
			"id": "greentic.events.timer", "version": "0.1.0",
			"meta": {"entry_flows": {"setup": "setup", "requirements": "requirements"}}
		}`)},
		"setup_default__collect.wat": {Data: []byte("(module)")},
		"setup_default__apply.wat":   {Data: []byte("(module)")},
	}
	var archive bytes.Buffer
	if err := pack.Write(&archive, dir); err != nil {
		fmt.Println(err)
		return
	}
	b, err := pack.OpenBytes(archive.Bytes(), "timer.gtpack", pack.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Manifest.ID, b.Manifest.Version, "runs the flow", b.Flow.ID)
	for _, s := range b.Way(pack.ViaSteps).Steps {
		if s.Component < 0 {
			fmt.Println(s.Step, "-")
			continue
		}
		fmt.Println(s.Step, b.Components[s.Component].Path)
	}
	// Output:
	// greentic.events.timer 0.1.0 runs the flow setup
	// collect setup_default__collect.wat
	// validate -
	// apply setup_default__apply.wat
	// summary -
}

// A pack that breaks a rule gives an Error that says which.
func ExampleError() {
	_, err := pack.OpenBytes([]byte(`{"not": "a zip archive"}`), "demo.gtpack", pack.Options{})
	fmt.Println(err)
	if e, ok := errors.AsType[*pack.Error](err); ok {
		fmt.Println(e.Rule == pack.RuleForm)
	}
	// Output:
	// pack "demo.gtpack": pack form: is JSON text, not an archive (pack it as a zip archive, or give the pack's directory)
	// true
}
