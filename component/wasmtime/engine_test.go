//go:build cgo

package wasmtime

import (
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
)

func newRuntime(t testing.TB, config Config) *Runtime {
	t.Helper()
	rt, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	return rt
}

func TestConformance(t *testing.T) {
	componenttest.Run(t, func(t *testing.T) component.Runtime { return newRuntime(t, Config{}) })
}
