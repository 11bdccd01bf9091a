package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
)

// found is the answer of a source to "is there a regular file of this name?".
type found int

const (
	absent found = iota
	present
)

// source is what archive and directory have in common. Names have passed
// checkName. read may be called once for a name that find called present.
type source interface {
	find(name string) (found, error)
	read(name string, most int64, rule Rule) ([]byte, error)
	finish() error
}

// directory is a pack that lies unpacked. Only what a run needs is opened: a
// source tree may hold a gigabyte of build output beside it.
type directory struct {
	root  *os.Root
	total int64
	links map[string]bool // symbolic links met on the way and not followed
}

func openDirectory(name string) (*directory, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &directory{root: root, links: map[string]bool{}}, nil
}

// find walks down name without following a link. os.Root alone would refuse
// links that leave the directory but follow the rest; a rule of "none" is the
// same as in archives and needs no target to be judged. A directory of the
// search path that is a link is passed over, not refused: real source trees have
// `components -> ../components` and run without it. A link in the very place of
// a wanted file is refused, because leaving it out would run something else.
func (d *directory) find(name string) (found, error) {
	for i := 0; ; {
		rest := strings.IndexByte(name[i:], '/')
		prefix := name
		if rest >= 0 {
			prefix = name[:i+rest]
		}
		info, err := d.root.Lstat(prefix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return absent, nil
		case err != nil:
			return absent, err
		case rest < 0 && info.Mode().IsRegular():
			return present, nil
		case rest < 0 && info.Mode()&fs.ModeSymlink != 0:
			return absent, refuse(RuleKind, name, "put the file itself into the pack", "is a symbolic link; links are not followed")
		case rest < 0 && !info.IsDir():
			return absent, refuse(RuleKind, name, "", "is not a regular file (%s)", info.Mode().Type())
		case rest < 0:
			return absent, nil
		case info.Mode()&fs.ModeSymlink != 0:
			d.links[prefix] = true
			return absent, nil
		case !info.IsDir():
			return absent, nil
		}
		i += rest + 1
	}
}

func (d *directory) read(name string, most int64, rule Rule) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // exchanged since find
		return nil, refuse(RuleKind, name, "", "is not a regular file (%s)", info.Mode().Type())
	}
	var b bytes.Buffer
	b.Grow(int(min(info.Size(), most)) + bytes.MinRead) // else ReadFrom doubles it at the end
	// The size may have changed since Stat: what counts is what is read.
	n, err := io.Copy(&b, io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, refuse(rule, name, "", "is larger than the %d bytes that are read", most)
	}
	if d.total += n; d.total > MaxTotal {
		return nil, refuse(RuleTotalSize, name, "", "up to here %d bytes are needed; at most %d are read from one pack", d.total, MaxTotal)
	}
	return b.Bytes(), nil
}

// finish is empty: what a run does not need is not part of a directory pack.
func (d *directory) finish() error { return nil }

// findings reports each link that was passed over, and what was not seen for it.
func (d *directory) findings() []plan.Diagnostic {
	var ds []plan.Diagnostic
	links := make([]string, 0, len(d.links))
	for l := range d.links {
		links = append(links, l)
	}
	slices.Sort(links)
	for _, l := range links {
		ds = append(ds, plan.Diagnostic{
			Severity: plan.Info, Code: "SYMLINK_NOT_FOLLOWED", Path: l,
			Message: fmt.Sprintf("%s is a symbolic link; what lies behind it is not part of the pack", quote(l)),
			Hint:    "put the files themselves into the pack if they are needed",
		})
	}
	return ds
}
