package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// Result is what a run gives. In canonical JSON (plan.Canonical) it is the same
// text for the same pack, inputs, program and machine; the member plan, and with
// it digest, is the same on any machine. Every text in it that a guest or an
// answer had a hand in is scrubbed of secrets and bounded, but may still hold
// control characters: escape it before it goes to a terminal.
type Result struct {
	Plan        plan.Plan         `json:"plan"`
	Digest      string            `json:"digest"` // plan.Digest of Plan
	Mode        plan.Mode         `json:"mode"`
	Verdict     limits.Verdict    `json:"verdict"` // the first that is not ok
	ExitCode    int               `json:"exit_code"`
	Diagnostics []plan.Diagnostic `json:"diagnostics"`
	StepResults []StepResult      `json:"step_results"`
	Effects     []plan.Effect     `json:"effects"`
	Pack        PackIdentity      `json:"pack"`
	Inputs      InputsIdentity    `json:"inputs"`
	Walls       limits.Receipt    `json:"walls"`

	// Volatile is what differs between two runs of the same.
	Volatile Volatile `json:"-"`

	// Form has the questions that the step collect asked, nil when it asked none;
	// Spec is the component's own word for them, where it has questions of its own.
	Form *qa.Form        `json:"-"`
	Spec json.RawMessage `json:"-"`

	answers json.RawMessage // for OpenQuestions; never written
	outcome Outcome
}

// Outcome is what a run wants done, with its secrets: what a commit needs and nobody
// may see. It is in memory only and must not be changed. What a failed step asked for
// is not in it.
type Outcome struct {
	// Plan and Effects are those of the Result before scrubbing: with secrets where
	// steps put them, and texts that are not bounded. Secrets, not Plan, has the values of
	// secrets_patch.
	Plan    plan.Plan
	Effects []plan.Effect
	// Secrets are the last values of what is in secrets_patch.set, by key as it stands
	// there. A key that a step only announced has none, and one that another step
	// deletes has its value all the same; effects tell which came last.
	Secrets map[string][]byte
	// State are the last values of the blobs of the state store that steps wrote, by key:
	// nil where it was deleted, empty where nothing was written into it.
	State map[string][]byte
	// Scrubber knows every secret of the run: what exists, answers, what steps read,
	// wrote and declared.
	Scrubber *plan.Scrubber
}

// Outcome gives what the run wants done: all of it where the result's exit code is 0,
// else no more than the part until the run ended, which must not be committed.
func (r *Result) Outcome() Outcome { return r.outcome }

// PackIdentity says which pack ran.
type PackIdentity struct {
	ID         string     `json:"id"`
	Version    string     `json:"version"`
	Digest     string     `json:"digest"`
	Form       pack.Form  `json:"form"`
	Generation string     `json:"generation"`
	Entry      pack.Entry `json:"entry"`
	Flow       string     `json:"flow"`
	Via        pack.Via   `json:"via"`        // "" when nothing was run
	Why        string     `json:"why"`        // why that way
	Unverified bool       `json:"unverified"` // ran although its bytes are not what it says of them
}

// InputsIdentity says for whom the pack ran. Answers are left out: they hold
// secrets, and a digest of them would let short ones be guessed.
type InputsIdentity struct {
	Tenant        plan.Tenant `json:"tenant"`
	ProviderID    string      `json:"provider_id"`
	InstallID     string      `json:"install_id"`
	PublicBaseURL *string     `json:"public_base_url"`
	State         StateRef    `json:"state"`
}

// StateRef says against which state a plan was made. Digest is "sha256:" and the
// hexadecimal sha256 of the existing state's canonical JSON as this run's guests are told
// it, secrets by name only, without what is known to be secret in its configuration. Revision is
// that of the installation in a store; 0 where nothing is installed, or where the
// state came from a file.
type StateRef struct {
	Digest   string `json:"digest"`
	Revision uint64 `json:"revision"`
}

// nothingExists is the state of an installation that is not there.
const nothingExists = `{"config":{},"secrets":{},"subscriptions":[]}`

func stateRef(existing json.RawMessage, revision uint64, s *plan.Scrubber) StateRef {
	doc := json.RawMessage(nothingExists)
	if len(existing) > 0 && plan.Kind(existing) != "null" {
		doc = s.ScrubJSON(existing)
	}
	sum := sha256.Sum256(doc)
	return StateRef{Digest: "sha256:" + hex.EncodeToString(sum[:]), Revision: revision}
}

// StepResult is one step that was started. Steps that the pack does not have, or
// that an earlier step kept from running, have none.
type StepResult struct {
	Step      plan.Step       `json:"step"`
	Node      string          `json:"node,omitempty"`      // of a flow,
	Operation string          `json:"operation,omitempty"` // and what it asks its component for
	Output    StepOutput      `json:"output"`
	Verdict   limits.Verdict  `json:"verdict"`
	Observer  limits.Observer `json:"observer"`
	Contract  string          `json:"contract"`
	Component ComponentRef    `json:"component"`
	Usage     limits.Usage    `json:"usage"`
	Logs      []LogLine       `json:"logs"`
}

// StepOutput is what a step said. The next steps find it in their requests.
type StepOutput struct {
	Data        json.RawMessage   `json:"data"` // an object; null when the step gave no response
	Diagnostics []plan.Diagnostic `json:"diagnostics"`
	PlanPatch   *plan.Patch       `json:"plan_patch"`
	Questions   json.RawMessage   `json:"questions"`
}

