package commit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Committer commits sets to stores.
type Committer struct {
	Stores
	// By says who does it, in the journal and the audit log: user, host, process.
	By string
	// Now gives the time of records; nil is time.Now.
	Now func() time.Time
}

func (c Committer) now() time.Time {
	if c.Now != nil {
		return c.Now().UTC()
	}
	return time.Now().UTC()
}

// grace is how long a commit that is past its point of no return, or that is undone, may
// go on after its context has ended.
const grace = 30 * time.Second

// UnfinishedError says that a commit stopped between its beginning and its end, and that
// Recover will say which it is. Err is why.
type UnfinishedError struct {
	JournalID string
	Committed bool // it will be finished; else it may have been
	Err       error
}

func (e *UnfinishedError) Error() string {
	what := "the commit may have happened"
	if e.Committed {
		what = "the commit has happened and is not finished"
	}
	return fmt.Sprintf("%s (journal %s): %s (run greentic-provision recover)", what, e.JournalID, e.Err)
}

func (e *UnfinishedError) Unwrap() error { return e.Err }

// Commit makes a set durable. lock must be held since current was loaded. Any error but
// an *UnfinishedError means that everything is as it was before; ctx ending before the
// record's transaction is one such. The result is the installation as it is now.
//
// A set that changes nothing is committed too: that somebody applied a plan, and which,
// is a fact as well.
func (c Committer) Commit(ctx context.Context, lock adapters.Lock, s *Set) (adapters.Install, error) {
	id, err := newID()
	if err != nil {
		return adapters.Install{}, err
	}
	now := c.now()
	install := s.install(c, now)
	entry := adapters.JournalEntry{
		ID: id, Namespace: s.Namespace, Status: adapters.Intent, Origin: s.Origin, Revision: install.Revision, Token: lock.Token(),
		PlanDigest: s.PlanDigest, StateDigest: s.StateDigest, Elsewhere: s.staging(c.elsewhere()), By: c.By, CreatedAt: now, UpdatedAt: now,
	}
	if err := c.Record.Commit(ctx, lock, adapters.Write{Journal: &entry}); err != nil {
		return adapters.Install{}, err
	}
	if err := c.stage(ctx, s, entry); err != nil {
		return adapters.Install{}, c.giveUp(ctx, lock, entry, err)
	}
	entry.Status, entry.UpdatedAt = adapters.Committed, c.now()
	if len(entry.Elsewhere) == 0 {
		entry.Status = adapters.Finished
	}
	write := adapters.Write{Values: s.parts(c.Stores, entry), Install: &install, Journal: &entry, Audit: []adapters.AuditEntry{s.audit(c, entry, install)}}
	if err := c.Record.Commit(ctx, lock, write); err != nil {
		return c.afterFailure(ctx, lock, entry, install, err)
	}
	if entry.Status == adapters.Finished {
		return install, nil
	}
	return install, c.finish(ctx, lock, entry)
}

// finish promotes what was staged and closes the journal entry.
func (c Committer) finish(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := c.promote(ctx, entry)
	if err == nil {
		entry.Status, entry.UpdatedAt = adapters.Finished, c.now()
		err = c.Record.Commit(ctx, lock, adapters.Write{Journal: &entry})
	}
	if err != nil {
		return &UnfinishedError{JournalID: entry.ID, Committed: true, Err: err}
	}
	return nil
}

// afterFailure finds out what became of the record's transaction: the connection may
// have been lost after the server had done it.
func (c Committer) afterFailure(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry, install adapters.Install, cause error) (adapters.Install, error) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	entries, err := c.Record.Journal(ask, entry.Namespace.Scope(), false)
	if err != nil {
		return adapters.Install{}, &UnfinishedError{JournalID: entry.ID, Err: cause}
	}
	for _, e := range entries {
		if e.ID != entry.ID {
			continue
		}
		switch e.Status {
		case adapters.Finished:
			return install, nil
		case adapters.Committed:
			return install, c.finish(ctx, lock, e)
		}
		return adapters.Install{}, c.giveUp(ctx, lock, e, cause)
	}
	return adapters.Install{}, cause
}

// giveUp undoes a commit that has not happened and gives the cause; when that fails too,
// the journal is left open for Recover.
func (c Committer) giveUp(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := c.rollBack(ctx, entry)
	if err == nil {
		entry.Status, entry.UpdatedAt = adapters.RolledBack, c.now()
		err = c.Record.Commit(ctx, lock, adapters.Write{Journal: &entry})
	}
	if err != nil {
		return fmt.Errorf("%w; nothing is in force, and what was prepared is left for greentic-provision recover (journal %s): %w", cause, entry.ID, err)
	}
	return cause
}

