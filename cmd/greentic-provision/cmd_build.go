package main

import (
	"bytes"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/pack"
)

func (a *app) packBuild() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "build DIR --output FILE",
		Short: "Write a pack directory as a .gtpack archive, the same bytes for the same files",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{what: c.CommandPath(), rule: "needs one directory", hint: "say " + c.CommandPath() + " DIR --output FILE"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if to == "" {
				return &usageError{what: "--output", rule: "is missing", hint: "name the .gtpack file to write"}
			}
			dir := args[0]
			st, err := os.Stat(dir)
			if err != nil {
				return &usageError{what: "DIR", where: quote(dir), rule: pathReason(err)}
			}
			if !st.IsDir() {
				return &usageError{what: "DIR", where: quote(dir), rule: "is not a directory"}
			}
			out, err := a.newOutput("--output", to, input{"DIR", dir})
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := pack.Write(&b, os.DirFS(dir)); err != nil {
				return packError("DIR", dir, err)
			}
			// A pack without a setup that can be run is a pack still: its other flows
			// are for other programs.
			_, err = pack.OpenBytes(b.Bytes(), dir, pack.Options{})
			if e, ok := errors.AsType[*pack.Error](err); ok && (e.Rule == pack.RuleSetup || e.Rule == pack.RuleStep) {
				err = nil
			}
			if err != nil {
				return packError("DIR", dir, err)
			}
			return out.write(b.Bytes())
		},
	}
	c.Flags().StringVar(&to, "output", "", "archive to write")
	return c
}
