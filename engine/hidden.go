package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// maxHidden bounds how many parts of a plan are reported as hidden, each.
const maxHidden = 100

// hidden reports every part of a plan in which scrubbing withholds something, the
// values of secrets_patch apart: there, whoever reviews the plan does not see what
// would be done, and the digest, which is of the scrubbed plan, does not tell two
// such plans apart.
//
// It is a warning where only secrets of the operator are hidden, and anywhere in
// values, metadata and notes. A guest that declares a secret itself and then uses
// it to say what is to be done (an operation, an address, a name) hides just what
// a review is for; that is an error.
func hidden(p plan.Plan, all, operators *plan.Scrubber) []plan.Diagnostic {
	var errs, warnings []string
	// part looks at one entry of the plan: what decides about it, and what it is given.
	part := func(target string, decides []string, given ...json.RawMessage) {
		var hit, declared bool
		for _, t := range decides {
			scrubbed := all.Scrub(t)
			hit = hit || scrubbed != t
			declared = declared || scrubbed != operators.Scrub(t)
		}
		for _, v := range given {
			hit = hit || !bytes.Equal(all.ScrubJSON(v), nobody.ScrubJSON(v))
		}
		switch target = hostile.Clip(all.Target(target), maxPath); {
		case declared:
			errs = append(errs, target)
		case hit:
			warnings = append(warnings, target)
		}
	}
	metadata := func(m map[string]json.RawMessage) json.RawMessage { return raw(m) }
	for _, k := range slices.Sorted(maps.Keys(p.ConfigPatch)) {
		part(plan.TargetConfig+k, []string{k}, p.ConfigPatch[k])
	}
	for _, k := range slices.Sorted(maps.Keys(p.SecretsPatch.Set)) {
		part(plan.TargetSecretSet+k, []string{k})
	}
	for _, k := range p.SecretsPatch.Delete {
		part(plan.TargetSecretDelete+k, []string{k})
	}
	for i, op := range p.WebhookOps {
		part(fmt.Sprintf("webhook_ops[%d]", i), texts(&op.Op, op.ID, op.URL), metadata(op.Metadata))
	}
	for i, op := range p.SubscriptionOps {
		part(fmt.Sprintf("subscription_ops[%d]", i), texts(&op.Op, op.ID), metadata(op.Metadata))
	}
	for i, op := range p.OAuthOps {
		part(fmt.Sprintf("oauth_ops[%d]", i), append(texts(&op.Provider, op.RedirectURL), op.Scopes...))
	}
	for i, n := range p.Notes {
		part(fmt.Sprintf("notes[%d]", i), nil, raw(n))
	}
	return append(
		reportHidden(errs, plan.Error, "is given by a value that the pack declared secret in this run, and cannot be reviewed",
			"report this to the pack's author: a plan that hides what it does must not be applied"),
		reportHidden(warnings, plan.Warn, "contains a secret, which is withheld: this part cannot be reviewed",
			"compare with the answers and the state; the digest is that of the plan without it")...)
}

// nobody knows no secrets: what it gives back is what there was, in the same form.
var nobody = plan.NewScrubber()

func reportHidden(targets []string, severity plan.Severity, what, hint string) []plan.Diagnostic {
	var ds []plan.Diagnostic
	for i, t := range targets {
		d := plan.Diagnostic{Severity: severity, Code: "PLAN_VALUE_REDACTED", Message: t + " " + what, Path: t, Hint: hint}
		if i == maxHidden {
			d.Message, d.Path = fmt.Sprintf("and %d more parts of the plan: each %s", len(targets)-i, what), ""
		}
		if ds = append(ds, d); i == maxHidden {
			break
		}
	}
	return ds
}

// texts gives those that are there.
func texts(list ...*string) []string {
	var out []string
	for _, t := range list {
		if t != nil {
			out = append(out, *t)
		}
	}
	return out
}