// staging says what a commit does to kinds outside of the record.
func (s *Set) staging(kinds []adapters.Kind) map[adapters.Kind]adapters.Staging {
	var out map[adapters.Kind]adapters.Staging
	for _, kind := range kinds {
		var st adapters.Staging
		for _, c := range s.Changes {
			if c.Kind != kind {
				continue
			}
			if c.After != nil {
				st.Set = append(st.Set, c.Key)
			} else {
				st.Delete = append(st.Delete, c.Key)
			}
			if s.original[place{c.Kind, c.Key}] && c.Before != nil && !s.removes {
				st.Keep = append(st.Keep, c.Key)
			}
		}
		for p := range s.before {
			if p.kind == kind {
				st.Forget = append(st.Forget, p.key)
			}
		}
		if len(st.Set)+len(st.Delete)+len(st.Forget) == 0 {
			continue
		}
		for _, keys := range []*[]string{&st.Set, &st.Delete, &st.Keep, &st.Forget} {
			slices.Sort(*keys)
			*keys = append([]string{}, *keys...)
		}
		if out == nil {
			out = map[adapters.Kind]adapters.Staging{}
		}
		out[kind] = st
	}
	return out
}

// stage writes what kinds outside of the record will hold beside what they hold now, and
// reads it back: an adapter that says yes and does not store must be found out before
// anything is in force.
func (c Committer) stage(ctx context.Context, s *Set, entry adapters.JournalEntry) error {
	for _, kind := range adapters.Kinds {
		st, ok := entry.Elsewhere[kind]
		if !ok {
			continue
		}
		values := c.values(kind)
		var set, keep []adapters.Change
		for _, ch := range s.Changes {
			if ch.Kind == kind && ch.After != nil {
				set = append(set, adapters.Change{Key: ch.Key, Value: *ch.After})
			}
			if ch.Kind == kind && slices.Contains(st.Keep, ch.Key) {
				keep = append(keep, adapters.Change{Key: ch.Key, Value: *ch.Before})
			}
		}
		if err := c.put(ctx, values, kind, entry, adapters.Staged(entry.ID), set); err != nil {
			return err
		}
		if err := c.put(ctx, values, kind, entry, adapters.Before, keep); err != nil {
			return err
		}
	}
	return nil
}

// put applies changes to an area and reads back what was set.
func (c Committer) put(ctx context.Context, values adapters.Values, kind adapters.Kind, entry adapters.JournalEntry, area adapters.Area, changes []adapters.Change) error {
	if len(changes) == 0 {
		return nil
	}
	ns := entry.Namespace.In(area)
	if err := values.Apply(ctx, ns, batch(entry, kind, area, changes)); err != nil {
		return err
	}
	found, err := values.Load(ctx, ns)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		v, ok := found[ch.Key]
		if ok == ch.Delete || ok && !bytes.Equal(v.Bytes, ch.Value.Bytes) {
			return &adapters.Error{Adapter: cmp.Or(c.Elsewhere[kind].Name, "store"), Op: "write " + string(kind),
				Err: fmt.Errorf("the adapter said that it wrote the key %q and holds something else", ch.Key), Hint: "report it to the adapter's author"}
		}
	}
	return nil
}

// batch makes a batch of a journal entry. Its ID is the same whenever that part of the
// entry is applied.
func batch(entry adapters.JournalEntry, kind adapters.Kind, area adapters.Area, changes []adapters.Change) adapters.Batch {
	return adapters.Batch{ID: entry.ID + "/" + string(kind) + "/" + string(area), Token: entry.Token, Origin: entry.Origin, Changes: changes}
}

// promote puts staged values in force. It may be repeated: what is not staged any more
// is in force already, since the staged area is emptied last.
func (c Committer) promote(ctx context.Context, entry adapters.JournalEntry) error {
	for _, kind := range adapters.Kinds {
		st, ok := entry.Elsewhere[kind]
		if !ok {
			continue
		}
		p, ok := c.Elsewhere[kind]
		if !ok {
			return missingAdapter(kind)
		}
		staged, err := p.Values.Load(ctx, entry.Namespace.In(adapters.Staged(entry.ID)))
		if err != nil {
			return err
		}
		var live []adapters.Change
		for _, key := range st.Set {
			if v, ok := staged[key]; ok {
				live = append(live, adapters.Change{Key: key, Value: v})
			}
		}
		live = append(live, deletions(st.Delete)...)
		if err := c.put(ctx, p.Values, kind, entry, adapters.Live, live); err != nil {
			return err
		}
		if err := c.put(ctx, p.Values, kind, entry, adapters.Before, deletions(st.Forget)); err != nil {
			return err
		}
		if err := c.put(ctx, p.Values, kind, entry, adapters.Staged(entry.ID), deletions(sorted(staged))); err != nil {
			return err
		}
	}
	return nil
}

// rollBack forgets what was staged.
func (c Committer) rollBack(ctx context.Context, entry adapters.JournalEntry) error {
	for _, kind := range adapters.Kinds {
		st, ok := entry.Elsewhere[kind]
		if !ok {
			continue
		}
		p, ok := c.Elsewhere[kind]
		if !ok {
			return missingAdapter(kind)
		}
		if err := c.put(ctx, p.Values, kind, entry, adapters.Staged(entry.ID), deletions(st.Set)); err != nil {
			return err
		}
		if err := c.put(ctx, p.Values, kind, entry, adapters.Before, deletions(st.Keep)); err != nil {
			return err
		}
	}
	return nil
}

