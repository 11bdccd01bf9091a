// Package seal keeps values from being read where they lie: each is encrypted by age
// (https://age-encryption.org/v1) to the X25519 recipient of its store, in binary
// form. What age encrypts is
//
//	32 bytes   sha256 of "greentic-provision/seal/v1", a zero byte, and the binding
//	the rest   the value
//
// where the binding names the value's place (kind, namespace, key). So a sealed value
// that was moved to another place is refused, and one that was changed or cut off as
// well. Anybody who can write to the store can still put a value of his own there, as
// recipients are public, or an older one of the same place.
//
// Sealing takes the recipient only. The identity, which opens, is loaded when it is
// first needed, from where a Source says, and kept in memory for as long as its Keys.
// Buffers of this package that held it are overwritten; copies within age, the
// runtime's strings and what the kernel swaps out are not.
package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// ErrDamaged is wrapped when what is to be opened is not what Seal gave.
var ErrDamaged = errors.New("sealed value is damaged")

// ErrMisplaced is wrapped when what is to be opened was sealed for another place.
var ErrMisplaced = errors.New("sealed value belongs to another place")

// Config says where the identity is and how to get at it.
type Config struct {
	Source Source
	// Create lets Recipient make a new identity where the Source's file is missing: a
	// new store needs one. Open never does, as a new identity opens nothing.
	Create bool
	// Passphrase is asked at most once for that of a Passphrase source. It obeys its
	// context.
	Passphrase func(context.Context) (string, error)
	// NewPassphrase is asked instead for the one of an identity that is being made: it
	// should make sure that it was not mistyped. Passphrase when nil.
	NewPassphrase func(context.Context) (string, error)
}

// Keys seal values to recipients and open them with one identity. They are safe for
// concurrent use.
type Keys struct {
	config Config
	// Of tests: 2^workFactor is what a new passphrase costs, age's own when 0.
	workFactor int
	timeout    time.Duration // of the command

	turn chan struct{} // has room for one: who loads the identity; guards the following
	id   *age.X25519Identity
	err  error // why there is none; nobody is asked twice
}

// New gives Keys and opens nothing.
func New(c Config) *Keys {
	return &Keys{config: c, timeout: commandTimeout, turn: make(chan struct{}, 1)}
}

