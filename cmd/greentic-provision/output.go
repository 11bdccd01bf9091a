package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

// isTerminal says whether w is a terminal that understands more than text.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// style is how to print to w (see no-color.org for NO_COLOR).
func style(w io.Writer) render.Style {
	return render.Style{Color: isTerminal(w) && os.Getenv("NO_COLOR") == ""}
}

// output is where a result goes: stdout, or the file of --output, which appears
// whole or not at all.
type output struct {
	to   io.Writer
	flag string // that names path
	path string // "" for stdout
}

// input is a file or directory that a command reads, and the flag that names it.
type input struct{ flag, path string }

// newOutput checks early, before any work is done, that path, the value of flag,
// can be written, and that it is none of the inputs, which would be lost, and in none
// of them, which would be another pack afterwards.
func (a *app) newOutput(flag, path string, inputs ...input) (output, error) {
	if path == "" {
		return output{to: a.stdout}, nil
	}
	wrong := func(rule string) (output, error) {
		return output{}, &usageError{what: flag, where: quote(path), rule: rule}
	}
	// A link is followed, or the rename would put a file in its place.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	st, err := os.Stat(path)
	if err == nil && st.IsDir() {
		return wrong("is a directory")
	}
	if err == nil && !st.Mode().IsRegular() {
		// A device or a pipe, say /dev/stderr: nothing to be replaced, and nothing
		// that could be left half-written.
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return wrong(pathReason(err))
		}
		return output{to: f, flag: flag, path: path}, nil
	}
	for _, in := range inputs {
		other, err2 := os.Stat(in.path)
		switch {
		case err2 != nil && in.path != "" && samePath(path, in.path): // what will be made there
			return wrong("is the file of " + in.flag + ", which would be lost")
		case err2 != nil: // its own flag says so
		case err == nil && os.SameFile(st, other):
			return wrong("is the file of " + in.flag + ", which would be lost")
		case other.IsDir() && inside(path, other):
			return wrong("is in the directory of " + in.flag + ", whose files are the pack")
		}
	}
	f, err := tempBeside(path)
	if err != nil {
		return wrong(pathReason(err))
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return wrong(pathReason(err))
	}
	return output{flag: flag, path: path}, nil
}

// samePath says whether two paths name the same place, where nothing may be yet.
func samePath(a, b string) bool {
	place := func(path string) string {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			dir = filepath.Dir(path)
		}
		path, err = filepath.Abs(filepath.Join(dir, filepath.Base(path)))
		if err != nil {
			return ""
		}
		return path
	}
	p := place(a)
	return p != "" && p == place(b)
}

// inside says whether path lies in dir, at whatever depth.
func inside(path string, dir os.FileInfo) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for {
		up := filepath.Dir(path)
		if st, err := os.Stat(up); err == nil && os.SameFile(st, dir) {
			return true
		}
		if up == path {
			return false
		}
		path = up
	}
}

// tempBeside makes a file in path's directory. Its mode is that of any new file;
// os.CreateTemp would make it private, and a plan is there to be read.
func tempBeside(path string) (*os.File, error) {
	name := fmt.Sprintf(".%s.%d.tmp", filepath.Base(path), os.Getpid())
	return os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// write writes everything. A plan that nobody could read must not count as
// success, so what cannot be written is an error.
func (o output) write(b []byte) (err error) {
	if o.to != nil {
		if _, err := o.to.Write(b); err != nil {
			return fmt.Errorf("cannot write the result: %w", reason(err))
		}
		if f, ok := o.to.(*os.File); ok && o.path != "" {
			return f.Close()
		}
		return nil
	}
	f, err := tempBeside(o.path)
	if err != nil {
		return &usageError{what: o.flag, where: quote(o.path), rule: pathReason(err)}
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = &usageError{what: o.flag, where: quote(o.path), rule: pathReason(err)}
		}
	}()
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), o.path)
}

// writeJSON writes v as canonical JSON and a line end.
func (o output) writeJSON(v any) error {
	b, err := plan.Canonical(v)
	if err != nil {
		return err
	}
	return o.writeText(append(b, '\n'))
}

// writeText writes JSON text. On a terminal, characters that it would obey or hide
// are written as \u escapes: the same JSON value.
func (o output) writeText(b []byte) error {
	if f, ok := o.to.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b = append([]byte(render.JSON(bytes.TrimSuffix(b, []byte("\n")), math.MaxInt)), '\n')
	}
	return o.write(b)
}

// reason takes the path off an error, where the message names it already; it
// also keeps a failure to write from being taken for an unreadable input.
func reason(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}

func pathReason(err error) string { return reason(err).Error() }
