// Command plugin-secrets is an adapter that keeps secrets in encrypted files: a small,
// complete plug-in, to be copied. README.md says how to build and use it.
//
// Each installation (and each area of one) has one file, encrypted with age to a key
// that the operator keeps elsewhere. File names are hashes, so that a copy of the
// folder tells nothing but how many files there are and how large they are.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/plugin"
)

func main() {
	plugin.Serve(&store{
		kind:     os.Getenv(plugin.KindVariable),
		dir:      os.Getenv("GREENTIC_ADAPTER_DIR"),
		identity: os.Getenv("GREENTIC_ADAPTER_IDENTITY_FILE"),
	}, nil)
}

// store is an adapters.Values. It keeps nothing in memory between calls, so that any
// number of processes can use one folder.
type store struct {
	kind     string // of the values, which apart from it are named alike
	dir      string // 0700, made when it is first written to
	identity string // file with an age identity, as age-keygen writes it
}

var errNoFolder = errors.New("set GREENTIC_ADAPTER_DIR to the folder for the secrets")

// content is what is in a file, before encryption.
type content struct {
	// File says whose it is: somebody who can write to the folder, but has no key to
	// read it, could otherwise give one tenant's file another's name.
	File   string
	Values map[string]adapters.Value
}

func (s *store) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	values, err := s.Load(ctx, ns)
	return slices.Sorted(maps.Keys(values)), err
}

func (s *store) Load(_ context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	if s.dir == "" {
		return nil, errNoFolder
	}
	sealed, err := os.ReadFile(s.path(ns))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	identity, err := s.key()
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(ns), err)
	}
	text, err := io.ReadAll(r) // age authenticates it, up to its end
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(ns), err)
	}
	var c content
	if err := json.Unmarshal(text, &c); err != nil || c.File != s.name(ns) {
		return nil, fmt.Errorf("%s is not the file of %s", s.path(ns), ns) // the decoder's error could quote a value
	}
	return c.Values, nil
}

// Apply replaces the file by a new one, so that the batch happens whole or not at all.
func (s *store) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	values, err := s.Load(ctx, ns)
	if err != nil {
		return err
	}
	c := content{File: s.name(ns), Values: map[string]adapters.Value{}}
	maps.Copy(c.Values, values)
	for _, ch := range b.Changes {
		if ch.Delete {
			delete(c.Values, ch.Key)
		} else {
			c.Values[ch.Key] = ch.Value
		}
	}
	if err := ctx.Err(); err != nil {
		return err // nobody waits for it any more: better now than half an hour later
	}
	if len(c.Values) > 0 {
		err = s.replace(ns, c)
	} else if err = os.Remove(s.path(ns)); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	return synced(s.dir) // the name, or its absence, is durable too
}

// replace writes the file of an installation. What is left of a write that was
// interrupted is overwritten by the next one.
func (s *store) replace(ns adapters.Namespace, c content) error {
	identity, err := s.key()
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, identity.Recipient())
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	next := s.path(ns) + ".new"
	if err := os.WriteFile(next, sealed.Bytes(), 0o600); err != nil {
		return err
	}
	if err := synced(next); err != nil {
		return err
	}
	return os.Rename(next, s.path(ns))
}

// lock makes the caller the only writer of the folder, until unlock or the end of the
// process.
func (s *store) lock(ctx context.Context) (unlock func() error, err error) {
	if s.dir == "" {
		return nil, errNoFolder
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return dir.Close, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, dir.Close())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), dir.Close())
		}
	}
}

// key reads the identity each time: who replaces it need not restart anything.
func (s *store) key() (*age.X25519Identity, error) {
	f, err := os.Open(s.identity)
	if err != nil {
		return nil, fmt.Errorf("GREENTIC_ADAPTER_IDENTITY_FILE: %w", err)
	}
	defer f.Close()
	identities, err := age.ParseIdentities(f)
	if err == nil && len(identities) == 1 {
		if identity, ok := identities[0].(*age.X25519Identity); ok {
			return identity, nil
		}
	}
	return nil, fmt.Errorf("GREENTIC_ADAPTER_IDENTITY_FILE: %s does not hold one X25519 identity of age", s.identity)
}

// name is a file's name for a namespace; no two have the same.
func (s *store) name(ns adapters.Namespace) string {
	sum := sha256.Sum256([]byte(s.kind + "\n" + ns.String()))
	return hex.EncodeToString(sum[:]) + ".age"
}

func (s *store) path(ns adapters.Namespace) string { return filepath.Join(s.dir, s.name(ns)) }

// synced waits until a file or folder is on the disk.
func synced(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return cmp.Or(f.Sync(), f.Close())
}
