package greentic

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Where a bundle has its development store: Greentic makes the first and also reads
// the second.
var (
	storePath      = []string{".greentic", "dev", ".dev.secrets.env"}
	otherStorePath = []string{".greentic", "state", "dev", ".dev.secrets.env"}
)

// storePathName is the variable that says to Greentic where the store is instead.
const storePathName = "GREENTIC_DEV_SECRETS_PATH"

type secrets struct {
	path string
	root string // the bundle in which directories are made; "" for a file
	env  string // of namespaces that give none
	key  masterKey
	turns
}

// Secrets gives Greentic's development secrets store. path is a bundle, in which the
// file is the one that Greentic itself would use (GREENTIC_DEV_SECRETS_PATH where that
// is set), or the file, which need not exist if its name ends in ".env". The master key
// and the environment of namespaces without one are read now. The error is an
// *adapters.ConfigError.
func Secrets(path string) (adapters.Values, error) {
	s, err := openStore(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openStore(path string) (*secrets, error) {
	key, err := openMasterKey()
	if err != nil {
		return nil, err
	}
	s := &secrets{path: path, env: environment(), key: key, turns: newTurns()}
	_, err = os.Stat(path)
	elsewhere := os.Getenv(storePathName)
	switch {
	case isDir(path) && elsewhere != "":
		s.path = elsewhere
		if !isDir(filepath.Dir(elsewhere)) {
			return nil, &adapters.ConfigError{Adapter: adapter, Reason: storePathName + " is a file in a directory that does not exist", Hint: "make the directory, or unset the variable"}
		}
	case isDir(path):
		s.root, s.path = path, storeOf(path)
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && filepath.Ext(path) == ".env" && isDir(filepath.Dir(path)):
	default:
		return nil, noBundle(path, "the directory of the bundle, or the store's file")
	}
	return s, nil
}

// storeOf gives the path of the store of a bundle.
func storeOf(bundle string) string {
	first := filepath.Join(append([]string{bundle}, storePath...)...)
	other := filepath.Join(append([]string{bundle}, otherStorePath...)...)
	_, errFirst := os.Lstat(first)
	if _, err := os.Lstat(other); errFirst != nil && err == nil {
		return other
	}
	return first
}

func noBundle(path, give string) error {
	return &adapters.ConfigError{Adapter: adapter, Reason: fmt.Sprintf("there is no bundle %s", path), Hint: "give " + give}
}

// Keys implements adapters.Values.
func (s *secrets) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	keys := []string{}
	err := s.each(ctx, ns, func(key string, _ *record) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return nil, s.failed("list secrets", err)
	}
	slices.Sort(keys)
	return keys, nil
}

// Load implements adapters.Values.
func (s *secrets) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	values := map[string]adapters.Value{}
	err := s.each(ctx, ns, func(key string, r *record) error {
		plain, err := s.key.open(r)
		if err != nil {
			return err
		}
		values[key] = adapters.Value{Bytes: plain, Secret: true}
		return nil
	})
	if err != nil {
		return nil, s.failed("load secrets", err)
	}
	return values, nil
}

// each calls f with the live secrets of a namespace.
func (s *secrets) each(ctx context.Context, ns adapters.Namespace, f func(key string, r *record) error) error {
	p, err := placeOf(ns, s.env)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d, err := s.read(ctx)
	if err != nil {
		return err
	}
	return d.state.live(p, f)
}

// read reads the store, an empty one where there is no file.
func (s *secrets) read(ctx context.Context) (*document, error) {
	path, err := follow(s.path)
	if err != nil {
		return nothing(err)
	}
	f, _, err := openLocked(ctx, path, os.O_RDONLY, unix.LOCK_SH)
	if err != nil {
		return nothing(err)
	}
	b, err := read(f)
	if err := cmp.Or(err, f.Close()); err != nil {
		return nil, err
	}
	return decodeDocument(b)
}

// nothing is an empty document where err says that there is none.
func nothing(err error) (*document, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return &document{}, nil
	}
	return nil, err
}

// Apply implements adapters.Values. The batch happens whole or not at all.
func (s *secrets) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if err := s.apply(ctx, ns, b.Changes); err != nil {
		return s.failed("store secrets", err)
	}
	return nil
}

