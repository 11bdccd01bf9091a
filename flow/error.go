package flow

import (
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Code says why a flow could not be read or finished. The package comment says
// what each of them means; they do not change.
type Code = string

// The codes of a text that is no flow.
const (
	CodeSize   Code = "FLOW_SIZE"
	CodeSyntax Code = "FLOW_SYNTAX"
	CodeShape  Code = "FLOW_SHAPE"
)

// The codes of a run that could not finish.
const (
	CodeNotFound        Code = "FLOW_NOT_FOUND"
	CodeNoStart         Code = "FLOW_NO_START"
	CodeNodeNotFound    Code = "FLOW_NODE_NOT_FOUND"
	CodeStepCap         Code = "FLOW_STEP_CAP"
	CodeCallDepth       Code = "FLOW_CALL_DEPTH"
	CodeTemplate        Code = "FLOW_TEMPLATE"
	CodeTemplatePath    Code = "FLOW_TEMPLATE_PATH"
	CodeTemplateSteps   Code = "FLOW_TEMPLATE_STEPS"
	CodeInputSize       Code = "FLOW_INPUT_SIZE"
	CodeInputDepth      Code = "FLOW_INPUT_DEPTH"
	CodeOutputSize      Code = "FLOW_OUTPUT_SIZE"
	CodeOutput          Code = "FLOW_OUTPUT"
	CodeMapping         Code = "FLOW_MAPPING"
	CodeNoComponent     Code = "FLOW_NO_COMPONENT"
	CodeNoOperation     Code = "FLOW_NO_OPERATION"
	CodeUnsupportedNode Code = "FLOW_UNSUPPORTED_NODE"
	CodeWait            Code = "FLOW_WAIT"
	CodeComponentFailed Code = "FLOW_COMPONENT_FAILED"
	CodeRouting         Code = "FLOW_ROUTING"
	CodeNoRoute         Code = "FLOW_NO_ROUTE"
	CodeControl         Code = "FLOW_CONTROL"
	CodeRedirects       Code = "FLOW_REDIRECTS"
)

// The codes of warnings, see Trace.Diagnostics.
const (
	WarnPathMissing   Code = "TEMPLATE_PATH_MISSING"
	WarnConfigIgnored Code = "FLOW_CONFIG_IGNORED"
	WarnNodeFailed    Code = "FLOW_NODE_FAILED"
	WarnMore          Code = "FLOW_MORE_WARNINGS"
)

// Error says why a flow could not be read or finished. Flow, Node, Component and
// Operation are raw (quote them before showing them) and "" where none is meant.
// Detail is one line, safe to print: what comes from the pack or a guest is
// quoted, escaped and cut. It may hold what a guest said, and with it a secret:
// scrub it.
type Error struct {
	Flow, Node           string
	Component, Operation string
	Code                 Code
	Detail               string
}

// Error gives one line: where, what was called, which rule, what is wrong.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("flow")
	if e.Flow != "" {
		b.WriteString(" " + hostile.Quote(e.Flow))
	}
	if e.Node != "" {
		b.WriteString(": node " + hostile.Quote(e.Node))
	}
	if e.Component != "" {
		b.WriteString(": component " + hostile.Quote(e.Component))
	}
	if e.Operation != "" {
		b.WriteString(" operation " + hostile.Quote(e.Operation))
	}
	fmt.Fprintf(&b, ": %s: %s", e.Code, e.Detail)
	return b.String()
}

// refuse makes an Error without a place, which callers on the way out fill in.
func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// maxSentence is how much is quoted of a component's own sentence, in bytes.
const maxSentence = 400
