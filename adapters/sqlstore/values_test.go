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
		"a key":            {changes: []adapters.Change{{Key: strings.Repeat("k", adapters.MaxKey+1)}}, limit: "512"},
		"control":          {changes: []adapters.Change{{Key: "a\u0085b"}}, limit: "control characters"},
		"no UTF-8":         {changes: []adapters.Change{{Key: "a\xff"}}, limit: "UTF-8"},
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
