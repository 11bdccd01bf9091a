package form

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
	"github.com/greentic-ai/greentic-provision/render"
)

// maxRows is how many rows of a table can be asked for.
const maxRows = 100

// maxTold is how many problems are told when answers do not fit together.
const maxTold = 3

// UnaskableError says that a question cannot be asked on a terminal and that its
// answer, which is needed, is not given.
type UnaskableError struct {
	Question string // its id, hostile
	Reason   string
}

func (e *UnaskableError) Error() string {
	return fmt.Sprintf("question %s: %s, so it cannot be asked; give its answer with --answers", render.Text(e.Question, maxTitle), e.Reason)
}

// walk goes through a form, forth and back.
type walk struct {
	form    *qa.Form
	given   map[string]json.RawMessage
	answers map[string]json.RawMessage
	rows    map[string][]row // of tables, as far as they are known
	skipped []bool           // by question: it cannot be asked
	at      place
	trail   []place // where at was before
	misses  []string
}

// row is a row of a table, by the ids of its columns.
type row map[string]json.RawMessage

// part is what of a question is asked.
type part int

const (
	whole part = iota // its answer
	keep              // whether to keep a secret that is given
	more              // whether there is another row
	cell              // one cell of a row
	again             // behind the last question: whether to answer again
	done              // nothing
)

type place struct {
	question    int
	part        part
	row, column int
}

func newWalk(f *qa.Form, given json.RawMessage) (*walk, error) {
	// Defaults are no answers: they hold only while their question is asked.
	bare := *f
	bare.Questions = slices.Clone(f.Questions)
	for i := range bare.Questions {
		bare.Questions[i].Default = nil
	}
	flat, err := bare.Answers(given)
	if err != nil {
		return nil, err
	}
	w := &walk{form: f, rows: map[string][]row{}, skipped: make([]bool, len(f.Questions))}
	for _, known := range []*map[string]json.RawMessage{&w.given, &w.answers} {
		if err := json.Unmarshal(flat, known); err != nil {
			return nil, err
		}
	}
	for i, q := range f.Questions {
		if q.Kind != qa.KindTable {
			continue
		}
		known := w.known(q)
		w.rows[q.ID] = rowsOf(known)
		reason := unaskable(q, len(w.rows[q.ID]))
		if w.skipped[i] = reason != ""; w.skipped[i] && q.Required && known == nil {
			return nil, &UnaskableError{q.ID, reason}
		}
	}
	w.at = w.next()
	return w, nil
}

// unaskable says why a table cannot be asked, if it cannot.
func unaskable(q qa.Question, known int) string {
	least, _ := bounds(q)
	switch {
	case len(q.Columns) == 0:
		return "its table has no columns"
	case max(least, known) > maxRows:
		return fmt.Sprintf("its table has more than %d rows", maxRows)
	}
	return ""
}

// bounds are how few and how many rows a table can have.
func bounds(q qa.Question) (least, most int) {
	most = maxRows
	if q.MaxRows != nil {
		most = min(most, *q.MaxRows)
	}
	if q.MinRows != nil {
		least = *q.MinRows
	}
	if q.Required {
		least = max(least, 1)
	}
	return least, max(least, most)
}

func rowsOf(v json.RawMessage) []row {
	var list []row
	if json.Unmarshal(v, &list) != nil {
		return nil // no table: it is asked anew
	}
	for i, r := range list {
		if r == nil {
			list[i] = row{}
		}
	}
	return list
}

// known is what is known as an answer to q: an answer, else the default.
func (w *walk) known(q qa.Question) json.RawMessage {
	if v, ok := w.answers[q.ID]; ok {
		return v
	}
	return q.Default
}

// visible says which questions are asked, by index.
func (w *walk) visible() []bool {
	asked := map[string]bool{}
	for _, q := range w.form.Visible(encode(w.answers)) {
		asked[q.ID] = true
	}
	list := make([]bool, len(w.form.Questions))
	for i, q := range w.form.Questions {
		list[i] = asked[q.ID] && !w.skipped[i]
	}
	return list
}

// result are the answers to the questions that are asked, and those that were given
// to the others.
func (w *walk) result() json.RawMessage {
	all := map[string]json.RawMessage{}
	visible := w.visible()
	for i, q := range w.form.Questions {
		from := w.given
		if visible[i] {
			from = w.answers
		}
		if v, ok := from[q.ID]; ok {
			all[q.ID] = v
		}
	}
	return encode(all)
}

// next is the first question that is asked and was not yet. Answers may also bring
// out a question that stands before them.
func (w *walk) next() place {
	for i, is := range w.visible() {
		if is && !slices.ContainsFunc(w.trail, func(p place) bool { return p.question == i }) {
			return w.start(i)
		}
	}
	w.misses = nil
	for _, d := range w.form.Check(w.result()) {
		if d.Severity == plan.Error {
			w.misses = append(w.misses, problem(d))
		}
	}
	if len(w.misses) > 0 {
		return place{question: len(w.form.Questions), part: again}
	}
	return place{question: len(w.form.Questions), part: done}
}

func (w *walk) start(i int) place {
	q := w.form.Questions[i]
	if w.answers[q.ID] != nil && secret(q) && (q.Kind == qa.KindTable || widgetOf(q) != input) {
		return place{question: i, part: keep}
	}
	return w.begin(i)
}

// begin is start, when there is nothing to keep.
func (w *walk) begin(i int) place {
	if w.form.Questions[i].Kind == qa.KindTable {
		return w.atRow(i, 0)
	}
	return place{question: i, part: whole}
}

// atRow is where row n of a table is asked, or whether there is one.
func (w *walk) atRow(i, n int) place {
	if least, _ := bounds(w.form.Questions[i]); n < least {
		return place{i, cell, n, 0}
	}
	return place{i, more, n, 0}
}

