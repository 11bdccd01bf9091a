package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

// conformance is the report on a directory of packs, in upstream's form.
type conformance struct {
	Packs []conformingPack `json:"packs"`
}

// conformingPack is one pack of it. Errors say what does not hold, one each.
type conformingPack struct {
	Pack       string   `json:"pack"`    // file name
	Version    *string  `json:"version"` // null when the pack cannot be read
	OK         bool     `json:"ok"`
	Errors     []string `json:"errors"`
	PlanNotes  int      `json:"plan_notes"`
	SecretKeys []string `json:"secret_keys"`
	ExitCode   int      `json:"exit_code"` // of dry-run setup
}

func (a *app) conformance() *cobra.Command {
	f := dryRun{entry: pack.EntrySetup, executor: executorWasm, locale: "en", publicBaseURL: "https://example.invalid"}
	var packs, report, only string
	var live bool
	c := &cobra.Command{
		Use:   "conformance --packs DIR --report FILE",
		Short: "Dry-run the setup of every pack in a directory and report which hold",
		Long: `For every pack in DIR (each .gtpack file there, and each directory with a manifest): dry-run setup twice, which
must end with exit code 0 and the same plan, with every secret withheld. The public base URL is
https://example.invalid. A pack directory may bring answers (fixtures/setup.input.json) and the plan
and requirements that they must give (fixtures/setup.expected.plan.json, requirements.expected.json).

The exit code is 4 when a pack does not hold; the report, in upstream's form, says why.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case packs == "":
				return &usageError{what: "--packs", rule: "is missing", hint: "name a directory with packs"}
			case report == "":
				return &usageError{what: "--report", rule: "is missing", hint: "name the file to write"}
			}
			if live {
				fmt.Fprintf(a.stderr, "%s: warning: --live: nothing is applied; the packs are dry-run\n", program)
			}
			f.pack.path = packs
			if err := f.check(c.Flags().Changed); err != nil {
				return err
			}
			return a.runConformance(c.Context(), f, packs, report, only)
		},
	}
	fs := c.Flags()
	fs.StringVar(&packs, "packs", "", "directory with packs")
	fs.StringVar(&report, "report", "", "file to write the report to, whole or not at all")
	fs.StringVar(&only, "provider", "", "only the pack with this file name, without its extension")
	fs.BoolVar(&live, "live", false, "taken for upstream's sake: nothing is applied, and a warning says so")
	f.sandbox.flags(fs)
	return c
}

func (a *app) runConformance(ctx context.Context, f dryRun, dir, report, only string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return packError("--packs", dir, err)
	}
	var packs []input
	for _, e := range entries { // ReadDir sorts
		if path := filepath.Join(dir, e.Name()); filepath.Ext(path) == ".gtpack" || pack.IsDirectory(path) {
			packs = append(packs, input{"--packs", path})
		}
	}
	out, err := a.newOutput("--report", report, packs...)
	if err != nil {
		return err
	}
	r := conformance{Packs: []conformingPack{}}
	failing := 0
	for _, in := range packs {
		name := filepath.Base(in.path)
		if only != "" && strings.TrimSuffix(name, filepath.Ext(name)) != only {
			continue
		}
		p, err := a.conforms(ctx, f, in.path)
		if err != nil {
			return err
		}
		if !p.OK {
			failing++
		}
		r.Packs = append(r.Packs, p)
	}
	if len(r.Packs) == 0 {
		if only != "" {
			return &usageError{what: "--provider", where: quote(only), rule: "is no pack of " + quote(dir), hint: "it takes a file name without its extension"}
		}
		return &usageError{what: "--packs", where: quote(dir), rule: "has no pack", hint: "a pack is a .gtpack file, or a directory with a manifest"}
	}
	if err := out.writeJSON(r); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Wrote conformance report to %s\n", render.Text(report, 200))
	if failing > 0 {
		return &failed{code: engine.ExitDiagnostics, line: fmt.Sprintf("%d of %d packs do not hold; see %s", failing, len(r.Packs), report)}
	}
	return nil
}

// conforms runs one pack. The error is for what is not the pack's doing.
func (a *app) conforms(ctx context.Context, f dryRun, path string) (conformingPack, error) {
	p := conformingPack{Pack: filepath.Base(path), Errors: []string{}, SecretKeys: []string{}}
	no := func(format string, args ...any) { p.Errors = append(p.Errors, fmt.Sprintf(format, args...)) }
	fixture := func(name string) json.RawMessage {
		doc, err := readFixture(path, name)
		if err != nil {
			no("fixtures/%s: %s", name, err)
		}
		return doc
	}
	answers := fixture("setup.input.json")
	wantPlan, wantNeeds := fixture("setup.expected.plan.json"), fixture("requirements.expected.json")
	f.pack.path = path
	results := make([]*engine.Result, 2)
	for i := range results {
		res, err := a.conformanceRun(ctx, f, pack.EntrySetup, answers)
		if _, refused := errors.AsType[*pack.Error](err); refused {
			no("%s", errorLine(err))
			p.ExitCode = engine.ExitPack
			return p, nil
		} else if err != nil {
			return p, err
		}
		results[i] = res
	}
	res := results[0]
	p.Version, p.ExitCode, p.PlanNotes = &res.Pack.Version, res.ExitCode, len(res.Plan.Notes)
	p.SecretKeys = append(p.SecretKeys, slices.Sorted(maps.Keys(res.Plan.SecretsPatch.Set))...)
	if res.ExitCode != engine.ExitOK {
		no("%s", render.Summary(res))
		for _, d := range res.Diagnostics {
			if d.Severity == plan.Error {
				no("%s: %s", d.Code, d.Message)
			}
		}
	}
	if res.Digest != results[1].Digest {
		no("two runs give two plans, %s and %s", res.Digest, results[1].Digest)
	}
	for _, k := range p.SecretKeys {
		if s := res.Plan.SecretsPatch.Set[k]; s.Value != nil {
			no("the secret %s is not withheld", k)
		}
	}
	if wantPlan != nil {
		if got, err := plan.Canonical(res.Plan); err != nil || !bytes.Equal(got, wantPlan) {
			no("the plan is not that of fixtures/setup.expected.plan.json")
		}
	}
	if wantNeeds != nil {
		if err := a.requirementsHold(ctx, f, answers, wantNeeds, no); err != nil {
			return p, err
		}
	}
	p.OK = len(p.Errors) == 0
	return p, nil
}

// requirementsHold compares what the step requirements says with the pack's
// fixture, which has its whole answer or the member of it.
func (a *app) requirementsHold(ctx context.Context, f dryRun, answers, want json.RawMessage, no func(string, ...any)) error {
	res, err := a.conformanceRun(ctx, f, pack.EntryRequirements, answers)
	if _, refused := errors.AsType[*pack.Error](err); refused {
		no("requirements: %s", errorLine(err))
		return nil
	} else if err != nil {
		return err
	}
	for _, s := range res.StepResults {
		var data map[string]json.RawMessage
		if s.Step != plan.Requirements || json.Unmarshal(s.Output.Data, &data) != nil {
			continue
		}
		wrapped, err := plan.Canonical(map[string]json.RawMessage{"requirements": data["requirements"]})
		if err == nil && (bytes.Equal(data["requirements"], want) || bytes.Equal(wrapped, want)) {
			return nil
		}
	}
	no("the requirements are not those of fixtures/requirements.expected.json")
	return nil
}

func (a *app) conformanceRun(ctx context.Context, f dryRun, entry pack.Entry, answers json.RawMessage) (*engine.Result, error) {
	f.entry = entry
	b, err := a.openPack(ctx, f.pack, entry)
	if err != nil {
		return nil, err
	}
	f.installID = b.Manifest.ID + "-install"
	inputs, state, err := a.inputs(ctx, f, b)
	if err != nil {
		return nil, err
	}
	if answers != nil {
		inputs.Answers = answers
	}
	return a.run(ctx, packRun{dryRun: f, namespace: f.namespace(b.Manifest.ID), state: state}, b, inputs, "")
}

// readFixture reads a fixture of a pack directory as canonical JSON; nil when there
// is none. One that cannot be read is an error: somebody wants it to hold.
func readFixture(packPath, name string) (json.RawMessage, error) {
	root, err := os.OpenRoot(packPath)
	if err != nil {
		return nil, nil // an archive, or nothing
	}
	defer root.Close()
	file := "fixtures/" + name
	st, err := root.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, errors.New(pathReason(err))
	case !st.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case st.Size() > int64(limits.MiB):
		return nil, fmt.Errorf("is longer than %s", limits.MiB)
	}
	b, err := fs.ReadFile(root.FS(), file)
	if err != nil {
		return nil, errors.New(pathReason(err))
	}
	return plan.Read(b)
}
