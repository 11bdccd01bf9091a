package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMerge(t *testing.T) {
	p := New()
	first, err := DecodeResponse([]byte(`{"plan": {
		"config_patch": {"a": {"x": 1, "y": 2}, "b.c": 1, "d": 4},
		"secrets_patch": {"set": {"K": {"redacted": false}, "L": {"redacted": true}}, "delete": ["M"]},
		"webhook_ops": [{"op": "create", "id": "w"}],
		"notes": ["n"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	second, err := DecodeResponse([]byte(`{"plan": {
		"config_patch": {"a": {"x": 3}, "d": null, "b": {"c": 2}},
		"secrets_patch": {"set": {"K": {"redacted": true}, "M": {"redacted": true}}, "delete": ["M", "L"]},
		"webhook_ops": [{"op": "create", "id": "w"}],
		"subscription_ops": [{"op": "sync"}],
		"oauth_ops": [{"op": "start", "provider": "p"}],
		"notes": ["n", "m"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	effects := p.Merge(Collect, *first.Patch)
	effects = append(effects, p.Merge(Apply, *second.Patch)...)
	got, err := Canonical(p)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of a's first value is left, null stands for d, b and b.c are two
	// keys, M is set and deleted, nothing is removed as a duplicate.
	const want = `{"config_patch":{"a":{"x":3},"b":{"c":2},"b.c":1,"d":null},"notes":["n","n","m"],` +
		`"oauth_ops":[{"op":"start","provider":"p","redirect_url":null,"scopes":[]}],` +
		`"secrets_patch":{"delete":["M","M","L"],"set":{"K":{"redacted":true,"value":null},"L":{"redacted":true,"value":null},"M":{"redacted":true,"value":null}}},` +
		`"subscription_ops":[{"id":null,"metadata":{},"op":"sync"}],` +
		`"webhook_ops":[{"id":"w","metadata":{},"op":"create","url":null},{"id":"w","metadata":{},"op":"create","url":null}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var lines []string
	for _, e := range effects {
		lines = append(lines, fmt.Sprintf("%s %s%s %s", e.Step, e.Via, e.Op, e.Target))
	}
	const wantEffects = `collect patch config_patch.a
collect patch config_patch.b.c
collect patch config_patch.d
collect patch secrets_patch.set.K
collect patch secrets_patch.set.L
collect patch secrets_patch.delete.M
collect patch webhook_ops[0]
collect patch notes[0]
apply patch config_patch.a
apply patch config_patch.b
apply patch config_patch.d
apply patch secrets_patch.set.K
apply patch secrets_patch.set.M
apply patch secrets_patch.delete.M
apply patch secrets_patch.delete.L
apply patch webhook_ops[1]
apply patch subscription_ops[0]
apply patch oauth_ops[0]
apply patch notes[1]
apply patch notes[2]`
	if s := strings.Join(lines, "\n"); s != wantEffects {
		t.Errorf("got\n%s\nwant\n%s", s, wantEffects)
	}
}

// drawPatch draws a patch over few keys, so that patches meet.
func drawPatch(t *rapid.T, label string) Patch {
	key := rapid.SampledFrom([]string{"a", "b", "a.b", ""})
	value := rapid.Custom(func(t *rapid.T) json.RawMessage {
		b, err := Canonical(anyJSON(2).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	object := rapid.MapOfN(key, value, 0, 3)
	text := rapid.SampledFrom([]string{"x", "y"})
	optional := rapid.Ptr(text, true)
	return rapid.Custom(func(t *rapid.T) Patch {
		var p Patch
		if rapid.Bool().Draw(t, "config") {
			p.ConfigPatch = object.Draw(t, "config_patch")
		}
		if rapid.Bool().Draw(t, "secrets") {
			p.SecretsPatch = &SecretsPatch{
				Set:    rapid.MapOfN(key, rapid.Map(rapid.Bool(), func(r bool) Redacted { return Redacted{Redacted: r} }), 0, 3).Draw(t, "set"),
				Delete: rapid.SliceOfN(key, 0, 3).Draw(t, "delete"),
			}
		}
		p.WebhookOps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) WebhookOp {
			return WebhookOp{Op: text.Draw(t, "op"), ID: optional.Draw(t, "id"), URL: optional.Draw(t, "url"), Metadata: object.Draw(t, "metadata")}
		}), 0, 2).Draw(t, "webhooks")
		p.SubscriptionOps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) SubscriptionOp {
			return SubscriptionOp{Op: text.Draw(t, "op"), ID: optional.Draw(t, "id"), Metadata: object.Draw(t, "metadata")}
		}), 0, 2).Draw(t, "subscriptions")
		p.OAuthOps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) OAuthOp {
			return OAuthOp{Op: "start", Provider: text.Draw(t, "provider"), Scopes: rapid.SliceOfN(text, 0, 2).Draw(t, "scopes"), RedirectURL: optional.Draw(t, "redirect")}
		}), 0, 2).Draw(t, "oauth")
		p.Notes = rapid.SliceOfN(text, 0, 2).Draw(t, "notes")
		return p
	}).Draw(t, label)
}

func TestMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patches := []Patch{drawPatch(t, "first"), drawPatch(t, "second"), drawPatch(t, "third")}
		got := New()
		var effects []Effect
		for i, p := range patches {
			effects = append(effects, got.Merge(Steps[i], p)...)
		}

		// The lists are the lists of the patches one after the other, and each key
		// has the last value given to it.
		want := New()
		for _, p := range patches {
			for k, v := range p.ConfigPatch {
				want.ConfigPatch[k] = v
			}
			if p.SecretsPatch != nil {
				for k, v := range p.SecretsPatch.Set {
					want.SecretsPatch.Set[k] = v
				}
				want.SecretsPatch.Delete = slices.Concat(want.SecretsPatch.Delete, p.SecretsPatch.Delete)
			}
			want.WebhookOps = slices.Concat(want.WebhookOps, p.WebhookOps)
			want.SubscriptionOps = slices.Concat(want.SubscriptionOps, p.SubscriptionOps)
			want.OAuthOps = slices.Concat(want.OAuthOps, p.OAuthOps)
			want.Notes = slices.Concat(want.Notes, p.Notes)
		}
		if Digest(got) != Digest(want) || Digest(got) == "" {
			t.Fatalf("got %+v, want %+v", got, want)
		}

		// Every entry has an effect, every effect an entry.
		targets := map[string]bool{}
		for _, e := range effects {
			targets[e.Target] = true
		}
		entries := map[string]bool{}
		for k := range got.ConfigPatch {
			entries["config_patch."+k] = true
		}
		for k := range got.SecretsPatch.Set {
			entries["secrets_patch.set."+k] = true
		}
		for _, k := range got.SecretsPatch.Delete {
			entries["secrets_patch.delete."+k] = true
		}
		for list, n := range map[string]int{"webhook_ops": len(got.WebhookOps), "subscription_ops": len(got.SubscriptionOps), "oauth_ops": len(got.OAuthOps), "notes": len(got.Notes)} {
			for i := range n {
				entries[fmt.Sprintf("%s[%d]", list, i)] = true
			}
		}
		if !reflect.DeepEqual(targets, entries) {
			t.Fatalf("effects %v, entries %v", targets, entries)
		}

		// Merging into the empty plan and reading the plan back changes nothing.
		b, err := Canonical(map[string]any{"plan": got})
		if err != nil {
			t.Fatal(err)
		}
		r, err := DecodeResponse(b)
		if err != nil {
			t.Fatal(err)
		}
		back := New()
		back.Merge(Apply, *r.Patch)
		if Digest(back) != Digest(got) {
			t.Fatalf("read back as %+v", back)
		}
	})
}

func FuzzPatchMerge(f *testing.F) {
	f.Add([]byte(`{"plan": {"config_patch": {"a": 1}, "notes": ["x"]}}`), []byte(`{"plan": {"config_patch": {"a": null}, "secrets_patch": {"delete": ["a"]}}}`))
	f.Add([]byte(`{"plan": {"oauth_ops": [{"op": "start", "provider": "p"}]}}`), []byte(`{"plan": {"webhook_ops": [{"op": "x", "metadata": {"a": {}}}]}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := New()
		lists := 0
		for i, text := range [][]byte{a, b} {
			r, err := DecodeResponse(text)
			if err != nil || r.Patch == nil {
				return
			}
			effects := p.Merge(Steps[i], *r.Patch)
			lists += len(r.Patch.WebhookOps) + len(r.Patch.SubscriptionOps) + len(r.Patch.OAuthOps) + len(r.Patch.Notes)
			n := len(r.Patch.ConfigPatch) + len(r.Patch.WebhookOps) + len(r.Patch.SubscriptionOps) + len(r.Patch.OAuthOps) + len(r.Patch.Notes)
			if s := r.Patch.SecretsPatch; s != nil {
				n += len(s.Set) + len(s.Delete)
			}
			if len(effects) != n {
				t.Errorf("%d effects for %d entries", len(effects), n)
			}
			for k, v := range r.Patch.ConfigPatch {
				if string(p.ConfigPatch[k]) != string(v) {
					t.Errorf("%q is %s, not %s", k, p.ConfigPatch[k], v)
				}
			}
		}
		if got := len(p.WebhookOps) + len(p.SubscriptionOps) + len(p.OAuthOps) + len(p.Notes); got != lists {
			t.Errorf("%d entries in lists, given %d", got, lists)
		}
		if Digest(p) == "" {
			t.Error("the plan has no digest")
		}
	})
}

func TestEmptyPartsAreNeverNull(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want string
	}{
		{Plan{}, `{"config_patch":{},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":[],"set":{}},"subscription_ops":[],"webhook_ops":[]}`},
		{SecretsPatch{}, `{"delete":[],"set":{}}`},
		{&WebhookOp{Op: "x"}, `{"id":null,"metadata":{},"op":"x","url":null}`},
		{[]SubscriptionOp{{Op: "x"}}, `[{"id":null,"metadata":{},"op":"x"}]`},
		{OAuthOp{}, `{"op":"","provider":"","redirect_url":null,"scopes":[]}`},
		// A patch says with null that it says nothing.
		{Patch{}, `{"config_patch":null,"notes":null,"oauth_ops":null,"secrets_patch":null,"subscription_ops":null,"webhook_ops":null}`},
	} {
		if got, err := Canonical(tc.v); err != nil || string(got) != tc.want {
			t.Errorf("%T: got %s, %v, want %s", tc.v, got, err, tc.want)
		}
	}
}
