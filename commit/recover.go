package commit

import (
	"context"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Recovered is what became of a commit that a crash had left open.
type Recovered struct {
	JournalID string                 `json:"journal_id"`
	Namespace string                 `json:"namespace"`
	Status    adapters.JournalStatus `json:"status"`   // finished or rolled_back
	Revision  uint64                 `json:"revision"` // that the installation is at
	Entry     string                 `json:"entry"`    // setup, update, remove
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
			err = c.promote(ctx, lock, e)
			e.Status = adapters.Finished
		} else {
			err = c.rollBack(ctx, lock, e)
			e.Status = adapters.RolledBack
		}
		if err != nil {
			return list, err
		}
		e.UpdatedAt = c.now()
		revision := e.Revision
		if e.Status == adapters.RolledBack {
			revision-- // there is no such one
		}
		r := Recovered{JournalID: e.ID, Namespace: ns.String(), Status: e.Status, Revision: revision, Entry: e.Origin.Entry}
		err := c.Record.Commit(ctx, lock, adapters.Write{Journal: &e, Audit: []adapters.AuditEntry{{
			Time: e.UpdatedAt, Scope: ns.Scope(), Namespace: ns.String(), By: c.By, What: "recover", Revision: revision, JournalID: e.ID,
			Pack:       packOf(e.Origin),
			PlanDigest: e.PlanDigest, StateDigest: e.StateDigest, Detail: encode(r),
		}}})
		if err != nil {
			return list, err
		}
		list = append(list, r)
	}
	return list, nil
}
