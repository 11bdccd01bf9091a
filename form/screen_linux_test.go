package form

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/qa"
)

// tty is a terminal with somebody at it.
type tty struct {
	t          *testing.T
	keys, file *os.File // the two ends
	was        *unix.Termios
	mu         sync.Mutex
	shown      []byte
	changed    chan struct{} // one in it when shown has grown
	gone       chan struct{}
}

func newTTY(t *testing.T) *tty {
	t.Setenv("TERM", "xterm-256color")
	keys, file, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	if err := pty.Setsize(file, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	y := &tty{t: t, keys: keys, file: file, changed: make(chan struct{}, 1), gone: make(chan struct{})}
	y.was = y.state()
	go func() {
		defer close(y.gone)
		b := make([]byte, 4096)
		for {
			n, err := keys.Read(b)
			if err != nil {
				return
			}
			y.mu.Lock()
			y.shown = append(y.shown, b[:n]...)
			y.mu.Unlock()
			select {
			case y.changed <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		file.Close() // then the reader sees the end
		<-y.gone
		keys.Close()
	})
	return y
}

func (y *tty) state() *unix.Termios {
	y.t.Helper()
	s, err := unix.IoctlGetTermios(int(y.file.Fd()), unix.TCGETS)
	if err != nil {
		y.t.Fatal(err)
	}
	return s
}

// await waits until a word has been shown. Only what differs is drawn, and spaces
// may be jumped over, so it is one that nothing like it was shown before.
func (y *tty) await(word string) {
	y.t.Helper()
	late := time.After(20 * time.Second)
	for {
		y.mu.Lock()
		seen := bytes.Contains(y.shown, []byte(word))
		y.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-y.changed:
		case <-late:
			y.t.Fatalf("%q was never shown: %q", word, y.output())
		}
	}
}

func (y *tty) output() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return string(y.shown)
}

func (y *tty) press(keys string) {
	y.t.Helper()
	if _, err := io.WriteString(y.keys, keys); err != nil {
		y.t.Fatal(err)
	}
}

// answering asks the questions of f on the terminal. What it gives waits for the end
// and says how it was.
func (y *tty) answering(ctx context.Context, accessible bool, f *qa.Form, given string) func() (string, error) {
	type outcome struct {
		answers json.RawMessage
		err     error
	}
	ended := make(chan outcome, 1)
	go func() {
		answers, err := Ask(ctx, Terminal{In: y.file, Out: y.file, Accessible: accessible}, f, json.RawMessage(given))
		ended <- outcome{answers, err}
	}()
	return func() (string, error) {
		y.t.Helper()
		select {
		case o := <-ended:
			if got := y.state(); *got != *y.was {
				y.t.Errorf("the terminal is not as it was: %+v, was %+v", got, y.was)
			}
			return string(o.answers), o.err
		case <-time.After(20 * time.Second):
			y.t.Fatalf("it does not end: %q", y.output())
			return "", nil
		}
	}
}

const (
	back = "\x1b[Z"
	down = "\x1b[B"
	left = "\x1b[D"
)

var screenForm = &qa.Form{Title: "Telegram", Questions: []qa.Question{
	{ID: "user", Label: "QQuser", Kind: qa.KindText, Required: true},
	{ID: "key", Label: "WWkey", Kind: qa.KindText, Required: true, Secret: true},
	{ID: "port", Label: "XXport", Kind: qa.KindInteger, Default: json.RawMessage("25"), Max: ptr(65535.0)},
	{ID: "mode", Label: "YYmode", Kind: qa.KindChoice, Required: true, Choices: []qa.Choice{{Value: "starttls"}, {Value: "tls"}, {Value: "none"}}},
	{ID: "events", Label: "ZZevents", Kind: qa.KindMultichoice, Choices: []qa.Choice{{Value: "a"}, {Value: "b"}, {Value: "c"}}},
	{ID: "proxy", Label: "UUproxy", Kind: qa.KindBoolean},
	{ID: "via", Label: "VVvia", Kind: qa.KindText, VisibleIf: &qa.Condition{Op: qa.OpYes, Field: "proxy"}},
}}

// Its characters are in nothing else that is shown, so that none of them can be
// there by way of a redrawn piece either.
const typedSecret = "ΨΩЖЮ"

