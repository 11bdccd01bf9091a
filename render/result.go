package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Result writes what a run found: what would be done, what is still asked, what
// went wrong, how each step ended, which walls stood, and in the last line what
// to make of it.
func Result(res *engine.Result, style Style) string {
	p := &printer{style: style}
	p.result(res)
	return p.String()
}

// Notes writes what a reviewer of changes needs besides them: notes, what the pack says
// in its summary, and diagnostics.
func Notes(res *engine.Result, style Style) string {
	p := &printer{style: style}
	p.plan(plan.Plan{Notes: res.Plan.Notes}, nil)
	p.message(res.StepResults)
	p.diagnostics(res.Diagnostics)
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	return p.String()
}

func (p *printer) result(res *engine.Result) {
	title := "Plan for "
	if res.Pack.Entry == pack.EntryRequirements {
		title = "Requirements of "
	} else if res.ExitCode != engine.ExitOK {
		title = "Incomplete plan for "
	}
	p.heading(title+Text(res.Pack.ID, maxName), "")
	field := func(name, value string) { p.prose("  "+pad(name, 8)+" ", 11, value) }
	field("version", Text(res.Pack.Version, maxName))
	field("provider", Text(res.Inputs.ProviderID, maxValue))
	field("install", Text(res.Inputs.InstallID, maxValue))
	if via := res.Pack.Via; via != "" {
		field("way", Text(string(via), maxName)+" ("+Text(res.Pack.Why, maxProse)+")")
	}
	if t := tenant(res.Inputs.Tenant); t != "" {
		field("for", t)
	}
	if url := res.Inputs.PublicBaseURL; url != nil {
		field("base URL", Text(*url, maxValue))
	}

	if res.ExitCode == engine.ExitOK && empty(res.Plan) && res.Pack.Entry != pack.EntryRequirements {
		p.heading("Nothing to do", "")
	}
	p.plan(res.Plan, res.Effects)
	p.message(res.StepResults)
	p.requirements(res.StepResults)
	p.questions(engine.OpenQuestions(res))
	p.diagnostics(res.Diagnostics)
	p.steps(res)
	p.logs(res.StepResults)
	p.receipt(res.Walls)

	p.WriteByte('\n')
	p.prose("Digest ", 7, Text(res.Digest, maxDigest))
	colour := green
	if res.ExitCode != engine.ExitOK {
		colour = red
	}
	for i, l := range wrap(Summary(res), width) {
		if i == 0 {
			word, rest, _ := strings.Cut(l, ":")
			l = p.style.paint(word, colour, bold) + ":" + rest
		}
		p.line("%s", l)
	}
}

// Summary says in one line how a run ended.
func Summary(res *engine.Result) string {
	errs := 0
	for _, d := range res.Diagnostics {
		if d.Severity == plan.Error {
			errs++
		}
	}
	last := func() (step, verdict string) {
		if n := len(res.StepResults); n > 0 {
			s := res.StepResults[n-1]
			return Text(string(s.Step), maxName), Text(string(s.Verdict), maxName)
		}
		return "first", Text(string(res.Verdict), maxName)
	}
	switch res.ExitCode {
	case engine.ExitOK:
		if res.Pack.Entry == pack.EntryRequirements {
			return "Complete: what the pack needs is listed. Nothing was applied."
		}
		s := "Complete: " + amount(res.Plan) + ". Nothing was applied."
		if n := len(engine.OpenQuestions(res)); n > 0 {
			s += " " + count(n, "question") + " open."
		}
		return s
	case engine.ExitDiagnostics:
		what := "the pack's steps reported " + count(max(errs, 1), "error")
		switch {
		case len(res.StepResults) == 0:
			what = count(errs, "error") + ", and no step ran"
		case !slices.ContainsFunc(res.StepResults, failed):
			what = "of the plan, " + count(errs, "part") + " cannot be applied"
			if !slices.ContainsFunc(res.Diagnostics, unapplicable) {
				what = "of the plan, " + count(errs, "part") + " cannot be reviewed"
			}
		}
		return "Not complete: " + what + ". Nothing was applied."
	case engine.ExitPack:
		step, verdict := last()
		return fmt.Sprintf("Rejected: the %s step cannot be run (%s). Nothing was applied.", step, verdict)
	case engine.ExitStopped:
		step, verdict := last()
		return fmt.Sprintf("Stopped: the %s step ended with %s. Nothing was applied.", step, verdict)
	}
	return "Failed: a fault of this program, not of the pack. Nothing was applied."
}

