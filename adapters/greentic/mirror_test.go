package greentic

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// recordsOf gives what Greentic's components find in a store below a prefix, by name,
// and the keys of those that are mirrors.
func recordsOf(t *testing.T, path, prefix string) (texts, mirrors map[string]string) {
	t.Helper()
	d, err := (&secrets{path: path}).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := openMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	texts, mirrors = map[string]string{}, map[string]string{}
	for _, name := range d.state.names(prefix) {
		_, r, err := d.state.newest(prefix + name)
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			continue
		}
		plain, err := key.open(r)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(plain)
		if of, ok := r.Meta.Tags[mirrorTag]; ok {
			mirrors[name] = of
		}
	}
	return texts, mirrors
}

// wantRecords compares what Greentic's components find for telegram.
func wantRecords(t *testing.T, bundle string, want map[string]string) {
	t.Helper()
	got, _ := recordsOf(t, storeOf(bundle), telegramURI)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the secrets store (-want +got):\n%s", diff)
	}
}

func isThere(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// The texts are those of value_to_text in greentic-setup 0.5.12, and the names those of
// its canonical_secret_uri; it leaves out what is empty or "null" as text.
func TestConfigurationIsMirroredAsText(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	apply(t, v, telegram,
		plain("chat", `"42"`), plain("quoted", `"a \"b\" é\n"`), plain("on", "true"), plain("off", "false"), plain("n", "-5"),
		plain("big", "18446744073709551615"), plain("half", "0.5"), plain("deep", `{ "b": [null, 1], "aa": "x" }`), plain("list", "[ ]"),
		plain("none", "null"), plain("no_text", `""`), plain("null_text", `"null"`), plain("Public-Base URL", `"https://x"`), set("dsn", `"user:password"`))
	wanted := map[string]string{
		"chat": "42", "quoted": "a \"b\" é\n", "on": "true", "off": "false", "n": "-5", "big": "18446744073709551615", "half": "0.5",
		"deep": `{"aa":"x","b":[null,1]}`, "list": "[]", "public_base_url": "https://x", "dsn": "user:password",
	}
	wantRecords(t, bundle, wanted)
	if _, mirrors := recordsOf(t, storeOf(bundle), telegramURI); len(mirrors) != len(wanted) || mirrors["public_base_url"] != "Public-Base URL" {
		t.Errorf("the mirrors are %v", mirrors)
	}
	apply(t, v, telegram, plain("chat", "null"), plain("on", `"yes"`))
	delete(wanted, "chat")
	wanted["on"] = "yes"
	wantRecords(t, bundle, wanted)
}

func TestMirrorsAreNoSecrets(t *testing.T) {
	bundle := t.TempDir()
	v, s := openConfig(t, bundle), openSecrets(t, bundle)
	apply(t, s, telegram, set("token", "1"))
	apply(t, v, telegram, plain("chat", `"2"`))
	want(t, s, telegram, map[string]string{"token": "1"})
	before := readFile(t, storeOf(bundle))
	apply(t, s, telegram, deleted("chat"))
	if !bytes.Equal(before, readFile(t, storeOf(bundle))) {
		t.Error("deleting a secret that is not there changed the store")
	}
	wantRecords(t, bundle, map[string]string{"token": "1", "chat": "2"})
}

func TestASecretWinsOverAMirror(t *testing.T) {
	for name, secret := range map[string]string{"spelled as the configuration": "bot_token", "spelled otherwise": "BOT-TOKEN"} {
		t.Run(name, func(t *testing.T) {
			bundle := t.TempDir()
			v, s := openConfig(t, bundle), openSecrets(t, bundle)
			// A mirror takes no name away from a secret, neither now nor when it is staged.
			apply(t, v, telegram, plain("bot_token", `"same"`), plain("chat", "1"))
			apply(t, s, telegram.In(staged), set(secret, "same"))
			apply(t, s, telegram, set(secret, "same"))
			want(t, s, telegram, map[string]string{secret: "same"})
			if _, mirrors := recordsOf(t, storeOf(bundle), telegramURI); !cmp.Equal(mirrors, map[string]string{"chat": "chat"}) {
				t.Errorf("with the secret the mirrors are %v", mirrors)
			}
			apply(t, v, telegram, plain("bot_token", `"config"`), plain("chat", "2"))
			wantRecords(t, bundle, map[string]string{"bot_token": "same", "chat": "2"})
			apply(t, v, telegram, deleted("bot_token"))
			want(t, s, telegram, map[string]string{secret: "same"})

			apply(t, v, telegram, plain("bot_token", `"config"`))
			apply(t, s, telegram, deleted(secret))
			want(t, s, telegram, map[string]string{})
			wantRecords(t, bundle, map[string]string{"chat": "2"})
			apply(t, v, telegram, plain("chat", "3"))
			wantRecords(t, bundle, map[string]string{"bot_token": "config", "chat": "3"})
		})
	}
}

func TestMirrorsGoWithTheirConfiguration(t *testing.T) {
	bundle := t.TempDir()
	v, s := openConfig(t, bundle), openSecrets(t, bundle)
	apply(t, v, telegram, deleted("a"))
	if isThere(t, storeOf(bundle)) {
		t.Error("a store was made for nothing")
	}
	apply(t, s, telegram, set("token", "1"))
	apply(t, v, telegram, plain("a", "1"), plain("b", "2"))
	apply(t, v, telegram, deleted("a"))
	wantRecords(t, bundle, map[string]string{"b": "2", "token": "1"})
	apply(t, v, telegram, deleted("b"))
	wantRecords(t, bundle, map[string]string{"token": "1"})
	// As Greentic deletes: with one more version.
	for _, secret := range stateOf(t, storeOf(bundle)).Secrets {
		last := secret.Versions[len(secret.Versions)-1]
		if secret.Key != telegramURI+"token" && !cmp.Equal(last, map[string]any{"version": 2.0, "deleted": true, "record": nil}) {
			t.Errorf("the last version of %s is %v", secret.Key, last)
		}
	}
}

// What somebody else has in the envelope is mirrored while the envelope is somebody's
// here, since Greentic's components look for all of it in one place.
func TestMirrorsAreThereWhileTheEnvelopeIsOurs(t *testing.T) {
	bundle := bundleOf(t, written(func(map[string]any) {}))
	v := openConfig(t, bundle)
	apply(t, v, telegram, deleted("a"))
	if isThere(t, storeOf(bundle)) {
		t.Error("the configuration was mirrored before anybody had it")
	}
	apply(t, v, telegram, plain("a", "1"))
	wantRecords(t, bundle, map[string]string{"a": "1", "chat": "1"})
	removal := adapters.Batch{Origin: adapters.Origin{Entry: "remove"}, Changes: []adapters.Change{deleted("a")}}
	for range 2 {
		if err := v.Apply(t.Context(), telegram, removal); err != nil {
			t.Fatal(err)
		}
		wantRecords(t, bundle, map[string]string{})
		want(t, v, telegram, map[string]string{"chat": `"1"`})
	}
}

func TestOnlyWhatGreenticReadsIsMirrored(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	second := adapters.Namespace{Provider: "telegram", Install: "second"}
	for _, ns := range []adapters.Namespace{telegram.In(staged), telegram.In(adapters.Before), second, second.In(staged)} {
		apply(t, v, ns, plain("a", "1"))
		apply(t, v, ns, deleted("a"))
	}
	if isThere(t, storeOf(bundle)) {
		t.Error("a store was made")
	}
	apply(t, v, adapters.Namespace{Env: "prod", Tenant: "acme", Team: "legal", Provider: "telegram"}, plain("a", "1"))
	got, _ := recordsOf(t, storeOf(bundle), "secrets://prod/acme/legal/telegram/")
	if state := stateOf(t, storeOf(bundle)); len(state.Secrets) != 1 || got["a"] != "1" {
		t.Errorf("the mirrors are %v, and there are %d secrets", got, len(state.Secrets))
	}
}

// As in Greentic, where each is written over the one before it.
func TestTheLastOfTwoKeysWithOneNameIsMirrored(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	of := func(text, key string) {
		t.Helper()
		wantRecords(t, bundle, map[string]string{"a_b": text})
		if _, mirrors := recordsOf(t, storeOf(bundle), telegramURI); mirrors["a_b"] != key {
			t.Errorf("the mirror is of %q, want %q", mirrors["a_b"], key)
		}
	}
	apply(t, v, telegram, plain("a_b", "2"))
	apply(t, v, telegram, plain("A-B", "1"))
	of("2", "a_b")
	apply(t, v, telegram, deleted("a_b"))
	of("1", "A-B")
	apply(t, v, telegram, plain("a_b", "1"))
	of("1", "a_b")
}

func TestMirrorsThatAreThereAreNotWrittenAgain(t *testing.T) {
	bundle := t.TempDir()
	v := openConfig(t, bundle)
	apply(t, v, telegram, plain("a", "1"), plain("b", "2"))
	before := readFile(t, storeOf(bundle))
	apply(t, v, telegram, plain("a", "1"))
	apply(t, v, telegram, deleted("c"))
	if !bytes.Equal(before, readFile(t, storeOf(bundle))) {
		t.Error("the store was changed")
	}
}

// A crash can leave either file as it was before a batch. Load gives what the envelope
// has, and the batch makes both what they are to be.
func TestABatchRepairsACrashBetweenTheTwoFiles(t *testing.T) {
	change := []adapters.Change{plain("a", `"new"`), plain("b", "2"), deleted("c")}
	last := []adapters.Change{deleted("a"), deleted("c")}
	for name, test := range map[string]struct {
		changes      []adapters.Change
		config, want map[string]string
	}{
		"a change":     {change, map[string]string{"a": `"new"`, "b": "2"}, map[string]string{"a": "new", "b": "2", "token": "1"}},
		"the last key": {last, map[string]string{}, map[string]string{"token": "1"}},
	} {
		for _, stale := range []string{"envelope", "store"} {
			t.Run(name+", "+stale, func(t *testing.T) {
				bundle := t.TempDir()
				v := openConfig(t, bundle)
				apply(t, openSecrets(t, bundle), telegram, set("token", "1"))
				apply(t, v, telegram, plain("a", `"old"`), plain("c", "3"))
				path, before := storeOf(bundle), map[string]string{"a": `"old"`, "c": "3"}
				seen := test.config
				if stale == "envelope" {
					path, seen = envelopePath(bundle), before
				}
				old := readFile(t, path)
				apply(t, v, telegram, test.changes...)
				writeFile(t, path, old)
				want(t, v, telegram, seen)
				apply(t, v, telegram, test.changes...)
				want(t, v, telegram, test.config)
				wantRecords(t, bundle, test.want)
			})
		}
	}
}

func TestMirrorsHaveTheDataKeyOfTheirProvider(t *testing.T) {
	bundle := t.TempDir()
	writeFile(t, storeOf(bundle), readFile(t, "testdata/plain.env"))
	apply(t, openConfig(t, bundle), telegram, plain("chat", "1"))
	apply(t, openSecrets(t, bundle), telegram, set("mine", "1"))
	d, err := (&secrets{path: storeOf(bundle)}).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrapped := map[string]bool{}
	for _, name := range d.state.names(telegramURI) {
		if _, r, err := d.state.newest(telegramURI + name); err != nil {
			t.Fatal(err)
		} else if r != nil {
			wrapped[string(r.Envelope.WrappedDEK)] = true
		}
	}
	if len(wrapped) != 1 {
		t.Errorf("there are %d data keys", len(wrapped))
	}
}

// A batch that could not be mirrored changes nothing; and it is refused while it is
// staged, since it must not fail when it was already promised.
func TestConfigurationThatCannotBeMirrored(t *testing.T) {
	for name, file := range map[string][]byte{
		"malformed":          []byte(stateName + "=canary\n"),
		"another master key": readFile(t, "testdata/master.env"),
	} {
		t.Run(name, func(t *testing.T) {
			bundle := bundleOf(t, written(func(map[string]any) {}))
			writeFile(t, storeOf(bundle), file)
			before := readFile(t, envelopePath(bundle))
			v := openConfig(t, bundle)
			for _, ns := range []adapters.Namespace{telegram, telegram.In(staged), telegram.In(adapters.Before)} {
				err := refused(t, v, ns, plain("a", `"canary"`))
				if !strings.Contains(err.Error(), storeOf(bundle)) || strings.Contains(err.Error(), "canary") {
					t.Errorf("%q: the error is %v", ns.Area, err)
				}
			}
			want(t, v, telegram, map[string]string{"chat": `"1"`})
			want(t, v, telegram.In(staged), map[string]string{})
			apply(t, v, telegram.In(staged), deleted("a"))
			if !bytes.Equal(before, readFile(t, envelopePath(bundle))) || !bytes.Equal(file, readFile(t, storeOf(bundle))) {
				t.Error("a file was changed")
			}
		})
	}
	t.Run("no room", func(t *testing.T) {
		bundle := t.TempDir()
		writeFile(t, storeOf(bundle), append([]byte("#"), bytes.Repeat([]byte{' '}, maxFile-2000)...))
		v := openConfig(t, bundle)
		for _, ns := range []adapters.Namespace{telegram, telegram.In(staged)} {
			if err := refused(t, v, ns, plain("a", `"`+strings.Repeat("1", 1000)+`"`)); !strings.Contains(err.Error(), storeOf(bundle)) {
				t.Errorf("%q: the error is %v", ns.Area, err)
			}
			want(t, v, ns, map[string]string{})
		}
	})
	t.Setenv(masterKeyName, "\xff")
	if _, err := Config(t.TempDir()); !isConfigError(err) {
		t.Errorf("a master key that is not UTF-8 gives %v", err)
	}
}

func TestMirrorsAreInTheStoreThatGreenticUses(t *testing.T) {
	bundle := t.TempDir()
	elsewhere := bundle + "/elsewhere"
	t.Setenv(storePathName, elsewhere)
	apply(t, openConfig(t, bundle), telegram, plain("a", "1"))
	if got, _ := recordsOf(t, elsewhere, telegramURI); got["a"] != "1" || isThere(t, storeOf(bundle)) {
		t.Errorf("the store that %s names has %v", storePathName, got)
	}
}
