package main

import (
	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/render"
)

func (a *app) packInspect() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect --pack P",
		Short: "Show what a pack is and what setup would run, without running it",
		Long: `Shows the manifest that was found, the entry flows, the binary of each step and where it was
looked for. Nothing of the pack is run. The exit code is 0 also when setup cannot be run; the
reason is then in the output ("problem" with --json).`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if path == "" {
				return errNoPack
			}
			in, err := pack.Inspect(path)
			if err != nil {
				return packError("--pack", path, err)
			}
			if asJSON {
				return a.printJSON(in)
			}
			return output{to: a.stdout}.write([]byte(render.Inspection(in, style(a.stdout))))
		},
	}
	packFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
