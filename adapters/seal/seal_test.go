package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode"

	"filippo.io/age"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// secrets are what no error of any test may hold: see wantConfigError.
var secrets sync.Map

func secret(s string) string {
	secrets.Store(s, true)
	return s
}

// newIdentity gives a new one, whose text is a secret.
func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	secret(strings.TrimPrefix(id.String(), "AGE-SECRET-KEY-1"))
	return id
}

func noSecretIn(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	secrets.Range(func(s, _ any) bool {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s.(string))) {
			t.Error("an error holds a secret") // and it is not shown here either
		}
		return true
	})
}

// wantConfigError checks that err is one line, about the identity, with the parts of
// text, and without secrets.
func wantConfigError(t *testing.T, err error, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*adapters.ConfigError](err)
	if !ok {
		t.Errorf("got %v (%T), want an *adapters.ConfigError", err, err)
		return
	}
	if e.Adapter != "identity" {
		t.Errorf("the error is about %q", e.Adapter)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsGraphic(r) }) {
		t.Errorf("%q is not one line", err)
	}
	noSecretIn(t, err)
}

// withIdentity gives Keys of an identity in a file.
func withIdentity(t testing.TB, id *age.X25519Identity) *Keys {
	t.Helper()
	return New(Config{Source: Source{Kind: File, Path: write(t, id.String()+"\n", 0o600)}})
}

