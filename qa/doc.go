// Package qa reads what packs and provider components ask an operator, checks and
// types the answers, and turns what a component makes of them into the response
// of a provisioning step. It runs nothing: the engine asks the component inside
// of the sandbox and hands over its JSON, which is hostile here.
//
// # Forms
//
// A [Form] is one list of questions, whatever they were written in:
//
//   - [ParseSpec] reads a component's own specification. Four kinds of writing are
//     told apart by their members, for real ones mix them: the QA interface of
//     greentic:component 0.6.1 and 0.6.0 (questions with label {key} and kind
//     {type}, the same over schema-core in JSON), the FormSpec of greentic-qa
//     (title, type, default_value, constraint, list), the questions of a setup.yaml
//     written as JSON, and schemas (fields of a described config_schema, properties
//     of a JSON Schema).
//   - [ParseSetup] reads setup.yaml.
//   - [Merge] lays the second over the first. They do not agree in published packs
//     (teams asks for ms_bot_app_id in one and for client_id in the other), so the
//     component is the authority for what is asked and required. setup.yaml gives
//     titles, help, placeholders, groups, secrecy, patterns, choices, defaults,
//     visibility, and the kind where the component only says "text", which published
//     components say of every question, switches and numbers included.
//
// Every question has an id of its own: a second one with the same id is left out
// with an error diagnostic. A kind that is not known is text, with a warning.
//
// # Visibility
//
// A question is hidden while its [Condition] does not hold. Conditions are
// {field, eq} and expressions in setup.yaml, skip_if in component-qa 0.6.0 and the
// expression trees of FormSpec. An expression is
//
//	or    = and { "||" and }
//	and   = term { "&&" term }
//	term  = field | "!" field | field ("==" | "!=") literal
//
// with literals in single or double quotes, numbers, true and false; there are no
// brackets. A field without a comparison holds when its answer is none of false,
// 0, "", "false", "f", "no", "n", "0". Comparisons are of texts, so eq "true" holds
// for true; a field without an answer equals nothing. What is anything else, or
// names a question that the form does not have, is a warning, and the question is
// shown.
//
// # Answers
//
// Answers come flat, as {"config": …, "secrets": …}, either of them under the name
// of the provider, or as the "setup_answers" of a greentic-setup document.
// [Form.Answers] gives them flat, typed and with defaults, which is what a
// component is given; [Form.JSONSchema] describes that form of them and accepts
// what [Form.Check] accepts.
//
// An answer is converted only where a question is of kind boolean, number or
// integer and the answer is a string that is one, and for multichoice, where cards
// give "a,b". The JSON type of an answer to a text question is the operator's:
// components say "text" and then want a bool (telegram's enabled), a number
// (email's port) or a string of digits (state-memory's max_entries), and ignore
// what is anything else.
//
// Null is no answer. "" is one to an optional text question (it may clear a value),
// and then no pattern or length counts.
//
// # Inference
//
// greentic-setup guesses from names and texts ([Question.Inferred]). Here that is
// metadata for those who show a form: it changes no check, no type and no default.
// That a name sounds like a secret does count, in [Classifier].
package qa