func (w *walk) page() *page {
	if w.at.part == done {
		return nil
	}
	if w.at.part == again {
		return &page{
			where: w.where(len(w.form.Questions)), title: "Answer again?", yes: true, widget: confirm,
			about: append([]string{"Some answers do not fit:"}, told(w.misses)...),
			read:  func(e entry) (json.RawMessage, string) { return encode(e.yes), "" },
		}
	}
	q := w.form.Questions[w.at.question]
	p := w.partPage(q)
	p.where = w.where(w.at.question)
	return p
}

func told(misses []string) []string {
	if more := len(misses) - maxTold; more > 0 {
		return append(slices.Clone(misses[:maxTold]), fmt.Sprintf("and %d more", more))
	}
	return misses
}

func (w *walk) partPage(q qa.Question) *page {
	label := render.Text(cmp.Or(q.Label, q.ID), maxTitle)
	switch w.at.part {
	case keep:
		return &page{title: "Keep the given answer to: " + label + "?", yes: true, widget: confirm,
			read: func(e entry) (json.RawMessage, string) { return encode(e.yes), "" }}
	case more:
		return w.morePage(q, label)
	case cell:
		c := q.Columns[w.at.column]
		c.Secret = c.Secret || q.Secret
		known := c.Default
		if n := w.at.row; n < len(w.rows[q.ID]) {
			if v := w.rows[q.ID][n][c.ID]; v != nil && string(v) != "null" {
				known = v
			}
		}
		p := questionPage(c, known)
		p.title = fmt.Sprintf("%s, row %d: %s", label, w.at.row+1, p.title)
		return p
	}
	return questionPage(q, w.known(q))
}

// morePage asks whether a table has another row.
func (w *walk) morePage(q qa.Question, label string) *page {
	n := w.at.row
	p := &page{title: fmt.Sprintf("%s: is there a row %d?", label, n+1), widget: confirm, yes: n < len(w.rows[q.ID])}
	if n == 0 && q.Help != "" {
		p.about = []string{render.Text(q.Help, maxHelp)}
	}
	p.read = func(e entry) (json.RawMessage, string) {
		if !e.yes {
			rows := w.rows[q.ID]
			if _, problem := checked(q, table(rows[:min(n, len(rows))])); problem != "" {
				return nil, problem
			}
		}
		return encode(e.yes), ""
	}
	return p
}

// where says where one is: the form, the group, how far.
func (w *walk) where(i int) string {
	var parts []string
	if w.form.Title != "" {
		parts = append(parts, render.Text(w.form.Title, maxHint))
	}
	if i == len(w.form.Questions) {
		return strings.Join(parts, " · ")
	}
	if g := w.form.Questions[i].Group; g != "" {
		parts = append(parts, render.Text(g, maxHint))
	}
	n, all := 0, 0
	for j, is := range w.visible() {
		if is {
			all++
			if j <= i {
				n++
			}
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d of %d", n, all)), " · ")
}

func (w *walk) answer(v json.RawMessage) {
	from := w.at
	w.store(v)
	w.trail = append(w.trail, from)
	yes := string(v) == "true"
	switch {
	case from.part == again && yes:
		w.trail = nil
		w.at = w.next()
	case from.part == again:
		w.at.part = done
	case from.part == keep && !yes:
		w.at = w.begin(from.question)
	case from.part == more && yes:
		w.at = place{from.question, cell, from.row, 0}
	case from.part == cell && from.column+1 < len(w.form.Questions[from.question].Columns):
		w.at.column++
	case from.part == cell && from.row+1 < w.most(from.question):
		w.at = w.atRow(from.question, from.row+1)
	case from.part == cell:
		w.setRows(w.form.Questions[from.question], from.row+1) // rows behind it were given, and are too many
		w.at = w.next()
	default:
		w.at = w.next()
	}
}

func (w *walk) most(i int) int {
	_, most := bounds(w.form.Questions[i])
	return most
}

func (w *walk) back(v json.RawMessage) bool {
	if v != nil && (w.at.part == whole || w.at.part == cell) {
		w.store(v)
	}
	visible := w.visible()
	for n := len(w.trail) - 1; n >= 0; n-- {
		if p := w.trail[n]; visible[p.question] { // what has been hidden since is passed over
			w.at, w.trail = p, w.trail[:n]
			return true
		}
	}
	return false
}

// store puts an answer where it belongs.
func (w *walk) store(v json.RawMessage) {
	if w.at.part == again || w.at.part == keep {
		return
	}
	q := w.form.Questions[w.at.question]
	switch n := w.at.row; w.at.part {
	case whole:
		set(w.answers, q.ID, v)
	case more:
		if string(v) == "false" {
			w.setRows(q, n)
		}
	case cell:
		w.setRows(q, max(n+1, len(w.rows[q.ID])))
		set(w.rows[q.ID][n], q.Columns[w.at.column].ID, v)
		w.setRows(q, len(w.rows[q.ID]))
	}
}

// setRows makes what is known of a table's rows its answer: n rows.
func (w *walk) setRows(q qa.Question, n int) {
	rows := w.rows[q.ID]
	for len(rows) < n {
		rows = append(rows, row{})
	}
	w.rows[q.ID] = rows[:n]
	w.answers[q.ID] = table(rows[:n])
}

// table encodes rows; none are a list too.
func table(rows []row) json.RawMessage { return encode(append([]row{}, rows...)) }

// set sets an answer, or takes it away if it is none.
func set(answers map[string]json.RawMessage, id string, v json.RawMessage) {
	if v == nil {
		delete(answers, id)
	} else {
		answers[id] = v
	}
}
