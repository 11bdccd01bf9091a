package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
)

const (
	provisionerInterface = "greentic:provision/provisioner"

	diagnosticType = "record {severity: string, code: string, message: string, path: option<string>, hint: option<string>}"
	webhookType    = "record {action: enum {create, update, delete}, name: string, url: string, events: list<string>}"
	subscribeType  = "record {action: enum {create, update, delete}, topic: string, endpoint: string}"
	inputsType     = "record {tenant: record {tenant-id: string, tenant-name: option<string>, org-id: option<string>, org-name: option<string>}, " +
		"provider: record {provider-id: string, install-id: string, public-base-url: option<string>}, " +
		"mode: enum {install, update, remove}, answers: list<record {key: string, value: string}>, " +
		"existing: option<record {config-json: option<string>, secrets-json: option<string>, webhooks: list<" + webhookType + ">, subscriptions: list<" + subscribeType + ">}>}"
	planType = "record {config-patch: option<string>, secrets-patch: option<string>, webhooks: list<" + webhookType + ">, " +
		"subscriptions: list<" + subscribeType + ">, diagnostics: list<" + diagnosticType + ">}"
)

// provisioner is the typed contract of Greentic's interfaces: plan(inputs), and
// apply(inputs, plan). As steps:
//
//	validate       plan; its diagnostics
//	apply          plan, then, unless it reports an error, apply; what was planned,
//	               and the diagnostics of both
//	subscriptions  plan; its subscriptions and diagnostics
//	all others     no call; nothing is asked, nothing is summed up
//
// The request's member "entry" says what is being done: update, remove, or, as
// without it, install. Answers are given by name: the members of answers.secrets
// and of answers.config, and what else there is in answers; text as it is, all else
// as JSON text. What exists is the configuration and the secrets of existing_state
// as JSON text; webhooks and subscriptions of before are not said, because a state
// does not have them in the types that would be needed.
//
// What is planned becomes a patch so: config-patch is the configuration.
// secrets-patch is {"set": …, "delete": […]} as steps have it, or secrets by name,
// where text is a value and null deletes. A webhook's name is the id, and its
// events are metadata; a subscription's topic is the id, and its endpoint is
// metadata. A severity is error, warn or info by its first letters, whatever the
// case (an unknown one is a warning); a code is written in capitals with
// underscores.
type provisioner struct{ iface, name string }

func openProvisioner(e *export) Contract {
	e.need("plan", exactly("func("+inputsType+") -> "+planType))
	e.need("apply", exactly("func("+inputsType+", "+planType+") -> list<"+diagnosticType+">"))
	return provisioner{e.item.Name, e.name()}
}

func (p provisioner) Name() string { return p.name }

func (provisioner) Actions() []Action { return []Action{ActStep} }

// stepRequest is what this contract reads of docs/contract.md's request.
type stepRequest struct {
	Step   string `json:"step"`
	Entry  string `json:"entry"`
	Inputs struct {
		Tenant struct {
			Tenant *string `json:"tenant"`
		} `json:"tenant"`
		ProviderID    string                    `json:"provider_id"`
		InstallID     string                    `json:"install_id"`
		PublicBaseURL *string                   `json:"public_base_url"`
		Answers       map[string]jsontext.Value `json:"answers"`
		ExistingState *struct {
			Config  jsontext.Value `json:"config"`
			Secrets jsontext.Value `json:"secrets"`
		} `json:"existing_state"`
	} `json:"inputs"`
}

// stepResponse is what it says of docs/contract.md's response.
type (
	stepResponse struct {
		Plan        *stepPlan        `json:"plan,omitempty"`
		Diagnostics []stepDiagnostic `json:"diagnostics,omitempty"`
	}
	stepPlan struct {
		Config        map[string]jsontext.Value `json:"config_patch,omitempty"`
		Secrets       *stepSecrets              `json:"secrets_patch,omitempty"`
		Webhooks      []stepOp                  `json:"webhook_ops,omitempty"`
		Subscriptions []stepOp                  `json:"subscription_ops,omitempty"`
	}
	stepSecrets struct {
		Set    map[string]stepSecret `json:"set"`
		Delete []string              `json:"delete"`
	}
	stepSecret struct {
		Redacted bool    `json:"redacted"`
		Value    *string `json:"value"`
	}
	stepOp struct {
		Op       string         `json:"op"`
		ID       string         `json:"id"`
		URL      *string        `json:"url,omitempty"`
		Metadata map[string]any `json:"metadata"`
	}
	stepDiagnostic struct {
		Severity string  `json:"severity"`
		Code     string  `json:"code"`
		Message  string  `json:"message"`
		Path     *string `json:"path,omitempty"`
		Hint     *string `json:"hint,omitempty"`
	}
)

