package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// directory is a pack that lies unpacked. Only what a run needs is opened: a
// source tree may hold a gigabyte of build output beside it.
type directory struct {
	root  *os.Root
	total int64
	links map[string]bool // symbolic links met on the way and not followed
	// dirs says of names on the way whether they are directories: a manifest can
	// ask a hundred thousand times for what lies 32 of them deep.
	dirs map[string]bool
	// present are the files that were looked for and are there. In a tree that is too
	// large to be listed, they are what is checked.
	present map[string]bool
}

func openDirectory(name string) (*directory, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &directory{root: root, links: map[string]bool{}, dirs: map[string]bool{}, present: map[string]bool{}}, nil
}

// find goes down name without following a link. os.Root alone would refuse
// links that leave the directory but follow the rest; a rule of "none" is the
// same as in archives and needs no target to be judged. A directory of the
// search path that is a link is passed over, not refused: real source trees have
// `components -> ../components` and run without it. A link in the very place of
// a wanted file is refused, because leaving it out would run something else.
func (d *directory) find(name string) (found, error) {
	info, err := d.look(name)
	switch {
	case err != nil || info == nil || info.IsDir():
		return absent, err
	case info.Mode()&fs.ModeSymlink != 0:
		return absent, refuse(RuleKind, name, "put the file itself into the pack", "is a symbolic link; links are not followed")
	case !info.Mode().IsRegular():
		return absent, refuse(RuleKind, name, "", "is not a regular file (%s)", info.Mode().Type())
	}
	d.present[name] = true
	return present, nil
}

// look gives what lies at name, nil for nothing. It recurses as deep as a name
// may be, MaxDepth.
func (d *directory) look(name string) (fs.FileInfo, error) {
	if parent := path.Dir(name); parent != "." {
		known, ok := d.dirs[parent]
		if !ok {
			info, err := d.look(parent)
			if err != nil {
				return nil, err
			}
			if info != nil && info.Mode()&fs.ModeSymlink != 0 {
				d.links[parent] = true
			}
			known = info != nil && info.IsDir()
			d.dirs[parent] = known
		}
		if !known {
			return nil, nil
		}
	}
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// list passes links over: it is for files that have no name of their own.
func (d *directory) list(dir string) ([]string, error) {
	info, err := d.look(dir)
	if err != nil || info == nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		d.links[dir] = true
	}
	if !info.IsDir() {
		return nil, nil
	}
	f, err := d.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(MaxEntries)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if name := dir + "/" + e.Name(); e.Type().IsRegular() && checkName(name) == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (d *directory) size(name string) int64 {
	info, err := d.root.Lstat(name)
	if err != nil {
		return 0 // copy will say why
	}
	return info.Size() + bytes.MinRead // room to notice the end
}

func (d *directory) copy(w io.Writer, name string, most int64, rule Rule) error {
	// Without O_NONBLOCK, a pipe that has taken the place of the file since find
	// would be waited for.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // exchanged since find
		return refuse(RuleKind, name, "", "is not a regular file (%s)", info.Mode().Type())
	}
	// The size may have changed since Stat: what counts is what is read.
	n := info.Size()
	if n <= most {
		if n, err = io.Copy(w, io.LimitReader(f, most+1)); err != nil {
			return err
		}
	}
	if n > most {
		return refuse(rule, name, "", "is larger than the %d bytes that are read", most)
	}
	if d.total += n; d.total > MaxTotal {
		return refuse(RuleTotalSize, name, "", "up to here %d bytes are needed; at most %d are read from one pack", d.total, MaxTotal)
	}
	return nil
}

// inventories say what a directory holds: with one of them, the whole directory
// is the pack.
var inventories = []string{"sbom.cbor", "sbom.json", "signatures/pack.sig", "pack.toml", "greentic-pack.toml"}

// names lists the directory if it holds no more than an archive may. A source
// tree that holds more is looked at file by file; with an inventory it is refused.
func (d *directory) names() ([]string, error) {
	var out []string
	left := 4 * MaxEntries // a directory costs as much as a file and is none
	err := fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch left--; {
		case err != nil:
			return err
		case left == 0 || len(out) > MaxEntries:
			return fs.SkipAll
		case name == ".":
		case checkName(name) != nil && entry.IsDir():
			return fs.SkipDir
		case checkName(name) == nil && entry.Type().IsRegular():
			out = append(out, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if left > 0 && len(out) <= MaxEntries {
		return out, nil
	}
	for _, name := range inventories {
		if f, err := d.find(name); err != nil {
			return nil, err
		} else if f == present {
			return nil, refuse(RuleEntries, "", "", "the directory has %s and more than %d files, which are not all checked", hostile.Quote(name), MaxEntries)
		}
	}
	for _, name := range withAssets(lockFiles...) {
		if _, err := d.find(name); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(d.present)), nil
}

// finish is empty: what a run does not need is not part of a directory pack.
func (d *directory) finish(func(string) bool) error { return nil }

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
			Message: fmt.Sprintf("%s is a symbolic link; what lies behind it is not part of the pack", hostile.Quote(l)),
			Hint:    "put the files themselves into the pack if they are needed",
		})
	}
	return ds
}
