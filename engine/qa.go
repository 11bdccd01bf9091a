package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// interview is the lifecycle over a component that has questions:
//
//	collect   what the component says of itself, its questions for the mode, its
//	          texts; merged with the pack's own (setup.yaml)
//	validate  the answers held against the questions, then the component's verdict:
//	          what it makes of the answers
//	apply     the same as a patch, secrets told from configuration; nobody is asked
//	summary   what changes; nobody is asked
type interview struct {
	*run
	component int
	does      Examined
	mode      string

	describe   json.RawMessage
	form       *qa.Form
	classifier *qa.Classifier
	required   map[string]bool // by setup.yaml
	messages   qa.Bundle
	answers    json.RawMessage // the operator's, flat and typed, with defaults
	current    json.RawMessage
	stored     map[string]bool // fields of current that are stored secrets
	accepted   json.RawMessage // what the component made of the answers, as a response
	effects    []hostRecord    // and what it did through the host meanwhile
	changes    changes
}

// extensionIngress is there when the provider is reached from outside, so that a
// webhook has to be registered (pack.Blueprint.Extensions).
const extensionIngress = "messaging.provider_ingress.v1"

// The modes of questions.
const (
	ModeDefault = "default"
	ModeSetup   = "setup"
	ModeUpdate  = "update"
	ModeRemove  = "remove"
)

// Modes lists the modes of questions.
var Modes = []string{ModeDefault, ModeSetup, ModeUpdate, ModeRemove}

// mode gives the mode in which an entry asks its questions.
func mode(entry pack.Entry) string {
	switch entry {
	case pack.EntryUpdate:
		return ModeUpdate
	case pack.EntryRemove:
		return ModeRemove
	}
	return ModeSetup
}

func (r *run) questions(ctx context.Context, chosen Chosen) error {
	q := &interview{run: r, component: chosen.Way.Component, does: chosen.Examined[chosen.Way.Component], mode: r.Mode, required: map[string]bool{}}
	if q.mode == "" {
		q.mode = mode(r.Blueprint.Entry)
	}
	for i, stage := range []func(context.Context, *stage) (json.RawMessage, error){q.collect, q.validate, q.apply, q.summary} {
		step := plan.Steps[i]
		st, err := r.begin(step, q.component)
		if err != nil {
			return err
		}
		response, err := stage(ctx, st)
		if err != nil {
			return err
		}
		resp := plan.Response{}
		if st.Verdict == limits.OK {
			resp = r.read(st, response)
		}
		if !r.end(st, resp) {
			r.reportRest(step, plan.Steps[i+1:])
			return nil
		}
		if step == r.Until {
			return nil
		}
	}
	return nil
}

// say asks the component and reads its answer as JSON. It is nil when the answer
// cannot be used; the stage then says why.
func (q *interview) say(ctx context.Context, st *stage, action contract.Action, request any) (json.RawMessage, error) {
	b, err := q.ask(ctx, st, action, request)
	if b == nil || err != nil {
		return nil, err
	}
	v, err := plan.ReadObject(b)
	if err != nil {
		q.unreadable(st, err)
		return nil, nil
	}
	if action != contract.ActApplyAnswers && refused(v) {
		// "unsupported op: qa-spec", in the words of schema-core.
		doc, _ := plan.Tree(v).(map[string]any)
		st.Verdict, st.Observer = limits.GuestError, limits.ByWorker
		st.report(q.refused(st.StepResult, first(doc, "error", "message")))
		return nil, nil
	}
	return v, nil
}

// unreadable ends the step for an answer that is not what its contract says.
func (q *interview) unreadable(st *stage, err error) {
	st.Verdict, st.Observer = limits.GuestError, limits.BySupervisor
	st.report(q.malformed(st.StepResult, err))
}

