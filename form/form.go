// Package form asks an operator the questions of a [qa.Form] on a terminal, and
// saves the answers that are not secret.
//
// # Two ways to ask
//
// On a terminal, one question at a time fills a few lines that are redrawn: Enter
// or Tab goes on, Shift+Tab goes back, Ctrl+C and Esc give up. What is typed is
// held against the question at each key.
//
// Where In or Out is no terminal, where TERM is "dumb", and on demand
// ([Terminal.Accessible]), questions are plain lines, each answered by a line. That
// is for screen readers and for pipes. There is no way back, but when answers do
// not fit together they can be given again.
//
// # Answers
//
// What is known (an answer given before, else the question's default) is there to
// be changed. Three things are never shown: secrets, texts that a line of a
// terminal cannot show as they are (several lines, invisible characters), and
// values that are no text where a text is asked. For them, nothing typed means
// that they stay.
//
// Nothing typed is otherwise no answer, except that a text which was there and was
// emptied is "", for that is how a value is cleared. The answer to a text question
// is a string, unless the known one is a number or a boolean and the new one reads
// as such: components say "text" and mean it to be one.
//
// A question that is hidden is not asked, and what was answered before it was
// hidden does not count.
//
// # Hostile forms
//
// Every text of a form goes through [render.Text] and is bounded before it reaches
// the terminal. Answers that are typed are the operator's, and are echoed as typed,
// except secrets: on a terminal those are masked, or not echoed at all.
package form

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/greentic-ai/greentic-provision/qa"
)

// ErrAborted says that the operator gave up.
var ErrAborted = errors.New("interrupted")

// Terminal is where questions are asked. Accessible asks for plain lines.
type Terminal struct {
	In         io.Reader
	Out        io.Writer
	Accessible bool
}

// Ask asks the questions of f and gives the answers: a canonical JSON object, flat,
// by the ids of the questions, each of the type that its question says. It holds
// secrets.
//
// given are answers known so far, in any shape that [qa.Form.Answers] reads; null
// or nothing is none. Those to questions that are hidden stay; those to no question
// are left out. Answers that do not fit together are asked again; an operator who
// does not want to is given what there is, and [qa.Form.Check] tells.
//
// Errors are ErrAborted, the cause of ctx, an *UnaskableError, and those of reading
// and writing; input that ends too early is an io.ErrUnexpectedEOF.
func Ask(ctx context.Context, t Terminal, f *qa.Form, given json.RawMessage) (json.RawMessage, error) {
	w, err := newWalk(f, given)
	if err != nil {
		return nil, err
	}
	if err := t.run(ctx, w); err != nil {
		return nil, err
	}
	return w.result(), nil
}

// AskSave asks whether the answers that are not secret are to be saved, and where;
// "" says that they are not.
func AskSave(ctx context.Context, t Terminal, suggested string) (string, error) {
	s := &saving{suggested: suggested}
	if err := t.run(ctx, s); err != nil {
		return "", err
	}
	return s.path, nil
}

// asker is a sequence of pages that depends on the answers.
type asker interface {
	// page is what to ask now; nil when there is nothing more.
	page() *page
	// answer takes what a page read and goes on.
	answer(v json.RawMessage)
	// back goes to the page before and says whether there is one. v is what the page
	// has read so far, nil if that is no good answer.
	back(v json.RawMessage) bool
}

func (t Terminal) run(ctx context.Context, a asker) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in, isIn := terminal(t.In)
	out, isOut := terminal(t.Out)
	if t.Accessible || !isIn || !isOut || os.Getenv("TERM") == "dumb" {
		return askLines(ctx, t, a)
	}
	return askScreen(ctx, in, out, a)
}

func terminal(v any) (*os.File, bool) {
	f, ok := v.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
