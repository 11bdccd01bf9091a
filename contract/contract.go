// Package contract drives one guest contract: a step's request goes in as JSON
// text, its response comes out as JSON text, whatever the guest looks like
// inside.
//
// Two contracts are known:
//
//   - "greentic:provision-step@1": a component that exports the interface
//     greentic:provision-step/step (see wit/).
//   - "core-step": a core module without imports that exports a memory and
//     run : (ptr, len) -> (ptr, len), the older contract of Greentic's packs.
//
// Which one a guest speaks is read from its binary: the layer and the types of
// what it exports. File names, manifests and version labels are not asked,
// because published packs show that they lie (one label, three shapes).
//
// The package is pure: it sees guests only through component.Instance.
package contract

import (
	"context"
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/component"
)

// Contract is a way to run a step. Implementations hold no state of a guest.
type Contract interface {
	// Name is the contract's stable name.
	Name() string
	// Run runs one step in a fresh instance and gives the response text, valid
	// UTF-8 and at most maxOutput bytes; whether it is JSON is for the caller to
	// see. Errors: *GuestError, *OutputLimit, *component.Trap as the instance
	// gave it; any other error is a fault of our side.
	Run(ctx context.Context, inst component.Instance, request []byte, maxOutput int) ([]byte, error)
}

// The names of the contracts.
const (
	NameComponent = "greentic:provision-step@1"
	NameCore      = "core-step"
)

// Select gives the contract that a program of these types speaks. The error is
// a *Mismatch.
func Select(t component.Types) (Contract, error) {
	switch t.Layer {
	case component.LayerComponent:
		return selectComponent(t)
	case component.LayerCore:
		return selectCore(t)
	}
	return nil, newMismatch(t, fmt.Sprintf("unknown binary layer %q", component.Quote(string(t.Layer), maxName)))
}

// GuestError is a step's own word that it failed, or the reason why its answer
// cannot be taken. Code and Message are the guest's (hostile, bounded) unless
// the code is one of the Code constants of this package.
type GuestError struct {
	Code    string
	Message string
}

func (e *GuestError) Error() string {
	// The code is bounded already; cutting it once more would leave half a secret in
	// the middle of the text, where nobody looks for one.
	return component.Quote(e.Code, len(e.Code)) + ": " + component.Quote(e.Message, maxMessage)
}

// The codes that this package gives itself.
const (
	CodeInputDoesNotFit   = "INPUT_DOES_NOT_FIT"
	CodeOutputOutOfBounds = "OUTPUT_OUT_OF_BOUNDS"
	CodeOutputNotUTF8     = "OUTPUT_NOT_UTF8"
	// CodeTooLong is in the place of a guest's code of more than maxCode bytes.
	CodeTooLong = "FAILURE_CODE_TOO_LONG"
)

const (
	maxCode    = 128
	maxMessage = 4 << 10
)

// OutputLimit says that a response was larger than the caller takes.
type OutputLimit struct {
	Size, Limit int
}

func (e *OutputLimit) Error() string {
	return fmt.Sprintf("the response has %d bytes, over the limit of %d", e.Size, e.Limit)
}

// Mismatch says that a program speaks no known contract. Every string in it is
// escaped and bounded; so are the lists.
type Mismatch struct {
	Reason   string
	Imports  []string // what it imports, and exports
	Exports  []string
	Function string // when a function has the right name but not the type: its name,
	Expected string // the type that the contract needs,
	Found    string // and the one it has
}

const (
	maxNames = 32  // names listed in a Mismatch
	maxName  = 128 // bytes of one name
	maxType  = 512 // bytes of a type
)

func newMismatch(t component.Types, reason string) *Mismatch {
	return &Mismatch{Reason: reason, Imports: names(t.Imports), Exports: names(t.Exports)}
}

// names lists items as they may be shown.
func names(items []component.Item) []string {
	list := make([]string, 0, min(len(items), maxNames+1))
	for i, it := range items {
		if i == maxNames {
			return append(list, fmt.Sprintf("and %d more", len(items)-maxNames))
		}
		list = append(list, component.Quote(it.Name, maxName))
	}
	return list
}

func (e *Mismatch) Error() string {
	var b strings.Builder
	b.WriteString(e.Reason)
	if e.Function != "" {
		fmt.Fprintf(&b, ": %s is %s, expected %s", e.Function, e.Found, e.Expected)
	}
	fmt.Fprintf(&b, "; exports: %s; imports: %s", list(e.Exports), list(e.Imports))
	return b.String()
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