func mustSeal(t testing.TB, to, binding string, plain []byte) []byte {
	t.Helper()
	sealed, err := New(Config{}).Seal(to, binding, plain) // sealing takes no identity
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestOpenGivesWhatWasSealed(t *testing.T) {
	id := newIdentity(t)
	k, to := withIdentity(t, id), id.Recipient().String()
	const chunk = 64 << 10
	for _, size := range []int{0, 1, 100, chunk - 33, chunk - 32, chunk - 31, chunk, 2*chunk - 32, 1 << 20, 5<<20 + 7} {
		plain := bytes.Repeat([]byte{0, 0xff, 'a'}, size/3+1)[:size]
		sealed := mustSeal(t, to, "secrets/a/b", plain)
		if want := size + 232 + 16*(max(size+32-1, 0)/chunk); len(sealed) != want {
			t.Errorf("%d bytes are sealed in %d, want %d", size, len(sealed), want)
		}
		if cap(sealed) > 2*len(sealed)+512 {
			t.Errorf("%d bytes are sealed in a buffer of %d", size, cap(sealed))
		}
		if size >= 100 && bytes.Contains(sealed, plain[:30]) {
			t.Errorf("%d bytes are sealed in clear", size)
		}
		got, err := k.Open(t.Context(), to, "secrets/a/b", sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}

func TestSealingTwiceGivesDifferentBytes(t *testing.T) {
	to := newIdentity(t).Recipient().String()
	if bytes.Equal(mustSeal(t, to, "a", []byte("x")), mustSeal(t, to, "a", []byte("x"))) {
		t.Error("equal values can be told by their sealed bytes")
	}
}

func TestAValueOpensInItsPlaceOnly(t *testing.T) {
	id := newIdentity(t)
	k, to := withIdentity(t, id), id.Recipient().String()
	value := []byte(secret("the value of place a"))
	sealed := mustSeal(t, to, "a", value)
	for _, place := range []string{"", "b", "a\x00", "aa"} {
		got, err := k.Open(t.Context(), to, place, sealed)
		if !errors.Is(err, ErrMisplaced) || got != nil {
			t.Errorf("in place %q: %v", place, err)
		}
		noSecretIn(t, err)
	}
}

// Whoever knows the recipient can encrypt to it; what he encrypts is still no value
// of a place unless he names it.
func TestWhatAgeAloneEncryptedIsRefused(t *testing.T) {
	id := newIdentity(t)
	for _, plain := range []string{"", "value", strings.Repeat("x", 32), strings.Repeat("x", 100)} {
		sealed, err := encrypt(id.Recipient(), []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(id, "", sealed); !errors.Is(err, ErrMisplaced) {
			t.Errorf("%d bytes: %v", len(plain), err)
		}
	}
}

func TestChangedValuesAreRefused(t *testing.T) {
	id := newIdentity(t)
	k, to := withIdentity(t, id), id.Recipient().String()
	value := []byte(secret("a value of some length"))
	big := bytes.Repeat(value, 10_000)
	refused := func(what string, sealed []byte) {
		t.Helper()
		got, err := k.Open(t.Context(), to, "a", sealed)
		if !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
		noSecretIn(t, err)
	}
	short := mustSeal(t, to, "a", value)
	for n := range short {
		refused(fmt.Sprintf("cut to %d", n), short[:n])
		flipped := bytes.Clone(short)
		flipped[n] ^= 1
		refused(fmt.Sprintf("changed at %d", n), flipped)
	}
	long := mustSeal(t, to, "a", big)
	const chunk = 64<<10 + 16
	for _, n := range []int{headerSize, headerSize + 16, headerSize + 16 + chunk - 1, headerSize + 16 + chunk, headerSize + 16 + 2*chunk, len(long) - 1} {
		refused(fmt.Sprintf("a long one cut to %d", n), long[:n])
	}
	swapped := bytes.Clone(long)
	copy(swapped[headerSize+16:][:chunk], long[headerSize+16+chunk:][:chunk])
	copy(swapped[headerSize+16+chunk:][:chunk], long[headerSize+16:][:chunk])
	refused("with two chunks swapped", swapped)
	refused("with one byte more", append(bytes.Clone(long), 0))
	refused("twice", append(bytes.Clone(short), short...))
	refused("of another identity", mustSeal(t, newIdentity(t).Recipient().String(), "a", value))
	refused("in clear", value)
	refused("nothing", nil)
}

// counting is an identity that counts the recipients that it is to try.
type counting int

func (c *counting) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	*c += counting(len(stanzas))
	return nil, age.ErrIncorrectIdentity
}

func TestAHeaderWithManyRecipientsIsNotTried(t *testing.T) {
	var to []age.Recipient
	for range 100 {
		to = append(to, newIdentity(t).Recipient())
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to...)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tried := new(counting)
	if _, err := open(tried, "", sealed.Bytes()); !errors.Is(err, ErrDamaged) || *tried != 0 {
		t.Errorf("tried %d recipients: %v", *tried, err)
	}
	one := mustSeal(t, newIdentity(t).Recipient().String(), "", nil)
	if _, err := open(tried, "", one); !errors.Is(err, ErrDamaged) || *tried != 1 {
		t.Errorf("of a header with one recipient, tried %d: %v", *tried, err)
	}
}

func TestTheIdentityOfAnotherStoreIsNamed(t *testing.T) {
	ours, theirs := newIdentity(t), newIdentity(t).Recipient().String()
	_, err := withIdentity(t, ours).Open(t.Context(), theirs, "a", mustSeal(t, theirs, "a", nil))
	wantConfigError(t, err, "the store is sealed to "+theirs, "this identity is "+ours.Recipient().String(), "--identity")
}

func TestARecipientThatIsNoneIsRefused(t *testing.T) {
	id := newIdentity(t)
	k := withIdentity(t, id)
	for _, to := range []string{
		"", "age1", id.String(), strings.ToLower(id.String()), strings.ToUpper(id.Recipient().String()),
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYY4mNNvqZI7nPXTBVNYiMwaVaZ2ZjKF7uIhSGfHkJO", id.Recipient().String() + "\n",
	} {
		_, err := k.Seal(to, "a", nil)
		wantConfigError(t, err, "recipient")
		_, err = k.Open(t.Context(), to, "a", mustSeal(t, id.Recipient().String(), "a", nil))
		wantConfigError(t, err, "recipient")
	}
}

func TestTheIdentityIsNotNeededToSeal(t *testing.T) {
	k := New(Config{Source: Source{Kind: File, Path: filepath.Join(t.TempDir(), "missing")}})
	if _, err := k.Seal(newIdentity(t).Recipient().String(), "a", nil); err != nil {
		t.Error(err)
	}
}

func TestWithoutASourceNothingIsOpened(t *testing.T) {
	for _, create := range []bool{false, true} {
		_, err := New(Config{Create: create}).Recipient(t.Context())
		wantConfigError(t, err, "none is given", "--identity")
	}
}

func TestTheIdentityIsLoadedOnce(t *testing.T) {
	id := newIdentity(t)
	path := locked(t, id, "the passphrase")
	for _, given := range []string{"the passphrase", "a wrong one"} {
		asked := 0
		k := New(Config{Source: Source{Kind: Passphrase, Path: path}, Passphrase: func(context.Context) (string, error) {
			asked++ // by one at a time, as the race detector would tell
			return given, nil
		}})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := k.Recipient(t.Context()); (err == nil) != (given == "the passphrase") {
					t.Errorf("with %s: %v", given, err)
				}
			})
		}
		all.Wait()
		if asked != 1 {
			t.Errorf("with %s: asked %d times", given, asked)
		}
	}
}

