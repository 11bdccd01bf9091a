package contract

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

const (
	stepInterface = "greentic:provision-step/step"
	stepFunc      = "run"
	stepType      = "func(string) -> result<string, record {code: string, message: string}>"
)

// step is our own contract: the request is the argument of run, the response its
// result. path is where run is exported: the interface name carries a version that
// only the binary knows.
type step struct{ path []string }

func openStep(e *export) Contract {
	e.need(stepFunc, exactly(stepType))
	return step{path: []string{e.item.Name, stepFunc}}
}

func (step) Name() string { return NameComponent }

func (step) Actions() []Action { return []Action{ActStep} }

func (s step) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	if action != ActStep {
		return nil, unknownAction(s, action)
	}
	v, err := inst.Call(ctx, s.path, []component.Value{string(request)})
	if err != nil {
		return nil, err
	}
	res, ok := v.(component.Res)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for a result", v)
	}
	if res.IsErr {
		return nil, failure(res.Value)
	}
	out, ok := res.Value.(string)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for a string", res.Value)
	}
	return response(out, maxOutput)
}

// failure reads the record that a step returns when it cannot answer.
func failure(v component.Value) error {
	fields, _ := v.([]component.Value)
	if len(fields) == 2 {
		code, ok1 := fields[0].(string)
		message, ok2 := fields[1].(string)
		if ok1 && ok2 {
			if len(code) > maxCode {
				code = CodeTooLong
			}
			return &GuestError{Code: code, Message: hostile.Clip(message, maxMessage)}
		}
	}
	return fmt.Errorf("the engine gave %T for a failure record", v)
}

// response checks what must be checked of an answer whose text is the guest's.
func response[T string | []byte](out T, maxOutput int) ([]byte, error) {
	if len(out) > maxOutput {
		return nil, &OutputLimit{Size: len(out), Limit: maxOutput}
	}
	b := append([]byte(nil), out...) // guest memory is only ours until the next call
	if !utf8.Valid(b) {
		return nil, &GuestError{Code: CodeOutputNotUTF8, Message: "the response is not UTF-8 text"}
	}
	return b, nil
}
