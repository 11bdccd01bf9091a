package contract

import (
	"context"
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
)

// schemaCore is schema-core-api 1.0.0: invoke(op, input) with JSON on both sides.
// Questions, answers and texts are the operations qa-spec, apply-answers and
// i18n-bundle, asked as Greentic's operator does: an update is an "upgrade" (what
// components do not know, they take for default), and the current configuration is
// a member of its own, left out where there is none. A component of before March
// 2026 does not know the operations and says so in its answer, which is judged by
// the caller; without texts there are no messages. The context is not said to it.
type schemaCore struct {
	iface, name string
	describe    bool
}

func openSchemaCore(e *export) Contract {
	e.need("invoke", exactly(callType))
	return schemaCore{e.item.Name, e.name(), e.has("describe", exactly(describeType)) != nil}
}

func (s schemaCore) Name() string { return s.name }

func (s schemaCore) Actions() []Action {
	actions := []Action{ActInvoke, ActQASpec, ActApplyAnswers, ActI18n}
	if s.describe {
		actions = append(actions, ActDescribe)
	}
	return actions
}

func (s schemaCore) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	switch {
	case action == ActInvoke:
		var req invocation
		if err := read(request, &req); err != nil {
			return nil, err
		}
		b, err := callBytes(ctx, inst, s.iface, "invoke", req.Op, []byte(orNull(req.Input)))
		if err != nil {
			return nil, err
		}
		return outcome(maxOutput, true, func(w *writer) error { return w.json("the output", b) })
	case action == ActQASpec:
		var req questioning
		if err := read(request, &req); err != nil {
			return nil, err
		}
		b, err := s.operation(ctx, inst, qaSpec, map[string]any{"mode": upgrade(req.Mode)})
		if err != nil {
			return nil, err
		}
		return jsonText("the questions", b, maxOutput)
	case action == ActApplyAnswers:
		var req answering
		if err := read(request, &req); err != nil {
			return nil, err
		}
		input := map[string]any{"mode": upgrade(req.Mode), "answers": orNull(req.Answers)}
		if current := orNull(req.CurrentConfig); current.Kind() != 'n' {
			input["current_config"] = current
		}
		b, err := s.operation(ctx, inst, qaApply, input)
		if err != nil {
			return nil, err
		}
		return jsonText("the result", b, maxOutput)
	case action == ActI18n:
		locale, err := locale(request)
		if err != nil {
			return nil, err
		}
		b, err := s.operation(ctx, inst, "i18n-bundle", locale)
		if err != nil {
			return nil, err
		}
		var bundle struct {
			Messages jsontext.Value `json:"messages"`
		}
		if len(b) <= maxOutput && (jsonv2.Unmarshal(b, &bundle) != nil || bundle.Messages.Kind() != '{') {
			return noMessages(locale, maxOutput)
		}
		return jsonText("the texts", b, maxOutput)
	case action == ActDescribe && s.describe:
		b, err := callBytes(ctx, inst, s.iface, "describe")
		if err != nil {
			return nil, err
		}
		return jsonText("the description", b, maxOutput)
	}
	return nil, unknownAction(s, action)
}

// operation calls one whose input is made here.
func (s schemaCore) operation(ctx context.Context, inst component.Instance, op string, input any) ([]byte, error) {
	in, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	return callBytes(ctx, inst, s.iface, "invoke", op, in)
}

func upgrade(mode string) string {
	if mode == modeUpdate {
		return modeUpgrade
	}
	return mode
}