func TestWaitingForTheIdentityEndsWithTheContext(t *testing.T) {
	id := newIdentity(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	k := New(Config{Source: Source{Kind: Passphrase, Path: locked(t, id, "pass")}, Passphrase: func(context.Context) (string, error) {
		close(asked)
		<-answer
		return "pass", nil
	}})
	done := make(chan error)
	go func() {
		_, err := k.Recipient(context.Background())
		done <- err
	}()
	<-asked
	reason := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(reason)
	if _, err := k.Recipient(ctx); !errors.Is(err, reason) {
		t.Errorf("the second one: %v", err)
	}
	close(answer)
	if err := <-done; err != nil {
		t.Errorf("the first one: %v", err)
	}
}

func TestACancelledLoadIsNotRemembered(t *testing.T) {
	id := newIdentity(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the user left")
	k := New(Config{Source: Source{Kind: Passphrase, Path: locked(t, id, "pass")}, Passphrase: func(ctx context.Context) (string, error) {
		cancel(reason)
		return "pass", ctx.Err()
	}})
	if _, err := k.Recipient(ctx); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	if got, err := k.Recipient(t.Context()); err != nil || got != id.Recipient().String() {
		t.Errorf("later: %v", err)
	}
	if _, err := k.Recipient(ctx); !errors.Is(err, reason) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	id := newIdentity(f)
	to := id.Recipient().String()
	value := []byte("the value")
	f.Add(mustSeal(f, to, "a", value))
	f.Add(mustSeal(f, to, "b", value))
	f.Add(mustSeal(f, to, "a", nil)[:headerSize])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 a\n--- b\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		// Nobody makes a new sealed value of another's by changing it.
		got, err := open(id, "a", sealed)
		switch {
		case err == nil && !bytes.Equal(got, value):
			t.Fatalf("%x opens as %q", sealed, got)
		case err != nil && (got != nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMisplaced)):
			t.Fatalf("%q and %v", got, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	to := newIdentity(b).Recipient().String()
	k := New(Config{})
	each(b, func(b *testing.B, plain []byte) {
		for b.Loop() {
			if _, err := k.Seal(to, "a", plain); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	id := newIdentity(b)
	k, to := withIdentity(b, id), id.Recipient().String()
	each(b, func(b *testing.B, plain []byte) {
		sealed := mustSeal(b, to, "a", plain)
		for b.Loop() {
			if _, err := k.Open(b.Context(), to, "a", sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func each(b *testing.B, run func(*testing.B, []byte)) {
	for _, size := range []int{100, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			run(b, make([]byte, size))
		})
	}
}
