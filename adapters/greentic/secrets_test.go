package greentic

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// telegram is an installation that gives nothing but its provider.
var telegram = adapters.Namespace{Provider: "telegram"}

const telegramURI = "secrets://dev/demo/_/telegram/"

var staged = adapters.Staged(strings.Repeat("0", 32))

func set(key, value string) adapters.Change {
	return adapters.Change{Key: key, Value: adapters.Value{Bytes: []byte(value), Secret: true}}
}

func deleted(key string) adapters.Change { return adapters.Change{Key: key, Delete: true} }

func apply(t *testing.T, v adapters.Values, ns adapters.Namespace, changes ...adapters.Change) {
	t.Helper()
	if err := v.Apply(t.Context(), ns, adapters.Batch{Origin: adapters.Origin{Entry: "setup", PackDigest: "sha256:00"}, Changes: changes}); err != nil {
		t.Fatal(err)
	}
}

// refused applies changes and gives the error, which must be there and one line.
func refused(t *testing.T, v adapters.Values, ns adapters.Namespace, changes ...adapters.Change) error {
	t.Helper()
	err := v.Apply(t.Context(), ns, adapters.Batch{Changes: changes})
	if _, ok := errors.AsType[*adapters.Error](err); !ok {
		t.Fatalf("Apply gives %v, want an *adapters.Error", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %v", err)
	}
	return err
}

func want(t *testing.T, v adapters.Values, ns adapters.Namespace, want map[string]string) {
	t.Helper()
	loaded, err := v.Load(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range loaded {
		got[k] = string(v.Bytes)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", ns, diff)
	}
	keys, err := v.Keys(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, sorted) {
		t.Errorf("%s: keys are %q, want %q", ns, keys, sorted)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyOf gives a copy of a file in testdata that tests may change.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".dev.secrets.env")
	writeFile(t, path, readFile(t, filepath.Join("testdata", name)))
	return path
}

// stateOf gives the JSON in a store's file.
func stateOf(t *testing.T, path string) (state struct {
	Secrets []struct {
		Key      string           `json:"key"`
		Versions []map[string]any `json:"versions"`
	} `json:"secrets"`
}) {
	t.Helper()
	if err := json.Unmarshal(stateText(t, readFile(t, path)), &state); err != nil {
		t.Fatal(err)
	}
	return state
}

func stateText(t *testing.T, file []byte) []byte {
	t.Helper()
	for line := range strings.Lines(string(file)) {
		if text, ok := strings.CutPrefix(line, stateName+"="); ok {
			b, err := base64.RawStdEncoding.DecodeString(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatalf("no line %s in %q", stateName, file)
	return nil
}

// withState gives a store's file with a JSON text in it.
func withState(text string) []byte {
	return []byte(stateName + "=" + base64.RawStdEncoding.EncodeToString([]byte(text)) + "\n")
}

// The files in testdata were written by greentic-secrets-core 1.1.1 (DevStore::put and
// DevBackend::delete), master.env with "clé maîtresse" as the master key.
func TestSecretsOfGreentic(t *testing.T) {
	v := openSecrets(t, copyOf(t, "plain.env"))
	want(t, v, telegram, map[string]string{"bot_token": "123:abc", "settings": `{"a":1}`, "blob": "€ bytes"})
	want(t, v, adapters.Namespace{Team: "legal", Provider: "telegram"}, map[string]string{"bot_token": "legal"})
	want(t, v, adapters.Namespace{Env: "prod", Tenant: "acme", Provider: "telegram"}, map[string]string{"bot_token": "prod token"})
	want(t, v, adapters.Namespace{Provider: "empty"}, map[string]string{"empty": ""})
	// It also has the name db-password, which no key becomes.
	want(t, v, adapters.Namespace{Provider: "slack"}, map[string]string{"bot_token": "second"})

	t.Setenv(masterKeyName, "clé maîtresse")
	want(t, openSecrets(t, copyOf(t, "master.env")), telegram, map[string]string{"bot_token": "456:def"})
}

// shape gives the names of members and the kinds of values.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for name, it := range v {
			m[name] = shape(it)
		}
		return m
	case []any:
		if len(v) > 0 {
			return []any{shape(v[0])}
		}
	}
	return fmt.Sprintf("%T", v)
}

// That Greentic reads what is written here was seen with its own program; what can be
// tested without it is that both write the same members.
func TestSecretsAreInGreenticsForm(t *testing.T) {
	path := copyOf(t, "plain.env")
	v := openSecrets(t, path)
	apply(t, v, telegram, set("bot_token", "new"), deleted("blob"))
	state := stateOf(t, path)
	if !slices.IsSortedFunc(state.Secrets, func(a, b struct {
		Key      string           `json:"key"`
		Versions []map[string]any `json:"versions"`
	}) int {
		return strings.Compare(a.Key, b.Key)
	}) {
		t.Error("the secrets are not sorted by URI")
	}
	for _, secret := range state.Secrets {
		switch secret.Key {
		case telegramURI + "bot_token":
			theirs, ours := secret.Versions[0], secret.Versions[1]
			if diff := cmp.Diff(shape(theirs), shape(ours)); diff != "" {
				t.Errorf("a version (-Greentic's +ours):\n%s", diff)
			}
			if ours["version"] != 2.0 || ours["deleted"] != false {
				t.Errorf("version is %v and deleted %v", ours["version"], ours["deleted"])
			}
			meta := func(v map[string]any) any { return v["record"].(map[string]any)["meta"] }
			if diff := cmp.Diff(meta(theirs), meta(ours)); diff != "" {
				t.Errorf("meta (-Greentic's +ours):\n%s", diff)
			}
		case telegramURI + "blob":
			if diff := cmp.Diff(map[string]any{"version": 2.0, "deleted": true, "record": nil}, secret.Versions[1]); diff != "" {
				t.Errorf("a deleted version (-want +got):\n%s", diff)
			}
		}
	}
	for value, kind := range map[string]string{"text": "text", "\xff": "binary"} {
		apply(t, v, telegram, set("kind", value))
		for _, secret := range stateOf(t, path).Secrets {
			if secret.Key != telegramURI+"kind" {
				continue
			}
			last := secret.Versions[len(secret.Versions)-1]["record"].(map[string]any)["meta"].(map[string]any)
			if last["contentType"] != kind {
				t.Errorf("%q has the content type %v, want %s", value, last["contentType"], kind)
			}
		}
	}
}

// The names are those that greentic-secrets-spec 1.1.1 gave for the keys.
func TestCanonicalName(t *testing.T) {
	for key, want := range map[string]string{
		"telegram_bot_token": "telegram_bot_token",
		"TELEGRAM_BOT_TOKEN": "telegram_bot_token",
		"bot-token":          "bot_token",
		"a.b c/d":            "a_b_c_d",
		"a__b":               "a_b",
		"a-_b":               "a_b",
		"a*_b":               "a_b",
		"a_*_b":              "a_b",
		"_a":                 "a",
		"a_":                 "a",
		"***":                "secret",
		"__":                 "secret",
		"":                   "secret",
		"日本":                 "secret",
		"É9":                 "9",
	} {
		if got := canonicalName(key); got != want {
			t.Errorf("%q is called %q, want %q", key, got, want)
		}
	}
}

func TestKeyKeepsItsSpelling(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	v := openSecrets(t, path)
	apply(t, v, telegram, set("BOT-TOKEN", "1"), set("plain", "2"))
	want(t, v, telegram, map[string]string{"BOT-TOKEN": "1", "plain": "2"})
	if got := stateOf(t, path).Secrets[0].Key; got != telegramURI+"bot_token" {
		t.Errorf("the secret is at %s", got)
	}
	apply(t, v, telegram, deleted("bot_token")) // is not there
	want(t, v, telegram, map[string]string{"BOT-TOKEN": "1", "plain": "2"})
	apply(t, v, telegram, deleted("BOT-TOKEN"), set("bot_token", "3"))
	want(t, v, telegram, map[string]string{"bot_token": "3", "plain": "2"})
	apply(t, v, telegram, set("a__b", "1"))
	apply(t, v, telegram, deleted("a__b"), set("a_b", "2"), set("bot__token", "4"), deleted("bot_token"))
	want(t, v, telegram, map[string]string{"a_b": "2", "bot__token": "4", "plain": "2"})
}

func TestTwoKeysOfOneNameAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	v := openSecrets(t, path)
	apply(t, v, telegram, set("bot_token", "1"))
	before := readFile(t, path)
	refused(t, v, telegram, set("other", "2"), set("BOT_TOKEN", "2"))
	refused(t, v, telegram, set("new", "2"), set("NEW", "2"))
	// What is staged will be written to Live.
	refused(t, v, telegram.In(staged), set("BOT_TOKEN", "2"))
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("a refused batch changed the file")
	}
	want(t, v, telegram, map[string]string{"bot_token": "1"})
}

func TestWhatElseIsInTheFileStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	other := `{"key":"secrets://dev/demo/_/other/x", "more" : [1, 2],"versions":[{"version":7,"deleted":false,"note":"é"}]}`
	mine := `{"key":"` + telegramURI + `a","more":true,"versions":[{"version":4,"deleted":true,"record":null,"note":1}]}`
	writeFile(t, path, slices.Concat([]byte("# a comment\nOTHER=1\n"), withState(`{"format":2,"secrets":[`+other+`,`+mine+`]}`), []byte("LAST=2")))
	v := openSecrets(t, path)
	want(t, v, telegram, map[string]string{})
	apply(t, v, telegram, set("a", "1"), set("b", "2"))
	want(t, v, telegram, map[string]string{"a": "1", "b": "2"})
	file := string(readFile(t, path))
	if !strings.HasPrefix(file, "# a comment\nOTHER=1\n"+stateName+"=") || !strings.HasSuffix(file, "\nLAST=2") {
		t.Errorf("the lines around are not what they were: %q", file)
	}
	var got, wanted struct {
		Format  int               `json:"format"`
		Secrets []json.RawMessage `json:"secrets"`
	}
	if err := json.Unmarshal(stateText(t, []byte(file)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Format != 2 || len(got.Secrets) != 3 {
		t.Fatalf("the store has format %d and %d secrets", got.Format, len(got.Secrets))
	}
	if err := json.Unmarshal([]byte(`{"secrets":[`+other+`]}`), &wanted); err != nil {
		t.Fatal(err)
	}
	var a, b any
	for raw, to := range map[*json.RawMessage]*any{&got.Secrets[0]: &a, &wanted.Secrets[0]: &b} {
		if err := json.Unmarshal(*raw, to); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("another's secret (-before +after):\n%s", diff)
	}
	if s := string(got.Secrets[1]); !strings.Contains(s, `"more":true`) || !strings.Contains(s, `{"version":4,"deleted":true,"record":null,"note":1},{"version":5,"deleted":false`) {
		t.Errorf("the older version or a member was lost: %s", s)
	}
}

func TestDeletingAddsADeletedVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	v := openSecrets(t, path)
	apply(t, v, telegram, set("a", "1"))
	apply(t, v, telegram, deleted("a"))
	apply(t, v, telegram, deleted("a"))
	apply(t, v, telegram, set("a", "2"))
	var got []string
	for _, v := range stateOf(t, path).Secrets[0].Versions {
		got = append(got, fmt.Sprint(v["version"], v["deleted"]))
	}
	if diff := cmp.Diff([]string{"1 false", "2 true", "3 false"}, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

func TestAValueThatIsThereIsNotWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	v := openSecrets(t, path)
	apply(t, v, telegram, set("a", "1"), set("b", "2"))
	before := readFile(t, path)
	apply(t, v, telegram, set("a", "1"), set("b", "2"), deleted("c"))
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the file was changed")
	}
}

