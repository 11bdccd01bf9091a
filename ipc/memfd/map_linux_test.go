package memfd_test

import (
	"testing"

	"github.com/greentic-ai/greentic-provision/ipc/memfd"
)

func TestMapGivesExactlyWhatTheFileHolds(t *testing.T) {
	f, err := memfd.New("code", []byte("native"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, unmap, err := memfd.Map(f, 6)
	if err != nil || string(b) != "native" {
		t.Fatalf("Map = %q, %v", b, err)
	}
	unmap()
	for _, size := range []int{0, 5, 7, -1, 1 << 40} {
		if _, _, err := memfd.Map(f, size); err == nil {
			t.Errorf("a claim of %d bytes was taken", size)
		}
	}
}
