package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
)

var errNoPack = &usageError{what: "--pack", rule: "is missing", hint: "name a .gtpack file or a pack directory"}

// packInput is the pack that a command works on, and how much it must prove.
type packInput struct {
	path, providerType, trust         string
	allowUnverified, requireSignature bool
}

func (p *packInput) pathFlag(fs *pflag.FlagSet) {
	fs.StringVar(&p.path, "pack", "", "the pack: a .gtpack file, a pack directory, or the manifest in one")
}

// trustFlags are for commands that judge the pack's signature.
func (p *packInput) trustFlags(fs *pflag.FlagSet) {
	fs.StringVar(&p.trust, "trust", "", "file with the keys whose signatures count (JSON or PEM)")
	fs.BoolVar(&p.requireSignature, "require-signature", false, "refuse a pack without a valid signature by a key of --trust")
}

// runFlags are for commands that run the pack.
func (p *packInput) runFlags(fs *pflag.FlagSet) {
	p.trustFlags(fs)
	fs.BoolVar(&p.allowUnverified, "allow-unverified", false, "run a pack whose hashes, locks or signature do not hold; the result says so")
	fs.StringVar(&p.providerType, "provider-type", "", "the provider to set up, for a pack with several (messaging.telegram.bot)")
}

// check reports the first flag that makes no sense.
func (p *packInput) check() error {
	switch {
	case p.path == "":
		return errNoPack
	case p.requireSignature && p.trust == "":
		return &usageError{what: "--require-signature", rule: "needs --trust", hint: "name a file with the keys that you trust"}
	case p.requireSignature && p.allowUnverified:
		return &usageError{what: "--require-signature", rule: "contradicts --allow-unverified", hint: "leave one of them out"}
	}
	return nil
}

// maxTrust bounds the file of --trust.
const maxTrust = 1 * limits.MiB

// policy reads what a pack must prove.
func (a *app) policy(ctx context.Context, p packInput) (integrity.Policy, error) {
	policy := integrity.Policy{RequireSignature: p.requireSignature, Now: time.Now()}
	if p.trust == "" {
		return policy, nil
	}
	b, err := a.readInput(ctx, "--trust", p.trust, maxTrust, "")
	if err != nil {
		return policy, err
	}
	if policy.Trust, err = integrity.ParseTrust(b); err != nil {
		return policy, &usageError{what: "--trust", where: quote(p.trust), rule: err.Error()}
	}
	return policy, nil
}

// openPack opens the pack for an entry.
func (a *app) openPack(ctx context.Context, p packInput, entry pack.Entry) (*pack.Blueprint, error) {
	policy, err := a.policy(ctx, p)
	if err != nil {
		return nil, err
	}
	options := pack.Options{Entry: entry, Provider: p.providerType, Integrity: policy, AllowUnverified: p.allowUnverified}
	b, err := unlessEnded(ctx, func() (*pack.Blueprint, error) { return pack.Open(p.path, options) })
	if err != nil {
		return nil, packError("--pack", p.path, unverified(err, p.requireSignature))
	}
	return b, nil
}

// unverified adds to the error of a pack that is not what it says of itself how to
// see all of it and how to run it nevertheless.
func unverified(err error, mustBeSigned bool) error {
	if e, ok := errors.AsType[*pack.Error](err); ok && e.Rule == pack.RuleIntegrity {
		hints := []string{"pack verify lists every problem"}
		if e.Hint != "" {
			hints = []string{e.Hint, hints[0]}
		}
		if !mustBeSigned {
			hints = append(hints, "--allow-unverified runs it all the same")
		}
		e.Hint = strings.Join(hints, "; ")
	}
	return err
}

// packError words what pack.Open and pack.Write say: a path that the system does
// not let us read is a wrong argument; everything else is the pack's fault.
func packError(what, path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok && !noDescriptors(err) {
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
