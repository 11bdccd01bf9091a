package form

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
	"github.com/greentic-ai/greentic-provision/render"
)

// saving asks whether and where to save answers.
type saving struct {
	suggested string
	path      string
	step      int // whether, where, done
}

func (s *saving) page() *page {
	switch s.step {
	case 0:
		return &page{title: "Save the answers, without secrets, to a file?", widget: confirm,
			about: []string{"It can be given with --answers the next time."},
			read:  func(e entry) (json.RawMessage, string) { return encode(e.yes), "" }}
	case 1:
		p := &page{title: "The file", read: func(e entry) (json.RawMessage, string) { return readPath(e.text) }}
		if render.Line(s.suggested, math.MaxInt) == s.suggested {
			p.text = s.suggested
		}
		return p
	}
	return nil
}

func readPath(name string) (json.RawMessage, string) {
	if name == "" {
		return nil, "a name is needed"
	}
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		return nil, "this is a directory"
	}
	if _, err := os.Stat(filepath.Dir(name)); err != nil {
		return nil, "its directory: " + reason(err).Error()
	}
	v, problem := parse(qa.Question{Kind: qa.KindText}, nil, name)
	return v, problem
}

func (s *saving) answer(v json.RawMessage) {
	switch {
	case s.step == 0 && string(v) == "true":
		s.step = 1
	case s.step == 1:
		s.path, _ = scalar(v)
		fallthrough
	default:
		s.step = 2
	}
}

func (s *saving) back(json.RawMessage) bool {
	went := s.step == 1
	s.step = 0
	return went
}

// Save writes the answers to a file that --answers takes: one JSON object, whole or
// not at all, which only its owner may read. Left out are answers to no question of
// f, secrets, and what this program takes for a secret by its name
// ([plan.SecretValues]).
//
// A file that exists is replaced if no member of it would be lost, so that it is
// answers to the same questions, and is else left alone: a file with a secret in
// it, or answers of another pack, or no answers at all. A link is followed.
func Save(path string, f *qa.Form, answers json.RawMessage) (err error) {
	wrong := func(why string) error {
		return fmt.Errorf("answers cannot be saved in %s: %s", render.Text(path, 200), why)
	}
	public, err := withoutSecrets(f, answers)
	if err != nil {
		return wrong(err.Error())
	}
	to := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		to = real
	}
	if why := replaceable(to, public); why != "" {
		return wrong(why)
	}
	tmp, err := os.CreateTemp(filepath.Dir(to), ".answers.*.tmp") // for its owner only
	if err != nil {
		return wrong(reason(err).Error())
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
			err = wrong(reason(err).Error())
		}
	}()
	if _, err := tmp.Write(append(encode(public), '\n')); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}

// withoutSecrets gives the answers that may be written.
func withoutSecrets(f *qa.Form, answers json.RawMessage) (map[string]json.RawMessage, error) {
	b, err := plan.ReadObject(answers)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	saved := map[string]json.RawMessage{}
	for _, q := range f.Questions {
		v, answered := all[q.ID]
		if !answered || secret(q) {
			continue
		}
		if q.Kind == qa.KindTable {
			v = publicRows(q, v)
		}
		saved[q.ID] = v
	}
	return saved, nil
}

// publicRows takes the secret columns out of a table, and cells of no column.
func publicRows(q qa.Question, v json.RawMessage) json.RawMessage {
	rows := []row{}
	for _, r := range rowsOf(v) {
		kept := row{}
		for _, c := range q.Columns {
			if cell, ok := r[c.ID]; ok && !secret(c) {
				kept[c.ID] = cell
			}
		}
		rows = append(rows, kept)
	}
	return encode(rows)
}

// replaceable says why a file must not be replaced; "" if it may be, or is not
// there.
func replaceable(path string, by map[string]json.RawMessage) string {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return reason(err).Error()
	case !st.Mode().IsRegular():
		return "it is there and is no file"
	}
	file, err := os.Open(path)
	if err != nil {
		return reason(err).Error()
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, qa.MaxAnswers))
	if err != nil {
		return reason(err).Error()
	}
	var old map[string]json.RawMessage
	if b, err = plan.ReadObject(b); err != nil || json.Unmarshal(b, &old) != nil {
		return "it is there and has no answers in it; name another file"
	}
	for name := range old {
		if _, ok := by[name]; !ok {
			return "it is there, and something in it would be lost (a secret, or an answer to another question); name another file"
		}
	}
	return ""
}

// reason takes the path off an error, where the message names it already.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}
