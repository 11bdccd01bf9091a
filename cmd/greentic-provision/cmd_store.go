package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/render"
)

func (a *app) recover() *cobra.Command {
	var f looking
	var wait time.Duration
	c := &cobra.Command{
		Use:   "recover",
		Short: "Finish or undo what a crash left unfinished",
		Long: `Looks for commits that were begun and not ended, of every installation, and finishes those that had happened
and undoes those that had not. Every apply does the same for its own installation first.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			if err := f.storing.check(); err != nil {
				return err
			}
			o, err := a.openStores(ctx, f.storing, existing)
			if err != nil {
				return err
			}
			list := []commit.Recovered{}
			if o != nil {
				defer o.close()
				committer := commit.Committer{Stores: o.Stores, By: by()}
				list, err = committer.RecoverAll(ctx, adapters.AllScopes, func(ns adapters.Namespace) (adapters.Lock, error) {
					waiting, cancel := context.WithTimeout(ctx, wait)
					defer cancel()
					return o.Record.Lock(waiting, ns, committer.By)
				})
			}
			switch {
			case f.json && err == nil:
				return a.printJSON(map[string]any{"recovered": list})
			case err != nil && len(list) == 0:
				return err
			case f.json: // one document has both
				e := &failed{exitCode(ctx, err), errorLine(err)}
				return errors.Join(a.printJSON(map[string]any{"recovered": list, "error": errorBody{e.code, e.line}}), e)
			}
			var b bytes.Buffer
			for _, r := range list { // also where others could not be recovered
				fmt.Fprintf(&b, "%s of %s (journal %s): %s\n", render.Text(r.Entry, 20), render.Text(r.Namespace, 300), render.Text(r.JournalID, 40), recoveredWords[r.Status])
			}
			if len(list) == 0 {
				b.WriteString("nothing was unfinished\n")
			}
			return errors.Join(err, output{to: a.stdout}.write(b.Bytes()))
		},
	}
	f.storing.flags(c.Flags())
	lockFlag(c.Flags(), &wait)
	c.Flags().BoolVar(&f.json, "json", false, "print a JSON object")
	return c
}

func (a *app) storeCheck() *cobra.Command {
	var f looking
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for damage in the store, and hold the audit log against its chain",
		Long: `Looks for damage of the database, for sealed values that cannot be opened, for records that do not fit together, and
holds every entry of the audit log against the hash of the one before it. The heads of the chains are printed: kept
elsewhere, they show when the end of a log was cut off. The exit code is 1 when something is wrong.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.storing.check(); err != nil {
				return err
			}
			o, err := a.stored(c.Context(), f.storing, looked)
			if err != nil {
				return err
			}
			defer o.close()
			r, err := o.Record.Check(c.Context())
			if err != nil {
				return err
			}
			if f.json {
				err = a.printJSON(r)
			} else {
				var b bytes.Buffer
				for _, p := range r.Problems {
					fmt.Fprintf(&b, "%s: %s\n", render.Text(p.Where, 400), render.Text(p.What, 600))
				}
				entries := map[bool]string{true: "1 entry", false: fmt.Sprintf("%d entries", r.Audit)}[r.Audit == 1]
				fmt.Fprintf(&b, "%s, %s, %s in the audit log, %s\n", number(r.Installs, "installation"), number(r.Values, "value"), entries, number(r.Open, "unfinished commit"))
				if r.Open > 0 {
					b.WriteString("run recover: it finishes or undoes what is unfinished\n")
				}
				for _, scope := range slices.Sorted(maps.Keys(r.Heads)) {
					fmt.Fprintf(&b, "head of %s: entry %d, %s\n", render.Text(string(scope), 200), r.Heads[scope].Seq, render.Text(r.Heads[scope].Hash, 80))
				}
				if len(r.Problems) == 0 {
					b.WriteString("sound\n")
				}
				err = output{to: a.stdout}.write(b.Bytes())
			}
			if err == nil && len(r.Problems) > 0 {
				err = &failed{code: engine.ExitFault, line: number(len(r.Problems), "problem") + " in the store"}
			}
			return err
		},
	}
	f.storing.flags(c.Flags())
	c.Flags().BoolVar(&f.json, "json", false, "print a JSON object")
	return c
}

func (a *app) storeBackup() *cobra.Command {
	var f looking
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of the store to a new file, while it is in use",
		Long: `Writes a consistent copy. Secrets are sealed in it as they are in the store: it is of use only together with the
identity, which should be kept apart from it.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{what: c.CommandPath(), rule: "needs one file", hint: "say " + c.CommandPath() + " FILE"}
			}
			if _, err := os.Lstat(args[0]); err == nil {
				return &usageError{what: "FILE", where: quote(args[0]), rule: "is there already, and is not overwritten", hint: "name a new file"}
			}
			if err := f.storing.check(); err != nil {
				return err
			}
			o, err := a.stored(c.Context(), f.storing, looked)
			if err != nil {
				return err
			}
			defer o.close()
			if err := o.Record.Backup(c.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s has the store as it was when this began\n", quote(args[0]))
			return nil
		},
	}
	f.storing.flags(c.Flags())
	return c
}
