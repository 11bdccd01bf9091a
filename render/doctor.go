package render

import (
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/doctor"
	"github.com/greentic-ai/greentic-provision/limits"
)

// Doctor writes what was found of this machine's walls: a line for each, what is wrong
// with it below, and in the last line what to make of it. With all, every attack has a
// line, else only those that did not end as they must.
func Doctor(r *doctor.Report, all bool, style Style) string {
	p := &printer{style: style}
	about := "isolation " + string(r.Isolation)
	if r.Codegen != "" {
		about += ", codegen " + string(r.Codegen)
	}
	p.heading("Walls of this machine", p.style.paint("("+about+")", dim))
	if r.Tried != r.Isolation {
		p.prose("  "+p.style.paint("note:", yellow, bold)+" ", 8,
			"no worker can be had with that, so what follows is of workers with isolation "+string(r.Tried))
	}
	p.line("  %s", p.style.paint(wallLine("", "wall", "code behind it", "attacks from there"), dim))
	attacks := 0
	for _, w := range r.Walls {
		attacks += len(w.Attacks)
		p.doctored(w, all)
	}
	p.flaws(r.Flaws, all)

	p.heading("Machine", "")
	field := func(name, value string) {
		if value != "" {
			p.prose("  "+name+" ", 9, Text(value, maxValue))
		}
	}
	field("kernel", fmt.Sprintf("%s, as user %d", r.Machine.Kernel, r.Machine.UID))
	field("engine", r.Engine)
	field("worker", r.Worker)

	p.WriteByte('\n')
	if !r.OK {
		first := p.style.paint("Not safe", red, bold) + ": "
		p.prose(first, len("Not safe: "), unsafe(r))
		return p.String()
	}
	text := "every wall that isolation " + string(r.Isolation) + " needs holds"
	if r.Isolation == limits.None {
		text = "what stands holds"
	}
	p.prose(p.style.paint("Safe", green, bold)+": ", len("Safe: "), text+"; "+count(attacks, "attack")+" made, all stopped.")
	return p.String()
}

// unsafe says in short what is wrong.
func unsafe(r *doctor.Report) string {
	var walls, all []string
	for _, w := range r.Walls {
		if w.Status == doctor.Fails || w.Status == doctor.Down || w.Status == doctor.Untried && (r.Refusal == nil || len(w.Attacks) > 0) {
			walls = append(walls, w.Name)
		}
	}
	if len(walls) > 0 {
		all = append(all, "these walls do not hold: "+strings.Join(walls, ", "))
	} else if r.Refusal != nil {
		all = append(all, Line(r.Problems[0], maxProse))
	}
	if f := r.Flaws; f != nil {
		bad := 0
		for _, g := range f.Guests {
			if !g.Held {
				bad++
			}
		}
		if bad > 0 {
			all = append(all, fmt.Sprintf("%d of %d flaws of the engine had another end", bad, len(f.Guests)))
		}
	}
	return strings.Join(all, "; ") + "."
}

// wallLine has the columns of a wall.
func wallLine(mark, name, about, attacks string) string {
	return strings.TrimRight(pad(mark, 7)+"  "+pad(name, 12)+"  "+pad(about, 34)+"  "+attacks, " ")
}

// doctored prints one wall.
func (p *printer) doctored(w doctor.Wall, all bool) {
	mark, colours, attacks := string(w.Status), []string{green}, fmt.Sprintf("stopped %d of %d", w.Held(), len(w.Attacks))
	switch w.Status {
	case doctor.Fails, doctor.Down:
		mark, colours = strings.ToUpper(mark), []string{red, bold}
	case doctor.Absent, doctor.Untried:
		colours = []string{yellow}
	}
	if len(w.Attacks) == 0 {
		attacks = map[doctor.Status]string{doctor.Absent: "not needed", doctor.Down: "needed", doctor.Untried: "not tried"}[w.Status]
	}
	line := wallLine(mark, w.Name, w.About, attacks)
	p.line("  %s", p.style.paint(mark, colours...)+line[len(mark):])
	const indent = 11
	margin := strings.Repeat(" ", indent)
	if w.Reason != "" && (w.Status != doctor.Untried || len(w.Attacks) > 0) {
		p.prose(margin, indent, Line(w.Reason, maxProse))
	}
	if w.Hint != "" {
		p.prose(margin+"to do: ", indent+7, Line(w.Hint, maxProse))
	}
	shown, more := 0, 0
	for _, a := range w.Attacks {
		switch {
		case !all && a.Held:
			continue
		case !all && shown == mostAttacks:
			more++
			continue
		}
		shown++
		p.attempt(a, margin, indent)
	}
	if more > 0 {
		p.line("%s… and %d more (see --all)", margin, more)
	}
}

// mostAttacks is how many attacks of a wall are shown that did not end as they must.
const mostAttacks = 3

func (p *printer) attempt(a doctor.Attempt, margin string, indent int) {
	text := a.Name + ": " + a.Tries
	if a.Held {
		p.prose(margin, indent, text+" → "+Line(a.Answer, maxProse))
		return
	}
	p.prose(margin, indent, text)
	text = Line(a.Answer, maxProse) + "; it must be: " + a.Expected
	if a.Error != "" {
		text = "not tried: " + Line(a.Error, maxProse)
	}
	p.prose(margin+"→ ", indent+2, text)
}

// flaws prints what came of the known flaws of the engine.
func (p *printer) flaws(f *doctor.Flaws, all bool) {
	if f == nil {
		return
	}
	p.heading("Known flaws of the engine", p.style.paint("(as of "+f.Date+")", dim))
	const indent = 11
	margin := strings.Repeat(" ", indent)
	for _, g := range f.Guests {
		mark, colours, end := "holds", []string{green}, string(g.Verdict)
		if !g.Held {
			mark, colours, end = "FAILS", []string{red, bold}, end+", expected "+g.Must()
		}
		p.prose("  "+p.style.paint(pad(mark, 7), colours...)+"  ", indent,
			Line(strings.Join(g.Advisories, ", ")+": "+g.Behaviour+" → "+end, maxProse))
		if !g.Held && g.Detail != "" {
			p.prose(margin, indent, Text(g.Detail, maxProse))
		}
	}
	if !all && len(f.Excluded) > 0 {
		p.line("%s… and %s in what is never used (see --all)", margin, count(len(f.Excluded), "more flaw"))
		return
	}
	for _, e := range f.Excluded {
		p.prose("  "+p.style.paint(pad("absent", 7), green)+"  ", indent, Line(e.Advisory+": "+e.About, maxProse))
		p.prose(margin, indent, Line(e.Why, maxProse))
	}
}
