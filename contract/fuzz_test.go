package contract_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

// questions are one for each action of each contract that gives JSON, and how a
// guest's bytes and text become an answer to it.
var questions = []struct {
	types   component.Types
	action  contract.Action
	request string
	answer  func(b []byte, s string) component.Value
}{
	{descriptorTypes, contract.ActDescribe, `{}`, asBytes},
	{runtimeTypes, contract.ActInvoke, `{"op":"go"}`, asBytes},
	{stateTypes, contract.ActInvoke, `{"op":"go"}`, func(b []byte, s string) component.Value { return values(b, []byte(s)) }},
	{qaTypes, contract.ActQASpec, `{"mode":"setup"}`, asBytes},
	{qaTypes, contract.ActApplyAnswers, `{"mode":"update","answers":{}}`, asBytes},
	{oldQATypes, contract.ActApplyAnswers, `{"mode":"update","answers":{}}`, asBytes},
	{i18nTypes, contract.ActI18n, `{"locale":"de"}`, asBytes},
	{schemaCoreTypes, contract.ActInvoke, `{"op":"go"}`, asBytes},
	{schemaCoreTypes, contract.ActQASpec, `{"mode":"setup"}`, asBytes},
	{schemaCoreTypes, contract.ActApplyAnswers, `{"mode":"setup","answers":{}}`, asBytes},
	{schemaCoreTypes, contract.ActI18n, `{"locale":"de"}`, asBytes},
	{schemaCoreTypes, contract.ActDescribe, `{}`, asBytes},
	{textNode("0.5.0", record()), contract.ActInvoke, `{"op":"go"}`, func(_ []byte, s string) component.Value { return component.Case{Name: "ok", Value: s} }},
	{textNode("0.5.0", record()), contract.ActInvoke, `{"op":"go"}`, func(_ []byte, s string) component.Value {
		return component.Case{Name: "err", Value: values(s, s, true, component.Some(uint64(len(s))), component.Some(s))}
	}},
	{textNode("0.5.0", record()), contract.ActDescribe, `{}`, func(_ []byte, s string) component.Value { return s }},
	{envelopeNode(true), contract.ActInvoke, `{"op":"go"}`, func(b []byte, s string) component.Value {
		return component.Ok(values(len(s)%2 == 0, b, component.Some([]byte(s))))
	}},
	{envelopeNode(true), contract.ActInvoke, `{"op":"go"}`, func(b []byte, s string) component.Value {
		return component.Res{IsErr: true, Value: values(s, s, false, component.None, component.Some(b))}
	}},
	{envelopeNode(true), contract.ActDescribe, `{}`, func(b []byte, s string) component.Value { return values(s, int32(len(b))) }},
	{provisionerTypes, contract.ActStep, `{"step":"validate"}`, planned},
	{provisionerTypes, contract.ActStep, `{"step":"apply"}`, planned},
}

func asBytes(b []byte, _ string) component.Value { return b }

// planned is a plan with the words everywhere.
func planned(b []byte, s string) component.Value {
	other := strings.ToValidUTF8(string(b), "?")
	return values(component.Some(s), component.Some(other), values(values("create", s, other, values(s, other))), values(values("delete", other, s)),
		values(values(s, other, s, component.Some(other), component.None)))
}

// FuzzGuests asks everything of guests that answer with anything. What comes of it is
// one JSON value within its bound, or the guest's fault; never ours, and never both.
func FuzzGuests(f *testing.F) {
	for i := range questions {
		f.Add(uint8(i), []byte("\xa2\x61a\x82\x01\xf6\x62ok\xf4"), `{"set":{"k":{"redacted":false,"value":"v"}},"delete":["d"]}`, 1000)
		f.Add(uint8(i), []byte(`{"messages":{"k":"t"}}`), `{"k":"v","n":null}`, 40)
		f.Add(uint8(i), []byte("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), "error\x1b", 0)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte, s string, limit int) {
		if int(which) >= len(questions) {
			return
		}
		limit &= 0xffff
		q := questions[which]
		s = strings.ToValidUTF8(s, "?") // the engine sees to that
		inst := &instance{call: func(path []string, _ []component.Value) (component.Value, error) {
			if path[len(path)-1] == "apply" {
				return values(diagnosis(s, s)), nil
			}
			return q.answer(b, s), nil
		}}
		out, err := pick(t, q.types, q.action).Run(t.Context(), inst, q.action, []byte(q.request), limit)
		switch {
		case (err == nil) == (out == nil):
			t.Fatalf("neither or both of an answer and an error: %q, %v", out, err)
		case ours(err):
			t.Fatalf("the guest's doing is called ours: %v", err)
		case err == nil && (len(out) > limit || !jsontext.Value(out).IsValid()):
			t.Fatalf("%d bytes under a limit of %d: %s", len(out), limit, out)
		}
		if g, ok := errors.AsType[*contract.GuestError](err); ok {
			if text := g.Error(); len(text) > 20_000 || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("unfit to print: %q", text)
			}
		}
	})
}
