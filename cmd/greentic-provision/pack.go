package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/pack"
)

var errNoPack = &usageError{what: "--pack", rule: "is missing", hint: "name a .gtpack file or a pack directory"}

func packFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "pack", "", "the pack: a .gtpack file, a pack directory, or the manifest in one")
}

// packError words what pack.Open and pack.Write say: a path that the system does
// not let us read is a wrong argument; everything else is the pack's fault.
func packError(what, path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		where := quote(path)
		if pe.Path != path {
			where += ": " + quote(pe.Path)
		}
		return &usageError{what: what, where: where, rule: pe.Err.Error()}
	}
	if pe, ok := errors.AsType[*pack.Error](err); ok && pe.Path == "" {
		pe.Path = path
	}
	return err
}
