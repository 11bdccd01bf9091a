package main

import (
	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/render"
)

func (a *app) packVerify() *cobra.Command {
	var p packInput
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify --pack P",
		Short: "Check a pack's bytes against what it says of them, and its signature",
		Long: `Checks every hash and size of the inventory (SBOM), the digests of the locks, the hashes of component
manifests, and the signature: that it is valid, in date, made with the key that it names, and by
whom. Whose signatures count is in the file of --trust: PEM blocks (PUBLIC KEY, CERTIFICATE), or
{"keys": [{"name": "…", "algorithm": "ed25519", "public_key": "…"}]}.

What is wrong with a lock below assets/, which nothing reads, and a signature by an unknown key are
warnings. The exit code is 3 when there is an error. Nothing of the pack is run.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			policy, err := a.policy(c.Context(), p)
			if err != nil {
				return err
			}
			report, err := unlessEnded(c.Context(), func() (*integrity.Report, error) { return pack.Verify(p.path, policy) })
			if err != nil {
				return packError("--pack", p.path, err)
			}
			if asJSON {
				err = a.printJSON(report)
			} else {
				err = output{to: a.stdout}.write([]byte(render.Integrity(report, style(a.stdout))))
			}
			if err == nil && !report.OK() {
				err = &failed{code: engine.ExitPack}
			}
			return err
		},
	}
	p.pathFlag(c.Flags())
	p.trustFlags(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
