// Package guests reads the hostile guests of testdata/guests: one behaviour
// each, as WebAssembly text, under a header that says what must come of it.
//
// The header is the first lines of the file, up to the first that is not one:
//
//	;; behaviour: loops for ever
//	;; contract: core
//	;; advisory: CVE-2026-34943
//	;; verdict: deadline or trap
//	;; verdict-interpreter: deadline
//	;; limits: step-timeout=500ms max-guest-memory=8MiB
//	;; note: anything else worth knowing
//
// Behaviour, contract (core or component) and verdict are required; alternatives
// of verdicts stand for what may differ between machines. Where the verdict depends
// on what a guest is compiled to, verdict-interpreter and verdict-arm64 (native code
// for arm64) say otherwise. An advisory names the flaw of the engine that a guest is
// about; advisories.json has to list it. Limits are named like the flags. Notes and
// advisories may be repeated. Everything else is an error, so that a misspelt header
// cannot weaken a test.
//
// Text that is long and monotonous is written as an annotation of the text format,
//
//	(@repeat 3 (local.set # (i32.const 1)))
//
// which stands for its text 3 times, with the count, from 0, in place of each #.
package guests

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/testdata/guests"
)

// Guest is one file.
type Guest struct {
	Name       string // of the file, without its ending
	Behaviour  string
	Contract   string   // "core" or "component"
	Advisories []string // ids of what it is about, if it is a flaw of the engine's
	Note       string
	Source     []byte // WebAssembly text, header included, repetitions written out

	verdicts  map[string][]limits.Verdict // by header
	overrides []func(*limits.Limits)
}

// All gives the guests that are built into the program, in the order of their names.
func All() ([]Guest, error) { return Load(guests.Files) }

// Limits gives l with what the guest's header changes.
func (g Guest) Limits(l limits.Limits) limits.Limits {
	for _, set := range g.overrides {
		set(&l)
	}
	return l
}

// The headers with verdicts: for whatever has none of its own, for guests that are
// interpreted, and for native code for arm64.
const (
	verdict            = "verdict"
	verdictInterpreter = "verdict-interpreter"
	verdictARM64       = "verdict-arm64"
)

// Verdicts gives those that the guest may get on this machine.
func (g Guest) Verdicts(c limits.Codegen) []limits.Verdict {
	header := verdict
	switch {
	case c == limits.Interpreter:
		header = verdictInterpreter
	case runtime.GOARCH == "arm64":
		header = verdictARM64
	}
	if list, ok := g.verdicts[header]; ok {
		return list
	}
	return g.verdicts[verdict]
}

// Accepts says whether v is one of Verdicts.
func (g Guest) Accepts(v limits.Verdict, c limits.Codegen) bool {
	return slices.Contains(g.Verdicts(c), v)
}

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
	text, err := expand(string(source))
	if err != nil {
		return Guest{}, err
	}
	g := Guest{Name: name, Source: []byte(text), verdicts: map[string][]limits.Verdict{}}
	if !nameForm.MatchString(name) {
		return g, fmt.Errorf("the name %q is not made of lower-case words and hyphens", name)
	}
	seen := map[string]bool{}
	body := text
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
		if seen[key] && key != "note" && key != "advisory" {
			return g, fmt.Errorf("two headers %q", key)
		}
		seen[key] = true
		if err := g.header(key, value); err != nil {
			return g, err
		}
		body = rest
	}
	for _, key := range []string{"behaviour", "contract", verdict} {
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
	case verdict, verdictInterpreter, verdictARM64:
		for _, word := range strings.Split(value, " or ") {
			v := limits.Verdict(word)
			if !slices.Contains(limits.Verdicts, v) {
				return fmt.Errorf("unknown verdict %q", word)
			}
			if slices.Contains(g.verdicts[key], v) {
				return fmt.Errorf("verdict %q twice", word)
			}
			g.verdicts[key] = append(g.verdicts[key], v)
		}
	case "advisory":
		if slices.Contains(g.Advisories, value) {
			return fmt.Errorf("advisory %q twice", value)
		}
		g.Advisories = append(g.Advisories, value)
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

// expand writes repetitions out. They do not nest, and what is repeated has no
// parenthesis in a string or comment.
func expand(text string) (string, error) {
	const opening = "(@repeat "
	const most = 64 << 20
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, opening)
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		end, depth := 0, 1
		for ; end < len(rest); end++ {
			switch rest[end] {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				break
			}
		}
		if depth != 0 {
			return "", errors.New("@repeat is not closed")
		}
		count, body, _ := strings.Cut(rest[:end], " ")
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || strings.TrimSpace(body) == "" || n > most/len(body) {
			return "", fmt.Errorf("@repeat %q is no count, is too large or has no text", count)
		}
		for i := range n {
			b.WriteString(strings.ReplaceAll(body, "#", strconv.Itoa(i)))
			b.WriteByte('\n')
		}
		text = rest[end+1:]
	}
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