func (q *interview) collect(ctx context.Context, st *stage) (json.RawMessage, error) {
	var found []plan.Diagnostic
	var err error
	if _, ok := q.does.Does(contract.ActDescribe); ok {
		if q.describe, err = q.say(ctx, st, contract.ActDescribe, struct{}{}); q.describe == nil || err != nil {
			return nil, err
		}
	}
	if _, ok := q.does.Does(contract.ActI18n); ok {
		texts, err := q.say(ctx, st, contract.ActI18n, map[string]string{"locale": q.locale()})
		if texts == nil || err != nil {
			return nil, err
		}
		if q.messages, err = qa.ParseMessages(texts); err != nil {
			q.unreadable(st, err)
			return nil, nil
		}
	}
	spec, err := q.say(ctx, st, contract.ActQASpec, map[string]string{"mode": q.mode})
	if spec == nil || err != nil {
		return nil, err
	}
	form, ds, err := qa.ParseSpec(spec, q.messages)
	if err != nil {
		q.unreadable(st, err)
		return nil, nil
	}
	found = append(found, ds...)
	setup, ds := q.setup()
	found = append(found, ds...)
	if setup != nil {
		for _, question := range setup.Questions {
			q.required[question.ID] = question.Required
		}
	}
	if q.form, ds = qa.Merge(form, setup); q.mode != ModeRemove {
		found = append(found, ds...) // setup.yaml asks what a setup needs
	}
	requirements, ds := q.secretRequirements()
	found = append(found, ds...)
	q.classifier = qa.NewClassifier(secretsOf(form, setup, q.Inputs.Answers), q.describe, requirements)
	found = append(found, q.stranger()...)

	q.classifier.Mark(q.form)
	q.keepTexts(form)
	q.current = q.currentConfig()
	q.prefill()
	q.offerBaseURL()
	if q.answers, err = q.form.Answers(q.Inputs.Answers); err != nil {
		return nil, &InputError{What: "answers", Reason: err.Error(), Err: err}
	}
	if size := len(q.Inputs.Answers) + len(q.current); limits.Bytes(size) > q.Limits.StepInput {
		return nil, &InputError{What: "inputs", Hint: "raise --max-step-input or shorten the answers",
			Reason: fmt.Sprintf("the answers and the configuration that exists have %d bytes, over the limit of %s", size, q.Limits.StepInput)}
	}
	q.learnSecrets()
	q.run.result.Form, q.run.result.Spec = q.form, spec
	return plan.Canonical(map[string]any{
		"mode": q.mode, "provider": qa.DescribedProvider(q.describe), "spec": spec, "schema": q.form.JSONSchema(),
		"questions": q.form.AdaptiveCard(), "diagnostics": nonNil(found),
	})
}

// setup reads what the pack says about its questions.
func (r *run) setup() (*qa.Form, []plan.Diagnostic) {
	doc, parse := r.Blueprint.Setup, qa.ParseSetup
	if doc == nil {
		if doc = r.Blueprint.QuestionForm; doc == nil {
			return nil, nil
		}
		parse = func(b []byte) (*qa.Form, []plan.Diagnostic, error) { return qa.ParseSpec(b, nil) }
	}
	form, ds, err := parse(doc.Bytes)
	if err != nil {
		return nil, []plan.Diagnostic{{Severity: plan.Warn, Code: "QUESTIONS_UNREADABLE", Path: doc.Path,
			Message: fmt.Sprintf("the questions that the pack states cannot be read: %s", err),
			Hint:    "report it to the pack's author; titles, help and secrecy from there are missing"}}
	}
	return form, ds
}

// secretRequirements reads which secrets the pack says it needs.
func (r *run) secretRequirements() ([]qa.SecretRequirement, []plan.Diagnostic) {
	doc := r.Blueprint.SecretRequirements
	if doc == nil {
		return nil, nil
	}
	list, err := qa.ParseSecretRequirements(doc.Bytes)
	if err != nil {
		return nil, []plan.Diagnostic{{Severity: plan.Warn, Code: "SECRET_REQUIREMENTS_UNREADABLE", Path: doc.Path,
			Message: fmt.Sprintf("the secrets that the pack says it needs cannot be read: %s", err),
			Hint:    "report it to the pack's author"}}
	}
	return list, nil
}

// keepTexts takes the component's labels and helps back where they are in the
// language that was asked for and the pack's own, in setup.yaml, are in English.
func (q *interview) keepTexts(component *qa.Form) {
	if strings.HasPrefix(strings.ToLower(q.locale()), "en") || len(q.messages) == 0 {
		return
	}
	translated := map[string]bool{} // a key without a message is none
	for _, text := range q.messages {
		translated[text] = true
	}
	keep := func(text *string, own string) {
		if translated[own] {
			*text = own
		}
	}
	own := map[string]qa.Question{}
	for _, question := range component.Questions {
		own[question.ID] = question
	}
	for i := range q.form.Questions {
		question := &q.form.Questions[i]
		keep(&question.Label, own[question.ID].Label)
		keep(&question.Help, own[question.ID].Help)
	}
	keep(&q.form.Title, component.Title)
	keep(&q.form.Description, component.Description)
}

