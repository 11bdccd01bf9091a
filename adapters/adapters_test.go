package adapters_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// No two namespaces have one name, whatever is in their parts, and names are read back.
func TestNamesOfNamespaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.OneOf(rapid.StringMatching(`[a-z:#%_*/. -]{0,6}`), rapid.String())
		draw := func(name string) adapters.Namespace {
			return adapters.Namespace{Env: part.Draw(t, name), Tenant: part.Draw(t, name), Team: part.Draw(t, name), Provider: part.Draw(t, name),
				Install: part.Draw(t, name), Area: adapters.Area(rapid.SampledFrom([]string{"", "before", "staged-1", "#x"}).Draw(t, name))}
		}
		a, b := draw("a"), draw("b")
		got, err := adapters.ParseNamespace(a.String())
		if err != nil || got != a {
			t.Fatalf("%q is read as %+v, %v", a, got, err)
		}
		if (a == b) != (a.String() == b.String()) {
			t.Fatalf("%+v and %+v are %q and %q", a, b, a, b)
		}
		if (a.Env == b.Env && a.Tenant == b.Tenant) != (a.Scope() == b.Scope()) || a.Scope() == adapters.AllScopes {
			t.Fatalf("scopes %q and %q", a.Scope(), b.Scope())
		}
	})
	for _, s := range []string{"", "provision", "provision:a:b:c:d", "provision:a:b:c:d:e:f", "provision:a:b:c:d:e#", "other:a:b:c:d:e", "provision::b:c:d:e", "provision:%61:b:c:d:e", "provision:%zz:b:c:d:e", "provision:a b:b:c:d:e"} {
		if ns, err := adapters.ParseNamespace(s); err == nil {
			t.Errorf("%q is read as %+v", s, ns)
		}
	}
}

// Whatever is changed in an entry, left out or put in between shows.
func TestTheAuditLogIsAChain(t *testing.T) {
	var chain adapters.Chain
	var log []adapters.AuditEntry
	for i := range 4 {
		e, err := adapters.AuditEntry{Time: time.Date(2026, 1, 1, i, 0, 0, 7, time.UTC), What: "setup", By: "me", Revision: uint64(i), Detail: json.RawMessage(`{"a":1}`)}.Chained(chain)
		if err != nil {
			t.Fatal(err)
		}
		log, chain = append(log, e), e.End()
	}
	follows := func(log []adapters.AuditEntry) bool {
		var chain adapters.Chain
		for _, e := range log {
			if !e.Follows(chain) {
				return false
			}
			chain = e.End()
		}
		return true
	}
	// As it is read back from where it was written.
	b, err := json.Marshal(log)
	if err != nil {
		t.Fatal(err)
	}
	read := func() (log []adapters.AuditEntry) {
		if err := json.Unmarshal(b, &log); err != nil {
			t.Fatal(err)
		}
		return log
	}
	if !follows(read()) {
		t.Fatal("the log as it was written is no chain")
	}
	for name, change := range map[string]func([]adapters.AuditEntry) []adapters.AuditEntry{
		"who":  func(l []adapters.AuditEntry) []adapters.AuditEntry { l[1].By = "you"; return l },
		"when": func(l []adapters.AuditEntry) []adapters.AuditEntry { l[1].Time = l[1].Time.Add(1); return l },
		"detail": func(l []adapters.AuditEntry) []adapters.AuditEntry {
			l[1].Detail = json.RawMessage(`{"a":2}`)
			return l
		},
		"hash":     func(l []adapters.AuditEntry) []adapters.AuditEntry { l[1].Hash = l[2].Hash; return l },
		"left out": func(l []adapters.AuditEntry) []adapters.AuditEntry { return append(l[:1], l[2:]...) },
		"order":    func(l []adapters.AuditEntry) []adapters.AuditEntry { l[1], l[2] = l[2], l[1]; return l },
		"first":    func(l []adapters.AuditEntry) []adapters.AuditEntry { return l[1:] },
		"again": func(l []adapters.AuditEntry) []adapters.AuditEntry {
			e, _ := l[1].Chained(l[0].End()) // one that was forged and chained anew breaks what follows
			e.By = "you"
			e, _ = e.Chained(l[0].End())
			l[1] = e
			return l
		},
	} {
		if follows(change(read())) {
			t.Errorf("%s: a change is not seen", name)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, k := range []string{"a", "a.b/c d", "ключ", strings.Repeat("k", adapters.MaxKey)} {
		if err := adapters.CheckKey(k); err != nil {
			t.Errorf("%q: %v", k, err)
		}
	}
	for _, k := range []string{"", "a\x00", "a\n", "a\x7f", "a\u0085", "a\xff", strings.Repeat("k", adapters.MaxKey+1)} {
		if adapters.CheckKey(k) == nil {
			t.Errorf("%q is a key", k)
		}
	}
}
