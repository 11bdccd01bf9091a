package engine

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// RequestContract names the shape of requests and responses. It is not the name
// of the interface that a guest exports: every contract that runs
// steps carries this JSON.
const RequestContract = "greentic:provision-step@1.0.0"

// request is what a step is given; docs/contract.md describes it. It is what
// Greentic's own runner gives, with contract, entry and mode added.
type request struct {
	Contract string       `json:"contract"`
	Step     plan.Step    `json:"step"`
	Entry    pack.Entry   `json:"entry"`
	Mode     string       `json:"mode"` // what the run is for: "install", "update", "delete"
	Inputs   plan.Inputs  `json:"inputs"`
	State    requestState `json:"state"`
}

// modeOf is what a run of an entry is for, in the words of a request. That it is a dry
// run is not told: what a step is told decides what it plans, and the plan that is
// applied must be the one that was reviewed.
func modeOf(entry pack.Entry) string {
	switch entry {
	case pack.EntryUpdate:
		return "update"
	case pack.EntryRemove:
		return "delete"
	}
	return "install"
}

// requestState repeats the answers because modules written for upstream look for
// them in either place.
type requestState struct {
	Answers  json.RawMessage `json:"answers"`
	Previous []previous      `json:"previous"`
}

type previous struct {
	Step   plan.Step  `json:"step"`
	Output StepOutput `json:"output"`
}

// InputError says that the operator's inputs cannot be used. It is a usage
// error, not the pack's.
type InputError struct {
	What   string // "answers", "existing state", "inputs"
	Reason string
	Hint   string
	Err    error // may be nil
}

func (e *InputError) Error() string {
	s := e.What + ": " + e.Reason
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *InputError) Unwrap() error { return e.Err }

// checkInputs gives the inputs with canonical JSON in them.
func checkInputs(in plan.Inputs) (plan.Inputs, error) {
	var err error
	if in.Answers, err = readInput("answers", in.Answers); err != nil {
		return in, err
	}
	if in.Answers == nil {
		in.Answers = json.RawMessage("{}")
	}
	if in.ExistingState, err = readInput("existing state", in.ExistingState); err != nil {
		return in, err
	}
	return in, nil
}

// readInput reads a JSON object, or null for nothing.
func readInput(what string, v json.RawMessage) (json.RawMessage, error) {
	if v == nil || string(v) == "null" {
		return nil, nil
	}
	doc, err := plan.ReadObject(v)
	if err != nil {
		e := &InputError{What: what, Reason: err.Error(), Err: err}
		if j, ok := errors.AsType[*plan.JSONError](err); ok && j.Path != "" {
			e.Reason = "at " + j.Path + ": " + j.Reason
		} else if ok {
			e.Reason = j.Reason
		}
		return nil, e
	}
	return doc, nil
}

// tooLarge is the error of a first request over the limit: nothing but the
// operator's inputs is in it.
func tooLarge(size int, limit limits.Bytes) error {
	return &InputError{
		What:   "inputs",
		Reason: fmt.Sprintf("the request for the first step has %d bytes, over the limit of %s; answers count twice in it", size, limit),
		Hint:   "raise --max-step-input or shorten the answers",
	}
}

// seed makes the guest's randomness: the same for the same pack, inputs and call
// (the n-th of a step, of a node where there is one), and unrelated otherwise.
func seed(packDigest string, in plan.Inputs, step plan.Step, node string, n int) ([32]byte, error) {
	b, err := plan.Canonical(struct {
		Purpose string      `json:"purpose"`
		Pack    string      `json:"pack"`
		Step    plan.Step   `json:"step"`
		Node    string      `json:"node"`
		Call    int         `json:"call"`
		Inputs  plan.Inputs `json:"inputs"`
	}{"greentic-provision seed 2", packDigest, step, node, n, in})
	return sha256.Sum256(b), err
}