// prefill makes what exists the default of an update, and nothing else: the default
// of a setup would overwrite what was configured since. What exists need not be
// answered again.
func (q *interview) prefill() {
	if q.mode != ModeUpdate {
		return
	}
	current, _ := plan.Tree(q.current).(map[string]any)
	for i := range q.form.Questions {
		question := &q.form.Questions[i]
		v, exists := current[question.ID]
		question.Default = nil
		if exists && v != nil {
			question.Required = false
			if !question.Secret {
				question.Default = raw(v)
			}
		}
	}
}

// stranger warns of a component that describes itself as another provider than
// the pack says: seven published messaging packs carry one and the same dummy.
func (q *interview) stranger() []plan.Diagnostic {
	says := qa.DescribedProvider(q.describe)
	p := q.Blueprint.Provider
	if says == "" || p == nil || qa.SameProvider(says, p.Type, p.Component, q.Blueprint.Manifest.ID) {
		return nil
	}
	return []plan.Diagnostic{{Severity: plan.Warn, Code: "PROVIDER_MISMATCH", Path: q.Blueprint.Components[q.component].Path,
		Message: fmt.Sprintf("the pack says that this component is the provider %q, and the component describes itself as %q", p.Type, says),
		Hint:    "the pack was probably built with the wrong binary; report it to the pack's author"}}
}

// baseURL is the question that the operator answers with --public-base-url.
const baseURL = "public_base_url"

// offerBaseURL makes the operator's public base URL the default of the question for
// it: whatever shape the answers have, it counts where they do not answer that.
func (q *interview) offerBaseURL() {
	url := q.Inputs.PublicBaseURL
	for i := range q.form.Questions {
		if question := &q.form.Questions[i]; question.ID == baseURL && url != nil && *url != "" {
			question.Default = raw(*url)
		}
	}
}

// secretsOf gives what there is to know of secrets from questions: those that
// setup.yaml asks, and those of the component's that ask for one or are answered in
// the section "secrets".
func secretsOf(component, setup *qa.Form, answers json.RawMessage) *qa.Form {
	f := &qa.Form{}
	// What the operator gives as a secret is one.
	given, _ := plan.Tree(answers).(map[string]any)
	section, _ := given["secrets"].(map[string]any)
	for _, question := range component.Questions {
		if _, ok := section[question.ID]; ok {
			question.Secret = true
			f.Questions = append(f.Questions, question)
		}
	}
	if setup != nil {
		f.Questions = append(f.Questions, setup.Questions...)
	}
	for _, question := range component.Questions {
		if question.Secret {
			f.Questions = append(f.Questions, question)
		}
	}
	return f
}

// learnSecrets makes answers and configuration known as secrets that are by their
// classification. A default is the pack's word and not the operator's: an address
// that a pack calls a secret by default must not pass for one that its reviewer
// knows.
func (q *interview) learnSecrets() {
	q.learn(q.classifier)
	fields, _ := plan.Tree(q.answers).(map[string]any)
	for _, question := range q.form.Questions {
		switch v := raw(fields[question.ID]); {
		case !question.Secret:
		case bytes.Equal(v, question.Default):
			q.guests = append(q.guests, plan.Values(v)...)
		default: // in another form than it was given, perhaps
			q.operators = append(q.operators, plan.Values(v)...)
		}
	}
	q.operators = append(q.operators, slices.Collect(maps.Values(q.Secrets))...)
}

// currentConfig is the configuration that exists, with its secrets: a component
// that updates its own configuration gets all of it that it may know. null without a
// state.
func (q *interview) currentConfig() json.RawMessage {
	state, _ := plan.Tree(q.Inputs.ExistingState).(map[string]any)
	config, _ := state["config"].(map[string]any)
	if config == nil && len(q.Secrets) == 0 {
		return json.RawMessage("null")
	}
	current := maps.Clone(config)
	if current == nil {
		current = map[string]any{}
	}
	q.stored = map[string]bool{}
	for k, v := range q.Secrets {
		current[q.classifier.Field(k)] = v
		q.stored[q.classifier.Field(k)] = true
	}
	return raw(current)
}