// unapplicable says that a diagnostic is an error about applying a plan: the only other
// one of ours is that a part cannot be reviewed.
func unapplicable(d plan.Diagnostic) bool {
	return d.Severity == plan.Error && d.Code != "PLAN_VALUE_REDACTED"
}

func failed(s engine.StepResult) bool {
	return s.Verdict != limits.OK || plan.HasErrors(s.Output.Diagnostics)
}

// amount counts what a plan would do.
func amount(pl plan.Plan) string {
	var parts []string
	add := func(n int, noun string) {
		if n > 0 {
			parts = append(parts, count(n, noun))
		}
	}
	add(len(pl.ConfigPatch), "config key")
	add(len(pl.SecretsPatch.Set)+len(pl.SecretsPatch.Delete), "secret")
	add(len(pl.WebhookOps), "webhook")
	add(len(pl.SubscriptionOps), "subscription")
	add(len(pl.OAuthOps), "consent")
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

func empty(pl plan.Plan) bool {
	return len(pl.ConfigPatch)+len(pl.SecretsPatch.Set)+len(pl.SecretsPatch.Delete)+len(pl.WebhookOps)+
		len(pl.SubscriptionOps)+len(pl.OAuthOps) == 0
}

func tenant(t plan.Tenant) string {
	var parts []string
	for _, part := range []struct {
		name  string
		value *string
	}{{"environment", t.Environment}, {"tenant", t.Tenant}, {"team", t.Team}, {"user", t.User}} {
		if part.value != nil {
			parts = append(parts, part.name+" "+Text(*part.value, maxName))
		}
	}
	return strings.Join(parts, ", ")
}

// message prints what the summary step has to say.
func (p *printer) message(steps []engine.StepResult) {
	for _, s := range steps {
		var data struct {
			Message string          `json:"message"`
			Summary json.RawMessage `json:"summary"`
		}
		// Data of another shape is for programs, and has nothing for people.
		if s.Step != plan.Summary || json.Unmarshal(s.Output.Data, &data) != nil {
			continue
		}
		var summary string
		if json.Unmarshal(data.Summary, &summary) != nil {
			var object struct {
				Message string `json:"message"`
			}
			if json.Unmarshal(data.Summary, &object) == nil {
				summary = object.Message
			}
		}
		if summary == "" && data.Message == "" {
			continue
		}
		p.heading("Summary", "")
		for _, text := range []string{summary, data.Message} {
			if text != "" {
				p.prose("  ", 2, Text(text, maxProse))
			}
		}
	}
}

// questions prints what is still asked, and an answers file to start from.
func (p *printer) questions(qs []engine.Question) {
	if len(qs) == 0 {
		return
	}
	p.heading("Open questions", "")
	var names []string
	for _, q := range qs {
		names = append(names, q.ID)
	}
	shown, more := clip(qs)
	w := column(names)
	for _, q := range shown {
		about := Text(q.Type, maxName)
		if q.Type == "choiceset" { // what Adaptive Cards call it is no word for people
			about = "choice"
		}
		if q.Required {
			about += ", required"
		}
		p.pair("  ", 2, Text(q.ID, maxName), w, "  ", strings.TrimSpace(Text(q.Label, maxValue)+" ("+about+")"))
		if len(q.Choices) > 0 {
			var choices []string
			for _, c := range q.Choices {
				choices = append(choices, choice(c.Value, c.Title))
			}
			p.prose(strings.Repeat(" ", 4+w)+"one of ", 11+w, strings.Join(choices, ", "))
		}
		if q.Default != "" {
			p.prose(strings.Repeat(" ", 4+w)+"default ", 12+w, Text(q.Default, maxValue))
		}
	}
	p.more(more)
	// What is shown can be copied: whole names, on lines that are not broken.
	shown = slices.DeleteFunc(slices.Clone(shown), func(q engine.Question) bool { return len(q.ID) > maxValue })
	if len(shown) == 0 {
		return
	}
	p.line("  Answer them in a file and give it with --answers FILE:")
	for i, q := range shown {
		open, end := "    {", ","
		if i > 0 {
			open = "     "
		}
		if i == len(shown)-1 {
			end = "}"
		}
		p.line("%s%s: %s%s", open, quoted(q.ID), example(q), end)
	}
}

// example is a JSON value of the kind that answers a question: its default or its
// first choice, where these are short enough to be whole.
func example(q engine.Question) string {
	value := q.Default
	if value == "" && len(q.Choices) > 0 {
		value = q.Choices[0].Value
	}
	switch {
	case q.Type == "toggle" || q.Type == "bool" || q.Type == "boolean":
		return "true"
	case q.Type == "number" || q.Type == "integer":
		if n, err := plan.Read([]byte(q.Default)); err == nil && strings.ContainsRune("-0123456789", rune(n[0])) {
			return string(n)
		}
		return "1"
	case q.Type == "password" || q.Type == "secret" || value == "" || len(value) > maxValue:
		return `"…"`
	}
	return quoted(value)
}

// quoted is a string as JSON that a terminal can show.
func quoted(s string) string {
	b, err := plan.Canonical(s)
	if err != nil { // a string can always be encoded
		panic(err)
	}
	return JSON(b, 12*len(b)) // no escape makes it longer than that
}

// steps prints how each step ended and what it used.
func (p *printer) steps(res *engine.Result) {
	if len(res.StepResults) == 0 {
		return
	}
	type place struct {
		step plan.Step
		node string
	}
	took := map[place]int64{}
	for _, t := range res.Volatile.Steps {
		took[place{t.Step, t.Node}] += t.Timing.WallNS
	}
	p.heading("Steps", "")
	w := 9
	for _, s := range res.StepResults {
		w = max(w, columns(string(s.Step)))
	}
	indent := strings.Repeat(" ", w+3)
	for _, s := range res.StepResults {
		verdict := pad(Text(string(s.Verdict), maxName), 18)
		colour := green
		if s.Verdict != limits.OK {
			colour = red
		}
		time := ""
		if ns, ok := took[place{s.Step, s.Node}]; ok {
			time = duration(ns)
		}
		p.prose("  "+pad(string(s.Step), w)+" "+p.style.paint(verdict, colour)+pad(time, 8)+"  ", w+31, Text(cmp.Or(s.Component.Path, "(no component)"), maxValue))
		if s.Node != "" {
			p.prose(indent, w+3, "node "+Text(s.Node, maxName)+", operation "+Text(cmp.Or(s.Operation, "none"), maxName))
		}
		u := s.Usage
		facts := fmt.Sprintf("%s in, %s out", fileSize(int(u.InputBytes)), fileSize(int(u.OutputBytes)))
		if u.HostCalls > 0 {
			facts += ", " + count(int(u.HostCalls), "host call")
		}
		if u.LogDropped > 0 {
			facts += fmt.Sprintf(", %s of log dropped", fileSize(int(u.LogDropped)))
		}
		if s.Contract != "" {
			facts = Text(s.Contract, maxName) + ", " + facts
		}
		if s.Verdict != limits.OK {
			facts += ", observed by the " + Text(string(s.Observer), maxName)
		}
		p.prose(indent, w+3, facts)
	}
}

// maxLog is how many lines of log are shown of all steps together.
const maxLog = 20

// logs prints what the steps logged.
func (p *printer) logs(steps []engine.StepResult) {
	n, shown := 0, 0
	for _, s := range steps {
		n += len(s.Logs)
	}
	if n == 0 {
		return
	}
	p.heading("Log", p.style.paint("(what the pack's code says)", dim))
	for _, s := range steps {
		for _, l := range s.Logs {
			if shown++; shown > maxLog {
				p.line("  … and %d more (see --json)", n-maxLog)
				return
			}
			level := pad(Text(l.Level, 5), 5)
			p.prose("  "+pad(string(s.Step), 9)+" "+level+" ", 13+columns(level), Text(l.Text, maxValue))
		}
	}
}

// requirements prints what the step requirements says.
func (p *printer) requirements(steps []engine.StepResult) {
	for _, s := range steps {
		var data struct {
			Requirements json.RawMessage `json:"requirements"`
		}
		if s.Step != plan.Requirements || json.Unmarshal(s.Output.Data, &data) != nil || data.Requirements == nil {
			continue
		}
		var text bytes.Buffer
		if json.Indent(&text, data.Requirements, "  ", "  ") != nil {
			continue
		}
		p.heading("Requirements", "")
		lines, more := clip(strings.Split(text.String(), "\n"))
		for i, l := range lines {
			if i == 0 {
				l = "  " + l
			}
			p.line("%s", JSON([]byte(l), maxValue))
		}
		p.more(more)
	}
}
