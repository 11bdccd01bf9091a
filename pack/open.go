package pack

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Options say what of a pack is wanted, and of what kind it must be.
type Options struct {
	Entry    Entry  // "" is setup
	Provider string // the type of the provider that is meant, where a pack has several

	Integrity integrity.Policy
	// AllowUnverified takes a pack whose hashes or signatures do not hold. What
	// does not hold is a warning then, PACK_UNVERIFIED.
	AllowUnverified bool
}

// Open reads the pack at path: a .gtpack archive, a pack directory, or the
// manifest file in a pack directory, which means that directory.
//
// The error is an *Error when the pack breaks a rule, and the operating system's
// *fs.PathError when path is missing or cannot be read.
func Open(path string, o Options) (*Blueprint, error) {
	return blueprint(open(path, o, false))
}

// OpenBytes reads an archive that is in memory. source stands in for the path in
// errors.
func OpenBytes(archive []byte, source string, o Options) (*Blueprint, error) {
	return blueprint(openReader(bytes.NewReader(archive), int64(len(archive)), source, o, false))
}

func blueprint(d *draft, err error) (*Blueprint, error) {
	if err != nil {
		return nil, err
	}
	if len(d.problems) > 0 {
		return nil, d.problems[0]
	}
	return &d.Blueprint, nil
}

// Verify checks what the pack at path says about its own bytes. The report holds
// everything that does not add up; an error is one of Open's, for a pack of which
// nothing can be said.
func Verify(path string, p integrity.Policy) (*integrity.Report, error) {
	d, err := open(path, Options{Integrity: p}, true)
	if err != nil {
		return nil, err
	}
	return d.Integrity, nil
}

// draft is a pack whose container and manifest are sound.
type draft struct {
	Blueprint
	options  Options
	describe bool // to be described, not run: the bytes of components are not kept
	src      *contents
	m        manifest
	ext      extensions
	// noProvider says why no provider is chosen though there are some.
	noProvider string
	// problems say why the entry cannot be run: Open fails with the first, Inspect
	// shows all.
	problems []*Error

	described []InspectedComponent
	omitted   int             // findings beyond maxFindings
	used      map[string]bool // files that the digest covers
	order     []string        // of Graphs, as met
	graphless string          // why the flow has no nodes
	located   map[string]location
	locked    map[string]locked
	loaded    map[string]int   // index into Components by path
	broken    map[string]error // by path

	// How many bytes of flows and of the components' own manifests are still taken
	// apart: one file can serve for thousands of them.
	flowsLeft, manifestsLeft int
}

// open finds out which form path has.
func open(path string, o Options, describe bool) (*draft, error) {
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
		return openReader(f, info.Size(), path, o, describe)
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
	d, err := read(src, FormDir, o, describe)
	if err != nil {
		return nil, at(path, err)
	}
	if named != "" && named != d.Manifest.File {
		d.note(plan.Warn, "MANIFEST_NOT_USED", named, "", "%s was named, but the pack's manifest is %s, which comes first", hostile.Quote(named), hostile.Quote(d.Manifest.File))
	}
	return d.at(path), nil
}

func openReader(r io.ReaderAt, size int64, path string, o Options, describe bool) (*draft, error) {
	src, form, err := openFile(r, size)
	if err != nil {
		return nil, at(path, err)
	}
	d, err := read(src, form, o, describe)
	if err != nil {
		return nil, at(path, err)
	}
	return d.at(path), nil
}

// at puts the pack's path into the problems.
func (d *draft) at(path string) *draft {
	for _, p := range d.problems {
		p.Path = path
	}
	return d
}

// openFile tells archives from each other, and from the other things that carry
// the name .gtpack, by their first block.
func openFile(r io.ReaderAt, size int64) (source, Form, error) {
	if size > MaxArchive {
		return nil, "", refuse(RuleArchiveSize, "", "", "the file is %d bytes; at most %d are read", size, MaxArchive)
	}
	head := make([]byte, min(size, tarBlock))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, "", machineOr(err, RuleForm, "")
	}
	const hint = "pack it as a zip archive, or give the pack's directory"
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte(localMark)), bytes.HasPrefix(head, []byte(endMark)):
		a, err := openArchive(r, size)
		return a, FormZip, err
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		t, err := openTar(r, size)
		return t, FormTar, err
	case len(head) == 0:
		return nil, "", refuse(RuleForm, "", hint, "the file is empty")
	case len(text) > 0 && (text[0] == '{' || text[0] == '['):
		return nil, "", refuse(RuleForm, "", hint, "is JSON text, not an archive")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return nil, "", refuse(RuleForm, "", hint, "is compressed with gzip; neither a zip nor a tar archive is compressed as a whole")
	}
	return nil, "", refuse(RuleForm, "", hint, "does not begin like a zip or tar archive")
}

