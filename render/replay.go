package render

import (
	"fmt"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Replay is how the guest of a crash capsule ended then, and how it ends now.
type Replay struct {
	Phase     string         `json:"phase"`
	Component string         `json:"component"`
	Then      Ending         `json:"then"`
	Now       Ending         `json:"now"`
	Same      bool           `json:"same"`     // the verdicts
	Scrubbed  bool           `json:"scrubbed"` // it was told something else now, where there was a secret
	Cut       bool           `json:"cut"`      // not every answer of the host was kept
	Walls     limits.Receipt `json:"walls"`    // of now
}

// Ending is how something ended, and who says so.
type Ending struct {
	Program  string          `json:"program"`
	Verdict  limits.Verdict  `json:"verdict"`
	Observer limits.Observer `json:"observer"`
	Signal   string          `json:"signal"`
	Detail   string          `json:"detail"`
	Facts    []limits.Fact   `json:"facts"`
}

// ReplayText prints a replay.
func ReplayText(r Replay, style Style) string {
	p := &printer{style: style}
	p.heading("Replay", p.style.paint(fmt.Sprintf("(%s of %s)", Text(r.Phase, maxName), Text(r.Component, maxName)), dim))
	for _, e := range []struct {
		when string
		Ending
	}{{"then", r.Then}, {"now ", r.Now}} {
		line := Text(string(e.Verdict), maxName)
		if e.Signal != "" {
			line += ", by " + Text(e.Signal, maxName)
		}
		p.prose("  "+e.when+"  ", 8, line+", as seen by the "+Text(string(e.Observer), maxName))
		if e.Detail != "" {
			p.prose("        ", 8, Text(e.Detail, maxProse))
		}
		for _, f := range e.Facts {
			p.prose("        ", 8, Text(string(f.Observer), maxName)+": "+Text(f.Name, maxName)+" "+Text(f.Value, maxValue))
		}
	}
	if r.Scrubbed {
		p.prose("  "+p.style.paint("note:", yellow)+" ", 8, "secrets were taken out of what the guest is told")
	}
	if r.Cut {
		p.prose("  "+p.style.paint("note:", yellow)+" ", 8, "the host's answers were not all kept")
	}
	if r.Same {
		p.line("  %s", p.style.paint("the same verdict", green))
	} else {
		p.line("  %s", p.style.paint("another verdict", red, bold))
	}
	p.receipt(r.Walls)
	return p.String()
}
