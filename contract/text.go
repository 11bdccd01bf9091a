package contract

import (
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds the nesting of what crosses from a guest: that of all JSON which
// this program reads (plan.MaxDepth). requestDepth is for what goes to one as CBOR:
// the request of a step has what the steps before it said inside.
const (
	maxDepth     = 64
	requestDepth = 2 * maxDepth
)

// writer builds a response of at most max bytes. What comes after the first byte
// too much is counted and dropped, so that a response is never larger in memory
// than it may be.
type writer struct {
	buf  []byte
	size int
	max  int
}

func newWriter(maxOutput int) *writer { return &writer{max: maxOutput} }

// raw writes what is JSON already.
func (w *writer) raw(s string) { write(w, s) }

func write[T string | []byte](w *writer, s T) {
	w.size += len(s)
	if w.size <= w.max {
		w.buf = append(w.buf, s...)
	}
}

// text writes a JSON string. s is valid UTF-8: the engine or the reader of CBOR
// has seen to it, and what is not becomes U+FFFD.
func (w *writer) text(s string) {
	if w.size > w.max {
		w.size += len(s)
		return
	}
	q, _ := jsontext.AppendQuote(nil, s)
	write(w, q)
}

// json writes JSON text of the guest after a look at it: what is written becomes a
// part of a larger value, so it must be one value itself.
func (w *writer) json(what string, b []byte) error {
	if len(b) > w.max {
		w.size += len(b)
		return nil
	}
	if err := checkJSON(what, b); err != nil {
		return err
	}
	write(w, b)
	return nil
}

func (w *writer) done() ([]byte, error) {
	if w.size > w.max {
		return nil, &OutputLimit{Size: w.size, Limit: w.max}
	}
	return w.buf, nil
}

// jsonText gives a response that is a guest's JSON text as it is.
func jsonText(what string, b []byte, maxOutput int) ([]byte, error) {
	w := newWriter(maxOutput)
	if err := w.json(what, b); err != nil {
		return nil, err
	}
	return w.done()
}

// checkJSON refuses what is not exactly one JSON value, or has duplicate names or
// invalid UTF-8 in it. The error quotes nothing.
func checkJSON(what string, b []byte) error {
	if jsontext.Value(b).IsValid() {
		return nil
	}
	e := &GuestError{Code: CodeOutputNotJSON, Message: what + " is not JSON"}
	var v jsontext.Value
	if at, ok := errors.AsType[*jsontext.SyntacticError](jsonv2.Unmarshal(b, &v)); ok {
		e.Message += fmt.Sprintf(" at byte %d", at.ByteOffset)
	}
	return e
}

// read decodes a request. Requests are ours, so an error is our fault.
func read(request []byte, into any) error {
	if err := jsonv2.Unmarshal(request, into); err != nil {
		return fmt.Errorf("the request cannot be read: %w", err)
	}
	return nil
}

// orNull is the value that stands for one which was not given.
func orNull(v jsontext.Value) jsontext.Value {
	if len(v) == 0 {
		return jsontext.Value("null")
	}
	return v
}