// read makes the draft: manifest, discovery, resolution, then what the pack says
// of its bytes and the rest of the container.
func read(src source, form Form, o Options, describe bool) (*draft, error) {
	if o.Entry == "" {
		o.Entry = EntrySetup
	}
	if !slices.Contains(Entries, o.Entry) {
		return nil, fmt.Errorf("pack: unknown entry %q", o.Entry)
	}
	d := &draft{
		Blueprint: Blueprint{Form: form, Entry: o.Entry},
		options:   o, describe: describe, src: newContents(src),
		m:         manifest{componentIndex: map[string]int{}, flowIndex: map[string]int{}},
		flowsLeft: MaxDocument, manifestsLeft: MaxDocument,
		used: map[string]bool{}, located: map[string]location{}, loaded: map[string]int{}, broken: map[string]error{},
	}
	if err := d.readManifest(); err != nil {
		return nil, err
	}
	d.readExtensions()
	d.Provider, d.noProvider = d.provider()
	for _, step := range []func() error{d.discover, d.documents, d.findWays} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, c := range d.m.components {
		d.Declared = append(d.Declared, c.Declaration)
	}
	d.Digest = d.digest()
	if describe {
		if err := d.describeComponents(); err != nil {
			return nil, err
		}
	}
	if err := d.verify(); err != nil {
		return nil, err
	}
	if err := d.src.end(); err != nil {
		return nil, err
	}
	for _, f := range src.findings() {
		d.note(f.Severity, f.Code, f.Path, f.Hint, "%s", f.Message)
	}
	if d.omitted > 0 {
		d.Findings = append(d.Findings, plan.Diagnostic{Severity: plan.Info, Code: "FINDINGS_OMITTED",
			Message: fmt.Sprintf("%d more findings are not shown", d.omitted)})
	}
	return d, nil
}

// verify asks package integrity.
func (d *draft) verify() error {
	in := integrity.Input{Files: d.src, Directory: d.Form == FormDir, Components: map[string]string{},
		Used: slices.Sorted(maps.Keys(d.used)), ComponentManifests: d.ext.claims(), Legacy: d.m.legacy}
	before, omitted := len(d.Findings), d.omitted
	for _, c := range d.m.components[:min(len(d.m.components), MaxEntries)] {
		file, _, err := d.locate(c.ID)
		if err != nil {
			return err
		}
		if file != "" {
			in.Components[c.ID] = file
		}
	}
	for _, claim := range slices.Concat(in.ComponentManifests, in.Legacy) {
		if _, err := d.has(claim.Entry); err != nil { // a directory lists what was looked for, if not all
			return err
		}
	}
	if !d.describe {
		d.Findings, d.omitted = d.Findings[:before], omitted // about components that the run may not need
	}
	report, err := integrity.Check(in, d.options.Integrity)
	if err == nil {
		err = d.src.fault
	}
	if err != nil {
		return err
	}
	d.Integrity = report
	var broken []*Error
	for _, p := range d.Integrity.Problems {
		if p.Severity != plan.Error {
			continue
		}
		broken = append(broken, &Error{Entry: p.Entry, Rule: RuleIntegrity, Detail: fmt.Sprintf("%s: %s", p.Rule, p.Detail), Hint: p.Hint})
	}
	if !d.options.AllowUnverified {
		d.problems = append(broken, d.problems...)
		return nil
	}
	for _, e := range broken {
		d.note(plan.Warn, "PACK_UNVERIFIED", e.Entry, e.Hint, "%s", e.Detail)
	}
	return nil
}

// uses puts a file under the digest.
func (d *draft) uses(file string) { d.used[file] = true }

// digest implements the digest rule of the package comment.
func (d *draft) digest() string {
	type item struct {
		path string
		sum  integrity.Sum
	}
	var items []item
	for file := range d.used {
		items = append(items, item{file, d.src.sums[file]})
	}
	slices.SortFunc(items, func(x, y item) int { return cmp.Compare(x.path, y.path) })
	h := sha256.New()
	io.WriteString(h, digestVersion+"\n")
	for _, i := range items {
		fmt.Fprintf(h, "%s %d %s\n", i.sum.SHA256, i.sum.Size, i.path)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// digestVersion is the first line that the digest covers.
const digestVersion = "greentic-pack-digest-v2"

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// within reads a document of a kind of which all together are bounded. Once there
// is nothing left, no further one is read.
func (d *draft) within(left *int, name, kind string) (b []byte, err error) {
	if *left >= 0 {
		if b, err = d.src.document(name); err != nil {
			return nil, err
		}
	}
	return b, take(left, len(b), name, kind)
}

// take takes n bytes out of what is left for a kind of document.
func take(left *int, n int, name, kind string) error {
	if *left -= n; *left < 0 {
		return refuse(RuleDocument, name, "", "up to here the %s have more than the %d bytes that are read", kind, MaxDocument)
	}
	return nil
}

// problem records why the entry cannot be run. err is an *Error.
func (d *draft) problem(err error) {
	e, _ := errors.AsType[*Error](err)
	d.problems = append(d.problems, e)
}

// maxFindings bounds what is reported: a manifest has room for a hundred thousand
// components that are not there.
const maxFindings = 200

// note adds a finding.
func (d *draft) note(severity plan.Severity, code, path, hint, format string, args ...any) {
	if len(d.Findings) >= maxFindings {
		d.omitted++
		return
	}
	d.Findings = append(d.Findings, plan.Diagnostic{
		Severity: severity, Code: code, Path: path, Hint: hint, Message: fmt.Sprintf(format, args...),
	})
}
