package greentic

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// FuzzStore: a file is refused or read, and what was read is written so that the same
// is read again, with a secret that was added and without one that was deleted. The
// file is what is around the line of the store, and the JSON in that line.
func FuzzStore(f *testing.F) {
	plain, err := os.ReadFile("testdata/master.env")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(plain), "")
	state, err := base64.RawStdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(string(plain), stateName+"=")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("# a comment\n", string(state))
	f.Add("A=B\n", `{"secrets":[{"key":"secrets://dev/demo/_/telegram/a","versions":[{"version":1,"deleted":true,"record":null}]}],"x":{}}`)
	f.Add("", `{"secrets":[{"key":"secrets://dev/demo/_/telegram/a","versions":[]}]}`)
	p, err := placeOf(telegram, defaultEnv)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, around, state string) {
		file := []byte(around)
		if state != "" {
			file = append(file, withState(state)...)
		}
		d, err := decodeDocument(file)
		if err != nil {
			return
		}
		keys := func(d *document) (keys []string) {
			if d.state.live(p, func(key string, _ *record) error { keys = append(keys, key); return nil }) != nil {
				t.Skip("a secret of the provider is malformed")
			}
			return keys
		}
		before := keys(d)
		s := &secrets{}
		changes := map[string]adapters.Change{"zz_added": set("zz_added", "1")}
		if len(before) > 0 {
			changes[before[0]] = deleted(before[0])
		}
		if _, err := s.change(&d.state, p, changes); err != nil {
			return // sealed with another master key, or the name is taken
		}
		wanted := keys(d)
		text := d.encode()
		again, err := decodeDocument(text)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if diff := cmp.Diff(wanted, keys(again)); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		if !bytes.Equal(text, again.encode()) {
			t.Error("writing again gives something else")
		}
	})
}

// FuzzEnvelope: a file is refused or read, and what was read is written so that the
// same is read again.
func FuzzEnvelope(f *testing.F) {
	b, err := os.ReadFile("testdata/config.envelope.cbor")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(written(func(m map[string]any) {
		m["greentic_provision"] = map[string]any{"namespace": "x", "secret": []any{"chat"}}
	}))
	f.Add(written(func(m map[string]any) {
		m["config"] = map[string]any{"a": 1.5, "b": []byte("x"), "c": map[string]any{"d": -1}}
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e configEnvelope
		if e.decode(b) != nil {
			return
		}
		values := func(e *configEnvelope) map[string]string {
			values := map[string]string{}
			for _, key := range e.keys() {
				if b, err := toJSON(e.config[key]); err == nil {
					values[key] = string(b)
					if raw, err := fromJSON(b); err != nil {
						t.Logf("%s is not taken back: %v", key, err)
					} else if again, err := toJSON(raw); err != nil || !bytes.Equal(b, again) {
						t.Errorf("%s becomes %s, %v", b, again, err)
					}
				}
			}
			return values
		}
		text, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		var again configEnvelope
		if err := again.decode(text); err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if diff := cmp.Diff(values(&e), values(&again)); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
	})
}
