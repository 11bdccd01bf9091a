package render

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/qa"
)

// Inspection writes what a pack is, how its entry would be run, and what is wrong
// with it. x is nil when its binaries were not looked at.
func Inspection(in *pack.Inspection, x *engine.Examination, style Style) string {
	p := &printer{style: style}
	p.identity(in)
	p.entryFlows(in)
	p.ways(in, x)
	p.nodes(in)
	p.binaries(in, x)
	p.provider(in)
	p.asked(in, x)
	p.integrity(in.Integrity)
	p.diagnostics(in.Findings)
	p.heading("Limits", "")
	l := in.Limits
	p.prose("  ", 2, fmt.Sprintf("archive %s, %d entries of at most %s, %s together; documents %s, nesting %d",
		limits.Bytes(l.Archive), l.Entries, limits.Bytes(l.Entry), limits.Bytes(l.Total), limits.Bytes(l.Document), l.Nesting))
	p.conclusion(in, x)
	return p.String()
}

func (p *printer) identity(in *pack.Inspection) {
	p.heading("Pack "+Text(in.PackID, maxName), "")
	p.line("  version  %s", Text(in.PackVersion, maxName))
	for _, f := range []struct{ name, value string }{{"name", in.Name}, {"kind", in.Kind}, {"from", in.Publisher}} {
		if f.value != "" {
			p.prose("  "+pad(f.name, 8)+" ", 11, Text(f.value, maxValue))
		}
	}
	p.line("  form     %s, %s manifest", Text(string(in.Form), maxName), Text(in.Generation, maxName))
	p.prose("  manifest ", 11, Text(in.ManifestFile, maxValue))
	p.line("  digest %s", Text(in.Digest, maxDigest))
	if in.RequiresPublicBaseURL {
		p.line("  needs    --public-base-url")
	}
	if len(in.Outputs) > 0 {
		p.prose("  declares ", 11, Text(strings.Join(in.Outputs, ", "), maxProse))
	}
}

func (p *printer) entryFlows(in *pack.Inspection) {
	if len(in.EntryFlows) == 0 {
		return
	}
	p.heading("Entry flows", "")
	shown, more := clip(in.EntryFlows)
	for _, f := range shown {
		p.pair("  ", 2, Text(string(f.Entry), maxName), 13, "  ", Text(f.Flow, maxName))
		p.prose("                 ", 17, "found by "+Text(f.FoundBy, maxValue))
	}
	p.more(more)
}

// ways prints every way and what speaks for or against it.
func (p *printer) ways(in *pack.Inspection, x *engine.Examination) {
	if len(in.Ways) == 0 {
		return
	}
	refused := map[pack.Via]string{}
	if x != nil {
		for _, r := range x.Refused {
			refused[r.Via] = r.Why
		}
	}
	p.heading("Ways to run "+Text(string(in.Entry), maxName), p.style.paint("(the first possible one is taken)", dim))
	for _, w := range in.Ways {
		word, colour, why := "possible", green, w.Why
		if w.Problem != "" {
			word, colour, why = "no", yellow, w.Problem
		} else if r := refused[w.Via]; r != "" {
			word, colour, why = "no", yellow, r
		}
		if x != nil && w.Via == x.Via && x.Possible {
			word = "chosen"
			why = x.Why
		}
		p.prose("  "+pad(string(w.Via), 10)+p.style.paint(pad(word, 9), colour)+" ", 22, Text(why, maxProse))
		if w.Component != nil {
			p.prose("    component     ", 18, Text(w.Component.Path, maxValue))
			p.binary(18, w.Component)
		}
		for _, s := range w.Steps {
			label := "    " + pad(string(s.Step), 14)
			if s.Component == nil {
				p.prose(label+p.style.paint("none", yellow)+"  ", 24, Text(s.Why, maxProse))
				continue
			}
			p.prose(label, 18, Text(s.Component.Path, maxValue))
			p.binary(18, s.Component)
		}
	}
	if r := in.Requirements; r.Component != nil {
		p.prose("  "+pad("before apply", 16), 18, Text(r.Component.Path, maxValue)+" states what the answers must have")
	}
}

func (p *printer) binary(indent int, b *pack.InspectedBinary) {
	form := string(b.Layer)
	if b.Text {
		form = "text"
	}
	p.line("%s%s, %s, sha256 %.12s", strings.Repeat(" ", indent), form, fileSize(int(b.Size)), Text(b.SHA256, 64))
}

func (p *printer) nodes(in *pack.Inspection) {
	if len(in.Nodes) == 0 {
		return
	}
	p.heading("Nodes of the flow", "")
	shown, more := clip(in.Nodes)
	for _, n := range shown {
		what := Text(n.Component, maxName)
		if n.Operation != "" {
			what += ": " + Text(n.Operation, maxName)
		}
		if n.Binary != "" {
			what += " (" + Text(n.Binary, maxValue) + ")"
		}
		p.prose("  ", 2, Text(n.Flow+"/"+n.Node, maxValue))
		p.prose("    ", 4, what)
	}
	p.more(more)
}

