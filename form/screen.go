package form

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"charm.land/lipgloss/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/muesli/cancelreader"
	"golang.org/x/term"
)

// The width of the text, in columns. Wider lines are hard to read.
const (
	minWidth = 20
	maxWidth = 80
)

// theme uses the colours of the terminal's own theme, and no frame.
var theme = huh.ThemeFunc(func(dark bool) *huh.Styles {
	t := huh.ThemeBase16(dark)
	t.Focused.Base = lipgloss.NewStyle()
	return t
})

var (
	bold = lipgloss.NewStyle().Bold(true)
	dim  = lipgloss.NewStyle().Faint(true)
	red  = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
)

// screen asks one page at a time, each with a field of huh.
//
// The fields are used as widgets: keys that go on, back or away are handled here,
// at once. huh's own form does that by messages to itself, and keys that come in
// between reach the field that was left: a password that follows the name too
// quickly would be shown as a part of it. Going back from a required question
// without an answer is also more than it does.
//
// The commands that fields return are not run. They blink the cursor, paste by way
// of a program that is looked up in PATH, and move between fields.
type screen struct {
	asker asker
	page  *page
	field huh.Field
	entry *entry // what the field holds

	problem       string
	width, height int
	err           error
}

// ended is a message: there will be no more keys, and why.
type ended struct{ cause error }

func askScreen(ctx context.Context, in, out *os.File, a asker) error {
	s := &screen{asker: a, width: maxWidth, height: 24}
	if s.show(); s.page == nil {
		return nil
	}
	// Signals are the business of whoever made ctx.
	p := tea.NewProgram(s, tea.WithInput(nil), tea.WithOutput(newlines{out}), tea.WithoutSignalHandler())
	stop := context.AfterFunc(ctx, func() { p.Send(ended{context.Cause(ctx)}) })
	defer stop()
	release, err := feed(in, p)
	if err != nil {
		return err
	}
	defer release()
	if _, err := p.Run(); err != nil {
		return err
	}
	return s.err
}

// newlines is a raw terminal that begins a line where it ends one. Bubble Tea, which
// is not the one that made it raw, counts on that.
type newlines struct{ *os.File }

func (t newlines) Write(b []byte) (int, error) {
	if _, err := t.File.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// feed makes the terminal raw and sends keys to the program until it is released.
//
// Bubble Tea would do that itself, but it waits for ever when the terminal goes away
// and nobody is sent a SIGHUP, and it leaves its reader behind when keys follow the
// last one; it also asks the terminal things, and answers that come late are typed
// into the shell.
func feed(in *os.File, p *tea.Program) (release func(), err error) {
	keys, err := cancelreader.NewReader(in)
	if err != nil {
		return nil, err
	}
	was, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		keys.Close()
		return nil, err
	}
	events := make(chan uv.Event)
	done := make(chan struct{})
	go func() {
		defer close(events)
		// Whether it was released or the terminal has gone, there are no more keys.
		uv.NewTerminalReader(keys, os.Getenv("TERM")).StreamEvents(context.Background(), events)
	}()
	go func() {
		defer close(done)
		for e := range events {
			p.Send(e) // which does nothing when the program has ended
		}
		p.Send(ended{fmt.Errorf("the terminal went away: %w", io.ErrUnexpectedEOF)})
	}()
	return func() {
		keys.Cancel()
		<-done
		keys.Close()
		term.Restore(int(in.Fd()), was)
	}, nil
}

// show shows the page that the asker has now.
func (s *screen) show() {
	s.problem = ""
	p := s.asker.page()
	if s.page = p; p == nil {
		return
	}
	s.entry = &entry{text: p.text, yes: p.yes, chosen: p.chosen, picked: slices.Clone(p.picked)}
	switch p.widget {
	case confirm:
		s.field = huh.NewConfirm().Value(&s.entry.yes)
	case choose:
		s.field = huh.NewSelect[int]().Options(options(p)...).Value(&s.entry.chosen)
	case pick:
		s.field = huh.NewMultiSelect[int]().Options(options(p)...).Value(&s.entry.picked).Filterable(false)
	default:
		f := huh.NewInput().Value(&s.entry.text).Placeholder(p.example)
		if p.secret {
			f.EchoMode(huh.EchoModePassword)
		}
		s.field = f
	}
	keys := huh.NewDefaultKeyMap()
	keys.Select.Filter.Unbind() // its Esc would be ours
	s.field = s.field.WithTheme(theme).WithKeyMap(keys)
	s.field.Init()
	s.field.Focus()
	s.fit()
}