func (q *interview) validate(ctx context.Context, st *stage) (json.RawMessage, error) {
	found := q.form.Check(q.Inputs.Answers)
	for i := range found {
		found[i].Message = q.scrubQuoted(found[i].Message) // it names choices, cut
	}
	if !plan.HasErrors(found) || q.doubtful() {
		b, err := q.result(ctx, st)
		if b == nil || err != nil {
			return nil, err
		}
		verdict, err := plan.DecodeResponse(b)
		if err != nil { // the component's config fits no plan
			q.unreadable(st, err)
			return nil, nil
		}
		if verdict.Failed {
			found = append(found, verdict.Diagnostics...)
		} else {
			for i := range found {
				if d := &found[i]; d.Severity == plan.Error {
					d.Severity, d.Hint = plan.Warn, "the component asks for it and accepts the answers without it"
				}
			}
			// The verdict is the answer as well. Asked twice, the component would do
			// twice what it does through the host.
			q.accepted, q.effects, st.host = b, st.host, nil
		}
	}
	return plan.Canonical(map[string]any{"diagnostics": nonNil(found)})
}

// doubtful says that the answers have no fault but that some are missing which the
// component alone calls required: published components do so for questions that
// they have defaults for. Their verdict on the answers counts for more than their
// word about a question; with setup.yaml of the same opinion, the answer is
// required.
func (q *interview) doubtful() bool {
	f := *q.form
	f.Questions = slices.Clone(f.Questions)
	for i := range f.Questions {
		f.Questions[i].Required = f.Questions[i].Required && q.required[f.Questions[i].ID]
	}
	return !plan.HasErrors(f.Check(q.Inputs.Answers))
}

func (q *interview) apply(_ context.Context, st *stage) (json.RawMessage, error) {
	st.host = q.effects
	_ = json.Unmarshal(q.accepted, &q.changes) // no summary, no changes to tell of
	return q.accepted, nil
}

// result is what the component makes of the answers, as the response of a step.
func (q *interview) result(ctx context.Context, st *stage) (json.RawMessage, error) {
	b, err := q.say(ctx, st, contract.ActApplyAnswers, map[string]any{
		"mode": q.mode, "answers": q.answers, "current_config": q.current,
	})
	if b == nil || err != nil {
		return nil, err
	}
	result, err := qa.ParseResult(b)
	if err != nil {
		q.unreadable(st, err)
		return nil, nil
	}
	if !result.OK { // it gives no plan, and may give its reasons
		for field, v := range result.Config {
			if q.classifier.IsSecret(field) {
				q.guests = append(q.guests, plan.Values(v)...)
			}
		}
	}
	_, ingress := q.Blueprint.Extensions[extensionIngress]
	return result.Response(qa.Circumstances{
		Mode: q.mode, Current: q.current, Stored: q.stored, Provider: q.Inputs.ProviderID, Tenant: q.Inputs.Tenant,
		PublicBaseURL: q.Inputs.PublicBaseURL, Ingress: ingress, Classifier: q.classifier, Messages: q.messages,
	})
}

// changes is what the plan changes of what exists, by name.
type changes struct {
	Summary struct {
		Mode    string   `json:"mode"`
		Added   []string `json:"added"`
		Changed []string `json:"changed"`
		Removed []string `json:"removed"`
		Secrets []string `json:"secrets"`
		Message string   `json:"message"`
	} `json:"summary"`
}

// summary says what the plan changes.
func (q *interview) summary(context.Context, *stage) (json.RawMessage, error) {
	var parts []string
	s := &q.changes.Summary
	for _, part := range []struct {
		what  string
		names []string
	}{{"added", s.Added}, {"changed", s.Changed}, {"removed", s.Removed}, {"secrets", s.Secrets}} {
		if len(part.names) > 0 {
			parts = append(parts, part.what+" "+strings.Join(part.names, ", "))
		}
	}
	if s.Message = strings.Join(parts, "; "); s.Message == "" {
		s.Message = "nothing changes"
	}
	return plan.Canonical(q.changes)
}

// nonNil is for lists that are [] in JSON when they are empty.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
