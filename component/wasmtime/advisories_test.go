//go:build cgo

package wasmtime

import (
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/guests"
)

// TestAdvisories: each published flaw of the engine that is linked has guests that
// show what comes of it, or a reason why none can. Another engine needs another look
// at what was published: at the sources that the list names, for everything that
// affects it.
func TestAdvisories(t *testing.T) {
	list, err := guests.Advisories()
	if err != nil {
		t.Fatal(err)
	}
	if want := (guests.Version{Engine: EngineVersion, Module: ModuleVersion}); list.CheckedFor != want {
		t.Errorf("advisories.json was checked for %+v, and %+v is linked: read its sources again", list.CheckedFor, want)
	}
	affecting := 0
	for _, a := range list.Advisories {
		affects, err := a.Affects(EngineVersion)
		if err != nil {
			t.Error(err)
		}
		if affects {
			affecting++
		}
		if affects && len(a.Guests) == 0 && a.Excluded == nil {
			t.Errorf("%s (%s) affects %s, and has neither guests nor a reason", a.ID, a.About, EngineVersion)
		}
	}
	if affecting == 0 {
		t.Error("no advisory affects the engine: the list or its reading is broken")
	}
}
