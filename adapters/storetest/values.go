package storetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Somewhere is a namespace for tests that need one.
var Somewhere = adapters.Namespace{Env: "dev", Tenant: "acme", Team: "core", Provider: "telegram", Install: "main"}

// origin is a set-up by a pack.
var origin = adapters.Origin{Entry: "setup", PackID: "telegram", PackVersion: "1.2.3",
	PackDigest: "sha256:" + strings.Repeat("ab", 32), Component: "components/setup.wasm", ComponentDigest: "sha256:" + strings.Repeat("cd", 32)}

// Values runs the suite. open gives values that nothing was written to yet, ready
// until the test ends.
func Values(t *testing.T, open func(t *testing.T) adapters.Values, options ...Option) {
	f := formatOf(options)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *subject)
	}{
		{"what nobody wrote is empty", emptyNamespace},
		{"what is set is read back", readBack},
		{"what is deleted is gone", deleted},
		{"deleting what is not there", deletedAbsent},
		{"a second value replaces the first", overwritten},
		{"of several changes of a key the last counts", lastCounts},
		{"an empty batch changes nothing", emptyBatch},
		{"a batch applied once more changes nothing", repeated},
		{"namespaces are kept apart", isolated},
		{"keys of any script", unicodeKeys},
		{"the longest key", longestKey},
		{"the largest value", largestValue},
		{"the empty value", emptyValue},
		{"any bytes", anyBytes},
		{"many keys come sorted", manyKeys},
		{"secret values stay secret", secretValues},
		{"bytes are not shared with the caller", ownBytes},
		{"writers of different installations", writersApart},
		{"writers of one installation", writersTogether},
		{"a context that has ended", endedContext},
		{"errors hold no value", silentErrors},
	} {
		t.Run(test.name, func(t *testing.T) {
			if f.essential && test.name == "the largest value" {
				t.Skip("not essential")
			}
			test.run(t, &subject{t: t, format: f, v: open(t)})
		})
	}
}

// subject is what a test works on.
type subject struct {
	t *testing.T
	format
	v adapters.Values
	n int
}

// batch makes a batch that is none of the earlier ones, under one token.
func (s *subject) batch(changes ...adapters.Change) adapters.Batch {
	s.n++
	return adapters.Batch{ID: fmt.Sprintf("%032x", s.n), Token: 1, Origin: origin, Changes: changes}
}

func (s *subject) apply(ns adapters.Namespace, changes ...adapters.Change) {
	s.t.Helper()
	if err := s.v.Apply(s.t.Context(), ns, s.batch(changes...)); err != nil {
		s.t.Fatalf("Apply to %s: %v", ns, err)
	}
}

// want compares what is there with what should be, by the tests' own keys and values.
func (s *subject) want(ns adapters.Namespace, want map[string]string) {
	s.t.Helper()
	formatted := map[string][]byte{}
	for k, v := range want {
		formatted[s.key(k)] = s.value([]byte(v))
	}
	s.wantBytes(ns, formatted)
}

func (s *subject) wantBytes(ns adapters.Namespace, want map[string][]byte) {
	s.t.Helper()
	keys, err := s.v.Keys(s.t.Context(), ns)
	if err != nil {
		s.t.Fatalf("Keys of %s: %v", ns, err)
	}
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, sorted) {
		s.t.Errorf("Keys of %s gives %s, want %s", ns, some(keys), some(sorted))
	}
	have, err := s.v.Load(s.t.Context(), ns)
	if err != nil {
		s.t.Fatalf("Load of %s: %v", ns, err)
	}
	if got := slices.Sorted(maps.Keys(have)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		s.t.Errorf("Load of %s gives the keys %s, want %s", ns, some(got), some(slices.Sorted(maps.Keys(want))))
	}
	for k, w := range want {
		if v, ok := have[k]; ok && !bytes.Equal(v.Bytes, w) {
			s.t.Errorf("Load of %s: %q is %s, want %s", ns, k, short(v.Bytes), short(w))
		}
	}
}

func some(keys []string) string {
	if len(keys) > 10 {
		return fmt.Sprintf("%q and %d more", keys[:10], len(keys)-10)
	}
	return fmt.Sprintf("%q", keys)
}

func short(b []byte) string {
	if len(b) > 60 {
		return fmt.Sprintf("%q… of %d bytes", b[:60], len(b))
	}
	return fmt.Sprintf("%q", b)
}

func emptyNamespace(t *testing.T, s *subject) {
	s.want(Somewhere, nil)
	if m, err := s.v.Load(t.Context(), Somewhere); m == nil || err != nil {
		t.Errorf("Load gives %v, %v; want an empty map", m, err)
	}
}

