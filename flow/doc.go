// Package flow reads the flow graphs of packs and runs them: nodes that call
// components, whose inputs are templates over what came before. It is pure: a
// component is called through Config.Invoke, so a run can be tested without one.
// All of a flow is hostile, and so is what components put out.
//
// The rules are those of Greentic's runner, read from its source, with its
// defects left out: what it swallows is an error or a warning here.
//
// # Start and order
//
// A flow starts at the node that the entrypoint "default" names, else at its first
// node. It goes from node to node as the routing says, and enters at most
// Config.MaxVisits of them. Its output is that of its last node; where emit nodes
// have emitted, it is the array of all that, with the last output behind it (an
// array is appended element by element, null not at all).
//
// # Templates
//
// All strings among the values of a mapping are templates; names are not. Whoever
// gives a value that a template inserts gives no template: nothing is rendered
// twice. Templates see
//
//	entry, in            the input of the flow, {} where it is null
//	prev                 the output of the node before, {} at the start
//	node.<id>            the output of a node; node["a.b"] where the id has dots
//	state.entry          as entry
//	state.input          as entry, until a component jumps with a payload
//	state.nodes.<id>     {"ok", "payload", "meta"}
//	state.redirect_count
//
// A string that is one path in two or three pairs of braces and nothing else,
// "{{ node.a.list[0] }}", becomes the value that the path names, of whatever type.
// A path is names separated by dots, or in brackets: [0], ["k"], ['k'], [name]; a
// leading this is dropped, and a name of digits finds an element of an array.
// Where the path names nothing, strict runs fail and lenient ones take "" and
// warn. (Upstream has gone from strict to lenient without a warning. Setup flows
// need it: they name values that upstream's operator does not give.)
//
// Any other string with "{{" in it is Handlebars text, see parseTemplate, without
// HTML escaping. A path that names nothing is empty there, with a warning, and an
// array is "[a, b]", an object "[object]". Upstream takes "{{a}} and {{b}}", and
// all that begins and ends with braces, for one path, which never exists; here it
// is text. There are no helpers, and so no side effects; "{{x | default(1)}}",
// which some flows have, is an error.
//
// # Kinds of nodes
//
//	component            any id that is not below; the operation is the node's, else
//	                     the mapping's "operation" or "op", else what is behind the
//	                     last dot of the id. A mapping of "input" and nothing but
//	                     operation, op, component, component_ref and config is the
//	                     input alone; config reaches nobody, with a warning.
//	component.exec       the same, the component being "component" or "component_ref"
//	                     of the mapping
//	flow.call            {"flow_id" or "flow", "input"}; at most MaxCalls deep
//	provider.invoke      {"provider_id" or "provider_type", "op" or "operation",
//	                     "input", "in_map", "out_map", "err_map"}; the maps see "input"
//	                     and "result" besides (the input, or what the provider put
//	                     out), and a string in them that begins with "/" is a JSON
//	                     Pointer
//	emit.*               emits "input", else "payload", else the mapping
//	state.get, state.set {"key", "value"}; lasts for the run
//	session.wait         cannot be: a provisioning run has nobody to wait for
//
// The built-ins questions and template of the flow compiler, and the nodes that
// need services (dw.*, mcp, sorla.*, operala.*, agentic.*, telco-x.*), are errors.
// Components are called once; upstream retries.
//
// # Failure
//
// An output with "ok": false at its top is a failure, whatever stands beside it.
// Upstream asks for an "error" that is an object, and so takes the failures of all
// published components for success. A failure ends the flow unless the routing has
// a route for it.
//
// A component that puts out {"greentic_control": {"v": 1, "action": "jump", "flow",
// "node"?, "payload"?, "hints"?, "max_redirects"?}} sends the run to another flow;
// with the action "respond" it ends it and emits {"text", "card_cbor", "needs_user"}.
//
// # Routing
//
//	end, reply    the flow is at its end
//	next          goes on to one node
//	branch        by the "status" of the output, else by "ok" or "error", else the
//	              default, else an error. Upstream always takes the default.
//	custom        the first of a list of routes that fits: "status" as for branch,
//	              "condition" one of path == "text", path != "text", path. Conditions
//	              see the fields of the output, entry, in, and response, the metadata
//	              and text of the message. Texts are compared without regard to
//	              ASCII case. A route leads "to" a node or, with "out" or "reply", to
//	              the end; one with "on_message" waits and never fits. None fitting is
//	              an error, where upstream ends, or waits.
//
// # Codes
//
// Of texts that are no flow:
//
//	FLOW_SIZE    too large, too many nodes or tokens
//	FLOW_SYNTAX  no JSON, no YAML, or more of it than is allowed
//	FLOW_SHAPE   well-formed and no flow
//
// Of runs:
//
//	FLOW_NOT_FOUND         there is no such flow
//	FLOW_NO_START          the flow has no nodes
//	FLOW_NODE_NOT_FOUND    something leads to a node that is not there
//	FLOW_STEP_CAP          more nodes entered than Config.MaxVisits
//	FLOW_CALL_DEPTH        flow.call nests too deep
//	FLOW_TEMPLATE          a template that is malformed or uses what there is not
//	FLOW_TEMPLATE_PATH     a path names nothing (strict)
//	FLOW_TEMPLATE_STEPS    templates take more steps than MaxTemplateSteps
//	FLOW_INPUT_SIZE        a rendered mapping is larger than Config.MaxInput
//	FLOW_INPUT_DEPTH       a rendered mapping nests deeper than plan.MaxDepth
//	FLOW_OUTPUT_SIZE       the outputs are larger than Config.MaxOutputs or MaxValues
//	FLOW_OUTPUT            an output is no JSON
//	FLOW_MAPPING           a mapping, or the flow's input, is not what it must be
//	FLOW_NO_COMPONENT      component.exec without a component
//	FLOW_NO_OPERATION      a component without an operation
//	FLOW_UNSUPPORTED_NODE  a kind of node that a provisioning run does not have
//	FLOW_WAIT              session.wait, or a component that asks the user
//	FLOW_COMPONENT_FAILED  a component put out "ok": false, and no route is for it
//	FLOW_ROUTING           a routing or condition that is malformed
//	FLOW_NO_ROUTE          no route fits
//	FLOW_CONTROL           a greentic_control that is malformed
//	FLOW_REDIRECTS         more jumps than the last one allows
//
// Warnings:
//
//	TEMPLATE_PATH_MISSING  a path names nothing and became empty
//	FLOW_CONFIG_IGNORED    a node has a config
//	FLOW_NODE_FAILED       a component failed and the routing handled it
//	FLOW_MORE_WARNINGS     there are more warnings than MaxWarnings
package flow
