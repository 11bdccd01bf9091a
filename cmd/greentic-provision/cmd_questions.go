package main

import (
	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
	"github.com/greentic-ai/greentic-provision/render"
)

// The forms in which questions come out.
var questionFormats = []string{"text", "form", "spec", "schema", "card"}

func (a *app) packQuestions() *cobra.Command {
	f := dryRun{entry: pack.EntrySetup, installation: installation{installID: "default"}, executor: executorWasm}
	format := "text"
	c := &cobra.Command{
		Use:   "questions --pack P",
		Short: "Print the questions that a pack asks",
		Long: `Runs the step collect of the pack in the sandbox and prints its questions: for people (text), in the
program's own form (form), as the component's own specification (spec), as a JSON Schema of the
answers (schema), or as an Adaptive Card (card).`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("format", format, questionFormats); err != nil {
				return err
			}
			return a.runQuestions(c, f, format)
		},
	}
	fs := c.Flags()
	f.pack.pathFlag(fs)
	f.pack.runFlags(fs)
	fs.StringVar(&format, "format", format, "text, form, spec, schema or card")
	fs.StringVar(&f.mode, "mode", engine.ModeSetup, "the mode to ask for: "+join(engine.Modes))
	fs.StringVar(&f.locale, "locale", "en", "language of the questions")
	fs.StringVar(&f.via, "via", "", "run the pack this way: "+join(pack.Vias))
	fs.StringVar(&f.contract, "contract", "", "drive components by this guest contract only")
	f.sandbox.flags(fs)
	return c
}

func (a *app) runQuestions(c *cobra.Command, f dryRun, format string) error {
	ctx := c.Context()
	if err := f.check(c.Flags().Changed); err != nil {
		return err
	}
	if f.mode == engine.ModeUpdate || f.mode == engine.ModeRemove {
		f.entry = pack.Entry(f.mode)
	}
	blueprint, err := a.openPack(ctx, f.pack, f.entry)
	if err != nil {
		return err
	}
	blueprint.Manifest.RequiresPublicBaseURL = false // to run, not to ask
	inputs, state, err := a.inputs(ctx, f, blueprint)
	if err != nil {
		return err
	}
	result, err := a.run(ctx, packRun{dryRun: f, namespace: f.namespace(blueprint.Manifest.ID), state: state}, blueprint, inputs, plan.Collect)
	if err != nil {
		return err
	}
	if result.ExitCode != engine.ExitOK {
		return &failed{code: result.ExitCode, line: noQuestions(result)}
	}
	form := result.Form
	if form == nil {
		for _, step := range result.StepResults {
			if step.Output.Questions != nil {
				return &failed{code: engine.ExitDiagnostics, line: "the pack's questions have no form that is known here: dry-run " + string(f.entry) + " --json shows them as they are"}
			}
		}
		form = &qa.Form{Mode: f.mode}
	}
	switch format {
	case "form":
		return a.printJSON(form.JSON())
	case "spec":
		if result.Spec == nil {
			return &failed{code: engine.ExitDiagnostics, line: "the pack has no question specification of its own: only a provider that is asked has one; see --format form"}
		}
		return a.printJSON(result.Spec)
	case "schema":
		return a.printJSON(form.JSONSchema())
	case "card":
		return a.printJSON(form.AdaptiveCard())
	}
	return output{to: a.stdout}.write([]byte(render.Questions(form, style(a.stdout))))
}

// noQuestions says in one line why there are none.
func noQuestions(result *engine.Result) string {
	for _, d := range result.Diagnostics {
		if d.Severity == plan.Error {
			return "no questions: " + d.Message
		}
	}
	return "no questions: " + render.Summary(result)
}
