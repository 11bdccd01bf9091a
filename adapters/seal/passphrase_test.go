package seal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// mustLock encrypts as age -p does, only cheaper.
func mustLock(t testing.TB, id *age.X25519Identity, passphrase string) []byte {
	t.Helper()
	k := New(Config{Passphrase: is(passphrase)})
	k.workFactor = 4
	b, err := k.encryptNew(context.Background(), []byte(id.String()+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func locked(t testing.TB, id *age.X25519Identity, passphrase string) string {
	t.Helper()
	return write(t, string(mustLock(t, id, passphrase)), 0o600)
}

func is(passphrase string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return passphrase, nil }
}

func mustNotAsk(t *testing.T) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		t.Error("a passphrase was asked for")
		return "", errors.New("no")
	}
}

func ofPassphrase(path string, ask func(context.Context) (string, error)) *Keys {
	return New(Config{Source: Source{Kind: Passphrase, Path: path}, Passphrase: ask})
}

// The files were made by age-keygen and age -p, with and without -a, of version 1.3.2,
// built to cost 2^10 for the passphrase and not the 2^18 that take a second.
func TestFilesOfAgeAreRead(t *testing.T) {
	const want = "age1pr9dlkplsr5zp5fclw2rayc790agxzraj8hmpphrd3zn8eactyzqv22zex"
	for _, name := range []string{"passphrase.age", "passphrase-armored.age"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ofPassphrase(write(t, string(content), 0o600), is("correct horse")).Recipient(t.Context())
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestTheWrongPassphraseIsRefused(t *testing.T) {
	id := newIdentity(t)
	path := locked(t, id, secret("the right passphrase"))
	_, err := ofPassphrase(path, is(secret("a wrong passphrase"))).Recipient(t.Context())
	wantConfigError(t, err, "the passphrase of "+path+" is wrong")
}

func TestAPassphraseThatIsNotGiven(t *testing.T) {
	path := locked(t, newIdentity(t), "pass")
	_, err := ofPassphrase(path, nil).Recipient(t.Context())
	wantConfigError(t, err, path, "no way to ask")
	_, err = ofPassphrase(path, is("")).Recipient(t.Context())
	wantConfigError(t, err, path, "is empty")
	_, err = ofPassphrase(path, func(context.Context) (string, error) { return "", errors.New("not a\nterminal") }).Recipient(t.Context())
	wantConfigError(t, err, path, `was not given: not a\nterminal`)
}

// Whoever interrupts the question has not given a wrong answer.
func TestWhyAPassphraseIsNotGivenCanBeTold(t *testing.T) {
	interrupted := errors.New("interrupted")
	path := locked(t, newIdentity(t), "pass")
	_, err := ofPassphrase(path, func(context.Context) (string, error) { return "", interrupted }).Recipient(t.Context())
	wantConfigError(t, err, path, "was not given: interrupted")
	if !errors.Is(err, interrupted) {
		t.Errorf("%v does not say why", err)
	}
}

func TestThePassphraseIsNotAskedForInVain(t *testing.T) {
	id := newIdentity(t)
	toIdentity, err := encrypt(id.Recipient(), []byte(id.String()))
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		id.String():            "is not encrypted (without a passphrase it is given as file:PATH)",
		"# x\n" + id.String():  "is not encrypted",
		string(toIdentity):     "not with a passphrase",
		"":                     "is not what age -p makes",
		secret("my diary"):     "is not what age -p makes",
		armor.Header + "\nx\n": "is not what age -p makes",
	} {
		_, err := ofPassphrase(write(t, content, 0o600), mustNotAsk(t)).Recipient(t.Context())
		wantConfigError(t, err, want)
	}
	_, err = ofPassphrase(write(t, "", 0o644), mustNotAsk(t)).Recipient(t.Context())
	wantConfigError(t, err, "has mode 0644")
	_, err = ofPassphrase(filepath.Join(t.TempDir(), "x"), mustNotAsk(t)).Recipient(t.Context())
	wantConfigError(t, err, "is missing")
	if _, err := ofPassphrase(locked(t, id, "pass"), mustNotAsk(t)).Seal(id.Recipient().String(), "a", nil); err != nil {
		t.Error(err)
	}
}

func TestDamagedEncryptedFilesAreRefused(t *testing.T) {
	id := newIdentity(t)
	whole := mustLock(t, id, "pass")
	for n := range whole {
		_, err := ofPassphrase(write(t, string(whole[:n]), 0o600), is("pass")).Recipient(t.Context())
		wantConfigError(t, err)
	}
	costly := bytes.Replace(whole, []byte(" 4\n"), []byte(" 30\n"), 1) // would take minutes, and 128 GiB
	_, err := ofPassphrase(write(t, string(costly), 0o600), is("pass")).Recipient(t.Context())
	wantConfigError(t, err, "damaged")

	// What is inside is read like a file of its own.
	for content, want := range map[string]string{"": "is not an identity", secret("my other diary"): "is not an identity", id.String() + "\n" + id.String(): "has 2"} {
		k := New(Config{Passphrase: is("pass")})
		k.workFactor = 4
		b, err := k.encryptNew(t.Context(), []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		_, err = ofPassphrase(write(t, string(b), 0o600), is("pass")).Recipient(t.Context())
		wantConfigError(t, err, "what is in ", want)
	}
}

func TestANewIdentityWithAPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "identity.age")
	create := func(config Config) (string, error) {
		config.Source, config.Create = Source{Kind: Passphrase, Path: path}, true
		k := New(config)
		k.workFactor = 4
		return k.Recipient(t.Context())
	}
	_, err := create(Config{})
	wantConfigError(t, err, "no way to ask")
	_, err = create(Config{Passphrase: is("")})
	wantConfigError(t, err, "is empty")
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("something was made without a passphrase")
	}

	to, err := create(Config{Passphrase: mustNotAsk(t), NewPassphrase: is("pass")})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || secretKey.Match(content) || !strings.HasPrefix(string(content), "age-encryption.org/v1\n-> scrypt ") {
		t.Errorf("the file is not an encrypted one (%v)", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	got, err := ofPassphrase(path, is("pass")).Recipient(t.Context())
	if err != nil || got != to {
		t.Errorf("got %s, %v; want %s", got, err, to)
	}
	got, err = create(Config{Passphrase: is("pass"), NewPassphrase: mustNotAsk(t)})
	if err != nil || got != to {
		t.Errorf("the second time: got %s, %v; want %s", got, err, to)
	}
}