func (p provisioner) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	if action != ActStep {
		return nil, unknownAction(p, action)
	}
	var req stepRequest
	if err := read(request, &req); err != nil {
		return nil, err
	}
	var out stepResponse
	switch req.Step {
	case "validate", "apply", "subscriptions":
		if err := p.plan(ctx, inst, &req, &out, maxOutput); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return response(b, maxOutput)
}

func (p provisioner) plan(ctx context.Context, inst component.Instance, req *stepRequest, out *stepResponse, maxOutput int) error {
	inputs := req.inputs()
	v, err := call(ctx, inst, p.iface, "plan", inputs)
	if err != nil {
		return err
	}
	fields, _ := v.([]component.Value)
	if len(fields) != 5 {
		return fmt.Errorf("the engine gave %T for a plan", v)
	}
	if err := bounded(v, maxOutput); err != nil {
		return err
	}
	out.addDiagnostics(fields[4])
	if req.Step == "validate" {
		return nil
	}
	patch := &stepPlan{Subscriptions: operations(fields[3], func(f []component.Value) stepOp {
		return stepOp{ID: f[1].(string), Metadata: map[string]any{"endpoint": f[2]}}
	})}
	out.Plan = patch
	if req.Step == "subscriptions" {
		return nil
	}
	patch.Webhooks = operations(fields[2], func(f []component.Value) stepOp {
		url := f[2].(string)
		return stepOp{ID: f[1].(string), URL: &url, Metadata: map[string]any{"events": f[3]}}
	})
	if text, ok := optional(fields[0]); ok {
		if patch.Config, err = object("config-patch", text); err != nil {
			return err
		}
	}
	if text, ok := optional(fields[1]); ok {
		if patch.Secrets, err = secrets(text); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(out.Diagnostics, func(d stepDiagnostic) bool { return d.Severity == "error" }) {
		return nil
	}
	said, err := call(ctx, inst, p.iface, "apply", inputs, v)
	if err != nil {
		return err
	}
	if err := bounded(said, maxOutput); err != nil {
		return err
	}
	out.addDiagnostics(said)
	return nil
}

// bounded refuses a value of the guest whose texts and parts alone are more than
// the response may be, before a response is made of it.
func bounded(v component.Value, maxOutput int) error {
	if n := size(v); n > maxOutput {
		return &OutputLimit{Size: n, Limit: maxOutput}
	}
	return nil
}

func size(v component.Value) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v)
	case component.Opt:
		n += size(v.Value)
	case []component.Value:
		for _, part := range v {
			n += size(part)
		}
	}
	return n
}

// inputs are the arguments, of type inputsType.
func (r *stepRequest) inputs() component.Value {
	in := &r.Inputs
	tenant := ""
	if in.Tenant.Tenant != nil {
		tenant = *in.Tenant.Tenant
	}
	mode := "install"
	if r.Entry == "update" || r.Entry == "remove" {
		mode = r.Entry
	}
	existing := component.None
	if in.ExistingState != nil {
		existing = component.Some([]component.Value{
			jsonOption(in.ExistingState.Config), jsonOption(in.ExistingState.Secrets), []component.Value{}, []component.Value{},
		})
	}
	return []component.Value{
		[]component.Value{tenant, component.None, component.None, component.None},
		[]component.Value{in.ProviderID, in.InstallID, textOption(in.PublicBaseURL)},
		mode,
		answers(in.Answers),
		existing,
	}
}

func textOption(s *string) component.Opt {
	if s == nil {
		return component.None
	}
	return component.Some(*s)
}

func jsonOption(v jsontext.Value) component.Opt {
	if v.Kind() != '{' {
		return component.None
	}
	return component.Some(string(v))
}

