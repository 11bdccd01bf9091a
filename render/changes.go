package render

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Changes writes what a commit changes, by kind: what is added (+), changed (~) and
// removed (-). Every key is there, whole, since somebody may be asked to agree to it.
// Secrets are keys alone. Kinds that are not for people are left out.
func Changes(title string, diffs []commit.Difference, style Style) string {
	p := &printer{style: style}
	for i, l := range wrap(whole(title), width-2) {
		p.line("%s%s", strings.Repeat("  ", min(i, 1)), p.style.paint(l, bold))
	}
	nothing := true
	for _, kind := range adapters.Kinds {
		var of []commit.Difference
		var names []string
		for _, d := range diffs {
			if d.Kind == kind {
				of, names = append(of, d), append(names, name(d.Key))
			}
		}
		if len(of) == 0 || kindTitles[kind] == "" {
			continue
		}
		nothing = false
		rest := ""
		if kind == adapters.Secrets || kind == adapters.State {
			rest = p.style.paint("(values are never shown)", dim)
		}
		p.heading(kindTitles[kind], rest)
		w := labels(names)
		for _, d := range of {
			p.difference(d, w)
		}
	}
	if nothing {
		p.line("  nothing changes")
	}
	return p.String()
}

// kindTitles has the kinds that are for people.
var kindTitles = map[adapters.Kind]string{
	adapters.Config: "Configuration", adapters.Secrets: "Secrets", adapters.Subscriptions: "Subscriptions",
	adapters.State: "State", adapters.Operations: "Operations",
}

// What stands for a value that is there and not shown.
const (
	holdsSecret = "(holds a secret)"
	tooLong     = "(too long to show)"
)

func (p *printer) difference(d commit.Difference, w int) {
	first := "  " + map[string]string{commit.Added: p.style.paint("+", green), commit.Changed: p.style.paint("~", yellow), commit.Gone: p.style.paint("-", red)}[d.What] + " "
	switch {
	case d.Kind == adapters.Secrets || d.Kind == adapters.State:
		p.whole(first, 4, name(d.Key))
	case d.Kind == adapters.Operations:
		p.operationDifference(first, d)
	case d.Secret:
		p.entry(first, 4, name(d.Key), w, " ", holdsSecret)
	case d.What == commit.Added:
		p.entry(first, 4, name(d.Key), w, " ", "= "+value(d.After))
	case d.What == commit.Gone:
		p.entry(first, 4, name(d.Key), w, " ", "was "+value(d.Before))
	default:
		p.entry(first, 4, name(d.Key), w, " ", value(d.Before)+" → "+value(d.After))
	}
}

