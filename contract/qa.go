package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
)

// questioning and answering are the requests of ActQASpec and ActApplyAnswers.
type (
	questioning struct {
		Mode string `json:"mode"`
	}
	answering struct {
		Mode          string         `json:"mode"`
		Answers       jsontext.Value `json:"answers"`
		CurrentConfig jsontext.Value `json:"current_config"`
	}
)

// qa is qa 0.6.1 and component-qa 0.6.0: two functions with a mode, and CBOR.
//
// The mode is an enum, and "update" is "upgrade" where the enum calls it so.
// apply-answers comes with two arguments and with three. With three the current
// configuration has one of its own, an empty map where there is none. With two it
// is the answer existing_config, and only in mode update: that is where components
// look for it.
type qa struct {
	iface, name string
	spec, apply *component.Func
}

const (
	qaSpec     = "qa-spec"
	qaApply    = "apply-answers"
	modeUpdate = "update"
)

func openQA(e *export) Contract {
	isMode := func(f *component.Func) bool {
		return len(f.Params) > 0 && isKind(f.Params[0].Type, component.Enum) && isBytes(f.Result)
	}
	q := qa{iface: e.item.Name, name: e.name()}
	q.spec = e.need(qaSpec, shape{"func(enum) -> list<u8>", func(f *component.Func) bool {
		return isMode(f) && len(f.Params) == 1
	}})
	q.apply = e.need(qaApply, shape{"func(enum, list<u8>) -> list<u8>, or func(enum, list<u8>, list<u8>) -> list<u8>", func(f *component.Func) bool {
		return isMode(f) && (len(f.Params) == 2 || len(f.Params) == 3) &&
			!slices.ContainsFunc(f.Params[1:], func(p component.Field) bool { return !isBytes(p.Type) })
	}})
	return q
}

func (q qa) Name() string { return q.name }

func (qa) Actions() []Action { return []Action{ActQASpec, ActApplyAnswers} }

func (q qa) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	switch action {
	case ActQASpec:
		var req questioning
		if err := read(request, &req); err != nil {
			return nil, err
		}
		mode, err := label(q.spec, req.Mode)
		if err != nil {
			return nil, err
		}
		b, err := callBytes(ctx, inst, q.iface, qaSpec, mode)
		if err != nil {
			return nil, err
		}
		return cborJSON("the questions", b, maxOutput)
	case ActApplyAnswers:
		var req answering
		if err := read(request, &req); err != nil {
			return nil, err
		}
		mode, err := label(q.apply, req.Mode)
		if err != nil {
			return nil, err
		}
		args, err := q.args(req)
		if err != nil {
			return nil, err
		}
		b, err := callBytes(ctx, inst, q.iface, qaApply, append([]component.Value{mode}, args...)...)
		if err != nil {
			return nil, err
		}
		return cborJSON("the result", b, maxOutput)
	}
	return nil, unknownAction(q, action)
}

// label is the mode as a function's enum has it.
func label(f *component.Func, mode string) (string, error) {
	labels := f.Params[0].Type.Labels
	switch {
	case slices.Contains(labels, mode):
		return mode, nil
	case mode == modeUpdate && slices.Contains(labels, modeUpgrade):
		return modeUpgrade, nil
	}
	return "", &GuestError{Code: CodeModeNotOffered,
		Message: fmt.Sprintf("the component has no mode %q; it has: %s", component.Quote(mode, maxName), shown(labels))}
}

// modeUpgrade is what the provider contract calls an update.
const modeUpgrade = "upgrade"

func shown(labels []string) string {
	items := make([]component.Item, len(labels))
	for i, l := range labels {
		items[i].Name = l
	}
	return list(names(items))
}

// args are those of apply-answers after the mode.
func (q qa) args(req answering) ([]component.Value, error) {
	given, err := treeOf(orNull(req.Answers))
	if err != nil {
		return nil, err
	}
	answers, ok := given.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the answers of the request are no object")
	}
	current, err := treeOf(orNull(req.CurrentConfig))
	if err != nil {
		return nil, err
	}
	separate := len(q.apply.Params) == 3
	if current != nil && !separate && req.Mode == modeUpdate {
		answers["existing_config"] = current
	}
	b, err := encoder.Marshal(answers)
	if err != nil {
		return nil, err
	}
	if !separate {
		return []component.Value{b}, nil
	}
	config := []byte(emptyMap)
	if current != nil {
		if config, err = encoder.Marshal(current); err != nil {
			return nil, err
		}
	}
	return []component.Value{config, b}, nil
}

// descriptor is descriptor 0.6.1 and component-descriptor 0.6.0: describe gives
// CBOR.
type descriptor struct{ iface, name string }

func openDescriptor(e *export) Contract {
	e.need("describe", exactly(describeType))
	return descriptor{e.item.Name, e.name()}
}

const describeType = "func() -> list<u8>"

func (d descriptor) Name() string { return d.name }

func (descriptor) Actions() []Action { return []Action{ActDescribe} }

func (d descriptor) Run(ctx context.Context, inst component.Instance, action Action, _ []byte, maxOutput int) ([]byte, error) {
	if action != ActDescribe {
		return nil, unknownAction(d, action)
	}
	b, err := callBytes(ctx, inst, d.iface, "describe")
	if err != nil {
		return nil, err
	}
	return cborJSON("the description", b, maxOutput)
}

// i18n is component-i18n of 0.6.1, whose i18n-bundle gives the texts of a locale as
// CBOR, and of 0.6.0, which only has i18n-keys: the names of texts that the
// component does not have.
type i18n struct {
	iface, name string
	bundle      bool
}

func openI18n(e *export) Contract {
	e.need("i18n-keys", exactly("func() -> list<string>"))
	return i18n{e.item.Name, e.name(), e.has("i18n-bundle", exactly("func(string) -> list<u8>")) != nil}
}

func (i i18n) Name() string { return i.name }

func (i18n) Actions() []Action { return []Action{ActI18n} }

func (i i18n) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	if action != ActI18n {
		return nil, unknownAction(i, action)
	}
	locale, err := locale(request)
	if err != nil {
		return nil, err
	}
	if !i.bundle {
		return noMessages(locale, maxOutput)
	}
	b, err := callBytes(ctx, inst, i.iface, "i18n-bundle", locale)
	if err != nil {
		return nil, err
	}
	return cborJSON("the texts", b, maxOutput)
}

// locale reads the request of ActI18n.
func locale(request []byte) (string, error) {
	var req struct {
		Locale string `json:"locale"`
	}
	err := read(request, &req)
	return req.Locale, err
}

func noMessages(locale string, maxOutput int) ([]byte, error) {
	w := newWriter(maxOutput)
	w.raw(`{"locale":`)
	w.text(locale)
	w.raw(`,"messages":{}}`)
	return w.done()
}
