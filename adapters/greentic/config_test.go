package greentic

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/plan"
)

// plain sets a value that is no secret.
func plain(key, value string) adapters.Change {
	return adapters.Change{Key: key, Value: adapters.Value{Bytes: []byte(value)}}
}

func envelopePath(bundle string) string {
	return filepath.Join(bundle, ".providers", "telegram", "config.envelope.cbor")
}

// bundleOf gives a bundle that has an envelope for telegram.
func bundleOf(t *testing.T, envelope []byte) string {
	t.Helper()
	bundle := t.TempDir()
	writeFile(t, envelopePath(bundle), envelope)
	return bundle
}

// membersOf gives an envelope.
func membersOf(t *testing.T, bundle string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := decoder.Unmarshal(readFile(t, envelopePath(bundle)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// written is an envelope that Greentic could have written.
func written(change func(map[string]any)) []byte {
	m := map[string]any{
		"config": map[string]any{"chat": "1"}, "component_id": "c", "abi_version": "greentic:component@0.6.0",
		"resolved_digest": "d", "describe_hash": "h", "schema_hash": "s", "operation_id": "o", "updated_at": "2026-01-01T00:00:00Z",
	}
	change(m)
	return canonical(m)
}

// The file was written by greentic-setup 0.5.12 (config_envelope.rs with greentic-types
// 0.5.4).
func TestConfigurationOfGreentic(t *testing.T) {
	v := openConfig(t, bundleOf(t, readFile(t, "testdata/config.envelope.cbor")))
	want(t, v, telegram, map[string]string{
		"chat": `"42"`, "on": "true", "n": "-5", "big": "18446744073709551615", "deep": `{"aa":"x","b":[null,1]}`,
	})
}

// But for the members that differ, the bytes are those that Greentic wrote.
func TestConfigurationIsInGreenticsForm(t *testing.T) {
	theirs := readFile(t, "testdata/config.envelope.cbor")
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	apply(t, v, telegram, plain("on", "true"), plain("chat", `"42"`), plain("n", "-5"), plain("deep", `{"b":[null,1],"aa":"x"}`), plain("big", "18446744073709551615"))
	got := readFile(t, envelopePath(bundle))
	config := theirs[bytes.Index(theirs, []byte("\x66config")):bytes.Index(theirs, []byte("\x6babi_version"))]
	if !bytes.Contains(got, config) {
		t.Errorf("the configuration is not encoded as Greentic does it:\n%x\n%x", config, got)
	}
	wanted := map[string]any{
		"config":             map[string]any{"on": true, "chat": "42", "n": int64(-5), "deep": map[string]any{"b": []any{nil, uint64(1)}, "aa": "x"}, "big": uint64(18446744073709551615)},
		"component_id":       "telegram",
		"abi_version":        "greentic:component@0.6.0",
		"resolved_digest":    "sha256:00",
		"describe_hash":      "5bf8646a3a8439cbfa220c44020d0b4b", // as greentic-setup has it without a pack
		"operation_id":       "setup_default",
		"greentic_provision": map[string]any{"namespace": "provision:dev:demo:_:telegram:default"},
	}
	if diff := cmp.Diff(wanted, membersOf(t, bundle)); diff != "" {
		t.Errorf("the envelope (-want +got):\n%s", diff)
	}
}

// packOf writes a pack into a bundle whose first component has the operations.
func packOf(t *testing.T, path string, operations ...string) {
	t.Helper()
	list := []any{}
	for _, name := range operations {
		list = append(list, map[string]any{"name": name, "input_schema": nil, "output_schema": nil})
	}
	capabilities := map[string]any{"wasi": map[string]any{}, "host": map[string]any{}}
	component := func(id int, version string, operations []any) map[string]any {
		return map[string]any{"id": id, "version": version, "supports": []any{"messaging"}, "world": "greentic:component/component@0.6.0",
			"profiles": map[string]any{}, "capabilities": capabilities, "operations": operations, "resources": map[string]any{}}
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("manifest.cbor")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(canonical(map[string]any{
		"schema_version": "pack-v1", "pack_id": 0, "version": "1.2.3", "kind": "provider", "publisher": "tests",
		"symbols":    map[string]any{"pack_ids": []any{"telegram"}, "component_ids": []any{"tg-provider", "other"}, "capability_names": []any{"provisioning:none"}, "node_ids": []any{}},
		"components": []any{component(0, "0.4.1", list), component(1, "9.0.0", []any{})},
		"flows":      []any{}, "dependencies": []any{}, "capabilities": []any{map[string]any{"name": 0}}, "signatures": map[string]any{},
	})); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b.Bytes())
}

// The hashes are those that greentic-setup 0.5.12 computed of the same manifest, with
// greentic-types 0.5.4 and 1.1.1.
func TestContractOfThePack(t *testing.T) {
	const hash05, hash11 = "6eca993136efcf68fef8c7a4b6666e9f", "d88b4d120fd9b20ebedfc0f52ccf658b"
	bundle := bundleOf(t, written(func(map[string]any) {}))
	path := filepath.Join(bundle, "providers", "messaging", "tg.gtpack")
	packOf(t, path, "send", "ingress")
	writeFile(t, filepath.Join(bundle, "providers", "broken.gtpack"), []byte("no pack"))
	packOf(t, filepath.Join(bundle, "packs", "telegram", "not-a-pack.zip"), "other")
	v := openConfig(t, bundle)
	contract := func(key, value string) map[string]any {
		t.Helper()
		apply(t, v, telegram, plain(key, value))
		m := membersOf(t, bundle)
		delete(m, "config")
		delete(m, "greentic_provision")
		return m
	}
	wanted := map[string]any{
		"component_id": "tg-provider", "abi_version": "greentic:component@0.6.0", "operation_id": "setup_default",
		"resolved_digest": hash128(readFile(t, path)), "describe_hash": hash05,
	}
	if diff := cmp.Diff(wanted, contract("a", "1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	writeFile(t, envelopePath(bundle), written(func(m map[string]any) { m["describe_hash"] = hash11 }))
	wanted["describe_hash"], wanted["schema_hash"] = hash11, "s"
	if diff := cmp.Diff(wanted, contract("a", "2")); diff != "" {
		t.Errorf("an envelope of Greentic with greentic-types 1.1 (-want +got):\n%s", diff)
	}
	// Another pack is another contract, also where the values stay.
	packOf(t, path, "send")
	m := contract("a", "2")
	if m["describe_hash"] == hash11 || m["describe_hash"] == hash05 || m["schema_hash"] != nil || m["resolved_digest"] != hash128(readFile(t, path)) {
		t.Errorf("after another pack the contract is %v", m)
	}
	// Without a pack nothing better is known than what is there.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if again := contract("a", "3"); !cmp.Equal(m, again) {
		t.Errorf("without the pack the contract is %v, want %v", again, m)
	}
}

func TestWhatElseIsInTheEnvelopeStays(t *testing.T) {
	odd := cbor.RawMessage{0xbf, 0x61, 'x', 0x18, 0x01, 0xff} // neither definite nor shortest
	bundle := bundleOf(t, written(func(m map[string]any) {
		m["more"] = odd
		m["config"] = map[string]any{"theirs": odd, "chat": "1"}
	}))
	v := openConfig(t, bundle)
	apply(t, v, telegram, plain("chat", `"2"`))
	want(t, v, telegram, map[string]string{"chat": `"2"`, "theirs": `{"x":1}`})
	file := readFile(t, envelopePath(bundle))
	if bytes.Count(file, odd) != 2 {
		t.Errorf("members that were not changed are not what they were: %x", file)
	}
	m := membersOf(t, bundle)
	if m["describe_hash"] != "h" || m["schema_hash"] != "s" || m["component_id"] != "c" || m["updated_at"] != nil {
		t.Errorf("the members are %v", m)
	}
}

func TestAnEnvelopeGoesWithItsLastValue(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	for _, ns := range []adapters.Namespace{telegram, telegram.In(adapters.Before), {Provider: "telegram", Install: "second"}} {
		apply(t, v, ns, deleted("a"))
		apply(t, v, ns, plain("a", "1"), plain("b", "2"))
		apply(t, v, ns, deleted("a"))
		want(t, v, ns, map[string]string{"b": "2"})
		apply(t, v, ns, deleted("b"))
		want(t, v, ns, map[string]string{})
	}
	err := filepath.WalkDir(bundle, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != storeOf(bundle) {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(envelopePath(bundle))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the provider is left: %v", err)
	}
	// What somebody else made stays.
	writeFile(t, envelopePath(bundle), written(func(map[string]any) {}))
	apply(t, v, telegram, deleted("chat"))
	want(t, v, telegram, map[string]string{})
	if m := membersOf(t, bundle); !cmp.Equal(m["config"], map[string]any{}) {
		t.Errorf("the configuration is %v, want an empty map", m["config"])
	}
}

func TestAConfigurationThatStaysAsItIsIsNotWritten(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	apply(t, v, telegram, plain("a", "1"))
	before, err := os.Stat(envelopePath(bundle))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, v, telegram, plain("a", "1"))
	apply(t, v, telegram, deleted("b"))
	if after, err := os.Stat(envelopePath(bundle)); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced (%v)", err)
	}
}

// Greentic has one configuration of a provider. That of another tenant must not get
// lost, nor be seen, nor fail when it was already promised.
func TestAConfigurationHasOneOwner(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	other := telegram
	other.Tenant = "acme"
	apply(t, v, telegram, plain("a", `"canary"`))
	for _, ns := range []adapters.Namespace{other, other.In(staged), other.In(adapters.Before)} {
		_, err := v.Load(t.Context(), ns)
		for _, err := range []error{err, refused(t, v, ns, plain("a", "2"))} {
			if err == nil || !strings.Contains(err.Error(), "provision:dev:demo:_:telegram:default") || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: the error is %v", ns, err)
			}
		}
	}
	want(t, v, telegram, map[string]string{"a": `"canary"`})
	second := other
	second.Install = "second" // is nothing that Greentic reads
	apply(t, v, second, plain("a", "2"))
	want(t, v, second, map[string]string{"a": "2"})
	apply(t, v, telegram, deleted("a"))
	want(t, v, other, map[string]string{})
	apply(t, v, other, plain("a", "2"))
	want(t, v, other, map[string]string{"a": "2"})
}

func TestWhatRemovingLeavesIsNobodys(t *testing.T) {
	bundle := bundleOf(t, written(func(map[string]any) {}))
	v := openConfig(t, bundle)
	apply(t, v, telegram, plain("a", "1"))
	err := v.Apply(t.Context(), telegram, adapters.Batch{Origin: adapters.Origin{Entry: "remove"}, Changes: []adapters.Change{deleted("a")}})
	if err != nil {
		t.Fatal(err)
	}
	m := membersOf(t, bundle)
	if m["greentic_provision"] != nil || m["operation_id"] != "remove_default" {
		t.Errorf("the envelope is %v", m)
	}
	other := telegram
	other.Tenant = "acme"
	want(t, v, other, map[string]string{"chat": `"1"`})
}

func TestSecretConfigurationIsForItsOwner(t *testing.T) {
	bundle := bundleOf(t, written(func(map[string]any) {}))
	if err := os.Chmod(envelopePath(bundle), 0o644); err != nil {
		t.Fatal(err)
	}
	v := openConfig(t, bundle)
	mode := func() os.FileMode {
		info, err := os.Stat(envelopePath(bundle))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	apply(t, v, telegram, plain("a", "1"))
	if mode() != 0o644 {
		t.Errorf("the mode is %v, want 0644 as before", mode())
	}
	apply(t, v, telegram, set("dsn", `"user:password"`))
	if mode() != 0o600 {
		t.Errorf("with a secret value the mode is %v, want 0600", mode())
	}
	fresh := t.TempDir()
	apply(t, openConfig(t, fresh), telegram.In(staged), plain("a", "1"))
	err := filepath.WalkDir(filepath.Join(fresh, ".greentic"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMalformedEnvelopesStay(t *testing.T) {
	without := func(name string) []byte { return written(func(m map[string]any) { delete(m, name) }) }
	with := func(name string, value any) []byte { return written(func(m map[string]any) { m[name] = value }) }
	for name, file := range map[string][]byte{
		"empty":                 {},
		"text":                  []byte("canary"),
		"a list":                canonical([]any{"canary"}),
		"cut off":               written(func(map[string]any) {})[:40],
		"something behind":      append(written(func(map[string]any) {}), 0),
		"a key twice":           []byte("\xa2\x61a\x01\x61a\x02"),
		"a key of bytes":        []byte("\xa1\x41a\x01"),
		"a number for a key":    []byte("\xa1\x01\x01"),
		"no config":             without("config"),
		"no component":          without("component_id"),
		"no describe_hash":      without("describe_hash"),
		"null for a text":       with("operation_id", nil),
		"a number for a text":   with("abi_version", 1),
		"config is a list":      with("config", []any{"canary"}),
		"config is a text":      with("config", "canary"),
		"config has a key of 1": with("config", map[int]any{1: "canary"}),
		"a tag":                 with("config", cbor.Tag{Number: 1, Content: 1}),
		"ours is a text":        with("greentic_provision", "canary"),
		"ours names nobody":     with("greentic_provision", map[string]any{}),
		"nested deeply":         with("more", cbor.RawMessage(append(bytes.Repeat([]byte{0x81}, 1000), 0x80))),
	} {
		t.Run(name, func(t *testing.T) {
			bundle := bundleOf(t, file)
			v := openConfig(t, bundle)
			_, err := v.Load(t.Context(), telegram)
			for _, err := range []error{err, refused(t, v, telegram, plain("a", "1"))} {
				if _, ok := errors.AsType[*adapters.Error](err); !ok || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), envelopePath(bundle)) {
					t.Errorf("the error is %v", err)
				}
			}
			if !bytes.Equal(file, readFile(t, envelopePath(bundle))) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestConfigurationThatIsNotJSON(t *testing.T) {
	for name, value := range map[string]any{
		"bytes":        []byte("canary"),
		"a large int":  cbor.RawMessage{0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // -2^64
		"NaN":          cbor.RawMessage{0xf9, 0x7e, 0x00},
		"infinity":     cbor.RawMessage{0xf9, 0x7c, 0x00},
		"simple value": cbor.RawMessage{0xe0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, value := range []any{value, []any{value}, map[string]any{"a": value}} {
				v := openConfig(t, bundleOf(t, written(func(m map[string]any) { m["config"] = map[string]any{"bad": value} })))
				if _, err := v.Load(t.Context(), telegram); err == nil || strings.Contains(err.Error(), "canary") {
					t.Errorf("Load gives %v", err)
				}
			}
		})
	}
}

func TestValuesBetweenJSONAndCBOR(t *testing.T) {
	for value, want := range map[string]string{
		`null`:                  "f6",
		`true`:                  "f5",
		`""`:                    "60",
		`"é"`:                   "62c3a9",
		`0`:                     "00",
		`-1`:                    "20",
		`24`:                    "1818",
		`9223372036854775807`:   "1b7fffffffffffffff",
		`18446744073709551615`:  "1bffffffffffffffff",
		`-9223372036854775808`:  "3b7fffffffffffffff",
		`18446744073709552000`:  "fa5f800000",
		`1.5`:                   "f93e00",
		`0.1`:                   "fb3fb999999999999a",
		`1e+300`:                "fb7e37e43c8800759c",
		`5e-324`:                "fb0000000000000001",
		`[]`:                    "80",
		`{"b":1,"aa":2,"a":[]}`: "a36161806162016261610" + "2",
	} {
		raw, err := fromJSON([]byte(value))
		if got := hex.EncodeToString(raw); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", value, got, err, want)
			continue
		}
		text, err := plan.Canonical(json.RawMessage(value))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := toJSON(raw); err != nil || !bytes.Equal(back, text) {
			t.Errorf("%s comes back as %s, %v", value, back, err)
		}
	}
	deep := strings.Repeat("[", plan.MaxDepth) + strings.Repeat("]", plan.MaxDepth)
	raw, err := fromJSON([]byte(deep))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := toJSON(raw); err != nil || string(back) != deep {
		t.Errorf("what is as deep as may be comes back as %s, %v", back, err)
	}
}

func TestValuesThatCannotBeKept(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	for _, value := range []string{"", "canary", `{"a":"canary"`, `"canary" 1`, `{"canary":1,"canary":2}`,
		strings.Repeat("[", plan.MaxDepth+1) + strings.Repeat("]", plan.MaxDepth+1)} {
		if err := refused(t, v, telegram, plain("good", "1"), plain("bad", value)); strings.Contains(err.Error(), "canary") {
			t.Errorf("the error holds the value: %v", err)
		}
	}
	want(t, v, telegram, map[string]string{})
}

func TestProvidersThatCannotHaveConfiguration(t *testing.T) {
	v := openConfig(t, t.TempDir())
	refused(t, v, adapters.Namespace{Provider: "_contracts"}, plain("a", "1"))
	refused(t, v, adapters.Namespace{Provider: strings.Repeat("p", 200), Install: strings.Repeat("i", 100)}, plain("a", "1"))
}

func TestAnEnvelopeThatWasNotFinished(t *testing.T) {
	bundle := bundleOf(t, written(func(map[string]any) {}))
	temp := filepath.Join(filepath.Dir(envelopePath(bundle)), tempName("config.envelope.cbor"))
	writeFile(t, temp, []byte("half"))
	v := openConfig(t, bundle)
	want(t, v, telegram, map[string]string{"chat": `"1"`})
	apply(t, v, telegram, plain("chat", "2"))
	want(t, v, telegram, map[string]string{"chat": "2"})
	if _, err := os.Lstat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is there: %v", err)
	}
}

func TestLinksToConfigurationAreFollowed(t *testing.T) {
	dir := t.TempDir()
	bundle, real := filepath.Join(dir, "bundle"), filepath.Join(dir, "real")
	for _, d := range []string{bundle, filepath.Join(real, "providers")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{filepath.Join(bundle, ".providers"): "../real/providers", filepath.Join(dir, "linked"): "bundle"} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	v := openConfig(t, filepath.Join(dir, "linked"))
	apply(t, v, telegram, plain("a", "1"))
	link := envelopePath(bundle)
	if err := os.Rename(link, filepath.Join(real, "file")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../file", link); err != nil {
		t.Fatal(err)
	}
	apply(t, v, telegram, plain("a", "2"))
	want(t, v, telegram, map[string]string{"a": "2"})
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v, %v", info, err)
	}
	if err := os.Remove(filepath.Join(real, "file")); err != nil {
		t.Fatal(err)
	}
	refused(t, v, telegram, plain("a", "1"))
}

func TestWritersOfOneConfiguration(t *testing.T) {
	bundle := t.TempDir()
	var wg sync.WaitGroup
	wanted := map[string]string{}
	for w := range 8 {
		v := openConfig(t, bundle)
		key := fmt.Sprint("key", w)
		if w%2 == 0 {
			wanted[key] = "4"
		}
		wg.Go(func() {
			for i := range 5 {
				change := plain(key, fmt.Sprint(i))
				if w%2 == 1 && i == 4 {
					change = deleted(key)
				}
				if err := v.Apply(t.Context(), telegram, adapters.Batch{Changes: []adapters.Change{change}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want(t, openConfig(t, bundle), telegram, wanted)
}

func TestConfigNeedsABundle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, nil)
	for _, path := range []string{"", file, file + "-missing"} {
		if _, err := Config(path); !isConfigError(err) {
			t.Errorf("Config(%q) gives %v", path, err)
		}
	}
}

// Names that Greentic can have are never one for two places.
func TestPlacesHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]string{}
	parts := []string{"a", "b", "before", "a.b", "default", "-", "_"}
	for _, provider := range parts {
		for _, install := range parts {
			for _, area := range append(slices.Clone(parts), "") {
				p, err := placeOf(adapters.Namespace{Provider: provider, Install: install, Area: adapters.Area(area)}, defaultEnv)
				if err != nil {
					t.Fatal(err)
				}
				f, err := fileOf(p)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{p.prefix(), f.path("")} {
					if other, twice := seen[name]; twice {
						t.Errorf("%s and %s are both at %s", p, other, name)
					}
					seen[name] = p.String()
				}
			}
		}
	}
}
