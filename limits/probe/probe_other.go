//go:build !linux

package probe

import (
	"fmt"
	"runtime"

	"github.com/greentic-ai/greentic-provision/limits"
)

var errNotLinux = fmt.Errorf("probe: not Linux: %w", limits.ErrUnsupported)

func askUserNamespaces() error  { return errNotLinux }
func askSeccomp() error         { return errNotLinux }
func askMDWE() error            { return errNotLinux }
func askNoNewPrivs() error      { return errNotLinux }
func askLandlock() (int, error) { return 0, errNotLinux }

// Kernel names the system, of which nothing more is known.
func Kernel() string { return runtime.GOOS + " " + runtime.GOARCH }