func readBack(_ *testing.T, s *subject) {
	s.apply(Somewhere, s.set("token", "one"), s.set("name", "two"))
	s.want(Somewhere, map[string]string{"token": "one", "name": "two"})
	s.apply(Somewhere, s.set("url", "three"))
	s.want(Somewhere, map[string]string{"token": "one", "name": "two", "url": "three"})
}

func deleted(_ *testing.T, s *subject) {
	s.apply(Somewhere, s.set("a", "1"), s.set("b", "2"))
	s.apply(Somewhere, s.delete("a"))
	s.want(Somewhere, map[string]string{"b": "2"})
	s.apply(Somewhere, s.delete("b"))
	s.want(Somewhere, nil)
	s.apply(Somewhere, s.set("a", "3"))
	s.want(Somewhere, map[string]string{"a": "3"})
}

func deletedAbsent(_ *testing.T, s *subject) {
	s.apply(Somewhere, s.delete("a"))
	s.want(Somewhere, nil)
	s.apply(Somewhere, s.delete("a"), s.set("b", "2"), s.delete("c"))
	s.want(Somewhere, map[string]string{"b": "2"})
}

func overwritten(_ *testing.T, s *subject) {
	s.apply(Somewhere, s.set("a", "a long first value"), s.set("b", "stays"))
	s.apply(Somewhere, s.set("a", "second"))
	s.want(Somewhere, map[string]string{"a": "second", "b": "stays"})
}

func lastCounts(_ *testing.T, s *subject) {
	s.apply(Somewhere, s.set("gone", "1"))
	s.apply(Somewhere,
		s.set("set", "1"), s.delete("set"), s.set("set", "2"), s.set("set", "3"),
		s.set("gone", "2"), s.delete("gone"),
		s.delete("back"), s.set("back", "4"))
	s.want(Somewhere, map[string]string{"set": "3", "back": "4"})
}

func emptyBatch(_ *testing.T, s *subject) {
	s.apply(Somewhere)
	s.want(Somewhere, nil)
	s.apply(Somewhere, s.set("a", "1"))
	s.apply(Somewhere)
	s.want(Somewhere, map[string]string{"a": "1"})
}

func repeated(t *testing.T, s *subject) {
	s.apply(Somewhere, s.set("old", "1"), s.set("kept", "1"))
	b := s.batch(s.set("new", "2"), s.delete("old"))
	for range 3 {
		if err := s.v.Apply(t.Context(), Somewhere, b); err != nil {
			t.Fatal(err)
		}
		s.want(Somewhere, map[string]string{"new": "2", "kept": "1"})
	}
}

// neighbours are namespaces that a careless encoding would mix up.
func neighbours() []adapters.Namespace {
	all := []adapters.Namespace{Somewhere, Somewhere.In(adapters.Before), Somewhere.In(adapters.Staged(strings.Repeat("0", 32))),
		Somewhere.In(adapters.Staged(strings.Repeat("1", 32))), Somewhere.In(adapters.Kept(strings.Repeat("0", 32))), {}}
	parts := func(ns *adapters.Namespace) []*string {
		return []*string{&ns.Env, &ns.Tenant, &ns.Team, &ns.Provider, &ns.Install}
	}
	for i := range parts(&adapters.Namespace{}) {
		for _, part := range []string{"", "_", "other", "a:b", "a/b", "a", "%3A", "..", "é", "e\u0301", "A", "*", "a#before", "50%"} {
			ns := Somewhere
			*parts(&ns)[i] = part
			all = append(all, ns)
		}
	}
	return append(all,
		adapters.Namespace{Env: "a:b", Tenant: "c"}, adapters.Namespace{Env: "a", Tenant: "b:c"}, adapters.Namespace{Env: "a", Tenant: "b", Team: "c"},
		adapters.Namespace{Tenant: "a"}, adapters.Namespace{Team: "a"}, adapters.Namespace{Provider: "a"}, adapters.Namespace{Install: "a"})
}

// apart gives those of them that the format keeps, each in a place of its own.
func (s *subject) apart() []adapters.Namespace {
	s.t.Helper()
	places := map[string]bool{}
	var apart []adapters.Namespace
	for _, ns := range neighbours() {
		if place, held := s.place(ns); held && !places[place] {
			places[place] = true
			apart = append(apart, ns)
		}
	}
	if len(apart) < writers {
		s.t.Fatalf("the format holds %d of the namespaces", len(apart))
	}
	return apart
}

func isolated(_ *testing.T, s *subject) {
	apart := s.apart()
	want := map[adapters.Namespace]map[string]string{}
	for i, ns := range apart {
		want[ns] = map[string]string{"common": fmt.Sprint(i), fmt.Sprint("own", i): "own"}
		s.apply(ns, s.set("common", fmt.Sprint(i)), s.set(fmt.Sprint("own", i), "own"))
	}
	for _, ns := range apart {
		s.want(ns, want[ns])
	}
	for i, ns := range apart {
		if i%2 == 0 {
			s.apply(ns, s.delete("common"), s.delete(fmt.Sprint("own", i)), s.delete(fmt.Sprint("own", i+1)))
			want[ns] = nil
		}
	}
	for _, ns := range apart {
		s.want(ns, want[ns])
	}
}

