// Package contract drives guests: a request goes in as JSON text, a response
// comes out as JSON text, whatever the guest looks like inside.
//
// # Choosing
//
// A guest speaks a contract when its binary exports the contract's interface,
// under any version, with functions of the right types. File names, manifests
// and version labels are not asked, because published packs show that they lie:
// one label, three shapes. Select gives all contracts of a binary in the order
// of this table; what is asked of the guest is asked through the first that can
// do it. The version in a name is the first two numbers of the export's, for
// people.
//
//	name                                            actions
//	greentic:provision-step@1                       step
//	greentic:provision/provisioner@0.1              step
//	core-step                                       step (the only one of a core module)
//	greentic:component/qa@0.6                       qa-spec, apply-answers
//	greentic:component/component-qa@0.6             qa-spec, apply-answers
//	greentic:component/descriptor@0.6               describe
//	greentic:component/component-descriptor@0.6     describe
//	greentic:component/component-i18n@0.6           i18n
//	greentic:component/node@0.6                     invoke; describe where there is one (CBOR envelopes)
//	greentic:component/node@0.5, @0.4               invoke; describe where there is get-manifest (JSON text)
//	greentic:component/component-runtime@0.6        invoke
//	greentic:component/runtime@0.6                  invoke
//	greentic:provider-schema-core/schema-core-api@1.0
//	                                                invoke, qa-spec, apply-answers, i18n;
//	                                                describe where there is one
//
// # Actions
//
// Requests and responses are JSON objects, but for the responses of describe,
// qa-spec and apply-answers, which are what the component says, as JSON. What
// needs CBOR gets the same value as CBOR, and the other way round (below).
//
//	step           the request of docs/contract.md → the response of docs/contract.md
//	invoke         {"op": text, "input": any, "context": Context}
//	               → {"ok": bool, "output": any, "error": null | {"code", "message", "retryable", "backoff_ms", "details"}}
//	describe       {} → the component's description
//	qa-spec        {"mode": "default"|"setup"|"update"|"remove"} → the component's questions
//	apply-answers  {"mode": …, "answers": {…}, "current_config": {…}|null}
//	               → what the component makes of them: {ok, config, remove, diagnostics, error}
//	i18n           {"locale": text} → {"locale": text, "messages": {key: text}}
//
// An invocation is ok when the contract says so: by its own flag where it has
// one (node 0.6), else by having returned a value. What an output says in a
// member "ok" of its own, and what the results of QA say, is not judged here.
// Context says where the call comes from; every member may be missing:
//
//	env, tenant, team, user, trace_id, correlation_id, session_id, locale,
//	flow_id, node_id, step_id, component_id, provider_id: text; attempt: number
//
// How an action becomes calls is with each contract: step, core, provisioner, qa,
// descriptor, i18n, node, runtime and schemaCore.
//
// # CBOR
//
// From JSON: deterministic (RFC 8949, 4.2.1). Numbers without a fraction are
// integers where 64 bits hold them, all others are floats in their shortest form.
//
// To JSON: one item and nothing behind it, at most 64 levels, maps with text keys
// that differ, arrays and maps of any length form, integers exact, byte strings
// as base64url text without padding. Refused: tags, simple values but true, false
// and null, NaN and infinities, strings in pieces, text that is not UTF-8. No
// bytes at all are null as the output of an invocation.
//
// # Bounds
//
// A response has at most maxOutput bytes of JSON and is never built further than
// that. Everything that a guest returns is copied out of it by the engine, whose
// own limit comes first.
//
// The package is pure: it sees guests only through component.Instance.
package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/component"
)

// Action is what can be asked of a guest.
type Action string

// The actions.
const (
	ActStep         Action = "step"
	ActInvoke       Action = "invoke"
	ActDescribe     Action = "describe"
	ActQASpec       Action = "qa-spec"
	ActApplyAnswers Action = "apply-answers"
	ActI18n         Action = "i18n"
)

