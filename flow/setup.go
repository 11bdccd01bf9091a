package flow

import (
	"encoding/json"

	"github.com/greentic-ai/greentic-provision/plan"
)

// SetupFacts are what the input of a setup flow is made of.
type SetupFacts struct {
	// ID is the id of the pack.
	ID string
	// Flow is the flow to run; "" is setup_default.
	Flow string
	// Env, Tenant and Team are for whom; "" are dev, demo and default, as upstream's
	// operator has them.
	Env, Tenant, Team string
	// PublicBaseURL is left out where it is "" and the answers have none either.
	PublicBaseURL string
	// Spec is the question specification in the pack; "" is assets/setup.yaml.
	Spec string
	// Answers is a JSON object that plan.Read gave, or nil.
	Answers json.RawMessage
	// CorrelationID is msg.correlation_id; "" is the id of the message.
	CorrelationID string
}

// SetupInput is the input of a setup flow: what upstream's operator hands over,
// and the two values that the published flows ask for and it does not give,
// dry_run and msg.correlation_id. It panics where Answers are not JSON.
//
//	{"id", "env", "tenant", "team", "public_base_url"?, "dry_run",
//	 "config": {"id", "public_base_url"?},
//	 "msg": {"id": "<id>.setup", "correlation_id", "channel": "setup", "session_id": "setup", "user_id": "operator",
//	         "tenant_id", "reply_scope": "", "metadata": {}, "text", "message": {"id", "text"}},
//	 "payload": {"id": "<id>-<flow>", "spec_ref"},
//	 "setup_answers"?: answers, "answers_json"?: the same as a string}
func SetupInput(f SetupFacts) json.RawMessage {
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	flow := or(f.Flow, "setup_default")
	tenant := or(f.Tenant, "demo")
	message := f.ID + ".setup"
	words := "Collect inputs for " + flow + "."
	config := map[string]any{"id": f.ID}
	in := map[string]any{
		"id":      f.ID,
		"env":     or(f.Env, "dev"),
		"tenant":  tenant,
		"team":    or(f.Team, "default"),
		"dry_run": false, // what a node writes is held back by the host, in a dry run and before a commit
		"config":  config,
		"msg": map[string]any{
			"id":             message,
			"correlation_id": or(f.CorrelationID, message),
			"channel":        "setup",
			"session_id":     "setup",
			"user_id":        "operator",
			"tenant_id":      tenant,
			"reply_scope":    "",
			"metadata":       map[string]any{},
			"text":           words,
			"message":        map[string]any{"id": f.ID + "." + flow + "__collect", "text": words},
		},
		"payload": map[string]any{"id": f.ID + "-" + flow, "spec_ref": or(f.Spec, "assets/setup.yaml")},
	}
	url := f.PublicBaseURL
	if !absent(f.Answers) {
		answers, err := plan.Read(f.Answers)
		if err != nil {
			panic("flow: SetupInput: " + err.Error())
		}
		in["setup_answers"], in["answers_json"] = answers, string(answers)
		if s, ok := text(object(answers)["public_base_url"]); ok && url == "" {
			url = s
		}
	}
	if url != "" {
		in["public_base_url"], config["public_base_url"] = url, url
	}
	return canonical(in)
}
