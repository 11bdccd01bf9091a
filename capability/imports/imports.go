// Package imports is the worker's side of capabilities: it matches what a
// component imports with what there is, and turns the component's typed calls
// into capability operations.
//
// # Matching
//
// An interface is found by package and name; its version is not looked at, and
// some have a second name (greentic:http/client is greentic:http/http-client,
// greentic:state-store/state-store is greentic:state/state-store). Each function
// that the component really imports must then have exactly one of the types given
// below: published Greentic interfaces exist in several shapes under one version,
// so a version says nothing. The tenant's context, which many functions take last
// and which was published with 17, 18 and 19 fields, may be any record. Any subset
// of functions may be imported, and instances that only carry types need nothing.
// WASI is matched by package capability/wasi. One import that nobody offers is
// enough to refuse the program, before any of its code runs.
//
// # Refusals
//
// A refusal by the host (capability.Error) reaches the guest in the convention
// of the interface it called:
//
//	greentic:provision-host/*            err(host-error{code, message}), the
//	greentic:state/state-store           code being capability.Code's text
//	greentic:http/http-client
//	greentic:messaging/session-api
//	greentic:secrets/secret-store
//	greentic:interfaces-host/imports
//	greentic:secrets-store/secrets-store get: err(secrets-error): denied →
//	                                     denied, not_found → not-found, invalid →
//	                                     invalid-key, all others → internal. A
//	                                     secret that does not exist is
//	                                     err(not-found), never ok(none).
//	                                     put has no result: a refusal ends the
//	                                     step (a trap), as in Greentic's runner
//	greentic:oauth-broker/broker-v1      the string
//	                                     {"error":{"code":…,"message":…}}
//	greentic:host/http-v1                err("code: message")
//	greentic:host/kv-v1                  not_found → none; any other ends the step
//
// Every other error of the Caller ends the step. The log and telemetry do not
// cross to the supervisor at all: they go to Options.Log.
package imports

import (
	"context"
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capability/wasi"
	"github.com/greentic-ai/greentic-provision/component"
)

// Caller carries an operation to the host. args and reply are JSON objects
// (capability.Args, capability.Reply). An error that is a *capability.Error is
// a refusal for the guest to see; any other ends the step.
type Caller interface {
	Call(ctx context.Context, op capability.Op, args []byte) (reply []byte, err error)
}

// Options is what else an instance's imports need.
type Options struct {
	// Wasi is the instance's own; nil is an error when the program imports WASI.
	Wasi *wasi.Host
	// Log takes a guest's log text; level is "debug", "info", "warn" or "error".
	// The text is hostile and as long as the guest likes: bound it. nil drops it.
	Log func(level, text string)
}

// Check says whether everything that a program imports is offered. The error is
// a *Missing. It looks at types only, so it can run once per program, before
// anything is instantiated.
func Check(t component.Types) error {
	var m Missing
	for _, it := range t.Imports {
		m.check(it)
	}
	if m.Total > 0 {
		return &m
	}
	return nil
}

// Bind makes the imports of one instance. The error is a *Missing, or says that
// opts is incomplete.
func Bind(t component.Types, caller Caller, opts Options) (component.Imports, error) {
	if err := Check(t); err != nil {
		return nil, err
	}
	all := component.Imports{}
	for _, it := range t.Imports {
		if it.Kind != component.ItemInstance {
			continue // a type: Check lets nothing else through
		}
		if wasi.Offers(it.Name) {
			if opts.Wasi == nil {
				return nil, fmt.Errorf("%s is imported, but Options.Wasi is nil", component.Quote(it.Name, maxName))
			}
			all[it.Name] = opts.Wasi.Bind(it.Name, it.Items)
			continue
		}
		funcs := map[string]component.HostFunc{}
		for _, f := range it.Items {
			if f.Kind != component.ItemFunc {
				continue
			}
			o, _ := find(it.Name, f) // there is one: Check let the program through
			funcs[f.Name] = o.bind(&binding{caller: caller, opts: opts})
		}
		if len(funcs) > 0 {
			all[it.Name] = component.HostInterface{Funcs: funcs}
		}
	}
	return all, nil
}

// Missing lists the imports of a program that nobody offers.
type Missing struct {
	Gaps  []Gap // the first of them, at most 32
	Total int
}

// Gap is one of them. Every string is escaped and bounded.
type Gap struct {
	Import string // "package:name/interface@version#function", or less where there is less
	Want   string // the types it could have, when only the type is wrong,
	Got    string // and the one it has
}

const (
	maxGaps = 32
	maxName = 200
	maxType = 512
)

func (e *Missing) Error() string {
	var b strings.Builder
	b.WriteString("nobody offers ")
	for i, g := range e.Gaps {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(g.Import)
		if g.Want != "" {
			fmt.Fprintf(&b, " as %s (offered: %s)", g.Got, g.Want)
		}
	}
	if more := e.Total - len(e.Gaps); more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// check adds what is missing of one import.
func (e *Missing) check(it component.Item) {
	switch {
	case it.Kind == component.ItemType:
	case it.Kind != component.ItemInstance:
		e.add(Gap{Import: component.Quote(it.Name, maxName)})
	case wasi.Offers(it.Name):
		for _, g := range wasi.Check(it.Name, it.Items) {
			e.add(Gap{Import: member(it.Name, g.Item), Want: g.Want, Got: g.Got})
		}
	default:
		for _, f := range it.Items {
			if f.Kind == component.ItemType {
				continue
			}
			switch o, shapes := find(it.Name, f); {
			case o != nil:
			case len(shapes) == 0:
				e.add(Gap{Import: member(it.Name, f.Name)})
			default:
				e.add(Gap{Import: member(it.Name, f.Name), Want: strings.Join(shapes, " or "), Got: f.Func.Abbreviate(maxType)})
			}
		}
	}
}

func member(iface, item string) string {
	if item == "" {
		return component.Quote(iface, maxName)
	}
	return component.Quote(iface, maxName) + "#" + component.Quote(item, maxName)
}

func (e *Missing) add(g Gap) {
	if e.Total++; len(e.Gaps) < maxGaps {
		e.Gaps = append(e.Gaps, g)
	}
}