// Contract is a way to drive a guest. Implementations hold no state of a guest.
type Contract interface {
	// Name is the contract's stable name.
	Name() string
	// Actions are those that Run takes, at least one.
	Actions() []Action
	// Run does one action in a fresh instance and gives the response text, valid
	// UTF-8 and at most maxOutput bytes. It is JSON, except that for the step of a
	// component or core module of ours the caller has to see whether it is. Errors:
	// *GuestError, *OutputLimit, *component.Trap as the instance gave it; any other
	// error is a fault of our side.
	Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error)
}

// The names of the contracts whose names have no version of the guest's.
const (
	NameComponent = "greentic:provision-step@1"
	NameCore      = "core-step"
)

// maxContracts bounds what Select gives: a binary may export one interface under
// a thousand versions.
const maxContracts = 32

// Select gives every contract that a program of these types speaks, in the
// documented order. The error is a *Mismatch: there is none.
func Select(t component.Types) ([]Contract, error) {
	switch t.Layer {
	case component.LayerComponent:
		return selectComponent(t)
	case component.LayerCore:
		return selectCore(t)
	}
	return nil, newMismatch(t, fmt.Sprintf("unknown binary layer %q", component.Quote(string(t.Layer), maxName)))
}

// Choose gives those of the contracts that go by a name, in their order: the name
// of a contract, with or without its version, or the first words of one
// ("greentic:component"). Contracts that only describe or translate stay behind
// them, whatever they are called: they do nothing that another was chosen for.
// The error is a *Mismatch that names what there is.
func Choose(all []Contract, name string) ([]Contract, error) {
	var chosen, kept []Contract
	for _, c := range all {
		switch {
		case goesBy(c.Name(), name):
			chosen = append(chosen, c)
		case !slices.ContainsFunc(c.Actions(), func(a Action) bool { return a != ActDescribe && a != ActI18n }):
			kept = append(kept, c)
		}
	}
	if len(chosen) == 0 {
		m := &Mismatch{Reason: fmt.Sprintf("the guest does not speak the contract %q", component.Quote(name, maxName))}
		for _, c := range all {
			m.Offered = append(m.Offered, c.Name())
		}
		return nil, m
	}
	return append(chosen, kept...), nil
}

// goesBy says whether prefix is the whole of name or ends where one of its parts
// does.
func goesBy(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && prefix != "" && (rest == "" || strings.ContainsRune(":/@.", rune(rest[0])))
}

// family is an interface that components export: its name without version, and
// how an export of that name becomes a contract.
type family struct {
	iface string
	open  func(e *export) Contract
}

// families is the documented order.
var families = []family{
	{stepInterface, openStep},
	{provisionerInterface, openProvisioner},
	{"greentic:component/qa", openQA},
	{"greentic:component/component-qa", openQA},
	{"greentic:component/descriptor", openDescriptor},
	{"greentic:component/component-descriptor", openDescriptor},
	{"greentic:component/component-i18n", openI18n},
	{nodeInterface, openEnvelopeNode},
	{nodeInterface, openTextNode},
	{"greentic:component/component-runtime", openStateRuntime},
	{"greentic:component/runtime", openRuntime},
	{"greentic:provider-schema-core/schema-core-api", openSchemaCore},
}

