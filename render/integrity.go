package render

import (
	"fmt"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Integrity writes what was checked of a pack's bytes, and what does not hold.
func Integrity(r *integrity.Report, style Style) string {
	p := &printer{style: style}
	p.integrity(r)
	p.WriteByte('\n')
	word, colour := "Verified", green
	if !r.OK() {
		word, colour = "Not verified", red
	}
	text := fmt.Sprintf("%s, %s.", count(r.Errors, "error"), count(r.Warnings, "warning"))
	if len(r.Checks) == 0 && r.OK() {
		word, colour, text = "Nothing to verify", yellow, "the pack says nothing of its own bytes."
	}
	p.line("%s: %s", p.style.paint(word, colour, bold), text)
	return p.String()
}

func (p *printer) integrity(r *integrity.Report) {
	if r == nil {
		return // of a pack with nothing to run, nothing was asked
	}
	p.heading("Integrity", "")
	for _, c := range r.Checks {
		word, colour := "holds", green
		if !c.OK {
			word, colour = "broken", red
		}
		p.pair("  "+p.style.paint(pad(word, 7), colour)+" ", 10, Text(c.Name, maxName), 20, "  ", Line(c.Detail, maxProse))
	}
	if len(r.Checks) == 0 {
		p.line("  nothing was checked: the pack has no inventory, lock or signature")
	}
	if s := r.Signature; s != nil {
		p.heading("Signature", "")
		field := func(name, value string) {
			if value != "" {
				p.prose("  "+pad(name, 11)+" ", 14, Text(value, maxValue))
			}
		}
		field("status", string(s.Status))
		field("scheme", s.Scheme)
		field("key", s.Key)
		field("fingerprint", s.Fingerprint)
		field("key id", s.KeyID)
		field("subject", s.Subject)
		field("signed at", s.SignedAt)
		field("valid from", s.NotBefore)
		field("valid until", s.NotAfter)
	}
	if len(r.Problems) == 0 {
		return
	}
	p.heading("Problems", "")
	for _, problem := range r.Problems {
		colour := dim
		switch problem.Severity {
		case plan.Error:
			colour = red
		case plan.Warn:
			colour = yellow
		}
		text := string(problem.Rule) + ": " + problem.Detail
		if problem.Entry != "" {
			text = problem.Entry + ": " + text
		}
		p.prose("  "+p.style.paint(pad(string(problem.Severity), 6), colour)+" ", 9, Line(text, maxProse))
		if problem.Hint != "" {
			p.prose("         hint: ", 15, Line(problem.Hint, maxProse))
		}
	}
	if r.Omitted > 0 {
		p.line("  … and %d more", r.Omitted)
	}
}
