// Package plan is the vocabulary of a provisioning run: steps, inputs, the
// patches that steps return, the merged plan, diagnostics, effects, secrets and
// their redaction, strict JSON in and canonical JSON out.
//
// The plan and its parts carry exactly the field names that Greentic's own
// `greentic-provision` writes, because packs ship expected plans that are
// compared for equality.
package plan

import "encoding/json"

// Step is one stage of the lifecycle.
type Step string

// The steps, in the order in which they run.
const (
	Collect  Step = "collect"
	Validate Step = "validate"
	Apply    Step = "apply"
	Summary  Step = "summary"
)

// Steps lists the lifecycle in order.
var Steps = []Step{Collect, Validate, Apply, Summary}

// The steps that are not part of the lifecycle: what a pack needs, and which
// subscriptions it wants.
const (
	Requirements  Step = "requirements"
	Subscriptions Step = "subscriptions"
)

// Mode says whether effects will become real.
type Mode string

// The modes. Guests are not told which one it is: a plan that is made for real must
// be the one that was reviewed.
const (
	DryRun   Mode = "dry-run" // nothing persists
	Applying Mode = "apply"   // what the plan says is done when every step has succeeded
)

// Tenant says for whom a run provisions. Unset parts are null.
type Tenant struct {
	Environment *string `json:"environment"`
	Tenant      *string `json:"tenant"`
	Team        *string `json:"team"`
	User        *string `json:"user"`
}

// Inputs is what the operator gives to a run. Answers and ExistingState are
// JSON objects (ExistingState may be null).
type Inputs struct {
	Tenant        Tenant          `json:"tenant"`
	ProviderID    string          `json:"provider_id"`
	InstallID     string          `json:"install_id"`
	PublicBaseURL *string         `json:"public_base_url"`
	Answers       json.RawMessage `json:"answers"`
	ExistingState json.RawMessage `json:"existing_state"`
}

// Plan is what a run would do. All keys are always present in JSON.
type Plan struct {
	ConfigPatch     map[string]json.RawMessage `json:"config_patch"`
	SecretsPatch    SecretsPatch               `json:"secrets_patch"`
	WebhookOps      []WebhookOp                `json:"webhook_ops"`
	SubscriptionOps []SubscriptionOp           `json:"subscription_ops"`
	OAuthOps        []OAuthOp                  `json:"oauth_ops"`
	Notes           []string                   `json:"notes"`
}

// SecretsPatch names secrets to set and to delete.
type SecretsPatch struct {
	Set    map[string]Redacted `json:"set"`
	Delete []string            `json:"delete"`
}

// Redacted is a secret in a plan: {redacted:true, value:null} says "a value
// exists and is withheld". A guest may hand over plaintext with redacted:false;
// the engine takes the value out and the plan only ever shows it redacted.
type Redacted struct {
	Redacted bool    `json:"redacted"`
	Value    *string `json:"value"`
}

// WebhookOp is a webhook to create, register, update or delete (free text).
type WebhookOp struct {
	Op       string                     `json:"op"`
	ID       *string                    `json:"id"`
	URL      *string                    `json:"url"`
	Metadata map[string]json.RawMessage `json:"metadata"`
}

// SubscriptionOp is a subscription to create, register, update, sync or delete.
type SubscriptionOp struct {
	Op       string                     `json:"op"`
	ID       *string                    `json:"id"`
	Metadata map[string]json.RawMessage `json:"metadata"`
}

// OAuthOp asks for a consent flow; Op is "start".
type OAuthOp struct {
	Op          string   `json:"op"`
	Provider    string   `json:"provider"`
	Scopes      []string `json:"scopes"`
	RedirectURL *string  `json:"redirect_url"`
}

// Patch is the plan part of one step's response; nil where the step said
// nothing.
type Patch struct {
	ConfigPatch     map[string]json.RawMessage `json:"config_patch"`
	SecretsPatch    *SecretsPatch              `json:"secrets_patch"`
	WebhookOps      []WebhookOp                `json:"webhook_ops"`
	SubscriptionOps []SubscriptionOp           `json:"subscription_ops"`
	OAuthOps        []OAuthOp                  `json:"oauth_ops"`
	Notes           []string                   `json:"notes"`
	// Written are the values that host calls wrote and no plan shows; nil for none.
	Written *Written `json:"-"`
}

// Written are values that are in memory only: no type that is stored or shown holds
// them.
type Written struct {
	Secrets map[string][]byte // by key, as in secrets_patch.set
	State   map[string][]byte // blobs of the state store, by key; nil where one was deleted
}

// Severity of a diagnostic.
type Severity string

// The severities. Only Error changes the exit code.
const (
	Info  Severity = "info"
	Warn  Severity = "warn"
	Error Severity = "error"
)

// Diagnostic is one finding, with the fields of Greentic's own. Code is
// SCREAMING_SNAKE. Path says where (a JSON path, an archive entry), Hint what to
// do, Data anything else.
type Diagnostic struct {
	Severity Severity        `json:"severity"`
	Code     string          `json:"code"`
	Message  string          `json:"message"`
	Path     string          `json:"path,omitempty"`
	Hint     string          `json:"hint,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	// Own says that this program wrote the diagnostic and that nothing in it is a
	// guest's that was not scrubbed before: scrubbing leaves it alone. A secret that
	// is an ordinary word would otherwise make holes in our own sentences.
	Own bool `json:"-"`
}

// HasErrors says whether any diagnostic is an error.
func HasErrors(ds []Diagnostic) bool {
	for _, d := range ds {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Effect is one entry of the plan and where it came from: a step's returned
// patch (Via "patch") or a host call (Via "host-call", with Op). Target is the
// place in the plan, e.g. "config_patch.region" or "secrets_patch.set.TOKEN".
type Effect struct {
	Step   Step   `json:"step"`
	Via    string `json:"via"`
	Op     string `json:"op,omitempty"`
	Target string `json:"target"`
}
