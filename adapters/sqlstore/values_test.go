package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// some makes n changes with values of size bytes.
func some(n, size int) []adapters.Change {
	changes := make([]adapters.Change, n)
	for i := range changes {
		changes[i] = adapters.Change{Key: fmt.Sprint("key", i), Value: adapters.Value{Bytes: make([]byte, size)}}
	}
	return changes
}

func beyondTheLimits(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	long := storetest.Somewhere
	long.Team = strings.Repeat("ü", 300)
	for what, test := range map[string]struct {
		ns      adapters.Namespace
		kind    adapters.Kind
		changes []adapters.Change
		limit   string
	}{
		"a value":          {changes: some(1, adapters.MaxValue+1), limit: "1048576"},
		"the keys":         {changes: some(adapters.MaxKeys+1, 0), limit: "10000"},
		"all values":       {changes: some(adapters.MaxTotal/adapters.MaxValue+2, adapters.MaxValue), limit: "67108864"},
		"a kind":           {kind: "other", changes: some(1, 1), limit: `"other"`},
		"a long namespace": {ns: long, changes: some(1, 1), limit: "1536"},
	} {
		if test.ns == (adapters.Namespace{}) {
			test.ns = storetest.Somewhere
		}
		if test.kind == "" {
			test.kind = adapters.Config
		}
		v := s.Values(test.kind)
		if err := v.Apply(t.Context(), test.ns, adapters.Batch{Changes: test.changes}); err == nil || !strings.Contains(err.Error(), test.limit) {
			t.Errorf("%s: got %v, want %s named", what, err, test.limit)
		}
	}
	if keys, err := s.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 0 {
		t.Errorf("then there are %d keys, %v", len(keys), err)
	}
	if _, err := s.Lock(t.Context(), long, "test"); err == nil {
		t.Error("a namespace that is too long can be locked")
	}
}

// noKeys: neither Apply nor Commit takes them, and not to delete them either.
func noKeys(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	l, err := s.Lock(t.Context(), storetest.Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	for key, why := range map[string]string{
		"": "empty", strings.Repeat("k", adapters.MaxKey+1): "512", "a\u0085b": "control characters", "a\nb": "control characters", "a\xff": "UTF-8",
	} {
		for _, remove := range []bool{false, true} {
			b := adapters.Batch{Changes: []adapters.Change{{Key: "good"}, {Key: key, Delete: remove}}}
			for what, err := range map[string]error{
				"Apply":  s.Values(adapters.Config).Apply(t.Context(), storetest.Somewhere, b),
				"Commit": s.Commit(t.Context(), l, adapters.Write{Values: []adapters.Part{{Kind: adapters.Config, Batch: b}}}),
			} {
				if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
					t.Errorf("%s of the key %.20q gives %v, want %q in it", what, key, err, why)
				}
			}
		}
	}
	if keys, err := s.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 0 {
		t.Errorf("then there are the keys %q, %v", keys, err)
	}
}

func atTheLimits(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	v := s.Values(adapters.Operations)
	if err := v.Apply(t.Context(), storetest.Somewhere, adapters.Batch{Changes: some(adapters.MaxKeys, 10)}); err != nil {
		t.Fatal(err)
	}
	if m, err := v.Load(t.Context(), storetest.Somewhere); err != nil || len(m) != adapters.MaxKeys {
		t.Errorf("Load gives %d values, %v", len(m), err)
	}
	// What is beyond them all the same is not loaded.
	e.exec(t, `INSERT INTO provision_values (scope, namespace, kind, key, sealed, value, sum)
			SELECT scope, namespace, kind, 'more', sealed, value, sum FROM provision_values WHERE key = 'key0'`)
	if _, err := v.Load(t.Context(), storetest.Somewhere); err == nil || !strings.Contains(err.Error(), "10000") {
		t.Errorf("Load of more gives %v", err)
	}
	if _, err := v.Keys(t.Context(), storetest.Somewhere); err == nil || !strings.Contains(err.Error(), "10000") {
		t.Errorf("Keys of more gives %v", err)
	}
}
