package commit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/seal"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// canary is the value of every secret in these tests.
const canary = "C4n4ry/Value+1=x"

var home = adapters.Namespace{Env: "prod", Tenant: "acme", Provider: "chat", Install: "default"}

// openSQLite opens the store in dir; it is made when there is none.
func openSQLite(ctx context.Context, dir string, fault func(string) error) (adapters.Store, error) {
	keys := seal.New(seal.Config{Source: seal.Source{Kind: seal.File, Path: filepath.Join(dir, "keys", "identity.txt")}, Create: true})
	return sqlite.Open(ctx, filepath.Join(dir, "store.db"), sqlstore.Options{Sealer: keys, Fault: fault})
}

func fresh(t *testing.T) commit.Committer {
	t.Helper()
	s, err := openSQLite(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return commit.Committer{Stores: commit.Stores{Record: s}, By: "tester"}
}

func locked(t *testing.T, c commit.Committer, ns adapters.Namespace) adapters.Lock {
	t.Helper()
	l, err := c.Record.Lock(t.Context(), ns, "tester")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Unlock() })
	return l
}

func load(t *testing.T, c commit.Committer, ns adapters.Namespace) commit.Current {
	t.Helper()
	cur, err := c.Load(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	return cur
}

// ran makes the result of a run that ended well. secrets are the values that steps gave.
func ran(entry pack.Entry, planJSON string, secrets map[string]string, blobs map[string]string) (*engine.Result, engine.Outcome) {
	res := &engine.Result{Plan: plan.New(), ExitCode: engine.ExitOK, Verdict: "ok"}
	resp, err := plan.DecodeResponse([]byte(`{"plan":` + planJSON + `}`))
	if err != nil {
		panic(err)
	}
	res.Effects = res.Plan.Merge(plan.Apply, *resp.Patch)
	res.Pack = engine.PackIdentity{ID: "pack.chat", Version: "1.2.3", Digest: "sha256:" + fmt.Sprintf("%064x", 7), Entry: entry}
	out := engine.Outcome{Plan: res.Plan, Effects: res.Effects, Secrets: map[string][]byte{}, State: map[string][]byte{}}
	var known []string
	for k, v := range secrets {
		out.Secrets[k] = []byte(v)
		known = append(known, v)
	}
	for k, v := range blobs {
		out.State[k] = []byte(v)
	}
	out.Scrubber = plan.NewScrubber(known...)
	res.Plan = out.Scrubber.Plan(res.Plan)
	res.Digest = plan.Digest(res.Plan)
	return res, out
}

func encodeResult(t *testing.T, res *engine.Result) []byte {
	t.Helper()
	b, err := plan.Canonical(res)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stateWrite(key string) plan.Effect {
	return plan.Effect{Step: plan.Apply, Via: plan.ViaHostCall, Op: "state.write", Target: plan.TargetState + key}
}

// apply commits a run's plan.
func apply(t *testing.T, c commit.Committer, lock adapters.Lock, entry pack.Entry, planJSON string, secrets map[string]string) adapters.Install {
	t.Helper()
	res, out := ran(entry, planJSON, secrets, nil)
	set, found := commit.New(res, out, load(t, c, lock.Namespace()), commit.Wanted{})
	if set == nil {
		t.Fatalf("refused: %+v", found)
	}
	i, err := c.Commit(t.Context(), lock, set)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func remove(t *testing.T, c commit.Committer, lock adapters.Lock) adapters.Install {
	t.Helper()
	set, found, err := c.NewRemoval(t.Context(), load(t, c, lock.Namespace()), nil, engine.Outcome{}, commit.Wanted{})
	if err != nil || set == nil {
		t.Fatal(err, found)
	}
	i, err := c.Commit(t.Context(), lock, set)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// dump is everything that is stored of an installation, in every area that a test can
// name, as one text.
func dump(t testing.TB, ctx context.Context, s commit.Stores, ns adapters.Namespace) string {
	t.Helper()
	out := map[string]string{}
	for _, kind := range adapters.Kinds {
		values := s.Record.Values(kind)
		if p, ok := s.Elsewhere[kind]; ok {
			values = p.Values
		}
		for _, area := range []adapters.Area{adapters.Live, adapters.Before} {
			m, err := values.Load(ctx, ns.In(area))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range m {
				out[fmt.Sprintf("%s/%s/%s", kind, area, k)] = string(v.Bytes)
			}
		}
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// memory is an adapter for one kind, in memory, that can be told to misbehave.
type memory struct {
	values map[adapters.Namespace]map[string]adapters.Value
	fault  func(op string) error
	lie    bool // says yes and does nothing
}

func newMemory() *memory { return &memory{values: map[adapters.Namespace]map[string]adapters.Value{}} }

func (m *memory) fails(op string) error {
	if m.fault != nil {
		return m.fault(op)
	}
	return nil
}

func (m *memory) Keys(_ context.Context, ns adapters.Namespace) ([]string, error) {
	return slices.Sorted(maps.Keys(m.values[ns])), m.fails("keys")
}

func (m *memory) Load(_ context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	if err := m.fails("load"); err != nil {
		return nil, err
	}
	return maps.Clone(m.values[ns]), nil
}

func (m *memory) Apply(_ context.Context, ns adapters.Namespace, b adapters.Batch) error {
	for _, c := range b.Changes {
		if err := m.fails("apply " + c.Key); err != nil {
			return err
		}
		if m.lie {
			continue
		}
		if m.values[ns] == nil {
			m.values[ns] = map[string]adapters.Value{}
		}
		if c.Delete {
			delete(m.values[ns], c.Key)
		} else {
			m.values[ns][c.Key] = c.Value
		}
	}
	return nil
}