func missingAdapter(kind adapters.Kind) error {
	return &adapters.ConfigError{Adapter: "store", Reason: fmt.Sprintf("an unfinished commit has %s outside of the store", kind),
		Hint: fmt.Sprintf("name their adapter with --adapter %s=…", kind)}
}

func deletions(keys []string) []adapters.Change {
	var list []adapters.Change
	for _, k := range keys {
		list = append(list, adapters.Change{Key: k, Delete: true})
	}
	return list
}

// parts are the changes to kinds in the record.
func (s *Set) parts(stores Stores, entry adapters.JournalEntry) []adapters.Part {
	var list []adapters.Part
	for _, kind := range adapters.Kinds {
		if _, ok := stores.Elsewhere[kind]; ok {
			continue
		}
		var live, before []adapters.Change
		for _, c := range s.Changes {
			if c.Kind != kind {
				continue
			}
			if c.After != nil {
				live = append(live, adapters.Change{Key: c.Key, Value: *c.After})
			} else {
				live = append(live, adapters.Change{Key: c.Key, Delete: true})
			}
			if s.original[place{kind, c.Key}] && c.Before != nil && !s.removes {
				before = append(before, adapters.Change{Key: c.Key, Value: *c.Before})
			}
		}
		for p := range s.before {
			if p.kind == kind {
				before = append(before, adapters.Change{Key: p.key, Delete: true})
			}
		}
		if len(live) > 0 {
			list = append(list, adapters.Part{Kind: kind, Area: adapters.Live, Batch: batch(entry, kind, adapters.Live, live)})
		}
		if len(before) > 0 {
			list = append(list, adapters.Part{Kind: kind, Area: adapters.Before, Batch: batch(entry, kind, adapters.Before, before)})
		}
	}
	return list
}

// install is the installation after the commit.
func (s *Set) install(c Committer, now time.Time) adapters.Install {
	i := adapters.Install{Namespace: s.Namespace, Status: adapters.Installed, CreatedAt: now}
	if old := s.current.Install; old != nil {
		i = *old
		if old.Status == adapters.Removed && !s.removes {
			i.CreatedAt, i.PublicBaseURL = now, ""
		}
		i.Status = cmp.Or(s.keepsStatus, adapters.Installed)
	}
	if s.Entry != entryOperation || slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Kind != adapters.Operations }) {
		i.Revision++ // how far an operation is, no plan is made of
	}
	i.Pack = adapters.PackRef{ID: s.Origin.PackID, Version: s.Origin.PackVersion, Digest: s.Origin.PackDigest}
	i.PlanDigest, i.StateDigest, i.Plan = s.PlanDigest, s.StateDigest, s.Plan
	i.UpdatedAt, i.By = now, c.By
	i.PublicBaseURL = cmp.Or(s.PublicBaseURL, i.PublicBaseURL)
	i.Elsewhere = nil
	for _, kind := range c.elsewhere() {
		if i.Elsewhere == nil {
			i.Elsewhere = map[adapters.Kind]string{}
		}
		i.Elsewhere[kind] = c.Elsewhere[kind].Name
	}
	if s.removes {
		i.Status, i.Touched = adapters.Removed, []adapters.Touched{}
		return i
	}
	i.Touched = append([]adapters.Touched{}, i.Touched...)
	for _, ch := range s.Changes {
		if s.original[place{ch.Kind, ch.Key}] {
			i.Touched = append(i.Touched, adapters.Touched{Kind: ch.Kind, Key: ch.Key, Existed: ch.Before != nil})
		}
	}
	return i
}

func (s *Set) audit(c Committer, entry adapters.JournalEntry, install adapters.Install) adapters.AuditEntry {
	detail := struct {
		Changes []Difference `json:"changes"`
	}{s.Differences()}
	return adapters.AuditEntry{
		Time: entry.UpdatedAt, Scope: s.Namespace.Scope(), Namespace: s.Namespace.String(), By: c.By, What: string(s.Entry), Revision: install.Revision,
		JournalID: entry.ID, Pack: install.Pack, PlanDigest: s.PlanDigest, StateDigest: s.StateDigest, Walls: s.Walls, Detail: encode(detail),
	}
}

// Note appends a line to the audit log that no commit belongs to: a run that failed, a
// call that was denied. detail must not hold a secret.
func (c Committer) Note(ctx context.Context, lock adapters.Lock, what string, origin adapters.Origin, walls json.RawMessage, detail any) error {
	ns := lock.Namespace()
	return c.Record.Commit(ctx, lock, adapters.Write{Audit: []adapters.AuditEntry{{
		Time: c.now(), Scope: ns.Scope(), Namespace: ns.String(), By: c.By, What: what, Walls: walls, Detail: encode(detail),
		Pack: adapters.PackRef{ID: origin.PackID, Version: origin.PackVersion, Digest: origin.PackDigest},
	}}})
}

func newID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", errors.New("no randomness: " + err.Error())
	}
	return hex.EncodeToString(b[:]), nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