func unicodeKeys(_ *testing.T, s *subject) {
	want := map[string]string{}
	var changes []adapters.Change
	for i, key := range []string{"schlüssel", "é", "e\u0301", "鍵", "مفتاح", "🔑", "\U0010fffd", "ß", "SS", "ss", "a b", "a/b", "a:b", "a%b", "%41", "A",
		"..", ".", "-", "_", "__", "'", `"`, `\`, "$1", "?1", "a\u00a0b", "\ufeff", "ﬀ", "İ", "i"} {
		want[key] = fmt.Sprint(i)
		changes = append(changes, s.set(key, fmt.Sprint(i)))
	}
	s.apply(Somewhere, changes...)
	s.want(Somewhere, want)
}

func longestKey(_ *testing.T, s *subject) {
	key := longest(s.maxKey, func(k string) int { return len(s.key(k)) })
	s.apply(Somewhere, s.set(key, "1"), s.set(key[1:], "2"))
	s.want(Somewhere, map[string]string{key: "1", key[1:]: "2"})
}

func largestValue(_ *testing.T, s *subject) {
	value := longest(s.maxValue, func(v string) int { return len(s.value([]byte(v))) })
	other := "o" + value[1:]
	s.apply(Somewhere, s.set("a", value), s.set("b", "small"), s.set("c", other))
	s.want(Somewhere, map[string]string{"a": value, "b": "small", "c": other})
	s.apply(Somewhere, s.set("a", "small"), s.delete("c"))
	s.want(Somewhere, map[string]string{"a": "small", "b": "small"})
}

func emptyValue(_ *testing.T, s *subject) {
	s.apply(Somewhere, s.set("empty", ""), s.set("full", "1"))
	s.want(Somewhere, map[string]string{"empty": "", "full": "1"})
}

func anyBytes(_ *testing.T, s *subject) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := map[string]string{"all": string(all), "nul": "\x00", "line": "a\nb\r\n", "spaces": "  a  ", "quote": `"'\`, "utf-8": "schlüssel 鍵"}
	var changes []adapters.Change
	for k, v := range want {
		changes = append(changes, s.set(k, v))
	}
	s.apply(Somewhere, changes...)
	s.want(Somewhere, want)
}

func manyKeys(_ *testing.T, s *subject) {
	want := map[string]string{}
	var changes []adapters.Change
	for i := range 1000 {
		key := fmt.Sprintf("key%d", i*7919%1000)
		want[key] = fmt.Sprint(i)
		changes = append(changes, s.set(key, fmt.Sprint(i)))
	}
	s.apply(Somewhere, changes...)
	s.want(Somewhere, want)
}

func secretValues(t *testing.T, s *subject) {
	if s.secretAnyway() {
		t.Skip("all values of this kind are secret")
	}
	open, closed := s.set("open", "1"), s.set("closed", "2")
	closed.Value.Secret = true
	if err := s.v.Apply(t.Context(), Somewhere, s.batch(open, closed)); err != nil {
		s.want(Somewhere, nil) // a format without a safe place refuses, and writes nothing
		return
	}
	s.want(Somewhere, map[string]string{"open": "1", "closed": "2"})
	have, err := s.v.Load(t.Context(), Somewhere)
	if err != nil {
		t.Fatal(err)
	}
	if have[open.Key].Secret || !have[closed.Key].Secret {
		t.Errorf("Secret is %v and %v, want false and true", have[open.Key].Secret, have[closed.Key].Secret)
	}
	open.Value.Secret, closed.Value.Secret = true, false
	s.apply(Somewhere, open, closed)
	if have, err = s.v.Load(t.Context(), Somewhere); err != nil {
		t.Fatal(err)
	}
	if !have[open.Key].Secret || have[closed.Key].Secret {
		t.Errorf("after a change Secret is %v and %v, want true and false", have[open.Key].Secret, have[closed.Key].Secret)
	}
}

func ownBytes(t *testing.T, s *subject) {
	c := s.set("a", "value")
	given := bytes.Clone(c.Value.Bytes)
	c.Value.Bytes = given
	s.apply(Somewhere, c)
	clear(given)
	have, err := s.v.Load(t.Context(), Somewhere)
	if err != nil {
		t.Fatal(err)
	}
	clear(have[c.Key].Bytes)
	s.want(Somewhere, map[string]string{"a": "value"})
}

// Numbers of the tests with writers at the same time.
const (
	writers = 4
	batches = 5
)

// each runs fn for every writer at the same time.
func each(fn func(writer int)) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { fn(w) })
	}
	wg.Wait()
}

