// Package guests reads the hostile guests of testdata/guests: one behaviour
// each, as WebAssembly text, under a header that says what must come of it.
//
// The header is the first lines of the file, up to the first that is not one:
//
//	;; behaviour: loops for ever
//	;; contract: core
//	;; verdict: deadline or trap
//	;; limits: step-timeout=500ms max-guest-memory=8MiB
//	;; note: anything else worth knowing
//
// Behaviour, contract (core or component) and verdict are required; alternatives
// of verdicts stand for what may differ between machines. Limits are named like
// the flags. A note may be repeated. Everything else is an error, so that a
// misspelt header cannot weaken a test.
package guests

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Guest is one file.
type Guest struct {
	Name      string // of the file, without its ending
	Behaviour string
	Contract  string // "core" or "component"
	Verdicts  []limits.Verdict
	Note      string
	Source    []byte // WebAssembly text, header included

	overrides []func(*limits.Limits)
}

// Limits gives l with what the guest's header changes.
func (g Guest) Limits(l limits.Limits) limits.Limits {
	for _, set := range g.overrides {
		set(&l)
	}
	return l
}

// Accepts says whether v is one of the verdicts that the guest may get.
func (g Guest) Accepts(v limits.Verdict) bool { return slices.Contains(g.Verdicts, v) }

// Load reads every .wat file in the root of fsys, in the order of their names.
// The error names every file that cannot be read, and why.
func Load(fsys fs.FS) ([]Guest, error) {
	files, err := fs.Glob(fsys, "*.wat")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no .wat files")
	}
	var list []Guest
	var errs []error
	for _, file := range files {
		source, err := fs.ReadFile(fsys, file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g, err := parse(strings.TrimSuffix(file, ".wat"), source)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		list = append(list, g)
	}
	// The order of the files is another one: a dot sorts behind a hyphen.
	slices.SortFunc(list, func(a, b Guest) int { return strings.Compare(a.Name, b.Name) })
	return list, errors.Join(errs...)
}

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func parse(name string, source []byte) (Guest, error) {
	g := Guest{Name: name, Source: source}
	if !nameForm.MatchString(name) {
		return g, fmt.Errorf("the name %q is not made of lower-case words and hyphens", name)
	}
	seen := map[string]bool{}
	body := string(source)
	for {
		header, ok := strings.CutPrefix(body, ";; ")
		if !ok {
			break
		}
		line, rest, _ := strings.Cut(header, "\n")
		key, value, ok := strings.Cut(line, ": ")
		value = strings.TrimSpace(value)
		if !ok || value == "" {
			return g, fmt.Errorf("%q is no header; comments belong behind an empty line", line)
		}
		if seen[key] && key != "note" {
			return g, fmt.Errorf("two headers %q", key)
		}
		seen[key] = true
		if err := g.header(key, value); err != nil {
			return g, err
		}
		body = rest
	}
	for _, key := range []string{"behaviour", "contract", "verdict"} {
		if !seen[key] {
			return g, fmt.Errorf("no header %q", key)
		}
	}
	if err := g.Limits(limits.Default()).Validate(); err != nil {
		return g, err
	}
	return g, g.checkContract(body)
}

func (g *Guest) header(key, value string) error {
	switch key {
	case "behaviour":
		g.Behaviour = value
	case "contract":
		if value != "core" && value != "component" {
			return fmt.Errorf("unknown contract %q", value)
		}
		g.Contract = value
	case "verdict":
		for _, word := range strings.Split(value, " or ") {
			v := limits.Verdict(word)
			if !slices.Contains(limits.Verdicts, v) {
				return fmt.Errorf("unknown verdict %q", word)
			}
			if slices.Contains(g.Verdicts, v) {
				return fmt.Errorf("verdict %q twice", word)
			}
			g.Verdicts = append(g.Verdicts, v)
		}
	case "limits":
		for _, field := range strings.Fields(value) {
			set, err := override(field)
			if err != nil {
				return fmt.Errorf("limit %q: %w", field, err)
			}
			g.overrides = append(g.overrides, set)
		}
	case "note":
		g.Note = strings.TrimPrefix(g.Note+" "+value, " ")
	default:
		return fmt.Errorf("unknown header %q", key)
	}
	return nil
}

// checkContract holds the header against the text's first word.
func (g *Guest) checkContract(body string) error {
	opening := map[string]string{"core": "(module", "component": "(component"}[g.Contract]
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, ";;") {
			continue
		}
		if !strings.HasPrefix(line, opening) {
			return fmt.Errorf("the contract is %s, but the text does not begin with %q", g.Contract, opening)
		}
		return nil
	}
	return errors.New("nothing follows the header")
}

// override reads one name=value.
func override(field string) (func(*limits.Limits), error) {
	name, value, _ := strings.Cut(field, "=")
	span := func(of func(*limits.Limits) *time.Duration) (func(*limits.Limits), error) {
		d, err := time.ParseDuration(value)
		return func(l *limits.Limits) { *of(l) = d }, err
	}
	size := func(of func(*limits.Limits) *limits.Bytes) (func(*limits.Limits), error) {
		b, err := parseBytes(value)
		return func(l *limits.Limits) { *of(l) = b }, err
	}
	switch name {
	case "step-timeout":
		return span(func(l *limits.Limits) *time.Duration { return &l.StepTime })
	case "run-timeout":
		return span(func(l *limits.Limits) *time.Duration { return &l.RunTime })
	case "compile-timeout":
		return span(func(l *limits.Limits) *time.Duration { return &l.CompileTime })
	case "max-guest-memory":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.GuestMemory })
	case "max-worker-data":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.WorkerData })
	case "max-compile-memory":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.CompileMemory })
	case "max-stack":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.Stack })
	case "max-step-input":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.StepInput })
	case "max-step-output":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.StepOutput })
	case "max-log":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.Log })
	case "max-host-call-bytes":
		return size(func(l *limits.Limits) *limits.Bytes { return &l.HostCallBytes })
	case "max-host-calls":
		n, err := strconv.Atoi(value)
		return func(l *limits.Limits) { l.HostCalls = n }, err
	}
	return nil, errors.New("unknown name")
}

// parseBytes reads a number with KiB, MiB, GiB or nothing behind it.
func parseBytes(s string) (limits.Bytes, error) {
	unit := limits.Bytes(1)
	for suffix, u := range map[string]limits.Bytes{"KiB": limits.KiB, "MiB": limits.MiB, "GiB": limits.GiB} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = number, u
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return limits.Bytes(n) * unit, err
}

// Pack makes a pack in which the guest is the apply step and the only one, as
// the bytes of a .gtpack file. The same guest gives the same bytes.
func Pack(g Guest) ([]byte, error) {
	manifest, err := json.MarshalIndent(map[string]any{
		"id":      "greentic.guest." + g.Name,
		"version": "0.1.0",
		"meta":    map[string]any{"entry_flows": map[string]string{"setup": "setup_default"}},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, entry := range []struct {
		name string
		data []byte
	}{
		{"pack.json", append(manifest, '\n')},
		{"components/setup_default__apply.wat", g.Source},
	} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: entry.name, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(entry.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
