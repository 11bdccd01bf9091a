package contract

import (
	"context"
	"fmt"

	"github.com/greentic-ai/greentic-provision/component"
)

const (
	nodeInterface = "greentic:component/node"
	nodeInvoke    = "invoke"
	nodeTypes     = "func(record, string, string) -> variant {ok(string), err(record {code: string, message: string, …})}, or " +
		"func(string, record {payload-cbor: list<u8>, …}) -> result<record {ok: bool, output-cbor: list<u8>, …}, record {code: string, message: string, …}>"
)

// textNode is the node of 0.4 and of the shapes that are called 0.5: invoke(ctx, op,
// input), with JSON text. What is in ctx differs from shape to shape, so it is
// filled by the names of its fields; deadline and idempotency key are absent.
// describe is get-manifest.
type textNode struct {
	iface, name string
	invoke      *component.Func
	manifest    bool
}

func openTextNode(e *export) Contract {
	n := textNode{iface: e.item.Name, name: e.name()}
	n.invoke = e.need(nodeInvoke, shape{nodeTypes, func(f *component.Func) bool {
		return len(f.Params) == 3 && isKind(f.Params[0].Type, component.Record) && isFillable(f.Params[0].Type) &&
			isKind(f.Params[1].Type, component.String) && isKind(f.Params[2].Type, component.String) &&
			isKind(f.Result, component.Variant) && len(f.Result.Fields) == 2 &&
			isKind(caseOf(f.Result, "ok"), component.String) && isNodeError(caseOf(f.Result, "err"))
	}})
	n.manifest = e.has("get-manifest", exactly("func() -> string")) != nil
	return n
}

// isNodeError looks at what is read of a node's error.
func isNodeError(t *component.Type) bool {
	return isKind(field(t, "code"), component.String) && isKind(field(t, "message"), component.String) && isPlain(t)
}

// caseOf gives the payload of a variant's case.
func caseOf(t *component.Type, name string) *component.Type {
	for _, c := range t.Fields {
		if c.Name == name {
			return c.Type
		}
	}
	return nil
}

func (n textNode) Name() string { return n.name }

func (n textNode) Actions() []Action {
	if n.manifest {
		return []Action{ActInvoke, ActDescribe}
	}
	return []Action{ActInvoke}
}

func (n textNode) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	switch {
	case action == ActDescribe && n.manifest:
		v, err := call(ctx, inst, n.iface, "get-manifest")
		if err != nil {
			return nil, err
		}
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("the engine gave %T for a string", v)
		}
		return jsonText("the manifest", []byte(text), maxOutput)
	case action != ActInvoke:
		return nil, unknownAction(n, action)
	}
	var req invocation
	if err := read(request, &req); err != nil {
		return nil, err
	}
	v, err := call(ctx, inst, n.iface, nodeInvoke,
		req.Context.known().fill(n.invoke.Params[0].Type, ""), req.Op, string(orNull(req.Input)))
	if err != nil {
		return nil, err
	}
	c, ok := v.(component.Case)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for a variant", v)
	}
	if c.Name == "err" {
		return refused(caseOf(n.invoke.Result, "err"), c.Value, maxOutput)
	}
	text, ok := c.Value.(string)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for a string", c.Value)
	}
	return outcome(maxOutput, true, func(w *writer) error { return w.json("the output", []byte(text)) })
}

// envelopeNode is the node of 0.6: invoke(op, envelope), with CBOR in the envelope.
// It exists with describe and without.
type envelopeNode struct {
	iface, name      string
	invoke, describe *component.Func
}

func openEnvelopeNode(e *export) Contract {
	n := envelopeNode{iface: e.item.Name, name: e.name()}
	n.invoke = e.need(nodeInvoke, shape{nodeTypes, func(f *component.Func) bool {
		return len(f.Params) == 2 && isKind(f.Params[0].Type, component.String) &&
			isBytes(field(f.Params[1].Type, "payload-cbor")) && isFillable(f.Params[1].Type) &&
			isKind(f.Result, component.Result) && isNodeError(f.Result.Err) &&
			isKind(field(f.Result.Ok, "ok"), component.Bool) && isBytes(field(f.Result.Ok, "output-cbor")) && isPlain(f.Result.Ok)
	}})
	n.describe = e.has("describe", shape{is: func(f *component.Func) bool {
		return len(f.Params) == 0 && isKind(f.Result, component.Record) && isPlain(f.Result)
	}})
	return n
}

func (n envelopeNode) Name() string { return n.name }

func (n envelopeNode) Actions() []Action {
	if n.describe != nil {
		return []Action{ActInvoke, ActDescribe}
	}
	return []Action{ActInvoke}
}

func (n envelopeNode) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	switch {
	case action == ActDescribe && n.describe != nil:
		v, err := call(ctx, inst, n.iface, "describe")
		if err != nil {
			return nil, err
		}
		w := newWriter(maxOutput)
		if err := w.value(n.describe.Result, v, ""); err != nil {
			return nil, err
		}
		return w.done()
	case action != ActInvoke:
		return nil, unknownAction(n, action)
	}
	req, payload, err := cborInput(request)
	if err != nil {
		return nil, err
	}
	values := req.Context.known()
	values["payload-cbor"] = payload
	v, err := call(ctx, inst, n.iface, nodeInvoke, req.Op, values.fill(n.invoke.Params[1].Type, ""))
	if err != nil {
		return nil, err
	}
	res, ok := v.(component.Res)
	if !ok {
		return nil, fmt.Errorf("the engine gave %T for a result", v)
	}
	if res.IsErr {
		return refused(n.invoke.Result.Err, res.Value, maxOutput)
	}
	succeeded, ok1 := get(n.invoke.Result.Ok, res.Value, "ok").(bool)
	output, ok2 := get(n.invoke.Result.Ok, res.Value, "output-cbor").([]byte)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("the engine gave %T for an invocation result", res.Value)
	}
	return outcome(maxOutput, succeeded, cborOutput("the output", output))
}
