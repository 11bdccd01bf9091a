package contract

import (
	"context"
	"fmt"

	"github.com/greentic-ai/greentic-provision/component"
)

// runtime is runtime 0.6.1: invoke(op, input) with CBOR on both sides. The context
// is not said to it.
type runtime struct{ iface, name string }

func openRuntime(e *export) Contract {
	e.need("invoke", exactly(callType))
	return runtime{e.item.Name, e.name()}
}

// callType is the function that does an operation by name on bytes.
const callType = "func(string, list<u8>) -> list<u8>"

func (r runtime) Name() string { return r.name }

func (runtime) Actions() []Action { return []Action{ActInvoke} }

func (r runtime) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	if action != ActInvoke {
		return nil, unknownAction(r, action)
	}
	req, input, err := cborInput(request)
	if err != nil {
		return nil, err
	}
	b, err := callBytes(ctx, inst, r.iface, "invoke", req.Op, input)
	if err != nil {
		return nil, err
	}
	return outcome(maxOutput, true, cborOutput("the output", b))
}

// stateRuntime is component-runtime 0.6.0: run(input, state) with CBOR on both
// sides. It knows neither operation nor context; the state is an empty map, and the
// new one is dropped, as in Greentic's own runner.
type stateRuntime struct{ iface, name string }

func openStateRuntime(e *export) Contract {
	e.need("run", exactly(stateRunType))
	return stateRuntime{e.item.Name, e.name()}
}

const (
	stateRunType = "func(list<u8>, list<u8>) -> record {output: list<u8>, new-state: list<u8>}"

	emptyMap = "\xa0" // in CBOR
)

func (r stateRuntime) Name() string { return r.name }

func (stateRuntime) Actions() []Action { return []Action{ActInvoke} }

func (r stateRuntime) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	if action != ActInvoke {
		return nil, unknownAction(r, action)
	}
	_, input, err := cborInput(request)
	if err != nil {
		return nil, err
	}
	v, err := call(ctx, inst, r.iface, "run", input, []byte(emptyMap))
	if err != nil {
		return nil, err
	}
	fields, _ := v.([]component.Value)
	if len(fields) != 2 {
		return nil, fmt.Errorf("the engine gave %T for a result of run", v)
	}
	output, ok := fields[0].([]byte)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for bytes", fields[0])
	}
	return outcome(maxOutput, true, cborOutput("the output", output))
}
