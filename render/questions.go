package render

import (
	"strings"

	"github.com/greentic-ai/greentic-provision/qa"
)

// Questions writes what a pack asks.
func Questions(f *qa.Form, style Style) string {
	p := &printer{style: style}
	title := f.Title
	if title == "" {
		title = "Questions"
	}
	p.heading(Text(title, maxValue), "")
	if f.Description != "" {
		p.prose("  ", 2, Text(f.Description, maxProse))
	}
	p.form(f)
	return p.String()
}

// form prints the questions of a form.
func (p *printer) form(f *qa.Form) {
	if len(f.Questions) == 0 {
		p.line("  none")
	}
	var names []string
	for _, q := range f.Questions {
		names = append(names, q.ID)
	}
	w := column(names)
	shown, more := clip(f.Questions)
	for _, q := range shown {
		about := []string{Text(string(q.Kind), maxName)}
		if q.Required {
			about = append(about, "required")
		}
		if q.Secret {
			about = append(about, "secret")
		}
		p.pair("  ", 2, Text(q.ID, maxName), w, "  ", strings.TrimSpace(Text(q.Label, maxValue)+" ("+strings.Join(about, ", ")+")"))
		detail := func(name, value string) {
			if value != "" {
				p.prose(strings.Repeat(" ", 4+w)+name+" ", 5+w+len(name), value)
			}
		}
		detail("help", Text(q.Help, maxProse))
		var choices []string
		for _, c := range q.Choices {
			choices = append(choices, choice(c.Value, c.Title))
		}
		detail("one of", strings.Join(choices, ", "))
		detail("matches", Text(q.Pattern, maxValue))
		if !q.Secret {
			detail("default", JSON(q.Default, maxValue))
		}
	}
	p.more(more)
}

// choice is one answer to pick, with what it is called where that is another.
func choice(value, title string) string {
	if title == "" || title == value {
		return Text(value, maxName)
	}
	return Text(value, maxName) + " (" + Text(title, maxName) + ")"
}
