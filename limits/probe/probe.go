// Package probe asks the running kernel which walls it can raise. It is for error
// hints and for tests; nothing in the worker depends on it, since a wall that is
// needed is simply raised and its error reported.
//
// Every probe answers in one of three ways:
//
//	nil                             the wall can be raised
//	errors.Is(err, ErrUnsupported)  it cannot, and asking again will not help
//	any other error                 not known: something else went wrong
//
// The first two are kept for the life of the process, the third is asked anew.
package probe

import (
	"errors"
	"sync"

	"github.com/greentic-ai/greentic-provision/limits"
)

// feature keeps the answer of one probe.
type feature struct {
	ask func() error

	mu    sync.Mutex
	known bool
	err   error
}

func (f *feature) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known {
		return f.err
	}
	err := f.ask()
	f.known = err == nil || errors.Is(err, limits.ErrUnsupported)
	f.err = err
	return err
}

var (
	userNamespaces = feature{ask: askUserNamespaces}
	seccompFilter  = feature{ask: askSeccomp}
	mdwe           = feature{ask: askMDWE}
	noNewPrivs     = feature{ask: askNoNewPrivs}

	landlock = feature{ask: func() (err error) {
		landlockABI, err = askLandlock()
		return err
	}}
	landlockABI int // under landlock.mu; does not change once the answer is known
)

// UserNamespaces tells whether the best plan of limits/namespace can be spawned:
// all namespaces of a worker, ids mapped, and mounting allowed inside. It is
// asked by trying, because no set of sysctls answers for security modules and
// quotas. The error names the sysctl that is in the way when one is.
//
// A fork is needed for that, but no program is started: see askUserNamespaces.
func UserNamespaces() error { return userNamespaces.get() }

// Seccomp tells whether filters can be installed and can kill the whole process
// (Linux 4.14).
func Seccomp() error { return seccompFilter.get() }

// MDWE tells whether the kernel knows PR_SET_MDWE (Linux 6.3).
func MDWE() error { return mdwe.get() }

// Landlock gives the version of the ABI that the kernel speaks, from 1 up (Linux
// 5.13). It is unsupported where the kernel was built or booted without.
func Landlock() (abi int, err error) {
	if err := landlock.get(); err != nil {
		return 0, err
	}
	return landlockABI, nil
}

// NoNewPrivs tells whether the kernel knows no_new_privs (Linux 3.5).
func NoNewPrivs() error { return noNewPrivs.get() }
