package engine

import (
	"context"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// declared answers the entry requirements from what the pack states about its
// secrets and questions, where it has no step that says it. No component is asked.
func (r *run) declared(context.Context, Chosen) error {
	st, err := r.begin(plan.Requirements, -1)
	if err != nil {
		return err
	}
	form, found := r.setup()
	secrets, ds := r.secretRequirements()
	found = append(found, ds...)
	if form == nil && secrets == nil {
		found = append(found, plan.Diagnostic{Severity: plan.Info, Code: "REQUIREMENTS_NONE",
			Message: "the pack has no requirements step and states neither questions nor secrets"})
	}
	b, err := plan.Canonical(map[string]any{
		"requirements": qa.RequirementsFrom(r.Inputs.ProviderID, form, secrets).JSON(), "diagnostics": nonNil(found),
	})
	if err != nil {
		return err
	}
	r.end(st, r.read(st, b))
	return nil
}
