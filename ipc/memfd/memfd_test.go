package memfd

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/greentic-ai/greentic-provision/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func need(t *testing.T, f *os.File, err error) *os.File {
	t.Helper()
	if errors.Is(err, limits.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// read copies what Map gives.
func read(f *os.File, size int) ([]byte, error) {
	b, unmap, err := Map(f, size)
	if err != nil {
		return nil, err
	}
	defer unmap()
	return bytes.Clone(b), nil
}

func TestNewIsSealed(t *testing.T) {
	for _, data := range [][]byte{[]byte("x"), bytes.Repeat([]byte("native"), 100_000)} {
		f, err := New("code", data)
		f = need(t, f, err)
		if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%d bytes: write: %v", len(data), err)
		}
		for _, size := range []int64{0, int64(len(data)) + 1} {
			if size != int64(len(data)) {
				if err := f.Truncate(size); !errors.Is(err, os.ErrPermission) {
					t.Errorf("%d bytes: truncate to %d: %v", len(data), size, err)
				}
			}
		}
		if err := Seal(f); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%d bytes: the seals are not sealed: %v", len(data), err)
		}
		if got, err := read(f, len(data)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: read %d, %v", len(data), len(got), err)
		}
		for _, size := range []int{len(data) - 1, len(data) + 1, 1 << 40} {
			if got, err := read(f, size); err == nil || got != nil {
				t.Errorf("%d bytes: read as %d: %d, %v", len(data), size, len(got), err)
			}
		}
	}
}

func TestEmptyThenSeal(t *testing.T) {
	f, err := Empty("out")
	f = need(t, f, err)
	if _, err := f.Write([]byte("native code")); err != nil {
		t.Fatal(err)
	}
	if err := Seal(f); err != nil {
		t.Fatal(err)
	}
	if got, err := read(f, 11); err != nil || string(got) != "native code" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	f, err := Empty("out")
	f = need(t, f, err)
	if _, err := read(f, 5); err == nil || !strings.Contains(err.Error(), "out: shorter than 5") {
		t.Errorf("got %v", err)
	}
	f.Close()
	if err := Seal(f); err == nil || !strings.Contains(err.Error(), "memfd out: seal: ") {
		t.Errorf("seal: %v", err)
	}
	if _, err := read(f, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := Empty(strings.Repeat("x", 300)); err == nil {
		t.Error("a name of 300 bytes")
	}
}
