package seal

import (
	"bytes"
	"context"
	"errors"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// unlock decrypts the Source's file.
func (k *Keys) unlock(ctx context.Context, locked []byte) (*age.X25519Identity, error) {
	path := show(k.config.Source.Path)
	if secretKey.Match(locked) {
		clear(locked)
		return nil, refuse(path+" is not encrypted", "without a passphrase it is given as file:PATH")
	}
	var src io.Reader = bytes.NewReader(locked)
	if bytes.HasPrefix(locked, []byte(armor.Header)) {
		src = armor.NewReader(src)
	}
	text, err := decrypt(src, len(locked), lock{path, func() (string, error) { return ask(ctx, path, k.config.Passphrase) }})
	if ungiven, ok := errors.AsType[*notGivenError](err); ok {
		return nil, ungiven
	}
	if refused, ok := errors.AsType[*adapters.ConfigError](err); ok {
		return nil, refused
	}
	if err != nil { // age's error would quote the file
		return nil, refuse(path+" is not what age -p makes, or is damaged", "")
	}
	return parseIdentity("what is in "+path, text)
}

// lock is the age.Identity of a file that takes a passphrase. It asks for it only
// when the file really is one.
type lock struct {
	path string
	ask  func() (string, error)
}

func (l lock) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, refuse(l.path+" is encrypted, but not with a passphrase", "")
	}
	passphrase, err := l.ask()
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	key, err := id.Unwrap(stanzas)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, refuse("the passphrase of "+l.path+" is wrong", "")
	}
	return key, err
}

// encryptNew encrypts the text of a new identity under a new passphrase.
func (k *Keys) encryptNew(ctx context.Context, text []byte) ([]byte, error) {
	from := k.config.NewPassphrase
	if from == nil {
		from = k.config.Passphrase
	}
	passphrase, err := ask(ctx, show(k.config.Source.Path), from)
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	if k.workFactor != 0 {
		to.SetWorkFactor(k.workFactor)
	}
	return encrypt(to, text)
}

// notGivenError is a refusal, and why there was no passphrase: whoever interrupted the
// question is told so.
type notGivenError struct{ refusal, cause error }

func (e *notGivenError) Error() string { return e.refusal.Error() }

func (e *notGivenError) Unwrap() []error { return []error{e.refusal, e.cause} }

func ask(ctx context.Context, path string, from func(context.Context) (string, error)) (string, error) {
	if from == nil {
		return "", refuse(path+" takes a passphrase, and there is no way to ask for it", "")
	}
	passphrase, err := from(ctx)
	if err != nil {
		return "", &notGivenError{refuse("the passphrase of "+path+" was not given: "+hostile.Error(err), ""), err}
	}
	if passphrase == "" {
		return "", refuse("the passphrase of "+path+" is empty", "")
	}
	return passphrase, nil
}
