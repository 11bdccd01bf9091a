//go:build !linux

package probe

import (
	"fmt"

	"github.com/greentic-ai/greentic-provision/limits"
)

var errNotLinux = fmt.Errorf("probe: not Linux: %w", limits.ErrUnsupported)

func askUserNamespaces() error { return errNotLinux }
func askSeccomp() error        { return errNotLinux }
func askMDWE() error           { return errNotLinux }
func askNoNewPrivs() error     { return errNotLinux }
