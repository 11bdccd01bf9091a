package pack

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is checked is what runs: a file that somebody exchanges or removes between
// two looks at it is noticed.
func TestAFileThatChangesIsNoticed(t *testing.T) {
	top := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("changed.wasm", "what runs")
	write("removed.wasm", "what runs")
	d, err := openDirectory(top)
	if err != nil {
		t.Fatal(err)
	}
	defer d.root.Close()
	c := newContents(d)
	for _, name := range []string{"changed.wasm", "removed.wasm"} {
		if _, err := c.bytes(name, MaxEntry, RuleEntrySize); err != nil {
			t.Fatal(err)
		}
	}
	write("changed.wasm", "what is signed")
	if err := os.Remove(filepath.Join(top, "removed.wasm")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read("changed.wasm", MaxEntry)
	if e, ok := errors.AsType[*Error](err); !ok || e.Entry != "changed.wasm" || !strings.Contains(e.Detail, "has changed") {
		t.Errorf("got %v", err)
	}
	if names := c.Names(); !slices.Contains(names, "removed.wasm") {
		t.Errorf("the pack consists of %q", names)
	}
}

// Once there is no room for documents, no further one is read only to be refused.
func TestDocumentsWithoutRoomAreNotRead(t *testing.T) {
	top := t.TempDir()
	if err := os.WriteFile(filepath.Join(top, "a"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(top)
	if err != nil {
		t.Fatal(err)
	}
	defer d.root.Close()
	c := newContents(d)
	c.room = -1
	if _, err := c.document("a"); err == nil || d.total != 0 {
		t.Errorf("%d bytes were read, error %v", d.total, err)
	}
}
