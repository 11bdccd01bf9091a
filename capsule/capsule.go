// Package capsule keeps the death of a worker in one file: what is known of it and who
// saw it, the walls that stood, the last words that went over the socket, and the guest
// that did it, so that the same can be made to happen again (command replay).
//
// A capsule is a zip archive of two files, capsule.json and the component. Secrets are
// taken out before it is made (Scrub): where one stood in what a guest was told, it is
// told something else in a replay, and the capsule says so (Scrubbed). The component is
// the pack's, byte for byte.
package capsule

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Format is the number of this format. A reader takes its own only: a capsule is
// replayed by the program that it is about.
const Format = 1

// Bounds of a capsule, in bytes. A component is never larger than an entry of a pack.
const (
	MaxFile      = 128 << 20
	maxDocument  = 64 << 20
	maxComponent = 64 << 20
)

// Capsule is the death of one worker.
type Capsule struct {
	Format  int    `json:"format"`
	Program string `json:"program"` // version of greentic-provision
	Kernel  string `json:"kernel"`  // release and machine

	Phase    string          `json:"phase"` // what the worker was at: supervisor.Phase
	Verdict  limits.Verdict  `json:"verdict"`
	Observer limits.Observer `json:"observer"`
	Signal   string          `json:"signal"`
	Detail   string          `json:"detail"`
	Facts    []limits.Fact   `json:"facts"`

	Pack       Pack        `json:"pack"`
	Components []Component `json:"components"` // of the pack
	Component  int         `json:"component"`  // at fault, by its index; -1 when none was in the worker
	Contract   string      `json:"contract"`   // by which it was to be driven; "" for whichever fits

	Step      *Step      `json:"step"` // under way; null before the first
	HostCalls []HostCall `json:"host_calls"`
	Scrubbed  bool       `json:"scrubbed"` // secrets were taken out of step or host_calls
	Cut       bool       `json:"cut"`      // host_calls are not all

	Limits   limits.Limits   `json:"limits"`
	Receipt  limits.Receipt  `json:"receipt"`
	Sighting limits.Sighting `json:"sighting"`

	Frames    []Frame `json:"frames"`     // the last between supervisor and worker
	LastWords string  `json:"last_words"` // what the worker printed

	Code []byte `json:"-"` // of the component at fault
}

// Pack says which pack it was.
type Pack struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

// Component is one of the pack's.
type Component struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Text   bool   `json:"text"` // WebAssembly text
}

// Step is what the guest was asked.
type Step struct {
	Name    string `json:"name"`
	Action  string `json:"action"`
	Request string `json:"request"` // JSON
	Seed    string `json:"seed"`    // 32 bytes in hexadecimal
}

