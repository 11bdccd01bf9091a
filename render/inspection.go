package render

import (
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
)

// Inspection writes what a pack is, what of it setup would run, and why it
// cannot where that is so.
func Inspection(in *pack.Inspection, style Style) string {
	p := &printer{style: style}
	p.heading("Pack "+Text(in.PackID, maxName), "")
	p.line("  version  %s", Text(in.PackVersion, maxName))
	p.line("  form     %s, %s manifest", Text(string(in.Form), maxName), Text(in.Generation, maxName))
	p.prose("  manifest ", 11, Text(in.ManifestFile, maxValue))
	p.line("  digest %s", Text(in.Digest, maxDigest))
	if in.RequiresPublicBaseURL {
		p.line("  needs    --public-base-url")
	}
	if len(in.Outputs) > 0 {
		p.prose("  declares ", 11, Text(strings.Join(in.Outputs, ", "), maxProse))
	}

	if len(in.EntryFlows) > 0 {
		p.heading("Entry flows", "")
		shown, more := clip(in.EntryFlows)
		for _, f := range shown {
			p.pair("  ", 2, Text(f.Entry, maxName), 13, "  ", Text(f.Flow, maxName))
			p.prose("                 ", 17, "found by "+Text(f.FoundBy, maxValue))
		}
		p.more(more)
	}

	switch in.Pattern {
	case pack.PatternSteps:
		p.heading("Steps", style.paint("(one binary for each)", dim))
	case pack.PatternComponent:
		p.heading("Steps", style.paint("(one binary for all, told the step by its input)", dim))
	default:
		if len(in.Steps) > 0 {
			p.heading("Steps", "")
		}
	}
	for _, s := range in.Steps {
		if s.Component == nil {
			p.prose("  "+pad(string(s.Step), 9)+" ", 12, style.paint("none", yellow))
			p.prose("            ", 12, Text(s.Why, maxProse))
			continue
		}
		c := s.Component
		form := string(c.Layer)
		if c.Text {
			form = "text"
		}
		p.prose("  "+pad(string(s.Step), 9)+" ", 12, Text(c.Path, maxValue))
		p.line("            %s, %s, sha256 %.12s", form, fileSize(c.Size), Text(c.SHA256, 64))
		if s.Why != "" {
			p.prose("            ", 12, Text(s.Why, maxProse))
		}
	}

	p.diagnostics(in.Findings)

	p.heading("Setup", "")
	switch {
	case in.Problem != nil:
		p.prose("  "+style.paint("cannot be run:", red, bold)+" ", 17, Line(string(in.Problem.Rule)+": "+in.Problem.Detail, maxProse))
		if in.Problem.Entry != "" {
			p.prose("  entry ", 8, Text(in.Problem.Entry, maxValue))
		}
		if in.Problem.Hint != "" {
			p.prose("  hint: ", 8, Line(in.Problem.Hint, maxProse))
		}
	case in.Pattern == pack.PatternNone:
		p.line("  nothing to run: the pack declares that it needs no provisioning")
	default:
		p.line("  %s: greentic-provision dry-run setup --pack …", style.paint("can be run", green, bold))
	}
	return p.String()
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
