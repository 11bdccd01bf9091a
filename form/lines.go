package form

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/muesli/cancelreader"
	"golang.org/x/term"

	"github.com/greentic-ai/greentic-provision/render"
)

// maxLine bounds a line that is read, in bytes.
const maxLine = 1 << 20

// lines asks with plain lines. huh has such a mode, which does not do: it hides no
// question, takes the end of input for an answer that no rule is held against
// (and asks for choices for ever then), gives up on secrets that come through a
// pipe, reads ahead, and does not look at the context.
type lines struct {
	in  io.Reader
	out io.Writer
	fd  int // of the terminal that is In; -1 if it is none
}

func openLines(ctx context.Context, t Terminal) (l *lines, done func()) {
	l = &lines{in: t.In, out: t.Out, fd: -1}
	if f, ok := terminal(t.In); ok {
		l.fd = int(f.Fd())
	}
	// Of what cannot be cancelled, a file and a buffer do not block.
	r, err := cancelreader.NewReader(t.In)
	if err != nil {
		return l, func() {}
	}
	l.in = r
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		r.Cancel()
		close(cancelled)
	})
	return l, func() {
		if !stop() {
			<-cancelled
		}
		r.Close()
	}
}

// AskLine asks for one line that is no question of a pack: whether to go on, a
// passphrase. A secret is not echoed. prompt is printed as it is. Errors are those of
// Ask.
func AskLine(ctx context.Context, t Terminal, prompt string, secret bool) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	l, done := openLines(ctx, t)
	defer done()
	line, err := l.read(prompt, secret)
	switch {
	case errors.Is(err, cancelreader.ErrCanceled):
		return "", context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("the input ended before this was answered: %s: %w", strings.TrimRight(prompt, ": ?"), io.ErrUnexpectedEOF)
	}
	return line, err
}

func askLines(ctx context.Context, t Terminal, a asker) error {
	l, done := openLines(ctx, t)
	defer done()
	where := ""
	for p := a.page(); p != nil; p = a.page() {
		if p.where != where {
			where = p.where
			l.say("\n%s\n", where)
		}
		v, err := l.ask(p)
		switch {
		case errors.Is(err, cancelreader.ErrCanceled):
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the input ended before this was answered: %s: %w", p.title, io.ErrUnexpectedEOF)
		case err != nil:
			return err
		}
		a.answer(v)
	}
	return nil
}

// say writes a line. What cannot be written is not seen, and then nobody answers.
func (l *lines) say(format string, args ...any) { fmt.Fprintf(l.out, format, args...) }

// ask asks until there is a good answer.
func (l *lines) ask(p *page) ([]byte, error) {
	l.say("\n%s\n", p.title)
	for _, s := range p.about {
		l.say("  %s\n", s)
	}
	if p.example != "" && p.text == "" {
		l.say("  e.g. %s\n", p.example)
	}
	if p.clearable {
		l.say("  Enter keeps what is in brackets, - empties it.\n")
	}
	for i, o := range p.options {
		l.say("  %d. %s\n", i+1, o)
	}
	for {
		line, err := l.read(p.prompt(), p.secret)
		if err != nil {
			l.say("\n")
			return nil, err
		}
		e, problem := p.enter(line)
		if problem == "" {
			v, why := p.read(e)
			if why == "" {
				return v, nil
			}
			problem = why
		}
		l.say("  %s\n", problem)
	}
}

// prompt is what stands before the answer, with what an empty line says in brackets.
func (p *page) prompt() string {
	switch p.widget {
	case confirm:
		if p.yes {
			return "yes or no [yes]: "
		}
		return "yes or no [no]: "
	case choose:
		return fmt.Sprintf("a number [%d]: ", p.chosen+1)
	case pick:
		var list []string
		for _, i := range p.picked {
			list = append(list, strconv.Itoa(i+1))
		}
		if list == nil {
			list = []string{"none"}
		}
		return fmt.Sprintf("numbers with commas, or none [%s]: ", strings.Join(list, ","))
	}
	if p.text != "" {
		return fmt.Sprintf("[%s] > ", render.Line(p.text, maxHint))
	}
	return "> "
}

// enter reads a line as an entry of the page.
func (p *page) enter(line string) (entry, string) {
	word := strings.ToLower(strings.TrimSpace(line))
	e := entry{text: p.text, yes: p.yes, chosen: p.chosen, picked: p.picked}
	switch {
	case p.widget == input && line == "-" && p.clearable:
		e.text = ""
	case p.widget == input && line != "":
		e.text = line
	case word == "":
		// as it was
	case p.widget == confirm:
		e.yes = slices.Contains([]string{"y", "yes", "true"}, word)
		if !e.yes && !slices.Contains([]string{"n", "no", "false"}, word) {
			return e, "this must be yes or no"
		}
	case p.widget == choose:
		n, ok := p.option(word)
		if !ok {
			return e, fmt.Sprintf("this must be a number from 1 to %d", len(p.options))
		}
		e.chosen = n
	case p.widget == pick:
		e.picked = nil
		if word == "none" {
			break
		}
		for s := range strings.SplitSeq(word, ",") {
			n, ok := p.option(strings.TrimSpace(s))
			if !ok {
				return e, fmt.Sprintf("these must be numbers from 1 to %d, with commas between them, or none", len(p.options))
			}
			e.picked = append(e.picked, n)
		}
	}
	return e, ""
}

func (p *page) option(word string) (int, bool) {
	n, err := strconv.Atoi(word)
	return n - 1, err == nil && n >= 1 && n <= len(p.options)
}

// read reads a line, without echo if it is hidden.
func (l *lines) read(prompt string, hidden bool) (string, error) {
	if hidden && l.fd >= 0 {
		return l.readHidden(prompt)
	}
	l.say("%s", prompt)
	var line []byte
	for {
		c, err := l.key()
		switch {
		case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
			return "", err
		case err != nil || c == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if line = append(line, c); len(line) > maxLine {
			return "", fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
	}
}

// readHidden reads a line from a terminal that echoes nothing. It is raw meanwhile,
// so that the reader stays one that can be cancelled; keys mean what they do on a
// line.
func (l *lines) readHidden(prompt string) (string, error) {
	state, err := term.MakeRaw(l.fd)
	if err != nil {
		return "", err
	}
	defer func() {
		term.Restore(l.fd, state)
		l.say("\n")
	}()
	l.say("%s", prompt) // not before, or what follows it at once is echoed
	var line []byte
	odd := false // an arrow, say: what it types would be a part of the secret
	for {
		c, err := l.key()
		switch {
		case err != nil:
			return "", err
		case c == '\r' || c == '\n':
			if !odd {
				return string(line), nil
			}
			line, odd = nil, false
			l.say("\r\n  there was a key among these that types nothing; type it again: ")
		case c == 3: // Ctrl+C
			return "", ErrAborted
		case c == 4 && len(line) == 0: // Ctrl+D
			return "", io.EOF
		case c == 8 || c == 127: // Backspace
			_, size := utf8.DecodeLastRune(line)
			line = line[:len(line)-size]
		case c == 21: // Ctrl+U
			line, odd = nil, false
		case c < ' ':
			odd = true
		default:
			if line = append(line, c); len(line) > maxLine {
				return "", fmt.Errorf("a line is longer than %d bytes", maxLine)
			}
		}
	}
}

// key reads one byte: what is read ahead would be lost to who reads next.
func (l *lines) key() (byte, error) {
	var b [1]byte
	for {
		if n, err := l.in.Read(b[:]); n > 0 || err != nil {
			if n > 0 {
				err = nil
			}
			return b[0], err
		}
	}
}