// HostCall is one call to the host with its answer.
type HostCall struct {
	Op      string `json:"op"`
	Args    string `json:"args"`
	Value   string `json:"value"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Frame is one message. Text is its content, cut.
type Frame struct {
	From limits.Observer `json:"from"`
	Type string          `json:"type"`
	ID   uint32          `json:"id"`
	Text string          `json:"text"`
}

// Scrub takes secrets out of every text that a guest, a worker or an answer had a hand in.
func (c *Capsule) Scrub(s *plan.Scrubber) {
	document := func(text *string) {
		clean := *text
		if doc, err := plan.Read([]byte(clean)); err == nil {
			if scrubbed := string(s.ScrubJSON(doc)); scrubbed != string(doc) {
				clean = scrubbed
			}
		} else {
			clean = s.ScrubCut(clean)
		}
		c.Scrubbed = c.Scrubbed || clean != *text
		*text = clean
	}
	if c.Step != nil {
		document(&c.Step.Request)
	}
	for i := range c.HostCalls {
		h := &c.HostCalls[i]
		for _, text := range []*string{&h.Op, &h.Args, &h.Value, &h.Message} {
			document(text)
		}
	}
	// Texts are put together of some that were cut: what stands before a cut may be
	// the beginning of a secret.
	line := func(text *string) {
		pieces := strings.Split(*text, "…")
		for i := range pieces {
			pieces[i] = s.ScrubCut(pieces[i])
		}
		*text = strings.Join(pieces, "…")
	}
	for i := range c.Frames {
		line(&c.Frames[i].Text)
	}
	for i := range c.Facts {
		line(&c.Facts[i].Value)
	}
	line(&c.Detail)
	line(&c.LastWords)
	line(&c.Signal)
	line(&c.Pack.ID)
	line(&c.Pack.Version)
	for i := range c.Components {
		line(&c.Components[i].Path)
	}
}

// names of the files in the archive.
const (
	documentName  = "capsule.json"
	componentName = "component"
)

// Encode gives the file.
func (c *Capsule) Encode() ([]byte, error) {
	c.Format = Format
	doc, err := plan.Canonical(c)
	if err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	if len(doc) > maxDocument { // what a guest wrote may be six times as long in JSON
		short := *c
		short.HostCalls, short.Cut = []HostCall{}, true
		if doc, err = plan.Canonical(&short); err != nil {
			return nil, fmt.Errorf("capsule: %w", err)
		}
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	files := []struct {
		name string
		data []byte
	}{{documentName, doc}}
	if c.Component >= 0 {
		files = append(files, struct {
			name string
			data []byte
		}{componentName, c.Code})
	}
	for _, f := range files {
		to, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate})
		if err == nil {
			_, err = to.Write(f.data)
		}
		if err != nil {
			return nil, fmt.Errorf("capsule: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	return b.Bytes(), nil
}

// Error says what is wrong with a file that should be a capsule.
type Error struct{ Where, Rule string }

func (e *Error) Error() string {
	if e.Where == "" {
		return e.Rule
	}
	return e.Where + ": " + e.Rule
}

// Decode reads a file, which may come from anybody. The error is an *Error.
func Decode(file []byte) (*Capsule, error) {
	wrong := func(where, format string, args ...any) (*Capsule, error) {
		return nil, &Error{where, fmt.Sprintf(format, args...)}
	}
	if len(file) > MaxFile {
		return wrong("", "has more than %d bytes", MaxFile)
	}
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return wrong("", "is no capsule: not a zip archive")
	}
	if len(r.File) == 0 || r.File[0].Name != documentName || len(r.File) > 2 || len(r.File) == 2 && r.File[1].Name != componentName {
		return wrong("", "is no capsule: it must hold %s and at most %s behind it", documentName, componentName)
	}
	doc, err := inflate(r.File[0], maxDocument)
	if err != nil {
		return wrong(documentName, "%v", err)
	}
	if _, err := plan.ReadObject(doc); err != nil {
		return wrong(documentName, "%v", err)
	}
	var c Capsule
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return wrong(documentName, "%v", err)
	}
	if err := c.check(); err != nil {
		return wrong(documentName, "%v", err)
	}
	switch {
	case c.Component >= 0 && len(r.File) != 2:
		return wrong(componentName, "is missing")
	case c.Component < 0 && len(r.File) == 2:
		return wrong(componentName, "is there, although no component was at fault")
	case c.Component < 0:
		return &c, nil
	}
	if c.Code, err = inflate(r.File[1], maxComponent); err != nil {
		return wrong(componentName, "%v", err)
	}
	if sum := sha256.Sum256(c.Code); hex.EncodeToString(sum[:]) != c.Components[c.Component].SHA256 {
		return wrong(componentName, "is not the one that %s names by its sha256", documentName)
	}
	return &c, nil
}

// check holds what a replay relies on.
func (c *Capsule) check() error {
	if err := c.Limits.Validate(); err != nil {
		return err
	}
	switch {
	case c.Format != Format:
		return fmt.Errorf("format %d, this program reads %d", c.Format, Format)
	case !slices.Contains(limits.Verdicts, c.Verdict):
		return fmt.Errorf("unknown verdict %q", c.Verdict)
	case c.Component < -1 || c.Component >= len(c.Components):
		return fmt.Errorf("component %d of %d", c.Component, len(c.Components))
	case c.Step != nil && c.Component < 0:
		return fmt.Errorf("a step of no component")
	case c.Receipt.Isolation != limits.Strict && c.Receipt.Isolation != limits.Standard && c.Receipt.Isolation != limits.None:
		return fmt.Errorf("unknown isolation %q", c.Receipt.Isolation)
	case c.Receipt.Codegen != limits.Native && c.Receipt.Codegen != limits.Interpreter:
		return fmt.Errorf("unknown code generator %q", c.Receipt.Codegen)
	}
	if len(c.Facts) > 32 || len(c.Frames) > 64 || len(c.Receipt.Walls) > 64 {
		return fmt.Errorf("more facts, frames or walls than there can be")
	}
	for _, h := range c.HostCalls {
		if limits.Bytes(len(h.Value)) > c.Limits.HostCallBytes {
			return fmt.Errorf("an answer of %d bytes to a host call, over the limit of %s", len(h.Value), c.Limits.HostCallBytes)
		}
	}
	if c.Step != nil {
		if size := limits.Bytes(len(c.Step.Request)); size > c.Limits.StepInput {
			return fmt.Errorf("a request of %d bytes, over the limit of %s", size, c.Limits.StepInput)
		}
		if seed, err := hex.DecodeString(c.Step.Seed); err != nil || len(seed) != 32 {
			return fmt.Errorf("the seed is not 32 bytes in hexadecimal")
		}
	}
	return nil
}

// inflate reads one file of the archive, however large it says it is.
func inflate(f *zip.File, most int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > most:
		return nil, fmt.Errorf("has more than %d bytes", most)
	}
	return data, nil
}
