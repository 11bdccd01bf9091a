package commit

import (
	"context"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Recovered is what became of a commit that a crash had left open.
type Recovered struct {
	JournalID string                 `json:"journal_id"`
	Namespace string                 `json:"namespace"`
	Status    adapters.JournalStatus `json:"status"` // finished or rolled_back
	Revision  uint64                 `json:"revision"`
	Entry     string                 `json:"entry"` // setup, update, remove
}

// Recover finishes or undoes the commits of the lock's installation that are open. It is
// the first thing that the next writer does.
func (c Committer) Recover(ctx context.Context, lock adapters.Lock) ([]Recovered, error) {
	list := []Recovered{}
	ns := lock.Namespace()
	entries, err := c.Record.Journal(ctx, ns.Scope(), true)
	if err != nil {
		return list, err
	}
	for _, e := range entries {
		if e.Namespace != ns {
			continue
		}
		was := e.Status
		if was == adapters.Committed {
			err = c.promote(ctx, e)
			e.Status = adapters.Finished
		} else {
			err = c.rollBack(ctx, e)
			e.Status = adapters.RolledBack
		}
		if err != nil {
			return list, err
		}
		e.UpdatedAt = c.now()
		r := Recovered{JournalID: e.ID, Namespace: ns.String(), Status: e.Status, Revision: e.Revision, Entry: e.Origin.Entry}
		err := c.Record.Commit(ctx, lock, adapters.Write{Journal: &e, Audit: []adapters.AuditEntry{{
			Time: e.UpdatedAt, Scope: ns.Scope(), Namespace: ns.String(), By: c.By, What: "recover", Revision: e.Revision, JournalID: e.ID,
			Pack:       adapters.PackRef{ID: e.Origin.PackID, Version: e.Origin.PackVersion, Digest: e.Origin.PackDigest},
			PlanDigest: e.PlanDigest, StateDigest: e.StateDigest, Detail: encode(r),
		}}})
		if err != nil {
			return list, err
		}
		list = append(list, r)
	}
	return list, nil
}