// text is long enough to be torn.
func (s *subject) text(writer, batch int) string {
	return strings.Repeat(fmt.Sprintf("%d-%d ", writer, batch), min(8000, s.maxValue/2)/4)
}

func writersApart(t *testing.T, s *subject) {
	apart := s.apart()
	each(func(w int) {
		for b := range batches {
			err := s.v.Apply(t.Context(), apart[w], adapters.Batch{ID: fmt.Sprintf("%032x", w*batches+b), Token: 1, Origin: origin,
				Changes: []adapters.Change{s.set("a", s.text(w, b)), s.set(fmt.Sprint("b", b), s.text(w, b)), s.delete(fmt.Sprint("b", b-1))}})
			if err != nil {
				t.Error(err)
			}
			if have, err := s.v.Load(t.Context(), apart[w]); err != nil {
				t.Error(err)
			} else if got := have[s.key("a")].Bytes; !bytes.Equal(got, s.value([]byte(s.text(w, b)))) {
				t.Errorf("writer %d reads %s after its batch %d", w, short(got), b)
			}
		}
	})
	for w := range writers {
		s.want(apart[w], map[string]string{"a": s.text(w, batches-1), fmt.Sprint("b", batches-1): s.text(w, batches-1)})
	}
}

func writersTogether(t *testing.T, s *subject) {
	each(func(w int) {
		for b := range batches {
			err := s.v.Apply(t.Context(), Somewhere, adapters.Batch{ID: fmt.Sprintf("%032x", w*batches+b), Token: 1, Origin: origin,
				Changes: []adapters.Change{s.set("one", s.text(w, b)), s.set(fmt.Sprint("own", w), s.text(w, b)), s.set("two", s.text(w, b))}})
			if err != nil {
				t.Error(err)
			}
		}
	})
	have, err := s.v.Load(t.Context(), Somewhere)
	if err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		if got := have[s.key(fmt.Sprint("own", w))].Bytes; !bytes.Equal(got, s.value([]byte(s.text(w, batches-1)))) {
			t.Errorf("the last value of writer %d was lost: %s", w, short(got))
		}
	}
	one, two := have[s.key("one")].Bytes, have[s.key("two")].Bytes
	for _, got := range [][]byte{one, two} {
		whole := false
		for w := range writers {
			whole = whole || bytes.Equal(got, s.value([]byte(s.text(w, batches-1))))
		}
		if !whole {
			t.Errorf("a key that all wrote is %s, the last value of no writer", short(got))
		}
	}
	if s.whole && !bytes.Equal(one, two) {
		t.Errorf("two keys that each batch set are %s and %s", short(one), short(two))
	}
	if len(have) != writers+2 {
		t.Errorf("there are %d keys, want %d", len(have), writers+2)
	}
}

func endedContext(t *testing.T, s *subject) {
	s.apply(Somewhere, s.set("a", "1"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test is over"))
	if err := s.v.Apply(ctx, Somewhere, s.batch(s.set("a", "2"), s.set("b", "2"))); err == nil {
		t.Error("Apply gives no error")
	}
	if _, err := s.v.Load(ctx, Somewhere); err == nil {
		t.Error("Load gives no error")
	}
	if _, err := s.v.Keys(ctx, Somewhere); err == nil {
		t.Error("Keys gives no error")
	}
	s.want(Somewhere, map[string]string{"a": "1"})
}

func silentErrors(t *testing.T, s *subject) {
	const canary = "canary-4f1c"
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test is over"))
	large := s.set("large", "")
	large.Value.Bytes = s.value(bytes.Repeat([]byte(canary), 4*s.maxValue/len(canary)))
	odd := s.set("odd", canary)
	odd.Key = "a\x00b\n" // no key
	long := s.set("long", canary)
	long.Key = strings.Repeat("k", 4*s.maxKey)
	good := s.set("good", canary)
	errs := []error{s.v.Apply(ended, Somewhere, s.batch(good))}
	for _, c := range []adapters.Change{large, odd, long} {
		errs = append(errs, s.v.Apply(t.Context(), Somewhere, s.batch(good, c)))
	}
	given := 0
	for _, err := range errs {
		if err == nil {
			continue // more than an implementation must take
		}
		given++
		text := fmt.Sprintf("%v %+v", err, err)
		for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary))[:12]} {
			if strings.Contains(text, form) {
				t.Errorf("an error of %d bytes holds the value", len(text))
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("an error has several lines: %q", short([]byte(err.Error())))
		}
	}
	if given == 0 {
		t.Error("there was no error at all")
	}
}