func TestAreasLeaveNothingBehind(t *testing.T) {
	path := copyOf(t, "plain.env")
	v := openSecrets(t, path)
	before := stateText(t, readFile(t, path))
	for _, area := range []adapters.Area{adapters.Before, staged} {
		ns := telegram.In(area)
		apply(t, v, ns, set("a", "1"), set("B", "2"))
		apply(t, v, ns, set("a", "3"))
		want(t, v, ns, map[string]string{"a": "3", "B": "2"})
		apply(t, v, ns, deleted("a"), deleted("B"))
	}
	if after := stateText(t, readFile(t, path)); !bytes.Equal(before, after) {
		t.Errorf("the store is not what it was")
	}
}

func TestOneDataKeyPerProvider(t *testing.T) {
	path := copyOf(t, "plain.env")
	v := openSecrets(t, path)
	apply(t, v, telegram, set("mine", "1"))
	apply(t, v, telegram, set("mine_too", "1"))
	wrapped := map[string]bool{}
	for _, s := range stateOf(t, path).Secrets {
		if !strings.HasPrefix(s.Key, telegramURI) {
			continue
		}
		last := s.Versions[len(s.Versions)-1]
		if last["deleted"] == false {
			wrapped[fmt.Sprint(last["record"].(map[string]any)["envelope"].(map[string]any)["wrapped_dek"])] = true
		}
	}
	if len(wrapped) != 1 {
		t.Errorf("there are %d data keys", len(wrapped))
	}
}

