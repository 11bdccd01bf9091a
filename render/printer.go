package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// How much of one hostile text is shown; --json has all of it.
const (
	maxName   = 40 // identifiers, keys, codes
	maxDigest = len("sha256:") + 64
	maxValue  = 200 // config values, addresses, metadata
	maxProse  = 600 // messages, hints, notes
	maxItems  = 200 // entries of one section
)

// printer builds the text. Every method that takes text from a pack escapes it.
type printer struct {
	strings.Builder
	style Style
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// heading starts a section, with an empty line before all but the first.
func (p *printer) heading(text, rest string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	if rest != "" {
		rest = " " + rest
	}
	p.line("%s%s", p.style.paint(text, bold), rest)
}

// prose prints text after an indentation, wrapped and aligned under itself.
// first stands in the indentation of the first line; it must be printable and is
// as wide as indent once its colours are taken away.
func (p *printer) prose(first string, indent int, text string) {
	for i, l := range wrap(text, max(width-indent, 20)) {
		if i > 0 {
			first = strings.Repeat(" ", indent)
		}
		p.line("%s", strings.TrimRight(first+l, " "))
	}
}

// pair prints a label and a value beside it, or below it where the label is too
// long for that. first is printable and, but for colours, indent columns wide; w
// is the width of the column of labels.
func (p *printer) pair(first string, indent int, label string, w int, sep, value string) {
	if columns(label) > maxLabel {
		p.line("%s", strings.TrimRight(first+label+sep, " "))
		p.prose(strings.Repeat(" ", indent+4), indent+4, value)
		return
	}
	label = pad(label, w) + sep
	p.prose(first+label, indent+columns(label), value)
}

// maxLabel is how wide a label may be that has its value beside it.
const maxLabel = 32

// clip gives at most maxItems of a section and what to say about the rest.
func clip[T any](items []T) (shown []T, more string) {
	if len(items) <= maxItems {
		return items, ""
	}
	return items[:maxItems], fmt.Sprintf("  … and %d more (see --json)", len(items)-maxItems)
}

func (p *printer) more(text string) {
	if text != "" {
		p.line("%s", text)
	}
}

// pad fills printable text up to a column.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}

// column is how wide a first column must be for these names, within bounds.
func column(names []string) int {
	w := 0
	for _, n := range names {
		w = max(w, columns(Text(n, maxName)))
	}
	return min(w, maxLabel)
}

// plan prints what would be done. Effects tell a key that a step deleted through a
// host call from one that was set to null, which the plan does not.
func (p *printer) plan(pl plan.Plan, effects []plan.Effect) {
	deleted := map[string]bool{}
	for _, e := range effects {
		if k, ok := strings.CutPrefix(e.Target, plan.TargetConfig); ok {
			deleted[k] = e.Op == configDelete || e.Op == stateDelete // the last one is in force
		}
	}
	if keys := slices.Sorted(maps.Keys(pl.ConfigPatch)); len(keys) > 0 {
		p.heading("Configuration", "")
		shown, more := clip(keys)
		w := column(shown)
		for _, k := range shown {
			if deleted[k] && string(pl.ConfigPatch[k]) == "null" { // two keys may be scrubbed to one name
				p.line("  %s  %s", p.style.paint("delete", yellow), Text(k, maxName))
				continue
			}
			p.pair("  ", 2, Text(k, maxName), w, " = ", JSON(pl.ConfigPatch[k], maxValue))
		}
		p.more(more)
	}
	if set, del := slices.Sorted(maps.Keys(pl.SecretsPatch.Set)), pl.SecretsPatch.Delete; len(set)+len(del) > 0 {
		p.heading("Secrets", p.style.paint("(values are never shown)", dim))
		shown, more := clip(set)
		for _, k := range shown {
			p.line("  set     %s", Text(k, maxName))
		}
		p.more(more)
		shown, more = clip(del)
		for _, k := range shown {
			p.line("  %s  %s", p.style.paint("delete", yellow), Text(k, maxName))
		}
		p.more(more)
	}
	if len(pl.WebhookOps) > 0 {
		p.heading("Webhooks", "")
		shown, more := clip(pl.WebhookOps)
		for _, op := range shown {
			p.operation(op.Op, op.ID, op.URL, op.Metadata)
		}
		p.more(more)
	}
	if len(pl.SubscriptionOps) > 0 {
		p.heading("Subscriptions", "")
		shown, more := clip(pl.SubscriptionOps)
		for _, op := range shown {
			p.operation(op.Op, op.ID, nil, op.Metadata)
		}
		p.more(more)
	}
	if len(pl.OAuthOps) > 0 {
		p.heading("OAuth", "")
		shown, more := clip(pl.OAuthOps)
		for _, op := range shown {
			p.operation(op.Op, &op.Provider, op.RedirectURL, nil)
			if len(op.Scopes) > 0 {
				p.prose("            scopes ", 19, Text(strings.Join(op.Scopes, ", "), maxValue))
			}
		}
		p.more(more)
	}
	if len(pl.Notes) > 0 {
		p.heading("Notes", "")
		shown, more := clip(pl.Notes)
		for _, n := range shown {
			p.prose("  - ", 4, Text(n, maxProse))
		}
		p.more(more)
	}
}

// The host calls that delete a key (capability.ConfigDelete, capability.StateDelete).
const (
	configDelete = "config.delete"
	stateDelete  = "state.delete"
)

// operation prints one webhook, subscription or consent flow.
func (p *printer) operation(op string, id, url *string, metadata map[string]json.RawMessage) {
	name := "(no id)"
	if id != nil {
		name = Text(*id, maxName)
	}
	p.pair("  ", 2, Text(op, maxName), 8, "  ", name)
	if url != nil {
		p.prose("            ", 12, Text(*url, maxValue))
	}
	keys, more := clip(slices.Sorted(maps.Keys(metadata)))
	for _, k := range keys {
		p.pair("            ", 12, Text(k, maxName), 0, " = ", JSON(metadata[k], maxValue))
	}
	p.more(more)
}

// diagnostics prints findings, the worst first, otherwise as they came.
func (p *printer) diagnostics(ds []plan.Diagnostic) {
	if len(ds) == 0 {
		return
	}
	rank := map[plan.Severity]int{plan.Error: 0, plan.Warn: 1, plan.Info: 2}
	colour := map[plan.Severity]string{plan.Error: red, plan.Warn: yellow, plan.Info: cyan}
	ds = slices.Clone(ds)
	slices.SortStableFunc(ds, func(a, b plan.Diagnostic) int { return rank[a.Severity] - rank[b.Severity] })
	p.heading("Diagnostics", "")
	shown, more := clip(ds)
	for _, d := range shown {
		code := Text(d.Code, maxName)
		p.line("  %s  %s", p.style.paint(pad(string(d.Severity), 5), colour[d.Severity], bold), p.style.paint(code, bold))
		p.lines(d.Message)
		if d.Path != "" {
			p.prose("         at ", 12, Text(d.Path, maxValue))
		}
		if d.Hint != "" {
			p.prose("         hint: ", 15, Text(d.Hint, maxProse))
		}
	}
	p.more(more)
}

// maxLines is how many lines of a diagnostic are shown.
const maxLines = 10

// lines prints the message of a diagnostic, which may be a backtrace or a piece of
// source. Lines after the first have a mark, so that none looks like one of ours.
// Of many, the last stays: it is where engines tell the cause.
func (p *printer) lines(message string) {
	lines := slices.DeleteFunc(strings.Split(message, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	for i, l := range lines {
		switch cut := len(lines) - maxLines; {
		case i == 0:
			p.prose("         ", 9, Text(l, maxProse))
		case cut > 0 && i == maxLines-1:
			p.line("         | … (+%s)", count(cut, "line"))
		case cut > 0 && i >= maxLines && i < len(lines)-1:
		default:
			for _, part := range wrap(Text(l, maxValue), width-11) {
				p.line("         | %s", strings.TrimRight(part, " "))
			}
		}
	}
}

// receipt prints the walls that stood around the steps.
func (p *printer) receipt(r limits.Receipt) {
	if len(r.Walls) == 0 {
		p.heading("Walls", "")
		p.line("  none, as no code of the pack ran")
		return
	}
	about := "(isolation " + Text(string(r.Isolation), maxName)
	// The rest identifies the engine's configuration.
	if engine, _, _ := strings.Cut(r.Engine, ","); engine != "" {
		about += ", " + Text(engine, maxName)
	}
	p.heading("Walls", p.style.paint(about+")", dim))
	if r.Isolation == limits.None {
		p.prose("  "+p.style.paint("warning:", yellow, bold)+" ", 11,
			"isolation was waived; the steps ran without the walls that could not be raised")
	}
	var names []string
	for _, w := range r.Walls {
		names = append(names, w.Name)
	}
	w := column(names)
	for _, wall := range r.Walls {
		mark := p.style.paint("up  ", green)
		switch {
		case wall.Raised:
		case r.Isolation == limits.None:
			mark = p.style.paint("DOWN", red, bold)
		default: // one that isolation does not ask for, or that the kernel does not have
			mark = p.style.paint("-   ", dim)
		}
		p.pair("  "+mark+"  ", 8, Text(wall.Name, maxName), w, "  ", Text(wall.Detail, maxValue))
	}
}

// duration is short and exact enough for people.
func duration(ns int64) string {
	switch ms := float64(ns) / 1e6; {
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f ms", ms)
	}
}

// count is "1 step", "2 steps".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
