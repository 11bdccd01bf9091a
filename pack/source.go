package pack

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/plan"
)

// found is the answer of a source to "is there a regular file of this name?".
type found int

const (
	absent found = iota
	present
)

// source is what archives and directories have in common. Names have passed
// checkName; all but find are called for names that find called present.
type source interface {
	find(name string) (found, error)
	// size is how many bytes copy will write, or a little more. It is no larger
	// than what the pack can really hold.
	size(name string) int64
	// copy writes the content and checks it: more than most bytes break rule.
	copy(w io.Writer, name string, most int64, rule Rule) error
	// names lists the files.
	names() ([]string, error)
	// list lists the files directly in a directory, in byte order.
	list(dir string) ([]string, error)
	// finish checks what nobody has read.
	finish(read func(name string) bool) error
	findings() []plan.Diagnostic
}

// contents reads a source so that every file is read once: what is read is hashed
// on the way, and documents are kept, for the check of the pack's integrity wants
// the hashes of everything and some documents again.
type contents struct {
	source
	sums map[string]integrity.Sum
	kept map[string][]byte
	room int64 // how many bytes of documents may still be kept
	// fault is the first error that integrity.Files had no way to return.
	fault error
}

func newContents(src source) *contents {
	return &contents{source: src, sums: map[string]integrity.Sum{}, kept: map[string][]byte{}, room: MaxDocuments}
}

// document reads a whole document.
func (c *contents) document(name string) ([]byte, error) {
	if b, ok := c.kept[name]; ok {
		return b, nil
	}
	var b []byte
	if c.room >= 0 { // else every further document would be read only to be refused
		var err error
		if b, err = c.bytes(name, MaxDocument, RuleDocument); err != nil {
			return nil, err
		}
	}
	if c.room -= int64(len(b)); c.room < 0 {
		return nil, refuse(RuleDocument, name, "", "up to here the documents have more than the %d bytes that are read", MaxDocuments)
	}
	c.kept[name] = b
	return b, nil
}

// bytes reads a file that is wanted whole.
func (c *contents) bytes(name string, most int64, rule Rule) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(c.size(name), most)))
	if err := c.stream(&b, name, most, rule); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// stream passes a file on to w and hashes it.
func (c *contents) stream(w io.Writer, name string, most int64, rule Rule) error {
	h := integrity.NewHash()
	if err := c.copy(io.MultiWriter(w, h), name, most, rule); err != nil {
		return err
	}
	sum := h.Sum()
	if before, again := c.sums[name]; again && sum != before {
		return refuse(RuleTrueSize, name, "leave the pack alone while it is read", "has changed since it was read first")
	}
	c.sums[name] = sum
	return nil
}

// Names implements integrity.Files. What was read is among them, even if it is
// gone by now: it is what runs.
func (c *contents) Names() []string {
	names, err := c.names()
	if c.fault == nil {
		c.fault = err
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(names, maps.Keys(c.sums)))))
}

// Sum implements integrity.Files.
func (c *contents) Sum(name string) (integrity.Sum, error) {
	if s, ok := c.sums[name]; ok {
		return s, nil
	}
	if err := c.there(name); err != nil {
		return integrity.Sum{}, err
	}
	if err := c.stream(io.Discard, name, MaxEntry, RuleEntrySize); err != nil {
		return integrity.Sum{}, err
	}
	return c.sums[name], nil
}

// Read implements integrity.Files.
func (c *contents) Read(name string, most int64) ([]byte, error) {
	if b, ok := c.kept[name]; ok && int64(len(b)) <= most {
		return b, nil
	}
	if err := c.there(name); err != nil {
		return nil, err
	}
	return c.bytes(name, most, RuleDocument)
}

// there gives fs.ErrNotExist for a name that no file has or could have.
func (c *contents) there(name string) error {
	if checkName(name) != nil {
		return fs.ErrNotExist
	}
	f, err := c.find(name)
	if err == nil && f == absent {
		err = fs.ErrNotExist
	}
	return err
}

// end checks what nobody has read, so that a pack is accepted only when all of it
// is sound: what one tool skips, the next one runs.
func (c *contents) end() error {
	return c.finish(func(name string) bool {
		_, ok := c.sums[name]
		return ok
	})
}