func options(p *page) []huh.Option[int] {
	list := make([]huh.Option[int], len(p.options))
	for i, o := range p.options {
		list[i] = huh.NewOption(o, i)
	}
	return list
}

// fit fits the field to the terminal. Lists scroll.
func (s *screen) fit() {
	s.field.WithWidth(s.columns())
	if s.page.widget == choose || s.page.widget == pick {
		around := lipgloss.Height(s.around(""))
		s.field.WithHeight(max(3, min(len(s.page.options), s.height-around)))
	}
}

func (s *screen) columns() int { return max(minWidth, min(maxWidth, s.width-1)) }

func (s *screen) Init() tea.Cmd { return nil }

func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if s.page == nil {
		return s, tea.Quit
	}
	switch msg := msg.(type) {
	case ended:
		return s.leave(msg.cause)
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
		s.fit()
	case tea.PasteMsg:
		s.paste(msg)
	case tea.KeyPressMsg:
		return s.key(msg)
	}
	return s, nil
}

func (s *screen) leave(err error) (tea.Model, tea.Cmd) {
	s.page, s.err = nil, err
	return s, tea.Quit
}

func (s *screen) key(msg tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	name := msg.String()
	if s.page.widget == confirm && slices.Contains([]string{"y", "Y", "n", "N"}, name) {
		s.entry.yes = name == "y" || name == "Y"
		name = "enter"
	}
	switch name {
	case "ctrl+c", "esc":
		return s.leave(ErrAborted)
	case "enter", "tab":
		v, problem := s.read()
		if s.problem = problem; problem != "" {
			return s, nil
		}
		s.asker.answer(v)
		if s.show(); s.page == nil {
			return s, tea.Quit
		}
	case "shift+tab":
		v, problem := s.read()
		if problem != "" {
			v = nil
		}
		if s.asker.back(v) {
			s.show()
		}
	default:
		s.edit(msg)
	}
	return s, nil
}

// read reads what the field holds. A list of one choice knows which one is under
// its cursor; the others have put it into entry.
func (s *screen) read() (json.RawMessage, string) {
	if f, ok := s.field.(*huh.Select[int]); ok {
		s.entry.chosen, _ = f.Hovered()
	}
	return s.page.read(*s.entry)
}

// edit hands a key or a paste to the field, and checks as one types.
func (s *screen) edit(msg tea.Msg) {
	s.field.Update(msg)
	s.problem = ""
	if s.page.widget != input || s.entry.text != "" { // that something is needed is said on Enter
		_, s.problem = s.read()
	}
}

// paste takes pasted text, unless the line of an input would change it: a private
// key without its line breaks is none.
func (s *screen) paste(msg tea.PasteMsg) {
	if s.page.widget != input {
		return
	}
	msg.Content = strings.TrimRight(msg.Content, "\r\n")
	if strings.ContainsFunc(msg.Content, unicode.IsControl) {
		s.problem = "what was pasted has several lines or characters that no key types; give it in a file with --answers"
		return
	}
	s.edit(msg)
}

func (s *screen) View() tea.View {
	if s.page == nil {
		return tea.NewView("")
	}
	return tea.NewView(s.around(s.field.View()))
}

// around is what is around the field.
func (s *screen) around(field string) string {
	wrap := func(style lipgloss.Style, text string) string { return style.Width(s.columns()).Render(text) }
	var parts []string
	if s.page.where != "" {
		parts = append(parts, wrap(dim, s.page.where))
	}
	parts = append(parts, wrap(bold, s.page.title))
	for _, text := range s.page.about {
		parts = append(parts, wrap(dim, text))
	}
	parts = append(parts, field, wrap(red, s.problem), wrap(dim, s.page.keys()))
	return strings.Join(parts, "\n")
}

// keys is what can be typed.
func (p *page) keys() string {
	const always = "Enter next · Shift+Tab back · Esc give up"
	switch p.widget {
	case confirm:
		return "y yes · n no · ←/→ change · " + always
	case choose:
		return "↑/↓ choose · " + always
	case pick:
		return "↑/↓ move · Space pick · Ctrl+A all · " + always
	}
	return always
}
