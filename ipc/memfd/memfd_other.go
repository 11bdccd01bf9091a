//go:build !linux

package memfd

import (
	"fmt"
	"os"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Empty says that there are no such files here.
func Empty(name string) (*os.File, error) {
	return nil, fmt.Errorf("memfd %s: %w", name, limits.ErrUnsupported)
}

// Seal says that there are no such files here.
func Seal(f *os.File) error {
	return fmt.Errorf("memfd %s: seal: %w", f.Name(), limits.ErrUnsupported)
}

func mapped(*os.File, int) ([]byte, func(), error) {
	return nil, nil, fmt.Errorf("memfd: %w", limits.ErrUnsupported)
}