// answers flattens the answers to a list of texts, sorted by name. An answer that
// is there twice counts where it is most particular: outside, in secrets, in config.
func answers(all map[string]jsontext.Value) []component.Value {
	flat := map[string]jsontext.Value{}
	for _, group := range []string{"config", "secrets"} {
		var members map[string]jsontext.Value
		if v := all[group]; v.Kind() == '{' && jsonv2.Unmarshal(v, &members) == nil {
			for k, v := range members {
				flat[k] = v
			}
		}
	}
	for k, v := range all {
		if (k != "config" && k != "secrets") || v.Kind() != '{' {
			flat[k] = v
		}
	}
	list := make([]component.Value, 0, len(flat))
	for _, k := range sortedKeys(flat) {
		text := string(flat[k])
		if s, ok := jsonString(flat[k]); ok {
			text = s
		}
		list = append(list, []component.Value{k, text})
	}
	return list
}

func sortedKeys(m map[string]jsontext.Value) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func jsonString(v jsontext.Value) (string, bool) {
	var s string
	ok := v.Kind() == '"' && jsonv2.Unmarshal(v, &s) == nil
	return s, ok
}

func optional(v component.Value) (string, bool) {
	opt, _ := v.(component.Opt)
	s, ok := opt.Value.(string)
	return s, opt.Some && ok
}

// object reads a patch, JSON text of the guest.
func object(what, text string) (map[string]jsontext.Value, error) {
	if err := checkJSON(what, []byte(text)); err != nil {
		return nil, err
	}
	var members map[string]jsontext.Value
	if jsontext.Value(text).Kind() != '{' || jsonv2.Unmarshal([]byte(text), &members) != nil {
		return nil, &GuestError{Code: CodeOutputNotJSON, Message: what + " is no JSON object"}
	}
	return members, nil
}

func secrets(text string) (*stepSecrets, error) {
	members, err := object("secrets-patch", text)
	if err != nil {
		return nil, err
	}
	// A patch as steps have it is one when it can be read as one and as nothing else.
	patch := &stepSecrets{Set: map[string]stepSecret{}, Delete: []string{}}
	if members["set"].Kind() == '{' && jsonv2.Unmarshal([]byte(text), patch, jsonv2.RejectUnknownMembers(true)) == nil {
		return patch, nil
	}
	patch = &stepSecrets{Set: map[string]stepSecret{}, Delete: []string{}}
	for _, k := range sortedKeys(members) {
		value, ok := jsonString(members[k])
		switch {
		case ok:
			patch.Set[k] = stepSecret{Value: &value}
		case members[k].Kind() == 'n':
			patch.Delete = append(patch.Delete, k)
		default:
			return nil, &GuestError{Code: CodeOutputNotJSON, Message: "secrets-patch has a member that is neither text nor null"}
		}
	}
	return patch, nil
}

// operations reads a list of webhooks or subscriptions, whose first field is the
// action. The engine has seen to the types of what is in the records.
func operations(v component.Value, read func(fields []component.Value) stepOp) []stepOp {
	list, _ := v.([]component.Value)
	ops := make([]stepOp, 0, len(list))
	for _, it := range list {
		fields := it.([]component.Value)
		op := read(fields)
		op.Op = fields[0].(string)
		ops = append(ops, op)
	}
	return ops
}

// addDiagnostics reads a list of diagnosticType.
func (r *stepResponse) addDiagnostics(v component.Value) {
	list, _ := v.([]component.Value)
	for _, it := range list {
		f := it.([]component.Value)
		d := stepDiagnostic{Severity: severity(f[0].(string)), Code: diagnosticCode(f[1].(string)), Message: f[2].(string)}
		if s, ok := optional(f[3]); ok {
			d.Path = &s
		}
		if s, ok := optional(f[4]); ok {
			d.Hint = &s
		}
		r.Diagnostics = append(r.Diagnostics, d)
	}
}

// severity maps free text.
func severity(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	for _, word := range []string{"err", "fatal", "crit"} {
		if strings.HasPrefix(s, word) {
			return "error"
		}
	}
	for _, word := range []string{"info", "hint", "note", "debug", "trace"} {
		if strings.HasPrefix(s, word) {
			return "info"
		}
	}
	return "warn"
}

// diagnosticCode makes SCREAMING_SNAKE_CASE of free text: words in capitals with
// one underscore between them, the first of which begins with a letter.
func diagnosticCode(s string) string {
	words := strings.FieldsFunc(strings.ToUpper(s), func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
	if len(words) == 0 || words[0][0] <= '9' {
		words = append([]string{"PROVISIONER"}, words...)
	}
	if code := strings.Join(words, "_"); len(code) <= maxCode {
		return code
	}
	return CodeTooLong
}