// binaries prints what components are declared to need, and what they are.
func (p *printer) binaries(in *pack.Inspection, x *engine.Examination) {
	if len(in.Components) > 0 {
		p.heading("Components", p.style.paint("(as the manifest lists them)", dim))
		shown, more := clip(in.Components)
		for _, c := range shown {
			p.prose("  ", 2, strings.TrimSpace(Text(c.ID, maxName)+" "+Text(c.Version, maxName)))
			if c.Binary != nil {
				p.prose("    ", 4, Text(c.Binary.Path, maxValue))
				p.binary(4, c.Binary)
			} else {
				p.prose("    "+p.style.paint("no binary: ", yellow), 15, Text(c.Why, maxProse))
			}
			if len(c.Capabilities) > 0 {
				p.prose("    declares ", 13, JSON(c.Capabilities, maxProse))
			}
		}
		p.more(more)
	}
	if x == nil || len(x.Components) == 0 {
		return
	}
	p.heading("Binaries", p.style.paint("(as the sandbox sees them)", dim))
	shown, more := clip(x.Components)
	for _, c := range shown {
		p.prose("  ", 2, Text(c.Path, maxValue))
		if c.Verdict != limits.OK {
			p.prose("    "+p.style.paint(string(c.Verdict), red)+": ", 6+columns(string(c.Verdict)), Text(c.Detail, maxProse))
		}
		for i, s := range c.Contracts {
			label := "    speaks  "
			if i > 0 {
				label = "            "
			}
			var actions []string
			for _, a := range s.Actions {
				actions = append(actions, string(a))
			}
			p.prose(label, 12, Text(s.Name, maxValue)+" ("+Text(strings.Join(actions, ", "), maxValue)+")")
		}
		if len(c.Capabilities) > 0 {
			p.prose("    imports ", 12, Text(strings.Join(c.Capabilities, ", "), maxProse))
		}
		if len(c.Undeclared) > 0 {
			p.prose("    "+p.style.paint("undeclared", yellow)+" ", 15, Text(strings.Join(c.Undeclared, ", "), maxProse))
		}
	}
	p.more(more)
}

func (p *printer) provider(in *pack.Inspection) {
	if in.Provider == nil {
		return
	}
	p.heading("Provider", "")
	p.line("  type      %s", Text(in.Provider.Type, maxName))
	p.line("  component %s", Text(in.Provider.Component, maxName))
	if len(in.Provider.Operations) > 0 {
		p.prose("  does      ", 12, Text(strings.Join(in.Provider.Operations, ", "), maxProse))
	}
}

// asked prints which documents state questions and secrets, and the questions of
// the component.
func (p *printer) asked(in *pack.Inspection, x *engine.Examination) {
	var docs []string
	for _, q := range in.Questions {
		docs = append(docs, "questions in "+Text(q.Path, maxValue))
	}
	if in.SecretRequirements != nil {
		docs = append(docs, "secret requirements in "+Text(in.SecretRequirements.Path, maxValue)+secretKeys(in.SecretRequirements.Content))
	}
	if in.RequirementsFile != nil {
		docs = append(docs, "requirements in "+Text(in.RequirementsFile.Path, maxValue))
	}
	if len(docs) > 0 {
		p.heading("Stated", "")
		for _, d := range docs {
			p.prose("  ", 2, d)
		}
	}
	if x == nil {
		return
	}
	if x.Questions != nil {
		asks := "(as the component asks them)"
		if x.Via != pack.ViaQA {
			asks = "(as the pack states them)"
		}
		p.heading("Questions", p.style.paint(asks, dim))
		p.form(x.Questions)
	}
	p.diagnostics(x.Diagnostics)
}

// secretKeys lists the secrets of a document, those that are not required in
// brackets; "" where it cannot be read.
func secretKeys(doc []byte) string {
	list, err := qa.ParseSecretRequirements(doc)
	if err != nil || len(list) == 0 {
		return ""
	}
	var keys []string
	for _, s := range list {
		key := Text(s.Key, maxName)
		if !s.Required {
			key = "[" + key + "]"
		}
		keys = append(keys, key)
	}
	return ": " + strings.Join(keys, ", ")
}

// conclusion prints what speaks against the pack, and says in one line what to make
// of it.
func (p *printer) conclusion(in *pack.Inspection, x *engine.Examination) {
	p.heading("Conclusion", "")
	for _, problem := range in.Problems {
		p.prose("  "+p.style.paint("problem:", red, bold)+" ", 11, Line(string(problem.Rule)+": "+problem.Detail, maxProse))
		if problem.Entry != "" {
			p.prose("    entry ", 10, Text(problem.Entry, maxValue))
		}
		if problem.Hint != "" {
			p.prose("    hint: ", 10, Line(problem.Hint, maxProse))
		}
	}
	entry := Text(string(in.Entry), maxName)
	broken := in.Integrity != nil && !in.Integrity.OK()
	switch {
	case in.Nothing:
		p.line("  nothing to run: the pack declares that it needs no provisioning")
	case len(in.Problems) > 0:
		p.line("  %s", p.style.paint(entry+" cannot be run", red, bold))
	case x != nil && !x.Possible && x.Via == "" && len(x.Refused) == 0:
		p.prose("  "+p.style.paint("not known:", yellow, bold)+" ", 13, Line(x.Problem, maxProse))
	case x != nil && !x.Possible:
		p.prose("  "+p.style.paint(entry+" cannot be run:", red, bold)+" ", 2+columns(entry)+16, Line(cmp.Or(x.Problem, x.Why), maxProse))
	case broken:
		p.line("  %s", p.style.paint("the pack is not what it says of itself, and is not run", red, bold))
	case x == nil:
		p.line("  %s: nothing in the files says that it cannot be run", entry)
	default:
		p.line("  %s: greentic-provision dry-run %s --pack …", p.style.paint("can be run", green, bold), entry)
	}
}

// fileSize is a size for people, rounded.
func fileSize(n int) string {
	switch b := limits.Bytes(n); {
	case b >= limits.MiB:
		return fmt.Sprintf("%.1f MiB", float64(n)/float64(limits.MiB))
	case b >= 10*limits.KiB:
		return fmt.Sprintf("%.0f KiB", float64(n)/float64(limits.KiB))
	}
	return count(n, "byte")
}
