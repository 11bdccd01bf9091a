package attack

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The numbers and their names, held against another source.
func TestErrnos(t *testing.T) {
	for n, name := range errnoNames {
		if got := unix.ErrnoName(n); got != name {
			t.Errorf("%d is %s, not %s", uint(n), got, name)
		}
	}
}
