package supervisor

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/memfd"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

// code gives native code for c: from the cache unless fresh is set, else from a
// compile worker. cached says which. The caller closes the file.
func (s *Supervisor) code(ctx context.Context, engine string, c pack.Component, fresh bool) (_ file, _ component.Layer, cached bool, err error) {
	name := codecache.Name(sha256.Sum256(c.Bytes), engine)
	if s.cfg.Cache != nil && !fresh {
		if code, layer, ok := s.cfg.Cache.Get(name); ok {
			f, err := memfd.New("code", code)
			if err != nil {
				return file{}, "", false, fmt.Errorf("hand over cached code: %w", err)
			}
			return file{f, uint64(len(code))}, layer, true, nil
		}
	}
	if s.cfg.Events.Compiling != nil {
		s.cfg.Events.Compiling(c.Path)
	}
	start := time.Now()
	f, layer, err := s.compile(ctx, engine, c)
	if err != nil {
		return file{}, "", false, err
	}
	if s.cfg.Events.Compiled != nil {
		s.cfg.Events.Compiled(c.Path, time.Since(start))
	}
	if s.cfg.Cache != nil {
		err := s.keep(name, layer, f)
		if err != nil && s.cfg.Events.CacheLost != nil {
			s.cfg.Events.CacheLost(err) // a full disk costs time, not the run
		}
	}
	return f, layer, false, nil
}

// keep puts compiled code into the cache.
func (s *Supervisor) keep(name string, layer component.Layer, f file) error {
	code, unmap, err := memfd.Map(f.file, int(f.size))
	if err != nil {
		return err
	}
	defer unmap()
	return s.cfg.Cache.Put(name, layer, code)
}

// compile runs one compilation in a worker of its own. One worker never compiles
// two components: a component that takes its compiler over must not be able to
// write the code of another, which may be cached for other packs.
func (s *Supervisor) compile(ctx context.Context, engine string, c pack.Component) (_ file, _ component.Layer, err error) {
	w, err := s.spawn(ctx, ipc.RoleCompile)
	if err != nil {
		return file{}, "", err
	}
	defer w.end()
	failed := func(by limits.Observer, detail string) error {
		return &failure{verdict: limits.CompileFailed, observer: by, detail: fmt.Sprintf("%s: %s", c.Path, detail)}
	}
	if w.failure != nil {
		return file{}, "", w.failure
	}
	if w.engine != engine {
		return file{}, "", w.violation("engine %q, not %q", w.engine, engine)
	}
	source, err := memfd.New("source", c.Bytes)
	if err != nil {
		return file{}, "", fmt.Errorf("hand over source: %w", err)
	}
	defer source.Close()
	out, err := memfd.Empty("code")
	if err != nil {
		return file{}, "", fmt.Errorf("hand over source: %w", err)
	}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	deadline := time.Now().Add(s.cfg.Limits.CompileTime)
	m := &ipc.Compile{Size: uint64(len(c.Bytes)), Cap: uint64(limits.MaxCode)}
	env, err := w.exchange(ctx, deadline, 0, m, source, out)
	if err != nil {
		// Whatever took the compiler down, the component could not be compiled;
		// what it died of is in the detail.
		if f := asFailure(err, "compilation"); f != nil {
			detail := f.detail
			if f.verdict == limits.Deadline {
				detail = fmt.Sprintf("compilation took longer than %s", s.cfg.Limits.CompileTime)
			}
			if f.verdict == limits.MemoryLimit {
				detail = fmt.Sprintf("compilation needs more memory than %s", s.cfg.Limits.CompileMemory)
			}
			f.verdict, f.detail = limits.CompileFailed, fmt.Sprintf("%s: %s", c.Path, detail)
			return file{}, "", f
		}
		return file{}, "", err
	}
	compiled, ok := env.Message.(*ipc.Compiled)
	if !ok {
		return file{}, "", w.violation("%T in answer to Compile", env.Message)
	}
	if compiled.Verdict != string(limits.OK) {
		return file{}, "", failed(limits.ByWorker, boundDetail(compiled.Detail))
	}
	layer := component.Layer(compiled.Layer)
	if layer != component.LayerCore && layer != component.LayerComponent {
		return file{}, "", w.violation("layer %q in Compiled", compiled.Layer)
	}
	// Sealing fails while somebody maps the file for writing, and the worker must
	// not write after the size is checked: it has to be gone first.
	if err := w.kill(); err != nil {
		return file{}, "", err
	}
	if err := memfd.Seal(out); err != nil {
		return file{}, "", fmt.Errorf("seal compiled code: %w", err)
	}
	st, err := out.Stat()
	if err != nil {
		return file{}, "", fmt.Errorf("seal compiled code: %w", err)
	}
	if size := uint64(st.Size()); size != compiled.Size || size > uint64(limits.MaxCode) {
		return file{}, "", failed(limits.BySupervisor, fmt.Sprintf("the compiler says %d bytes of code and wrote %d", compiled.Size, size))
	}
	return file{out, compiled.Size}, layer, nil
}
