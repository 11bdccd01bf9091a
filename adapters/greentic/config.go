package greentic

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/pack"
)

// Where a bundle has the configuration of providers, and that of everything that
// Greentic does not know.
const (
	providersDir = ".providers"
	envelopeName = "config.envelope.cbor"
	contractsDir = "_contracts" // in providersDir, and no provider
)

var apartDir = []string{".greentic", "provision"}

// maxName is the longest name of a file that every file system takes.
const maxName = 255

type config struct {
	root string // the bundle
	env  string // of namespaces that give none
	// store has the mirrors. Its turns are not taken: only who has those of the
	// configuration writes to it.
	store *secrets
	turns
}

// Config gives the configuration of the providers in a bundle, which is a directory,
// and mirrors it in the secrets store that Secrets gives of the bundle. What Secrets
// reads of the environment is read now. The error is an *adapters.ConfigError.
func Config(bundle string) (adapters.Values, error) {
	if !isDir(bundle) {
		return nil, noBundle(bundle, "the directory of the bundle")
	}
	store, err := openStore(bundle)
	if err != nil {
		return nil, err
	}
	return &config{root: bundle, env: store.env, store: store, turns: newTurns()}, nil
}

// file is where a place has its envelope: directories below the bundle, and a name.
type file struct {
	dirs []string
	mode os.FileMode // of directories that have to be made
	name string
}

func (f file) path(root string) string {
	return filepath.Join(root, filepath.Join(f.dirs...), f.name)
}

// fileOf gives the file of a place.
func fileOf(p place) (file, error) {
	if p.provider == contractsDir {
		return file{}, fmt.Errorf("the provider %q cannot have configuration: Greentic keeps contracts under its name", p.provider)
	}
	if p.seen() {
		return file{[]string{providersDir, p.provider}, 0o755, envelopeName}, nil
	}
	name := p.env + apart + p.tenant + apart + p.team + apart + p.name() + ".cbor"
	if longest := tempName(name); len(longest) > maxName {
		return file{}, fmt.Errorf("the names of %s are too long for one file name: %d bytes, and %d are the most", p, len(longest), maxName)
	}
	return file{apartDir, 0o700, name}, nil
}

// Keys implements adapters.Values.
func (c *config) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	e, err := c.load(ctx, ns)
	if err != nil {
		return nil, c.failed("list configuration", err)
	}
	return e.keys(), nil
}

// Load implements adapters.Values.
func (c *config) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	e, err := c.load(ctx, ns)
	if err != nil {
		return nil, c.failed("load configuration", err)
	}
	values := map[string]adapters.Value{}
	for _, key := range e.keys() {
		b, err := toJSON(e.config[key])
		if err != nil {
			return nil, c.failed("load configuration", fmt.Errorf("%s: config: %q: %w", e.path, key, err))
		}
		values[key] = adapters.Value{Bytes: b, Secret: slices.Contains(e.ours.Secret, key)}
	}
	return values, nil
}

func (c *config) load(ctx context.Context, ns adapters.Namespace) (*configEnvelope, error) {
	p, err := placeOf(ns, c.env)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return c.read(p)
}

// read gives the envelope of a place, an empty one where there is none. It is an error
// when what Greentic has one of per bundle is somebody else's: also of places that are
// only here, since what is written there is for the one that Greentic reads, where it
// must not fail half-way.
func (c *config) read(p place) (*configEnvelope, error) {
	if live := p.in(adapters.Live); live.seen() && live != p {
		if _, err := c.readFile(live); err != nil {
			return nil, err
		}
	}
	return c.readFile(p)
}

func (c *config) readFile(p place) (*configEnvelope, error) {
	at, err := fileOf(p)
	if err != nil {
		return nil, err
	}
	e := &configEnvelope{file: at}
	if e.path, err = follow(at.path(c.root)); err != nil {
		return nothingThere(e, err)
	}
	f, info, err := open(e.path, os.O_RDONLY)
	if err != nil {
		return nothingThere(e, err)
	}
	b, err := read(f)
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = e.decode(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.path, err)
	}
	e.info, e.text = info, b
	switch e.ours.Namespace {
	case "":
		e.ours = ours{Found: true}
	case p.String():
	default:
		return nil, fmt.Errorf("%s holds the configuration of %s; Greentic has one of a provider in a bundle, for all tenants, so that of %s needs another bundle", e.path, e.ours.Namespace, p)
	}
	return e, nil
}

// nothingThere is an empty envelope where err says that there is no file.
func nothingThere(e *configEnvelope, err error) (*configEnvelope, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	return nil, err
}

// Apply implements adapters.Values. The batch happens whole or not at all; what mirrors
// there are of one that did not happen is put right by the next.
func (c *config) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if err := c.apply(ctx, ns, b); err != nil {
		return c.failed("store configuration", err)
	}
	return nil
}

func (c *config) apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	p, err := placeOf(ns, c.env)
	if err != nil {
		return err
	}
	last, err := lastOf(b.Changes)
	if err != nil || len(last) == 0 {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if err := makeDirs(c.root, 0o755, providersDir); err != nil {
		return err
	}
	// Greentic's programs do not lock; the directory is locked, which leaves nothing.
	turn, err := os.Open(filepath.Join(c.root, providersDir))
	if err != nil {
		return err
	}
	defer turn.Close()
	if err := lock(ctx, turn, unix.LOCK_EX); err != nil {
		return err
	}
	e, err := c.read(p)
	if err != nil {
		return err
	}
	changed, err := e.change(last)
	if err != nil {
		return err
	}
	var text []byte
	gone := e.empty()
	if changed && !gone {
		e.ours.Namespace = p.String()
		e.describe(c.root, p, b.Origin)
		if b.Origin.Entry == string(pack.EntryRemove) {
			e.ours = ours{} // what stays is nobody's again
		}
		if text, err = e.encode(); err != nil {
			return err
		}
		if len(text) > maxFile {
			return fmt.Errorf("the file would have %d bytes, and %d are the most", len(text), maxFile)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The envelope comes last: until it is written, nobody else can have the provider,
	// and the batch is not done.
	if err := c.mirror(ctx, p, e, last); err != nil {
		return fmt.Errorf("%s: %w", c.store.path, err)
	}
	switch {
	case !changed:
		return nil
	case gone:
		return c.remove(e)
	case bytes.Equal(text, e.text):
		return nil
	}
	return c.write(e, text)
}

// write writes the file of an envelope.
func (c *config) write(e *configEnvelope, text []byte) error {
	mode := os.FileMode(0o600)
	if e.info != nil {
		mode = e.info.Mode().Perm()
	} else if err := makeDirs(c.root, e.file.mode, e.file.dirs...); err != nil {
		return err
	} else if e.path, err = follow(e.file.path(c.root)); err != nil {
		return err
	}
	if len(e.ours.Secret) > 0 {
		mode &= 0o700
	}
	return replace(e.path, text, e.info, mode)
}

// remove takes away the file of an envelope, and a directory that is empty then.
func (c *config) remove(e *configEnvelope) error {
	if e.info == nil {
		return nil
	}
	if err := remove(e.path); err != nil {
		return err
	}
	if e.file.name == envelopeName && os.Remove(filepath.Dir(e.path)) == nil {
		return syncDir(filepath.Dir(filepath.Dir(e.path)))
	}
	return nil
}

// failed says what could not be done with the configuration.
func (c *config) failed(op string, err error) error {
	return failed(op+" in "+c.root, err)
}