// operationDifference prints what an operation is to do, without how far it is.
func (p *printer) operationDifference(first string, d commit.Difference) {
	was, wasHidden := readOperation(d.Before)
	is, isHidden := readOperation(d.After)
	switch d.What {
	case commit.Added:
		was, wasHidden = is, isHidden
	case commit.Gone:
		is, isHidden = was, wasHidden
	}
	if d.Secret {
		isHidden = holdsSecret
	}
	if isHidden != "" {
		p.entry(first, 4, name(d.Key), 0, " ", isHidden)
		return
	}
	const indent = 12
	margin := strings.Repeat(" ", indent)
	verb, same := name(is.Verb), wasHidden == ""
	if !same {
		was = is // there is nothing to compare with
	}
	if was.Verb != is.Verb {
		verb, same = name(was.Verb)+" → "+verb, false
	}
	p.whole(first, 4, verb+" "+name(string(is.Kind))+" "+name(is.Target))
	if d.Key != string(is.Kind)+"/"+is.Target {
		p.whole(margin, indent, "key "+name(d.Key))
	}
	before, after := parameters(was), parameters(is)
	if was.Target != is.Target { // one without an id of its own is the same under another address
		before["target"], after["target"] = canonical(was.Target), canonical(is.Target)
	}
	if wasHidden != "" {
		p.line("%sbefore: %s", margin, wasHidden)
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, label := range slices.Sorted(maps.Keys(all)) {
		b, a := before[label], after[label]
		text := "= " + value(a)
		if !bytes.Equal(b, a) {
			text, same = valueOrNone(b)+" → "+valueOrNone(a), false
		}
		p.entry(margin, indent, label, 0, " ", text)
	}
	if same && d.What == commit.Changed {
		p.line("%s(what is to be done stays the same)", margin)
	}
}

// readOperation reads one side of a Difference of an operation; hidden says why it
// cannot be shown.
func readOperation(b []byte) (op adapters.Operation, hidden string) {
	if b == nil {
		return op, tooLong
	}
	if json.Unmarshal(b, &op) != nil {
		return op, "(cannot be read)"
	}
	return op, ""
}

// parameters are what says how an operation's verb is to be done: JSON, by a label that
// is fit for a terminal.
func parameters(op adapters.Operation) map[string]json.RawMessage {
	list := map[string]json.RawMessage{}
	if op.URL != "" {
		list["URL"] = canonical(op.URL)
	}
	if len(op.Scopes) > 0 {
		list["scopes"] = canonical(op.Scopes)
	}
	for k, v := range op.Metadata {
		list["metadata."+name(k)] = v
	}
	return list
}

func canonical(v any) json.RawMessage {
	b, err := plan.Canonical(v)
	if err != nil { // texts can always be encoded
		panic(err)
	}
	return b
}

// value is a value of a Difference that is there and not secret.
func value(b []byte) string {
	if b == nil {
		return tooLong
	}
	return JSON(b, maxValue)
}

func valueOrNone(b []byte) string {
	if b == nil {
		return "none"
	}
	return value(b)
}

// whole is Text that is not cut.
func whole(s string) string { return Text(s, 12*len(s)) } // no escape makes it longer than that

// name is whole text that a pack chose as a name. One with a space in it is quoted, so
// that it ends where it seems to.
func name(s string) string {
	if s == "" || strings.ContainsAny(s, ` "`) {
		return quoted(s)
	}
	return whole(s)
}

// labels is how wide a first column must be for these printable names; those that do
// not fit in a column do not count.
func labels(names []string) int {
	w := 0
	for _, n := range names {
		if c := columns(n); c <= maxLabel {
			w = max(w, c)
		}
	}
	return w
}

// whole prints printable text, however long. Lines after the first have a mark, so that
// none looks like one of ours. first is as in prose.
func (p *printer) whole(first string, indent int, text string) {
	for i, l := range wrap(text, width-indent-2) {
		if i > 0 {
			first = strings.Repeat(" ", indent) + "| "
		}
		p.line("%s", strings.TrimRight(first+l, " "))
	}
}

// entry is pair with a label that is shown whole.
func (p *printer) entry(first string, indent int, label string, w int, sep, value string) {
	if columns(label) <= maxLabel {
		p.pair(first, indent, label, w, sep, value)
		return
	}
	p.whole(first, indent, label)
	p.prose(strings.Repeat(" ", indent+4), indent+4, strings.TrimLeft(sep, " ")+value)
}

// Values writes configuration, one value a line.
func Values(list []commit.Difference) string {
	p := &printer{}
	list = slices.SortedFunc(slices.Values(list), func(a, b commit.Difference) int { return strings.Compare(a.Key, b.Key) })
	var names []string
	for _, d := range list {
		names = append(names, name(d.Key))
	}
	w := labels(names)
	for _, d := range list {
		text := holdsSecret
		if !d.Secret {
			text = value(d.After)
		}
		p.entry("", 0, name(d.Key), w, " = ", text)
	}
	return p.String()
}

// Operations writes the operations of an installation, one a line, and what their last
// attempt said. Of one that holds a secret there is only what tells it from others.
func Operations(list []commit.Listed, style Style) string {
	p := &printer{style: style}
	p.heading("Operations", "")
	shown, more := clip(list)
	for _, l := range shown {
		p.listed(l)
	}
	p.more(more)
	return p.String()
}

func (p *printer) listed(l commit.Listed) {
	colour := yellow
	switch l.Status {
	case adapters.Done:
		colour = green
	case adapters.Failed:
		colour = red
	}
	first := "  " + p.style.paint(pad(Text(string(l.Status), 8), 8), colour) + " "
	kind := Text(string(l.Kind), maxName)
	if l.Secret() {
		p.prose(first, 11, kind+" "+name(l.Key))
		p.prose("             ", 13, holdsSecret+", "+count(l.Attempts, "attempt"))
		return
	}
	p.prose(first, 11, strings.TrimSpace(kind+" "+Text(l.Verb, maxName)+" "+Text(l.Target, maxName)))
	if l.URL != "" {
		p.prose("             ", 13, Text(l.URL, maxValue))
	}
	if l.Detail != "" {
		p.prose("             ", 13, Text(l.Detail, maxProse))
	}
}
