package pack

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"
)

var errDisk = errors.New("input/output error")

// failing fails at its n-th read, as an *os.File would.
type failing struct {
	r *bytes.Reader
	n int
}

func (f *failing) ReadAt(b []byte, offset int64) (int, error) {
	f.n--
	if f.n == 0 {
		return 0, &fs.PathError{Op: "read", Path: "x.gtpack", Err: errDisk}
	}
	return f.r.ReadAt(b, offset)
}

// A disk that fails in the middle of an archive is no fault of the pack,
// wherever it happens.
func TestReadFaults(t *testing.T) {
	var b bytes.Buffer
	err := Write(&b, fstest.MapFS{
		"pack.json":                {Data: []byte(`{"id":"p","version":"1","meta":{"entry_flows":{"setup":"s"}}}`)},
		"setup_default__apply.wat": {Data: []byte("(module)")},
		"README.md":                {Data: []byte("not needed, and read all the same")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		r := &failing{bytes.NewReader(b.Bytes()), n}
		_, err := openReader(r, int64(b.Len()), "x.gtpack", Options{}, false)
		if r.n > 0 { // not reached
			if err != nil {
				t.Fatal(err)
			}
			if n < 10 {
				t.Errorf("only %d reads", n)
			}
			return
		}
		if _, ours := errors.AsType[*Error](err); ours || !errors.Is(err, errDisk) {
			t.Errorf("read %d: got %v; want %v", n, err, errDisk)
		}
	}
}
