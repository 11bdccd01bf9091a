//go:build cgo

package imports_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capability/imports"
	"github.com/greentic-ai/greentic-provision/capability/wasi"
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/wasmtime"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/plan"
)

// load compiles and loads a guest in the real engine.
func load(t *testing.T, file string) component.Program {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := wasmtime.New(wasmtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	code, layer, err := rt.Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	p, err := rt.Load(code, layer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// One component through everything that lies between the engine and the plan:
// contract, typed imports, WASI, the overlay. It is what the scripted types of
// the other tests stand for, so it would show if they were wrong.
func TestEngine(t *testing.T) {
	p := load(t, "testdata/step.wat")
	spoken, err := contract.Select(p.Types())
	if err != nil {
		t.Fatal(err)
	}
	if err := imports.Check(p.Types()); err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, grants []string, request string) (out, stdout string, patch plan.Patch, err error) {
		host := capability.NewHost(capability.Config{Grants: grants})
		host.BeginStep(plan.Apply)
		world := wasi.New(wasi.Config{Budget: time.Minute, Stdout: func(b []byte) { stdout += string(b) + "|" }})
		offered, err := imports.Bind(p.Types(), direct{host}, imports.Options{Wasi: world})
		if err != nil {
			t.Fatal(err)
		}
		inst, err := p.Instantiate(t.Context(), component.StoreLimits{MemoryBytes: 1 << 20, TableElements: 1000, Instances: 10, Tables: 10, Memories: 10}, offered)
		if err != nil {
			t.Fatal(err)
		}
		defer inst.Close()
		b, err := spoken[0].Run(t.Context(), inst, contract.ActStep, []byte(request), 1<<20)
		world.Flush()
		patch, _, _ = host.EndStep()
		return string(b), stdout, patch, err
	}

	t.Run("granted", func(t *testing.T) {
		out, stdout, patch, err := run(t, nil, `{"é": 1}`)
		if err != nil || out != `{"é": 1}` || stdout != `{"é": 1}|` || string(patch.ConfigPatch["region"]) != `"eu"` {
			t.Errorf("out %q, stdout %q, patch %v, %v", out, stdout, patch, err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, _, patch, err := run(t, []string{}, `{}`)
		g, ok := errors.AsType[*contract.GuestError](err)
		if !ok || *g != (contract.GuestError{Code: "denied", Message: "config is not granted"}) || patch.ConfigPatch != nil {
			t.Errorf("%v, patch %v", err, patch)
		}
	})
	t.Run("asleep", func(t *testing.T) {
		before := time.Now()
		_, stdout, _, err := run(t, nil, `sleep`)
		trap, ok := errors.AsType[*component.Trap](err)
		if !ok || trap.Code != component.TrapHost || !errors.Is(err, wasi.ErrDeadline) || stdout != "" {
			t.Errorf("%v, stdout %q", err, stdout)
		}
		if d := time.Since(before); d > 30*time.Second {
			t.Errorf("an hour of virtual time took %v", d)
		}
	})
}

// The core contract on a real module, which echoes its request: with room to
// grow, at its maximum, and without room.
func TestEngineCore(t *testing.T) {
	for _, c := range []struct {
		memory string
		size   int
		code   string
	}{
		{"1", 10, ""}, {"1", 70_000, ""}, {"0", 10, ""}, {"1 1", 60_000, ""}, {"1 1", 62_000, contract.CodeInputDoesNotFit},
	} {
		t.Run(fmt.Sprintf("memory %s, %d bytes", c.memory, c.size), func(t *testing.T) {
			file := t.TempDir() + "/echo.wat"
			if err := os.WriteFile(file, fmt.Appendf(nil, `(module (memory (export "memory") %s)
				(func (export "run") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1)))`, c.memory), 0o600); err != nil {
				t.Fatal(err)
			}
			p := load(t, file)
			spoken, err := contract.Select(p.Types())
			if err != nil {
				t.Fatal(err)
			}
			inst, err := p.Instantiate(t.Context(), component.StoreLimits{MemoryBytes: 1 << 20, TableElements: 10, Instances: 1, Tables: 1, Memories: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Close()
			request := make([]byte, c.size)
			for i := range request {
				request[i] = 'a' + byte(i%26)
			}
			out, err := spoken[0].Run(t.Context(), inst, contract.ActStep, request, 1<<20)
			if c.code != "" {
				if g, ok := errors.AsType[*contract.GuestError](err); !ok || g.Code != c.code {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || string(out) != string(request) {
				t.Errorf("%d bytes came back, %v", len(out), err)
			}
		})
	}
}

// Each published interface that is offered, in each shape, imported by a guest
// and called through the engine: what the guest gets, what is recorded, and what
// it gets when nothing is granted.
func TestEngineInterfaces(t *testing.T) {
	const disabled = "http client disabled by policy"
	for file, c := range map[string]struct {
		request string
		out     string
		effects string
		log     string
		refused string // what the guest gives when nothing is granted
		trapped bool   // it is ended then
	}{
		"state.wat":            {request: "eu", out: `"eu"`, effects: "state.write config_patch.region, state.delete state.scratch", refused: "denied"},
		"http-1.0.wat":         {request: "s3cr3t", out: disabled, refused: disabled},
		"http-1.0-options.wat": {request: "s3cr3t", out: disabled, refused: disabled},
		"http-1.1.wat":         {request: "s3cr3t", out: disabled, refused: disabled},
		"telemetry.wat":        {request: "hello", log: "info:setup text=hello"},
		"messaging.wat":        {request: `{"text":"hello"}`, effects: "messaging.send messaging.ops", refused: "denied"},
		"secrets.wat":          {request: "s3cr3t", out: "s3cr3t", effects: "secrets.delete secrets_patch.delete.token", refused: "denied"},
		"interfaces-host.wat":  {request: "hello", out: "hello", effects: "state.write state.note", log: "info:setup text=hello", refused: "denied"},
		"host.wat":             {request: "hello", out: "hello", effects: "state.write state.ns/key", trapped: true},
	} {
		t.Run(file, func(t *testing.T) {
			p := load(t, "testdata/"+file)
			run := func(grants []string, request string) (out, effects, log string, err error) {
				host := capability.NewHost(capability.Config{Grants: grants})
				host.BeginStep(plan.Apply)
				offered, err := imports.Bind(p.Types(), direct{host}, imports.Options{Log: func(level, text string) { log += level + ":" + text }})
				if err != nil {
					t.Fatal(err)
				}
				inst, err := p.Instantiate(t.Context(), component.StoreLimits{MemoryBytes: 1 << 20, TableElements: 10, Instances: 10, Tables: 10, Memories: 10}, offered)
				if err != nil {
					t.Fatal(err)
				}
				defer inst.Close()
				v, err := inst.Call(t.Context(), []string{"run"}, []component.Value{request})
				if err == nil {
					out = v.(string)
				}
				_, es, _ := host.EndStep()
				var said []string
				for _, e := range es {
					said = append(said, e.Op+" "+e.Target)
				}
				return out, strings.Join(said, ", "), log, err
			}
			out, effects, log, err := run(capability.Grantable(), c.request)
			if err != nil || out != c.out || effects != c.effects || log != c.log {
				t.Errorf("gives %q, effects %q, log %q, %v", out, effects, log, err)
			}
			out, effects, _, err = run([]string{}, c.request)
			if refusal, ok := errors.AsType[*capability.Error](err); ok != c.trapped || ok && refusal.Code != capability.Denied || out != c.refused || effects != "" {
				t.Errorf("without a grant it gives %q, effects %q, %v", out, effects, err)
			}
			if file == "host.wat" { // there is nothing under the key
				if out, _, _, err := run(nil, ""); err != nil || out != "denied: "+disabled {
					t.Errorf("without a value it gives %q, %v", out, err)
				}
			}
		})
	}
}
