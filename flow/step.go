package flow

import (
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
)

// StepOf says which step of the lifecycle a node is, the first that holds:
//
//  1. by name, what is behind the last "__" of its id, or the whole id:
//     emit_questions and collect are collect; validate, apply and summary are
//     themselves. (Generated flows have <flow>__emit_questions and so on.)
//  2. by operation: describe, emit, qa-spec and qa_spec are collect;
//     validate_answers, validate-answers and validate are validate; apply,
//     apply-answers and apply_answers are apply; render_text, render-text and
//     summary are summary.
//  3. by position, of a node that calls a component: the only node of a flow is
//     apply; the first is collect and the last summary; of four and more the second
//     is validate; the others are apply.
//
// It is none for a node of another kind (emit.*, flow.call, session.wait, state.*)
// that has neither name nor operation, and for a position outside of the flow.
func StepOf(n Node, position, of int) (plan.Step, bool) {
	name := n.ID
	if i := strings.LastIndex(name, "__"); i >= 0 {
		name = name[i+2:]
	}
	switch name {
	case "emit_questions", "collect":
		return plan.Collect, true
	case "validate":
		return plan.Validate, true
	case "apply":
		return plan.Apply, true
	case "summary":
		return plan.Summary, true
	}
	switch n.Operation {
	case "describe", "emit", "qa-spec", "qa_spec":
		return plan.Collect, true
	case "validate_answers", "validate-answers", "validate":
		return plan.Validate, true
	case "apply", "apply-answers", "apply_answers":
		return plan.Apply, true
	case "render_text", "render-text", "summary":
		return plan.Summary, true
	}
	switch kind := kindOf(n, object(n.Mapping)); {
	case kind != "" && kind != componentExec && kind != ProviderInvoke:
		return "", false
	case position < 0 || position >= of:
		return "", false
	case of == 1:
		return plan.Apply, true
	case position == 0:
		return plan.Collect, true
	case position == of-1:
		return plan.Summary, true
	case position == 1 && of >= 4:
		return plan.Validate, true
	}
	return plan.Apply, true
}
