//go:build !linux

package namespace

import (
	"syscall"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Plans reports that there are no namespaces here.
func Plans(Options) ([]Plan, error) {
	return nil, &limits.WallError{Wall: "namespaces", Where: "clone", Err: limits.ErrUnsupported, Hint: Hint(limits.ErrUnsupported)}
}

// SysProcAttr gives an attribute that changes nothing.
func (p Plan) SysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// Hint says what would help.
func Hint(error) string { return "workers need Linux" }