func TestAnotherMasterKey(t *testing.T) {
	path := copyOf(t, "master.env")
	before := readFile(t, path)
	v := openSecrets(t, path)
	_, err := v.Load(t.Context(), telegram)
	for _, err := range []error{err, refused(t, v, telegram, set("bot_token", "canary")), refused(t, v, telegram, set("new", "canary"))} {
		if err == nil || !strings.Contains(err.Error(), masterKeyName) || strings.Contains(err.Error(), "canary") {
			t.Errorf("the error is %v", err)
		}
	}
	if keys, err := v.Keys(t.Context(), telegram); err != nil || !slices.Equal(keys, []string{"bot_token"}) {
		t.Errorf("Keys gives %q, %v", keys, err)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the file was changed")
	}
	t.Setenv(masterKeyName, "clé maîtresse")
	want(t, v, adapters.Namespace{}, map[string]string{})
	if _, err := v.Load(t.Context(), telegram); err == nil {
		t.Error("the master key was read after opening")
	}
	t.Setenv(masterKeyName, "\xff")
	if _, err := Secrets(path); !isConfigError(err) {
		t.Errorf("a master key that is not UTF-8 gives %v", err)
	}
}

func isConfigError(err error) bool {
	_, ok := errors.AsType[*adapters.ConfigError](err)
	return ok && !strings.Contains(err.Error(), "\n")
}

