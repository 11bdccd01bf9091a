package render

import (
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
)

// Changes writes what a commit changes, by kind: what is added (+), changed (~) and
// removed (-). Secrets are keys alone.
func Changes(title string, diffs []commit.Difference, style Style) string {
	p := &printer{style: style}
	p.heading(Text(title, maxValue), "")
	if len(diffs) == 0 {
		p.line("  nothing changes")
	}
	for _, kind := range adapters.Kinds {
		var of []commit.Difference
		var keys []string
		for _, d := range diffs {
			if d.Kind == kind {
				of, keys = append(of, d), append(keys, d.Key)
			}
		}
		if len(of) == 0 {
			continue
		}
		rest := ""
		if kind == adapters.Secrets || kind == adapters.State {
			rest = p.style.paint("(values are never shown)", dim)
		}
		p.heading(kindTitles[kind], rest)
		shown, more := clip(of)
		w := column(keys)
		for _, d := range shown {
			p.difference(d, w)
		}
		p.more(more)
	}
	return p.String()
}

var kindTitles = map[adapters.Kind]string{
	adapters.Config: "Configuration", adapters.Secrets: "Secrets", adapters.Subscriptions: "Subscriptions",
	adapters.State: "State", adapters.Operations: "Operations",
}

func (p *printer) difference(d commit.Difference, w int) {
	mark := map[string]string{commit.Added: p.style.paint("+", green), commit.Changed: p.style.paint("~", yellow), commit.Gone: p.style.paint("-", red)}[d.What]
	value := ""
	switch {
	case d.Kind == adapters.Operations:
		value = ""
	case d.Secret && d.Kind != adapters.Secrets && d.Kind != adapters.State:
		value = "(holds a secret)"
	case d.Secret:
	case d.Before != nil && d.After != nil:
		value = JSON(d.Before, maxValue) + " → " + JSON(d.After, maxValue)
	case d.After != nil:
		value = "= " + JSON(d.After, maxValue)
	case d.Before != nil:
		value = "was " + JSON(d.Before, maxValue)
	}
	if value == "" {
		p.prose("  "+mark+" ", 4, Text(d.Key, maxValue))
		return
	}
	p.pair("  "+mark+" ", 4, Text(d.Key, maxName), w, " ", value)
}

// Values writes configuration, one value a line.
func Values(list []commit.Difference) string {
	p := &printer{}
	list = slices.SortedFunc(slices.Values(list), func(a, b commit.Difference) int { return strings.Compare(a.Key, b.Key) })
	var keys []string
	for _, d := range list {
		keys = append(keys, d.Key)
	}
	w := column(keys)
	for _, d := range list {
		value := "(holds a secret)"
		if !d.Secret {
			value = JSON(d.After, maxValue)
		}
		p.pair("", 0, Text(d.Key, maxName), w, " = ", value)
	}
	return p.String()
}

// Operations writes the operations of an installation, one a line and what their last
// attempt said.
func Operations(list []commit.Listed, style Style) string {
	p := &printer{style: style}
	p.heading("Operations", "")
	shown, more := clip(list)
	for _, l := range shown {
		colour := yellow
		switch l.Status {
		case adapters.Done:
			colour = green
		case adapters.Failed:
			colour = red
		}
		target, detail := Text(l.Target, maxName), Text(l.Detail, maxProse)
		if l.Secret() {
			target, detail = Text(l.Key, maxName), ""
		}
		p.prose("  "+p.style.paint(pad(string(l.Status), 8), colour)+" ", 11, strings.TrimSpace(Text(string(l.Kind), maxName)+" "+Text(l.Verb, maxName)+" "+target))
		if l.URL != "" && !l.Secret() {
			p.prose("             ", 13, Text(l.URL, maxValue))
		}
		if detail != "" {
			p.prose("             ", 13, detail)
		}
	}
	p.more(more)
	return p.String()
}
