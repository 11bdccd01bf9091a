package pack

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Open reads the pack at path: a .gtpack archive, a pack directory, or the
// manifest file in a pack directory, which means that directory.
//
// The error is an *Error when the pack breaks a rule, and the operating system's
// *fs.PathError when path is missing or cannot be read.
func Open(path string) (*Blueprint, error) {
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	if d.problem != nil {
		return nil, d.problem
	}
	return &d.Blueprint, nil
}

// OpenBytes reads an archive that is in memory. source stands in for the path in
// errors.
func OpenBytes(archive []byte, source string) (*Blueprint, error) {
	d, err := openReader(bytes.NewReader(archive), int64(len(archive)), source)
	if err != nil {
		return nil, err
	}
	if d.problem != nil {
		return nil, d.problem
	}
	return &d.Blueprint, nil
}

// draft is a pack whose container and manifest are sound. When its setup cannot
// be run, problem says why: Open fails with it, Inspect shows it.
type draft struct {
	Blueprint
	entries []entryFlow
	problem *Error
}

// open finds out which form path has.
func open(path string) (*draft, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	named := ""
	switch base := filepath.Base(path); {
	case info.IsDir():
	case slices.Contains(manifestFiles, base):
		// Upstream takes the file itself for the root of the pack and then
		// finds no step in it, although its README passes exactly this.
		named = base
	case !info.Mode().IsRegular():
		return nil, at(path, refuse(RuleForm, "", "give a .gtpack file or a pack directory", "is neither a regular file nor a directory (%s)", info.Mode().Type()))
	default:
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return openReader(f, info.Size(), path)
	}
	dir := path
	if named != "" {
		dir = filepath.Dir(path)
	}
	src, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer src.root.Close()
	d, err := read(src, FormDir)
	if err != nil {
		return nil, at(path, err)
	}
	if named != "" && named != d.Manifest.File {
		d.note(plan.Warn, "MANIFEST_NOT_USED", named, "", "%s was named, but the pack's manifest is %s, which comes first", quote(named), quote(d.Manifest.File))
	}
	d.Findings = append(d.Findings, src.findings()...)
	if d.problem != nil {
		d.problem.Path = path
	}
	return d, nil
}

func openReader(r io.ReaderAt, size int64, path string) (*draft, error) {
	d, err := readArchive(r, size)
	if err != nil {
		return nil, at(path, err)
	}
	if d.problem != nil {
		d.problem.Path = path
	}
	return d, nil
}

func readArchive(r io.ReaderAt, size int64) (*draft, error) {
	if size > MaxArchive {
		return nil, refuse(RuleArchiveSize, "", "", "the file is %d bytes; at most %d are read", size, MaxArchive)
	}
	if err := checkForm(r, size); err != nil {
		return nil, err
	}
	a, err := openArchive(r, size)
	if err != nil {
		return nil, err
	}
	return read(a, FormZip)
}

// checkForm tells a zip archive from the other things that carry the name
// .gtpack, by their first block.
func checkForm(r io.ReaderAt, size int64) error {
	head := make([]byte, min(size, 512))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return machineOr(err, RuleForm, "")
	}
	const hint = "pack it as a zip archive, or give the pack's directory"
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte(localMark)), bytes.HasPrefix(head, []byte(endMark)):
		return nil
	case len(head) == 0:
		return refuse(RuleForm, "", hint, "the file is empty")
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return refuse(RuleForm, "", hint, "is a tar archive; tar packs are not read by this version")
	case len(text) > 0 && (text[0] == '{' || text[0] == '['):
		return refuse(RuleForm, "", hint, "is JSON text, not a zip archive")
	}
	return refuse(RuleForm, "", hint, "does not begin like a zip archive")
}

// read makes the draft: manifest, discovery, resolution, then the rest of the
// container.
func read(src source, form Form) (*draft, error) {
	d := &draft{Blueprint: Blueprint{Form: form}}
	for _, s := range plan.Steps {
		d.Steps = append(d.Steps, StepRef{Step: s, Component: -1})
	}
	m, err := readManifest(src, d)
	if err != nil {
		return nil, err
	}
	err = d.discover(m)
	if err == nil {
		err = d.resolve(src, m)
	}
	if e, ok := errors.AsType[*Error](err); ok && (e.Rule == RuleSetup || e.Rule == RuleStep) {
		d.problem = e
		d.absent("there is no setup flow")
	} else if err != nil {
		return nil, err
	}
	d.Digest = digest(m.file, m.bytes, d.Components)
	return d, src.finish()
}

// digest implements the digest rule of the package comment.
func digest(manifest string, text []byte, components []Component) string {
	type item struct {
		path, sum string
		size      int
	}
	sum := sha256.Sum256(text)
	items := []item{{manifest, hex.EncodeToString(sum[:]), len(text)}}
	for _, c := range components {
		items = append(items, item{c.Path, c.SHA256, len(c.Bytes)})
	}
	slices.SortFunc(items, func(x, y item) int { return cmp.Compare(x.path, y.path) })
	h := sha256.New()
	io.WriteString(h, digestVersion+"\n")
	for _, i := range items {
		fmt.Fprintf(h, "%s %d %s\n", i.sum, i.size, i.path)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// digestVersion is the first line that the digest covers.
const digestVersion = "greentic-pack-digest-v1"

// note adds a finding.
func (d *draft) note(severity plan.Severity, code, path, hint, format string, args ...any) {
	d.Findings = append(d.Findings, plan.Diagnostic{
		Severity: severity, Code: code, Path: path, Hint: hint, Message: fmt.Sprintf(format, args...),
	})
}