// ComponentRef says which guest binary ran.
type ComponentRef struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Layer  string `json:"layer"` // "component", "core", or "text" where only the compiler read it
}

// Volatile is kept out of the canonical result.
type Volatile struct {
	Steps []StepTiming
	Walls limits.Sighting
}

// StepTiming is how long a step took.
type StepTiming struct {
	Step   plan.Step
	Node   string
	Timing Timing
}

// Bounds of single texts in a result, in bytes. The size of a response bounds
// them all together; these keep one line one line.
const (
	maxMessage = 8 << 10
	maxDetail  = 4 << 10 // what the worker keeps of the end of a step
	maxLine    = 4 << 10 // what it keeps of a line of output; the rest is another line
	maxPath    = 1 << 10
	maxName    = 256
)

// scrubOutput takes secrets out of what a step said.
func scrubOutput(s *plan.Scrubber, o StepOutput) StepOutput {
	return StepOutput{
		Data:        s.ScrubJSON(o.Data),
		Diagnostics: scrubDiagnostics(s, o.Diagnostics),
		PlanPatch:   s.Patch(o.PlanPatch),
		Questions:   s.ScrubJSON(o.Questions),
	}
}

// scrubLine scrubs a text that its sender cut at max bytes if it was longer, with
// or without "…"; making the text valid UTF-8 may have changed the last bytes.
func scrubLine(s *plan.Scrubber, text string, max int) string {
	if len(text) > max-utf8.UTFMax || strings.HasSuffix(text, "…") {
		return s.ScrubCut(text)
	}
	return s.Scrub(text)
}

// scrubDiagnostics scrubs first and cuts then: cutting first could leave a part
// of a secret that scrubbing no longer knows.
func scrubDiagnostics(s *plan.Scrubber, ds []plan.Diagnostic) []plan.Diagnostic {
	out := s.Diagnostics(ds)
	for i := range out {
		d := &out[i]
		d.Message, d.Hint, d.Path = hostile.Clip(d.Message, maxMessage), hostile.Clip(d.Hint, maxMessage), hostile.Clip(d.Path, maxPath)
	}
	if out == nil {
		out = []plan.Diagnostic{}
	}
	return out
}

// scrub is the last thing that happens to a result. What the program itself
// computed (digests, sizes, verdicts) and what the pack says of itself stay:
// neither can know a secret, and a short secret may occur in them by chance.
func (r *Result) scrub(s *plan.Scrubber) {
	text := func(t string, max int) string { return hostile.Clip(s.Scrub(t), max) }
	optional := func(t *string) *string {
		if t == nil {
			return nil
		}
		v := text(*t, maxPath)
		return &v
	}
	r.Plan = s.Plan(r.Plan)
	r.Digest = plan.Digest(r.Plan)
	r.Diagnostics = scrubDiagnostics(s, r.Diagnostics)
	r.Effects = s.Effects(r.Effects)
	in := &r.Inputs
	in.ProviderID, in.InstallID = text(in.ProviderID, maxPath), text(in.InstallID, maxPath)
	in.PublicBaseURL = optional(in.PublicBaseURL)
	t := &in.Tenant
	t.Environment, t.Tenant, t.Team, t.User = optional(t.Environment), optional(t.Tenant), optional(t.Team), optional(t.User)
	r.Spec = s.ScrubJSON(r.Spec)
	scrubForm(s, r.Form)
	for i := range r.StepResults {
		sr := &r.StepResults[i]
		sr.Output = scrubOutput(s, sr.Output)
		sr.Contract, sr.Node, sr.Operation = text(sr.Contract, maxName), hostile.Clip(sr.Node, maxName), text(sr.Operation, maxName)
		if sr.Component.Path = hostile.Clip(sr.Component.Path, maxPath); sr.Component.SHA256 == "" {
			sr.Component.Path = text(sr.Component.Path, maxPath) // what a template of a flow names
		}
		logs := make([]LogLine, len(sr.Logs))
		for j, l := range sr.Logs {
			logs[j] = LogLine{Level: text(l.Level, maxName), Text: scrubLine(s, l.Text, maxLine)}
		}
		sr.Logs = logs
	}
}

// scrubForm scrubs what a form shows. Ids, and the values to choose from, are what
// answers are told apart by and stay.
func scrubForm(s *plan.Scrubber, f *qa.Form) {
	if f == nil {
		return
	}
	f.Title, f.Description = s.Scrub(f.Title), s.Scrub(f.Description)
	scrubQuestions(s, f.Questions)
}

func scrubQuestions(s *plan.Scrubber, questions []qa.Question) {
	for i := range questions {
		q := &questions[i]
		for _, t := range []*string{&q.Label, &q.Help, &q.Placeholder, &q.Group, &q.Error, &q.DocsURL} {
			*t = s.Scrub(*t)
		}
		q.Default = s.ScrubJSON(q.Default)
		q.Choices = slices.Clone(q.Choices)
		for j := range q.Choices {
			q.Choices[j].Title = s.Scrub(q.Choices[j].Title)
		}
		q.Columns = slices.Clone(q.Columns)
		scrubQuestions(s, q.Columns) // which have none themselves
	}
}
