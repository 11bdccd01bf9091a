package engine

import (
	"encoding/json"

	"github.com/greentic-ai/greentic-provision/plan"
)

// invocation is the request of contract.ActInvoke.
type invocation struct {
	Op      string          `json:"op"`
	Input   json.RawMessage `json:"input"`
	Context callContext     `json:"context"`
}

// callContext says where an invocation comes from.
type callContext struct {
	Env        string `json:"env,omitempty"`
	Tenant     string `json:"tenant,omitempty"`
	Team       string `json:"team,omitempty"`
	User       string `json:"user,omitempty"`
	Locale     string `json:"locale,omitempty"`
	FlowID     string `json:"flow_id,omitempty"`
	NodeID     string `json:"node_id,omitempty"`
	StepID     string `json:"step_id,omitempty"`
	ProviderID string `json:"provider_id,omitempty"`
}

// invoked is the response of contract.ActInvoke, whose shape the worker has made:
// what of it is the guest's is in Output, Code and Message.
type invoked struct {
	OK            bool
	Output        json.RawMessage
	Code, Message string // when it is not OK
}

// asOutput gives the output; of an invocation that failed, the form in which
// outputs say so.
func (in invoked) asOutput() json.RawMessage {
	if in.OK {
		return in.Output
	}
	return raw(map[string]any{"ok": false, "error": map[string]string{"code": in.Code, "message": in.Message}})
}

func readInvoked(b []byte) (invoked, error) {
	doc, err := plan.ReadObject(b)
	if err != nil {
		return invoked{}, err
	}
	var wire struct {
		OK     *bool           `json:"ok"`
		Output json.RawMessage `json:"output"`
		Error  *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(doc, &wire); err != nil || wire.OK == nil {
		return invoked{}, &plan.JSONError{Reason: "is not the envelope of an invocation"}
	}
	in := invoked{OK: *wire.OK, Output: wire.Output}
	if in.Output == nil {
		in.Output = json.RawMessage("null")
	}
	if e := wire.Error; e != nil {
		in.Code, in.Message = e.Code, e.Message
	}
	return in, nil
}