func (s *secrets) apply(ctx context.Context, ns adapters.Namespace, changes []adapters.Change) error {
	p, err := placeOf(ns, s.env)
	if err != nil {
		return err
	}
	last, err := lastOf(changes)
	if err != nil || len(last) == 0 {
		return err
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()

	e, err := s.edit(ctx)
	if err != nil {
		return err
	}
	defer e.close()
	changed, err := s.change(&e.state, p, last)
	if err != nil || !changed {
		return err
	}
	text, err := e.text(p)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return e.replace(text)
}

// edit is the store's file with the lock on it.
type edit struct {
	*document
	file *os.File
	info os.FileInfo
	path string
	size int // in bytes
}

// edit opens the store to change it, and makes an empty file where there is none.
func (s *secrets) edit(ctx context.Context) (*edit, error) {
	path, err := follow(s.path)
	if errors.Is(err, fs.ErrNotExist) && s.root != "" {
		if err := makeDirs(s.root, 0o700, storePath[:len(storePath)-1]...); err != nil {
			return nil, err
		}
		path, err = follow(s.path)
	}
	if err != nil {
		return nil, err
	}
	f, info, err := openLocked(ctx, path, os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	old, err := read(f)
	var d *document
	if err == nil {
		d, err = decodeDocument(old)
	}
	if err != nil {
		return nil, cmp.Or(err, f.Close())
	}
	return &edit{d, f, info, path, len(old)}, nil
}

// text gives the file as it is to be, changed at p.
func (e *edit) text(p place) ([]byte, error) {
	text := e.encode()
	return text, room(p, e.size, len(text))
}

func (e *edit) replace(text []byte) error { return replace(e.path, text, e.info, e.info.Mode().Perm()) }

// close gives the lock back. Nothing was written through the file.
func (e *edit) close() { e.file.Close() }

// room says whether a file may grow to a size in bytes because of what is put at p.
func room(p place, before, after int) error {
	most := maxFile
	if p.area != adapters.Live {
		most /= 2 // what is written there is written to Live next, and must have room there too
	}
	if after > most && after > before {
		return fmt.Errorf("the file would have %d bytes, and %d are the most; Greentic keeps every version of a secret, also of deleted ones", after, most)
	}
	return nil
}

// change makes changes in a state and says whether there were any.
func (s *secrets) change(st *state, p place, changes map[string]adapters.Change) (changed bool, err error) {
	if err := st.collide(p, changes); err != nil {
		return false, err
	}
	if p.area != adapters.Live { // what is written there is written to Live next, and must not fail half-way
		if err := st.collide(p.in(adapters.Live), changes); err != nil {
			return false, err
		}
	}
	var dek []byte
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		c := changes[key]
		name := canonicalName(key)
		v, r, err := st.newestOwn(p.prefix() + name)
		if err != nil {
			return false, err
		}
		if c.Delete {
			if r == nil || r.key(name) != key {
				continue
			}
			if err := st.drop(p, v); err != nil {
				return false, err
			}
			changed = true
			continue
		}
		if r != nil && r.key(name) == key {
			plain, err := s.key.open(r)
			if err != nil {
				return false, err
			}
			if bytes.Equal(plain, c.Value.Bytes) {
				continue
			}
		}
		if dek == nil {
			if dek, err = s.dek(st, p); err != nil {
				return false, err
			}
		}
		r, err = s.key.seal(dek, p.prefix()+name, keyTags(key, name), c.Value.Bytes)
		if err != nil {
			return false, err
		}
		if err := st.set(p, v, r); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// collide refuses to set a key whose name another one has in a place, or is to have.
func (s *state) collide(p place, changes map[string]adapters.Change) error {
	const format = "the keys %q and %q are one to Greentic, %s; a pack must use one of them"
	keys := map[string]string{} // by name
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		if changes[key].Delete {
			continue
		}
		name := canonicalName(key)
		if other, twice := keys[name]; twice {
			return fmt.Errorf(format, other, key, name)
		}
		keys[name] = key
		_, r, err := s.newestOwn(p.prefix() + name)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		if other := r.key(name); other != key && !changes[other].Delete {
			return fmt.Errorf(format, other, key, name)
		}
	}
	return nil
}

// dek gives the data key of a place: that of a secret that is there, since Greentic
// takes one for all of them.
func (s *secrets) dek(st *state, p place) ([]byte, error) {
	for _, name := range st.names(p.prefix()) {
		_, r, err := st.newest(p.prefix() + name)
		if err != nil {
			return nil, err
		}
		if r == nil {
			continue
		}
		if _, err := s.key.open(r); err != nil {
			return nil, err
		}
		return s.key.wrap(r.Envelope.WrappedDEK), nil
	}
	return newDEK(), nil
}

// failed says what could not be done with the store.
func (s *secrets) failed(op string, err error) error {
	return failed(op+" in "+s.path, err)
}

// failed says what could not be done.
func failed(op string, err error) error {
	e := &adapters.Error{Adapter: adapter, Op: op, Err: err}
	if _, ok := errors.AsType[*malformedError](err); ok {
		e.Hint = "the file was left as it is; repair it or put a copy in its place"
	}
	if errors.Is(err, errSealed) {
		e.Hint = "set " + masterKeyName + " to what it was then"
	}
	return e
}
