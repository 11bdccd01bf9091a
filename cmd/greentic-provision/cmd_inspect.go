package main

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

// inspected is what --json prints: it begins with upstream's descriptor.
type inspected struct {
	*pack.Inspection
	// Examination is null with --static.
	Examination *engine.Examination `json:"examination"`
}

func (a *app) packInspect() *cobra.Command {
	f := dryRun{installation: installation{installID: "default"}, executor: executorWasm}
	entry := string(pack.EntrySetup)
	var asJSON, static bool
	c := &cobra.Command{
		Use:   "inspect --pack P",
		Short: "Show what a pack is, how it would be run, and everything that is wrong with it",
		Long: `Shows the manifest that was found, the entry flows, every way in which the entry can be run and which
one would be taken, the binaries, what they are declared to need and what they import, questions,
secrets, limits, integrity and every problem. For what only the binaries can tell they are loaded
in the sandbox, and a provider is asked for its questions; with --static nothing is loaded.

The exit code is 0 also when the pack cannot be run; the reasons are in the output ("problems").`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("entry", entry, pack.Entries); err != nil {
				return err
			}
			f.entry = pack.Entry(entry)
			if err := f.check(c.Flags().Changed); err != nil {
				return err
			}
			in, err := a.inspect(c.Context(), f, static)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printOrdered(in)
			}
			return output{to: a.stdout}.write([]byte(render.Inspection(in.Inspection, in.Examination, style(a.stdout))))
		},
	}
	fs := c.Flags()
	f.pack.pathFlag(fs)
	f.pack.trustFlags(fs)
	fs.StringVar(&f.pack.providerType, "provider-type", "", "the provider to look at, for a pack with several")
	fs.StringVar(&entry, "entry", entry, "the entry to look at: "+join(pack.Entries))
	fs.StringVar(&f.contract, "contract", "", "drive components by this guest contract only")
	fs.StringVar(&f.locale, "locale", "en", "language of questions")
	fs.BoolVar(&static, "static", false, "look at the file alone: load no binary, ask no questions")
	fs.BoolVar(&asJSON, "json", false, "print a JSON object")
	f.sandbox.flags(fs)
	return c
}

// inspect describes a pack. What keeps it from being examined is in the result:
// the rest can be told without.
func (a *app) inspect(ctx context.Context, f dryRun, static bool) (inspected, error) {
	policy, err := a.policy(ctx, f.pack)
	if err != nil {
		return inspected{}, err
	}
	options := pack.Options{Entry: f.entry, Provider: f.pack.providerType, Integrity: policy, AllowUnverified: true}
	in, err := unlessEnded(ctx, func() (*pack.Inspection, error) { return pack.Inspect(f.pack.path, options) })
	if err != nil {
		return inspected{}, packError("--pack", f.pack.path, err)
	}
	if static {
		return inspected{in, nil}, nil
	}
	x, err := a.examine(ctx, f, options)
	switch {
	case ctx.Err() != nil:
		return inspected{}, context.Cause(ctx)
	case err != nil:
		x = &engine.Examination{Problem: "nothing could be examined: " + errorLine(err)}
	}
	return inspected{in, x}, nil
}

func (a *app) examine(ctx context.Context, f dryRun, options pack.Options) (*engine.Examination, error) {
	b, err := unlessEnded(ctx, func() (*pack.Blueprint, error) { return pack.Open(f.pack.path, options) })
	if err != nil {
		return nil, err
	}
	inputs, state, err := a.inputs(ctx, f, b)
	if err != nil {
		return nil, err
	}
	host := capability.NewHost(capability.Config{Grants: []string{}, State: state, Limits: f.limits})
	cfg := engine.Config{Blueprint: b, Inputs: inputs, Host: host, Limits: f.limits, Contract: f.contract, Locale: f.locale}
	box, err := a.equip(ctx, f.sandbox, &cfg, host)
	if err != nil {
		return nil, err
	}
	defer box.close()
	x, err := engine.Examine(ctx, cfg)
	if err == nil {
		a.keep(box, f.sandbox, b, plan.NewScrubber(host.Secrets()...))
	}
	return x, err
}

// printOrdered prints v as JSON with members in the order of its types.
func (a *app) printOrdered(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return output{to: a.stdout}.writeText(b.Bytes())
}