func TestOnATerminal(t *testing.T) {
	y := newTTY(t)
	end := y.answering(context.Background(), false, screenForm, "")
	y.await("QQuser")
	// All at once, so that a key which reaches the field before it is seen. 25 is
	// there to be edited.
	y.press("bob\r" + typedSecret + "\r" + "\x7f\x7f587\r" + down + "\r" + " " + down + down + " \r" + "n")
	got, err := end()
	if want := `{"events":["a","c"],"key":"ΨΩЖЮ","mode":"tls","port":587,"proxy":false,"user":"bob"}`; got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if strings.ContainsAny(y.output(), typedSecret) {
		t.Errorf("a secret is shown: %q", y.output())
	}
	// The terminal is raw: a line end alone would not go back to the left edge.
	if out := y.output(); strings.Count(out, "\n") != strings.Count(out, "\r\n") {
		t.Errorf("lines do not begin at the left edge: %q", out)
	}
}

func TestKeysBehindTheLastAreNoTrouble(t *testing.T) {
	y := newTTY(t)
	end := y.answering(context.Background(), false, &qa.Form{Questions: screenForm.Questions[:1]}, "")
	y.await("QQuser")
	y.press("bob\r" + strings.Repeat("x\r\x1b", 500))
	if got, err := end(); got != `{"user":"bob"}` || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestGoingBackOnATerminal(t *testing.T) {
	y := newTTY(t)
	end := y.answering(context.Background(), false, screenForm, `{"user":"bob","key":"ΨΩЖЮ","mode":"tls","events":["b"]}`)
	y.await("QQuser")
	// Forth to the end with a proxy, back to the name, and forth without one.
	y.press(strings.Repeat("\r", 5) + left + "\r" + "squid")
	y.await("VVvia")
	y.press(strings.Repeat(back, 9) + "by\r")
	y.press(strings.Repeat("\r", 4) + left + "\r")
	got, err := end()
	if want := `{"events":["b"],"key":"ΨΩЖЮ","mode":"tls","port":25,"proxy":false,"user":"bobby"}`; got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if strings.ContainsAny(y.output(), typedSecret) {
		t.Errorf("a secret is shown: %q", y.output())
	}
}

func TestOneCanGoBackFromAnUnansweredQuestion(t *testing.T) {
	y := newTTY(t)
	f := &qa.Form{Questions: screenForm.Questions[:2]}
	end := y.answering(context.Background(), false, f, "")
	y.await("QQuser")
	y.press("bob\r" + back + "by\r" + "k\r")
	got, err := end()
	if want := `{"key":"k","user":"bobby"}`; got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestABadAnswerIsRefusedOnATerminal(t *testing.T) {
	y := newTTY(t)
	f := &qa.Form{Questions: []qa.Question{{ID: "port", Label: "XXport", Kind: qa.KindInteger, Required: true, Max: ptr(99.0)}}}
	end := y.answering(context.Background(), false, f, "")
	y.await("XXport")
	y.press("\r")
	y.await("needed")
	y.press("7x")
	y.await("whole") // without Enter
	y.press("\r\x7f77")
	y.await("99")
	y.press("\r\x7f\r")
	if got, err := end(); got != `{"port":77}` || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAPasteThatALineWouldChangeIsRefused(t *testing.T) {
	y := newTTY(t)
	f := &qa.Form{Questions: screenForm.Questions[1:2]}
	end := y.answering(context.Background(), false, f, "")
	y.await("WWkey")
	y.press("\x1b[200~-----BEGIN\nΨ\n-----END\n\x1b[201~")
	y.await("--answers")
	y.press("\x1b[200~ΨΩ\n\x1b[201~\r")
	if got, err := end(); got != `{"key":"ΨΩ"}` || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	if strings.ContainsAny(y.output(), typedSecret) {
		t.Errorf("a secret is shown: %q", y.output())
	}
}

func TestGivingUpOnATerminal(t *testing.T) {
	for name, keys := range map[string]string{"Ctrl+C": "\x03", "Esc": "\x1b"} {
		t.Run(name, func(t *testing.T) {
			y := newTTY(t)
			end := y.answering(context.Background(), false, screenForm, "")
			y.await("QQuser")
			y.press("bob\r" + typedSecret + keys)
			if got, err := end(); got != "" || err != ErrAborted {
				t.Errorf("%s, %v", got, err)
			}
			if strings.ContainsAny(y.output(), typedSecret) {
				t.Errorf("a secret is shown: %q", y.output())
			}
		})
	}
}

func TestAContextThatEndsGivesTheTerminalBack(t *testing.T) {
	for name, accessible := range map[string]bool{"redrawn": false, "lines": true} {
		t.Run(name, func(t *testing.T) {
			y := newTTY(t)
			stopped := errors.New("stopped")
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			end := y.answering(ctx, accessible, &qa.Form{Questions: screenForm.Questions[1:2]}, "")
			y.await("WWkey")
			y.await(">") // raw by now
			cancel(stopped)
			if _, err := end(); err != stopped {
				t.Error(err)
			}
		})
	}
}

func TestATerminalThatGoesAwayEndsTheWait(t *testing.T) {
	for name, accessible := range map[string]bool{"redrawn": false, "lines": true} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TERM", "xterm-256color")
			keys, file, err := pty.Open()
			if err != nil {
				t.Skipf("no pseudo terminals here: %v", err)
			}
			defer file.Close()
			outcome := make(chan error, 1)
			go func() {
				_, err := Ask(context.Background(), Terminal{In: file, Out: file, Accessible: accessible}, screenForm, nil)
				outcome <- err
			}()
			var b [1]byte
			if _, err := keys.Read(b[:]); err != nil { // it has begun
				t.Fatal(err)
			}
			keys.Close()
			select {
			case err := <-outcome:
				if err == nil { // which one depends on who notices first
					t.Error("no error")
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}

func TestHostileTextOnATerminal(t *testing.T) {
	y := newTTY(t)
	evil := "XX\x1b]0;owned\x07\u202e\u200b" + strings.Repeat("very long ", 500)
	raw, _ := json.Marshal(evil)
	q := qa.Question{ID: "a", Label: evil, Help: evil, Placeholder: evil, DocsURL: evil, Group: evil, Default: raw, Error: evil, Kind: qa.KindText, Pattern: "^x$"}
	c := q
	c.ID, c.Kind, c.Default = "b", qa.KindMultichoice, nil
	for range 100 {
		c.Choices = append(c.Choices, qa.Choice{Title: evil, Value: evil})
	}
	end := y.answering(context.Background(), false, &qa.Form{Title: evil, Questions: []qa.Question{q, c}}, "")
	y.await("XX")
	y.press("\r" + "x\r" + "\r")
	if got, err := end(); got != `{"a":"x"}` || err != nil {
		t.Errorf("%.100s, %v", got, err)
	}
	if strings.Contains(y.output(), "\x1b]0;") || strings.ContainsAny(y.output(), "\u202e\u200b\x07") {
		t.Error("not escaped")
	}
}

func TestASecretIsNotEchoedOnPlainLines(t *testing.T) {
	y := newTTY(t)
	f := &qa.Form{Questions: screenForm.Questions[:2]}
	end := y.answering(context.Background(), true, f, "")
	y.await("QQuser")
	y.press("bob\n")
	y.await("WWkey\r\n>")
	y.press("x\x15ΨΩЯ\x7fЖ\x1b[A\r") // an arrow among them
	y.await("type it again")
	y.press("ΨΩЯ\x7fЖЮ\r")
	got, err := end()
	if want := `{"key":"ΨΩЖЮ","user":"bob"}`; got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if strings.ContainsAny(y.output(), typedSecret) {
		t.Errorf("a secret is shown: %q", y.output())
	}
}

func TestGivingUpASecretOnPlainLines(t *testing.T) {
	for name, c := range map[string]struct {
		key  string
		want error
	}{"Ctrl+C": {"\x03", ErrAborted}, "Ctrl+D": {"\x04", io.ErrUnexpectedEOF}} {
		y := newTTY(t)
		end := y.answering(context.Background(), true, &qa.Form{Questions: screenForm.Questions[1:2]}, "")
		y.await("WWkey\r\n>")
		y.press(c.key)
		if _, err := end(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADumbTerminalIsAskedWithLines(t *testing.T) {
	y := newTTY(t)
	t.Setenv("TERM", "dumb")
	end := y.answering(context.Background(), false, &qa.Form{Questions: screenForm.Questions[:1]}, "")
	y.await("QQuser")
	y.press("bob\n")
	if got, err := end(); got != `{"user":"bob"}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if strings.Contains(y.output(), "\x1b") {
		t.Errorf("%q", y.output())
	}
}
