package greentic

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// mirrorTag is the tag that a mirror has and no secret: the key of the configuration.
const mirrorTag = "greentic-provision.config"

// isMirror says whether a record is a value of the configuration and no secret.
func (r *record) isMirror() bool {
	_, ok := r.Meta.Tags[mirrorTag]
	return ok
}

// mirrored gives, by key, the texts that Greentic's setup would copy to the secrets
// store: those of an envelope that is somebody's here. Greentic copies no empty text
// and no null, and takes the text "null" for one.
func (e *configEnvelope) mirrored() map[string][]byte {
	texts := map[string][]byte{}
	if e.ours.Namespace == "" {
		return texts
	}
	for key, raw := range e.config {
		var text []byte
		var s string
		var err error
		if isText(raw) {
			err = decoder.Unmarshal(raw, &s)
			text = []byte(s)
		} else {
			text, err = toJSON(raw)
		}
		// With a value that is not JSON, no program of Greentic reads the envelope.
		if err == nil && len(text) > 0 && string(text) != "null" {
			texts[key] = text
		}
	}
	return texts
}

// mirror makes the mirrors of p those of its envelope. What is only here has none; what
// is written there to be written to Live next must be able to have them then.
func (c *config) mirror(ctx context.Context, p place, e *configEnvelope, changes map[string]adapters.Change) error {
	live := p.in(adapters.Live)
	if !live.seen() {
		return nil
	}
	texts := e.mirrored()
	if p == live {
		return c.store.mirror(ctx, p, texts)
	}
	for _, change := range changes {
		if !change.Delete {
			return c.store.canMirror(ctx, live, texts)
		}
	}
	return nil // what is there can always be taken away
}

// mirror makes the mirrors at p the texts, by key.
func (s *secrets) mirror(ctx context.Context, p place, texts map[string][]byte) error {
	if len(texts) == 0 {
		if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	e, err := s.edit(ctx)
	if err != nil {
		return err
	}
	defer e.close()
	changed, err := s.setMirrors(&e.state, p, texts)
	if err != nil || !changed {
		return err
	}
	text, err := e.text(p)
	if err != nil {
		return err
	}
	return e.replace(text)
}

// canMirror says whether mirror would succeed, and changes nothing.
func (s *secrets) canMirror(ctx context.Context, p place, texts map[string][]byte) error {
	d, err := s.read(ctx)
	if err != nil {
		return err
	}
	before := len(d.encode())
	if _, err := s.setMirrors(&d.state, p, texts); err != nil {
		return err
	}
	return room(p, before, len(d.encode()))
}

// setMirrors makes the mirrors at p the texts, by key, and says whether anything
// changed. Secrets stay as they are: where one has the name of a key, there is no mirror
// of that key. Of two keys with one name the last has it, as in Greentic.
func (s *secrets) setMirrors(st *state, p place, texts map[string][]byte) (changed bool, err error) {
	keys := map[string]string{} // by name
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		keys[canonicalName(key)] = key
	}
	for _, name := range st.names(p.prefix()) {
		v, r, err := st.newest(p.prefix() + name)
		if err != nil {
			return false, err
		}
		if _, stays := keys[name]; stays || r == nil || !r.isMirror() {
			continue
		}
		if err := st.drop(p, v); err != nil {
			return false, err
		}
		changed = true
	}
	var dek []byte
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		key, uri := keys[name], p.prefix()+name
		v, r, err := st.newest(uri)
		if err != nil {
			return false, err
		}
		if r != nil {
			if !r.isMirror() {
				continue
			}
			plain, err := s.key.open(r)
			if err != nil {
				return false, err
			}
			if r.Meta.Tags[mirrorTag] == key && bytes.Equal(plain, texts[key]) {
				continue
			}
		}
		if dek == nil {
			if dek, err = s.dek(st, p); err != nil {
				return false, err
			}
		}
		r, err = s.key.seal(dek, uri, map[string]string{mirrorTag: key}, texts[key])
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
