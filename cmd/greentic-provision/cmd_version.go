package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
)

// versionDocument is what version --json prints.
type versionDocument struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) version() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionDocument{buildinfo.Version, buildinfo.Revision(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if asJSON {
				return a.printJSON(v)
			}
			text := fmt.Sprintf("%s %s", program, v.Version)
			if v.Revision != "" {
				text += " (" + v.Revision + ")"
			}
			return output{to: a.stdout}.write(fmt.Appendf(nil, "%s %s %s\n", text, v.Go, v.Platform))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// printJSON prints v as canonical JSON and a line end.
func (a *app) printJSON(v any) error { return output{to: a.stdout}.writeJSON(v) }
