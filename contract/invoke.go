package contract

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// invocation is the request of ActInvoke.
type invocation struct {
	Op      string         `json:"op"`
	Input   jsontext.Value `json:"input"`
	Context origin         `json:"context"`
}

// cborInput reads an invocation, with its input as CBOR.
func cborInput(request []byte) (req invocation, input []byte, err error) {
	if err := read(request, &req); err != nil {
		return req, nil, err
	}
	input, err = toCBOR(orNull(req.Input))
	return req, input, err
}

// origin is the Context of the package comment.
type origin struct {
	Env           *string `json:"env"`
	Tenant        *string `json:"tenant"`
	Team          *string `json:"team"`
	User          *string `json:"user"`
	TraceID       *string `json:"trace_id"`
	CorrelationID *string `json:"correlation_id"`
	SessionID     *string `json:"session_id"`
	Locale        *string `json:"locale"`
	FlowID        *string `json:"flow_id"`
	NodeID        *string `json:"node_id"`
	StepID        *string `json:"step_id"`
	ComponentID   *string `json:"component_id"`
	ProviderID    *string `json:"provider_id"`
	Attempt       uint32  `json:"attempt"`
}

// known gives the origin under every name that the records of published
// components have for it.
func (o origin) known() known {
	k := known{"attempt": uint64(o.Attempt)}
	for _, part := range []struct {
		value *string
		names []string
	}{
		{o.Env, []string{"env", "env-id"}},
		{o.Tenant, []string{"tenant", "tenant-id"}},
		{o.Team, []string{"team", "team-id"}},
		{o.User, []string{"user", "user-id"}},
		{o.TraceID, []string{"trace-id"}},
		{o.CorrelationID, []string{"correlation-id"}},
		{o.SessionID, []string{"session-id"}},
		{o.Locale, []string{"i18n-id"}},
		{o.FlowID, []string{"flow-id"}},
		{o.NodeID, []string{"node-id"}},
		{o.StepID, []string{"step-id"}},
		{o.ComponentID, []string{"component-id"}},
		{o.ProviderID, []string{"provider-id"}},
	} {
		if part.value == nil {
			continue
		}
		for _, name := range part.names {
			k[name] = *part.value
		}
	}
	return k
}

// outcome writes the response of ActInvoke for an output.
func outcome(maxOutput int, ok bool, output func(*writer) error) ([]byte, error) {
	w := newWriter(maxOutput)
	w.raw(`{"error":null,"ok":`)
	w.raw(strconv.FormatBool(ok))
	w.raw(`,"output":`)
	if err := output(w); err != nil {
		return nil, err
	}
	w.raw("}")
	return w.done()
}

// cborOutput writes CBOR output; a guest that has none to give gives no bytes.
func cborOutput(what string, b []byte) func(*writer) error {
	return func(w *writer) error {
		if len(b) == 0 {
			w.raw("null")
			return nil
		}
		return w.cbor(what, b)
	}
}

// refused writes the response of ActInvoke for a node's own error, a record of
// type t. Its details are JSON text or a CBOR item; text that is no JSON becomes a
// string, bytes that are no item null.
func refused(t *component.Type, v component.Value, maxOutput int) ([]byte, error) {
	text := func(name string) string {
		s, _ := get(t, v, name).(string)
		return s
	}
	code := text("code")
	if len(code) > maxCode {
		code = CodeTooLong
	}
	retryable, _ := get(t, v, "retryable").(bool)

	w := newWriter(maxOutput)
	w.raw(`{"error":{"backoff_ms":`)
	if ms, ok := get(t, v, "backoff-ms").(uint64); ok {
		w.raw(strconv.FormatUint(ms, 10))
	} else {
		w.raw("null")
	}
	w.raw(`,"code":`)
	w.text(code)
	w.raw(`,"details":`)
	w.details(get(t, v, "details"))
	w.raw(`,"message":`)
	w.text(hostile.Clip(text("message"), maxMessage))
	w.raw(`,"retryable":`)
	w.raw(strconv.FormatBool(retryable))
	w.raw(`},"ok":false,"output":null}`)
	return w.done()
}

func (w *writer) details(v component.Value) {
	inner := newWriter(w.max)
	switch v := v.(type) {
	case string:
		if inner.json("details", []byte(v)) != nil {
			w.text(v)
			return
		}
	case []byte:
		if inner.cbor("details", v) != nil {
			w.raw("null") // nothing that could be shown
			return
		}
	default:
		w.raw("null")
		return
	}
	w.size += inner.size - len(inner.buf)
	write(w, inner.buf)
}