// selectComponent looks for the interfaces and decides by the types of their
// functions. A world-level function is not taken: a name like run says nothing
// about what the function is for.
func selectComponent(t component.Types) ([]Contract, error) {
	var found []Contract
	var near *Mismatch
	for _, f := range families {
		for _, item := range t.Exports {
			base, _, _ := strings.Cut(item.Name, "@")
			if item.Kind != component.ItemInstance || base != f.iface {
				continue
			}
			e := &export{item: item}
			c := f.open(e)
			switch {
			case e.miss == nil && len(found) < maxContracts:
				found = append(found, c)
			case e.miss != nil && near == nil:
				near = newMismatch(t, e.miss.reason)
				near.Function = component.Quote(item.Name, maxName) + "#" + e.miss.function
				near.Expected, near.Found = e.miss.expected, e.miss.found
			}
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case near != nil:
		return nil, near
	}
	return nil, newMismatch(t, "the component exports no interface that provisioning knows")
}

// export is an interface that a component exports, while it is compared with a
// contract.
type export struct {
	item component.Item
	miss *miss // the first function that the contract needs and that is not there
}

type miss struct{ reason, function, expected, found string }

// shape is a function type that a contract knows.
type shape struct {
	wit string // for people, when is decides
	is  func(*component.Func) bool
}

// exactly is the shape of one type.
func exactly(wit string) shape {
	return shape{wit, func(f *component.Func) bool { return f.Is(wit) }}
}

// has gives the type of a function when it is there with one of that shape.
func (e *export) has(name string, s shape) *component.Func {
	it, ok := component.Find(e.item.Items, name)
	if ok && it.Kind == component.ItemFunc && it.Func != nil && it.Func.Supported() && s.is(it.Func) {
		return it.Func
	}
	return nil
}

// need is has for a function without which there is no contract.
func (e *export) need(name string, s shape) *component.Func {
	f := e.has(name, s)
	if f == nil && e.miss == nil {
		it, ok := component.Find(e.item.Items, name)
		if ok && it.Kind == component.ItemFunc && it.Func != nil {
			e.miss = &miss{"a function of the contract has another type", name, s.wit, it.Func.Abbreviate(maxType)}
		} else {
			e.miss = &miss{"a function of the contract is missing", name, s.wit, "absent"}
		}
	}
	return f
}

// name is the contract's: the interface and the first two numbers of the version
// that the binary calls it by.
func (e *export) name() string {
	base, version, _ := strings.Cut(e.item.Name, "@")
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if !isNumber(major) || !isNumber(minor) {
		return base
	}
	return base + "@" + major + "." + minor
}

// isNumber takes what a version number of a real interface may be, so that a name
// never carries anything else of the guest's.
func isNumber(s string) bool {
	const most = 4
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// call calls a function of an interface.
func call(ctx context.Context, inst component.Instance, iface, name string, args ...component.Value) (component.Value, error) {
	return inst.Call(ctx, []string{iface, name}, args)
}

// callBytes calls one that gives bytes.
func callBytes(ctx context.Context, inst component.Instance, iface, name string, args ...component.Value) ([]byte, error) {
	v, err := call(ctx, inst, iface, name, args...)
	if err != nil {
		return nil, err
	}
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for bytes", v)
	}
	return b, nil
}

// unknownAction is the error for an action that is not among Actions.
func unknownAction(c Contract, a Action) error {
	return fmt.Errorf("the contract %s was asked for %q, which it does not do", c.Name(), a)
}

// GuestError is a guest's own word that it failed, or the reason why its answer
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
	CodeOutputNotJSON     = "OUTPUT_NOT_JSON"
	CodeOutputNotCBOR     = "OUTPUT_NOT_CBOR" // or not the part of it that JSON can say
	// CodeModeNotOffered is for a mode that is not among those of the guest's type.
	CodeModeNotOffered = "MODE_NOT_OFFERED"
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

// Mismatch says that a program speaks no known contract, or not the one that is
// wanted. Every string in it is escaped and bounded; so are the lists.
type Mismatch struct {
	Reason   string
	Imports  []string // what it imports, and exports
	Exports  []string
	Function string   // when a function has the right name but not the type: its name,
	Expected string   // the type that the contract needs,
	Found    string   // and the one it has
	Offered  []string // the contracts that it does speak; the other lists are empty then
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
	if e.Offered != nil {
		fmt.Fprintf(&b, "; it speaks: %s", list(e.Offered))
	} else {
		fmt.Fprintf(&b, "; exports: %s; imports: %s", list(e.Exports), list(e.Imports))
	}
	return b.String()
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