// Recipient gives the public key of the identity, age1….
func (k *Keys) Recipient(ctx context.Context) (string, error) {
	id, err := k.identity(ctx, k.config.Create)
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

// headerSize is the number of bytes before age's nonce when there is one X25519
// recipient: the version's line, two of the recipient, one of the MAC.
const headerSize = 22 + 54 + 44 + 48

// Seal encrypts a value to a recipient, for the place that binding names. The result
// is 232 bytes longer than the value, and 16 more for each 64 KiB after the first.
func (k *Keys) Seal(recipient, binding string, plain []byte) ([]byte, error) {
	to, err := parseRecipient(recipient)
	if err != nil {
		return nil, err
	}
	place := placeOf(binding)
	return encrypt(to, place[:], plain)
}

func encrypt(to age.Recipient, parts ...[]byte) ([]byte, error) {
	size := 2 * headerSize
	for _, part := range parts {
		size += len(part) + len(part)/4096 // of each 65,536 bytes age makes 16 more
	}
	var sealed bytes.Buffer
	sealed.Grow(size)
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open gives the value that Seal was given with the same recipient and binding. An
// error that is about the identity and not about the value is an
// *adapters.ConfigError; the others wrap ErrDamaged or ErrMisplaced.
func (k *Keys) Open(ctx context.Context, recipient, binding string, sealed []byte) ([]byte, error) {
	if _, err := parseRecipient(recipient); err != nil {
		return nil, err
	}
	id, err := k.identity(ctx, false)
	if err != nil {
		return nil, err
	}
	if have := id.Recipient().String(); have != recipient {
		return nil, refuse(fmt.Sprintf("the store is sealed to %s, this identity is %s", recipient, have), pointToIt)
	}
	return open(id, binding, sealed)
}

func open(id age.Identity, binding string, sealed []byte) ([]byte, error) {
	// The header must end where it does for one recipient. Age tries every recipient
	// that a header names, and a stranger's could name thousands.
	const mac = "\n--- "
	if len(sealed) < headerSize || string(sealed[headerSize-49:][:len(mac)]) != mac {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	plain, err := decrypt(bytes.NewReader(sealed), len(sealed), id)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, hostile.Error(err))
	}
	place := placeOf(binding)
	value, ok := bytes.CutPrefix(plain, place[:])
	if !ok {
		clear(plain)
		return nil, ErrMisplaced
	}
	return value, nil
}

// decrypt gives what at most size bytes hold.
func decrypt(src io.Reader, size int, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(src, id)
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	plain.Grow(size + bytes.MinRead) // growing later would leave copies behind
	if _, err := plain.ReadFrom(r); err != nil {
		clear(plain.Bytes())
		return nil, err
	}
	return plain.Bytes(), nil
}

func placeOf(binding string) [sha256.Size]byte {
	return sha256.Sum256([]byte("greentic-provision/seal/v1\x00" + binding))
}

// parseRecipient does not repeat the text: somebody may have put an identity there.
func parseRecipient(s string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(s)
	if err != nil {
		return nil, refuse("what the store names as its recipient is not an X25519 recipient of age (age1…)", "")
	}
	return r, nil
}

// identity gives the identity, which the first call loads or, with create, makes.
func (k *Keys) identity(ctx context.Context, create bool) (*age.X25519Identity, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if k.id != nil || k.err != nil {
		return k.id, k.err
	}
	id, err := k.find(ctx, create)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx) // says nothing about the identity
	}
	k.id, k.err = id, err
	return id, err
}

func (k *Keys) find(ctx context.Context, create bool) (*age.X25519Identity, error) {
	s := k.config.Source
	switch s.Kind {
	case File, Passphrase:
		if create {
			if id, err := k.create(ctx); id != nil || err != nil {
				return id, err
			}
		}
		content, err := readPrivate(s.Path)
		switch {
		case err != nil:
			return nil, err
		case s.Kind == Passphrase:
			return k.unlock(ctx, content)
		}
		return parseIdentity(show(s.Path), content)
	case Command:
		text, err := output(ctx, s.Argv, k.timeout)
		if err != nil {
			return nil, err
		}
		return parseIdentity("what the command prints", text)
	}
	return nil, refuse("none is given", pointToIt)
}

// parseIdentity reads a text as age-keygen writes it, and overwrites it. what names
// it. Nothing of the text is in the error, nor age's own, which counts its lines.
func parseIdentity(what string, text []byte) (*age.X25519Identity, error) {
	defer clear(text)
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	switch {
	case bytes.HasPrefix(text, []byte("age-encryption.org/")) || bytes.HasPrefix(text, []byte(armor.Header)):
		return nil, refuse(what+" is encrypted", "with a passphrase it is given as passphrase:PATH")
	case err != nil:
		return nil, refuse(what+" is not an identity of age", "it takes one line AGE-SECRET-KEY-1…, as age-keygen makes it")
	case len(ids) != 1:
		return nil, refuse(fmt.Sprintf("%s has %d identities; it takes one", what, len(ids)), "")
	}
	id, ok := ids[0].(*age.X25519Identity)
	if !ok {
		return nil, refuse(what+" is an identity of another type; it takes X25519 (AGE-SECRET-KEY-1…)", "")
	}
	return id, nil
}

const pointToIt = "the store's identity is given with --identity as file:PATH, passphrase:PATH or command:ARGV"

func refuse(reason, hint string) error {
	return &adapters.ConfigError{Adapter: "identity", Reason: reason, Hint: hint}
}
