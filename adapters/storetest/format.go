package storetest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Option says what an adapter's format can hold.
type Option func(*format)

// format turns what the tests make into what an adapter can hold.
type format struct {
	kind             adapters.Kind
	key              func(string) string
	value            func([]byte) []byte
	place            func(adapters.Namespace) (string, bool)
	maxKey, maxValue int
	whole            bool
	essential        bool
}

func formatOf(options []Option) format {
	f := format{
		kind:     adapters.Config,
		key:      func(s string) string { return s },
		value:    func(b []byte) []byte { return b },
		place:    func(ns adapters.Namespace) (string, bool) { return ns.String(), true },
		maxKey:   adapters.MaxKey,
		maxValue: adapters.MaxValue,
	}
	for _, o := range options {
		o(&f)
	}
	return f
}

// Kind says which kind the values are of; without it they are Config.
func Kind(k adapters.Kind) Option { return func(f *format) { f.kind = k } }

// Keys gives the key to use where a test would use another; no two may become one.
func Keys(key func(string) string) Option { return func(f *format) { f.key = key } }

// SecretNames is Keys for formats that hold only lower-case letters, digits and "_".
func SecretNames() Option {
	return Keys(func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			switch {
			case c >= 'a' && c <= 'z' && c != 'x', c >= '0' && c <= '9':
				b.WriteByte(c)
			default: // no "_" at an end and no two beside each other: some formats take those away
				fmt.Fprintf(&b, "x%02x", c)
			}
		}
		return b.String()
	})
}

// Bytes gives the value to use where a test would use another; no two may become
// one, and a longer one becomes a longer one.
func Bytes(value func([]byte) []byte) Option { return func(f *format) { f.value = value } }

// JSON is Bytes for formats that hold only canonical JSON. The values are objects.
func JSON() Option {
	return Bytes(func(b []byte) []byte {
		text := strconv.Quote(string(b))
		if !utf8.Valid(b) || text != `"`+string(b)+`"` {
			text = `"hex ` + hex.EncodeToString(b) + `"`
		}
		return []byte(`{"value":` + text + `}`)
	})
}

// Limits are those of a format that has smaller ones: bytes of a key, of a value.
func Limits(key, value int) Option { return func(f *format) { f.maxKey, f.maxValue = key, value } }

// Namespaces says where a format keeps a namespace, and with false that it does not.
// Two with one place share their values.
func Namespaces(place func(adapters.Namespace) (string, bool)) Option {
	return func(f *format) { f.place = place }
}

// WholeBatches says that a batch happens whole or not at all.
func WholeBatches() Option { return func(f *format) { f.whole = true } }

// Essential leaves out the tests that take long on a slow engine: the largest values
// and, in Store, the kinds but for two of them, a fault at each operation of a commit and
// each way to damage the store.
func Essential() Option { return func(f *format) { f.essential = true } }

// secretAnyway says that the values are secret whatever is said of them.
func (f format) secretAnyway() bool { return secretAnyway(f.kind) }

func secretAnyway(k adapters.Kind) bool {
	return k == adapters.Secrets || k == adapters.State || k == adapters.Hidden
}

// set makes a change that sets a key.
func (f format) set(key, value string) adapters.Change {
	return adapters.Change{Key: f.key(key), Value: adapters.Value{Bytes: f.value([]byte(value)), Secret: f.secretAnyway()}}
}

// delete makes a change that takes a key away.
func (f format) delete(key string) adapters.Change {
	return adapters.Change{Key: f.key(key), Delete: true}
}

// longest gives a text whose size is as near to most as can be, and not above.
func longest(most int, size func(string) int) string {
	n := most
	for n > 0 && size(strings.Repeat("k", n)) > most {
		n -= (size(strings.Repeat("k", n)) - most + 5) / 6 // an escape has six bytes at most
	}
	return strings.Repeat("k", n)
}