func TestMalformedStoresStay(t *testing.T) {
	live := func(record string) []byte {
		return withState(`{"secrets":[{"key":"` + telegramURI + `a","versions":[{"version":1,"deleted":false,"record":` + record + `}]}]}`)
	}
	meta := `"meta":{"uri":"` + telegramURI + `a","visibility":"team","contentType":"text"}`
	for name, file := range map[string][]byte{
		"not UTF-8":             []byte("\xff\n"),
		"padded":                []byte(stateName + "=eyJzZWNyZXRzIjpbXX0=\n"),
		"two lines":             slices.Concat(withState(`{"secrets":[]}`), withState(`{"secrets":[]}`)),
		"empty":                 []byte(stateName + "=\n"),
		"cut off":               withState(`{"secrets":[`),
		"no list":               withState(`{}`),
		"null":                  withState(`{"secrets":null}`),
		"a list":                withState(`[]`),
		"no key":                withState(`{"secrets":[{"versions":[]}]}`),
		"no object":             withState(`{"secrets":["canary"]}`),
		"a member twice":        withState(`{"secrets":[],"secrets":[]}`),
		"a secret twice":        withState(`{"secrets":[{"key":"x","versions":[]},{"key":"y","versions":[]},{"key":"x","versions":[]}]}`),
		"versions are no list":  withState(`{"secrets":[{"key":"` + telegramURI + `a","versions":"canary"}]}`),
		"a version is no map":   withState(`{"secrets":[{"key":"` + telegramURI + `a","versions":["canary"]}]}`),
		"no version":            withState(`{"secrets":[{"key":"` + telegramURI + `a","versions":[{"deleted":true}]}]}`),
		"no state":              withState(`{"secrets":[{"key":"` + telegramURI + `a","versions":[{"version":1}]}]}`),
		"an empty record":       live(`{}`),
		"no envelope":           live(`{` + meta + `,"value":[1]}`),
		"of another secret":     live(`{"meta":{"uri":"` + telegramURI + `b"},"value":[1],"envelope":{}}`),
		"a byte of 256":         live(`{` + meta + `,"value":[256],"envelope":{"algorithm":"aes256gcm","nonce":[],"hkdf_salt":[],"wrapped_dek":[]}}`),
		"a byte with a point":   live(`{` + meta + `,"value":[1.0],"envelope":{"algorithm":"aes256gcm","nonce":[],"hkdf_salt":[],"wrapped_dek":[]}}`),
		"a value of text":       live(`{` + meta + `,"value":"canary","envelope":{"algorithm":"aes256gcm","nonce":[],"hkdf_salt":[],"wrapped_dek":[]}}`),
		"no nonce":              live(`{` + meta + `,"value":[1],"envelope":{"algorithm":"aes256gcm","nonce":[],"hkdf_salt":[],"wrapped_dek":[]}}`),
		"another algorithm":     live(`{` + meta + `,"value":[1],"envelope":{"algorithm":"xchacha20poly1305","nonce":[],"hkdf_salt":[],"wrapped_dek":[]}}`),
		"a value that is short": live(`{` + meta + `,"value":[],"envelope":{"algorithm":"aes256gcm","nonce":[1,2,3,4,5,6,7,8,9,10,11,12],"hkdf_salt":[],"wrapped_dek":[1]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.env")
			writeFile(t, path, file)
			v := openSecrets(t, path)
			_, err := v.Load(t.Context(), telegram)
			for _, err := range []error{err, refused(t, v, telegram, set("a", "new"))} {
				if _, ok := errors.AsType[*adapters.Error](err); !ok || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), path) {
					t.Errorf("the error is %v", err)
				}
			}
			if !bytes.Equal(file, readFile(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestStoresThatGreenticTakesForEmpty(t *testing.T) {
	for _, file := range []string{"", "\n", "# " + stateName + "=x\n", "#" + stateName + "=x", "OTHER=1", " \n\t\n", stateName} {
		path := filepath.Join(t.TempDir(), "x.env")
		writeFile(t, path, []byte(file))
		v := openSecrets(t, path)
		want(t, v, telegram, map[string]string{})
		apply(t, v, telegram, set("a", "1"))
		want(t, v, telegram, map[string]string{"a": "1"})
		if !strings.HasPrefix(string(readFile(t, path)), file) {
			t.Errorf("%q was not kept", file)
		}
	}
}

func TestALargeStoreIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	writeFile(t, path, nil)
	v := openSecrets(t, path)
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load(t.Context(), telegram); err == nil {
		t.Error("a file over the limit is read")
	}
	refused(t, v, telegram, set("a", "1"))
	if info, err := os.Stat(path); err != nil || info.Size() != maxFile+1 {
		t.Errorf("the file was changed: %v, %v", info, err)
	}
}

func TestRoomForWhatIsStaged(t *testing.T) {
	live, err := placeOf(telegram, defaultEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		p             place
		before, after int
		fits          bool
	}{
		{live, 0, maxFile, true},
		{live, 0, maxFile + 1, false},
		{live.in(staged), 0, maxFile / 2, true},
		{live.in(staged), 0, maxFile/2 + 1, false},
		{live.in(adapters.Before), maxFile / 2, maxFile/2 + 1, false},
		{live.in(staged), maxFile, maxFile - 1, true}, // what is staged can always be taken away
	} {
		if err := room(test.p, test.before, test.after); (err == nil) != test.fits {
			t.Errorf("%s from %d to %d bytes gives %v", test.p, test.before, test.after, err)
		}
	}
}

// A crash can leave the temporary file, whole or not; so can somebody else put
// something in its place.
func TestATemporaryFileThatWasLeft(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, ".dev.secrets.env"), filepath.Join(dir, "elsewhere")
	temp := filepath.Join(dir, tempName(".dev.secrets.env"))
	v := openSecrets(t, path)
	apply(t, v, telegram, set("a", "1"))
	writeFile(t, temp, []byte("half of a "))
	want(t, v, telegram, map[string]string{"a": "1"})
	apply(t, v, telegram, set("a", "2"))
	writeFile(t, elsewhere, []byte("untouched"))
	if err := os.Symlink(elsewhere, temp); err != nil {
		t.Fatal(err)
	}
	apply(t, v, telegram, set("a", "3"))
	want(t, v, telegram, map[string]string{"a": "3"})
	if got := readFile(t, elsewhere); string(got) != "untouched" {
		t.Error("the temporary file was written through a link")
	}
	if _, err := os.Lstat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is there: %v", err)
	}
}

func TestLinksAreFollowed(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real", "store.env")
	writeFile(t, real, nil)
	bundle, linked := filepath.Join(dir, "bundle"), filepath.Join(dir, "linked")
	link := filepath.Join(bundle, ".greentic", "dev", ".dev.secrets.env")
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{link: "../../../real/store.env", linked: bundle} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	v := openSecrets(t, linked)
	apply(t, v, telegram, set("a", "1"))
	want(t, v, telegram, map[string]string{"a": "1"})
	want(t, openSecrets(t, real), telegram, map[string]string{"a": "1"})
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no link any more: %v, %v", info, err)
	}
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	refused(t, v, telegram, set("a", "1"))
	if _, err := v.Load(t.Context(), telegram); err == nil {
		t.Error("a link to nothing is read as an empty store")
	}
}

func TestAStoreThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.env")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	v := openSecrets(t, pipe)
	refused(t, v, telegram, set("a", "1"))
	if _, err := v.Load(t.Context(), telegram); err == nil {
		t.Error("a pipe is read")
	}
}

func TestModeAndOwnerOfTheStore(t *testing.T) {
	bundle := t.TempDir()
	path := filepath.Join(bundle, ".greentic", "dev", ".dev.secrets.env")
	v := openSecrets(t, bundle)
	apply(t, v, telegram, set("a", "1"))
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("the mode of %s is %v, %v; want %v", p, info.Mode(), err, want)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	root := os.Getuid() == 0
	if root {
		if err := os.Chown(path, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, v, telegram, set("a", "2"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, want 0640 as before", info.Mode())
	}
	if st := info.Sys().(*syscall.Stat_t); root && (st.Uid != 12 || st.Gid != 34) {
		t.Errorf("the owner is %d:%d, want 12:34 as before", st.Uid, st.Gid)
	}
}

func TestALockedStoreIsWaitedFor(t *testing.T) {
	path := copyOf(t, "plain.env")
	v := openSecrets(t, path)
	other, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	over := errors.New("the test waits no more")
	for name, call := range map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { _, err := v.Load(ctx, telegram); return err },
		"Apply": func(ctx context.Context) error {
			return v.Apply(ctx, telegram, adapters.Batch{Changes: []adapters.Change{set("a", "1")}})
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- call(ctx) }()
		cancel(over)
		if err := <-done; !errors.Is(err, over) {
			t.Errorf("%s gives %v, want what ended the context", name, err)
		}
	}
	done := make(chan error)
	go func() { _, err := v.Load(t.Context(), telegram); done <- err }()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Each writer has the file opened by itself, as another process would have.
func TestWritersOfOneStore(t *testing.T) {
	bundle := t.TempDir()
	var wg sync.WaitGroup
	wanted := map[string]string{}
	for w := range 8 {
		v := openSecrets(t, bundle)
		key := fmt.Sprint("key", w)
		wanted[key] = "4"
		wg.Go(func() {
			for i := range 5 {
				if err := v.Apply(t.Context(), telegram, adapters.Batch{Changes: []adapters.Change{set(key, fmt.Sprint(i))}}); err != nil {
					t.Error(err)
				}
				if got, err := v.Load(t.Context(), telegram); err != nil || string(got[key].Bytes) != fmt.Sprint(i) {
					t.Errorf("writer %s reads %q, %v after writing %d", key, got[key].Bytes, err, i)
				}
			}
		})
	}
	wg.Wait()
	want(t, openSecrets(t, bundle), telegram, wanted)
}

func TestWhichFileIsTheStore(t *testing.T) {
	plain := readFile(t, "testdata/plain.env")
	bundle := t.TempDir()
	first := filepath.Join(bundle, ".greentic", "dev", ".dev.secrets.env")
	other := filepath.Join(bundle, ".greentic", "state", "dev", ".dev.secrets.env")
	elsewhere := filepath.Join(t.TempDir(), "store")

	writeFile(t, other, plain)
	want(t, openSecrets(t, bundle), adapters.Namespace{Provider: "slack"}, map[string]string{"bot_token": "second"})
	apply(t, openSecrets(t, bundle), telegram, deleted("bot_token"))
	if _, err := os.Stat(first); err == nil {
		t.Error("a second store was made beside the one that was there")
	}
	writeFile(t, first, nil)
	want(t, openSecrets(t, bundle), telegram, map[string]string{})
	want(t, openSecrets(t, other), adapters.Namespace{Provider: "slack"}, map[string]string{"bot_token": "second"})

	t.Setenv(storePathName, elsewhere)
	apply(t, openSecrets(t, bundle), telegram, set("a", "1"))
	want(t, openSecrets(t, bundle), telegram, map[string]string{"a": "1"})
	want(t, openSecrets(t, first), telegram, map[string]string{})
	t.Setenv(storePathName, filepath.Join(bundle, "missing", "store"))
	if _, err := Secrets(bundle); !isConfigError(err) {
		t.Errorf("a store in a directory that is missing gives %v", err)
	}
	t.Setenv(storePathName, "")
	for _, path := range []string{filepath.Join(bundle, "missing"), filepath.Join(bundle, "missing", "x.env"), ""} {
		if _, err := Secrets(path); !isConfigError(err) {
			t.Errorf("Secrets(%q) gives %v", path, err)
		}
	}
}

func TestAbsentPartsAreGreenticsDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	apply(t, openSecrets(t, path), adapters.Namespace{}, set("a", "1"))
	for _, ns := range []adapters.Namespace{
		{Env: "dev", Tenant: "demo", Team: "_", Provider: "messaging", Install: "default"},
		{Team: "Default"}, {Team: " "},
	} {
		want(t, openSecrets(t, path), ns, map[string]string{"a": "1"})
	}
	t.Setenv("GREENTIC_ENV", "prod")
	want(t, openSecrets(t, path), adapters.Namespace{}, map[string]string{})
	want(t, openSecrets(t, path), adapters.Namespace{Env: "dev"}, map[string]string{"a": "1"})
}

func TestNamespacesThatGreenticCannotName(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []adapters.Values{openSecrets(t, dir), openConfig(t, dir)} {
		for _, ns := range []adapters.Namespace{
			{Tenant: "Acme"}, {Env: "a/b"}, {Team: "é"}, {Provider: ".."}, {Provider: "."}, {Provider: "a..b"}, {Provider: ".a"}, {Provider: "a."},
			{Provider: "a/b"}, {Install: "A"}, {Install: "a b"}, {Area: "a/../b"}, {Area: "A"}, {Env: " "},
		} {
			if _, err := v.Load(t.Context(), ns); err == nil {
				t.Errorf("Load of %s gives no error", ns)
			}
			if _, err := v.Keys(t.Context(), ns); err == nil {
				t.Errorf("Keys of %s gives no error", ns)
			}
			refused(t, v, ns, set("a", "1"))
		}
	}
}

func TestWarning(t *testing.T) {
	if w := Warning(); !strings.Contains(w, masterKeyName) {
		t.Errorf("without a master key the warning is %q", w)
	}
	t.Setenv(masterKeyName, "x")
	if w := Warning(); w != "" {
		t.Errorf("with a master key the warning is %q", w)
	}
}
