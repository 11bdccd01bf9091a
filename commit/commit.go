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
	Committed bool // it has happened, and will be finished
	Prepared  bool // it has not happened, and will be undone
	Err       error
}

func (e *UnfinishedError) Error() string {
	what := "the commit may have happened"
	switch {
	case e.Committed:
		what = "the commit has happened and is not finished"
	case e.Prepared:
		what = "nothing is in force, and what was prepared is not undone"
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
	if err := c.room(s); err != nil {
		return adapters.Install{}, err
	}
	id, err := newID()
	if err != nil {
		return adapters.Install{}, err
	}
	now := c.now()
	install := s.install(c, now)
	entry := adapters.JournalEntry{
		ID: id, Namespace: s.Namespace, Status: adapters.Intent, Origin: s.Origin, Revision: install.Revision, Token: lock.Token(),
		PlanDigest: s.PlanDigest, StateDigest: s.StateDigest, Elsewhere: s.staging(c.Stores), By: c.By, CreatedAt: now, UpdatedAt: now,
	}
	if err := c.Record.Commit(ctx, lock, adapters.Write{Journal: &entry}); err != nil {
		return adapters.Install{}, err
	}
	if err := c.stage(ctx, lock, s, entry); err != nil {
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

// room refuses what an adapter outside of the record could not hold, before anything is
// begun: behind the point of no return it could never be finished.
func (c Committer) room(s *Set) error {
	for _, kind := range c.elsewhere() {
		place := c.Elsewhere[kind]
		keys, total := len(s.current.Values[kind]), 0
		for _, v := range s.current.Values[kind] {
			total += len(v.Bytes)
		}
		for _, ch := range s.Changes {
			if ch.Kind != kind {
				continue
			}
			if ch.Before != nil {
				keys, total = keys-1, total-len(ch.Before.Bytes)
			}
			if ch.After == nil {
				continue
			}
			keys, total = keys+1, total+len(ch.After.Bytes)
			if place.Clear && ch.After.Secret {
				return &adapters.Error{Adapter: place.Name, Op: "write " + string(kind),
					Err:  fmt.Errorf("the value of the key %q holds a secret, and this adapter keeps %s in clear", ch.Key, kind),
					Hint: "keep " + string(kind) + " in the store: leave the adapter out"}
			}
		}
		if keys > adapters.MaxKeys || total > adapters.MaxTotal {
			return &adapters.Error{Adapter: place.Name, Op: "write " + string(kind),
				Err: fmt.Errorf("the installation would have %d keys with %d bytes, over the limit of %d keys and %d bytes", keys, total, adapters.MaxKeys, adapters.MaxTotal)}
		}
	}
	return nil
}

// held makes sure that the lock is still this writer's: on a server it ends with its
// connection. It is asked before each thing that is done outside of the record, whose own
// transactions ask by themselves.
func (c Committer) held(ctx context.Context, lock adapters.Lock) error {
	return c.Record.Commit(ctx, lock, adapters.Write{})
}

// finish promotes what was staged and closes the journal entry. A writer that lost its
// lock meanwhile has nothing to finish: the next one did.
func (c Committer) finish(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := c.promote(ctx, lock, entry)
	if err == nil {
		entry.Status, entry.UpdatedAt = adapters.Finished, c.now()
		err = c.Record.Commit(ctx, lock, adapters.Write{Journal: &entry})
	}
	if err == nil {
		return nil
	}
	if e, found := c.find(ctx, entry); found && e.Status == adapters.Finished {
		return nil
	}
	return &UnfinishedError{JournalID: entry.ID, Committed: true, Err: err}
}

// find gives a journal entry as it is on record.
func (c Committer) find(ctx context.Context, entry adapters.JournalEntry) (adapters.JournalEntry, bool) {
	entries, err := c.Record.Journal(ctx, entry.Namespace.Scope(), false)
	if err != nil {
		return entry, false
	}
	i := slices.IndexFunc(entries, func(e adapters.JournalEntry) bool { return e.ID == entry.ID })
	if i < 0 {
		return entry, false
	}
	return entries[i], true
}

// afterFailure finds out what became of the record's transaction: the connection may
// have been lost after the server had done it.
func (c Committer) afterFailure(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry, install adapters.Install, cause error) (adapters.Install, error) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	e, found := c.find(ask, entry)
	switch {
	case !found:
		return adapters.Install{}, &UnfinishedError{JournalID: entry.ID, Err: cause}
	case e.Status == adapters.Finished:
		return install, nil
	case e.Status == adapters.Committed:
		return install, c.finish(ctx, lock, e)
	}
	return adapters.Install{}, c.giveUp(ctx, lock, e, cause)
}

// giveUp undoes a commit that has not happened and gives the cause; when that fails too,
// the journal is left open for Recover. A writer that lost its lock undoes nothing: the
// next one did, and what is there now is that one's.
func (c Committer) giveUp(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry, cause error) error {
	if _, fenced := errors.AsType[*adapters.FencedError](cause); fenced {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := c.rollBack(ctx, lock, entry)
	if err == nil {
		entry.Status, entry.UpdatedAt = adapters.RolledBack, c.now()
		err = c.Record.Commit(ctx, lock, adapters.Write{Journal: &entry})
	}
	if err != nil {
		return &UnfinishedError{JournalID: entry.ID, Prepared: true, Err: fmt.Errorf("%w; then, undoing it: %w", cause, err)}
	}
	return cause
}

// split gives what a commit does to one kind: to what is in force, and the values that it
// keeps in the area Before and takes out of there.
func (s *Set) split(kind adapters.Kind) (live, kept []adapters.Change, forgotten []string) {
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
			kept = append(kept, adapters.Change{Key: c.Key, Value: *c.Before})
		}
	}
	for p := range s.before {
		if p.kind == kind {
			forgotten = append(forgotten, p.key)
		}
	}
	slices.Sort(forgotten)
	return live, kept, forgotten
}

// staging says what a commit does to kinds outside of the record.
func (s *Set) staging(stores Stores) map[adapters.Kind]adapters.Staging {
	var out map[adapters.Kind]adapters.Staging
	for _, kind := range stores.elsewhere() {
		live, kept, forgotten := s.split(kind)
		if len(live)+len(forgotten) == 0 {
			continue
		}
		st := adapters.Staging{Adapter: stores.Elsewhere[kind].Name, Set: []string{}, Delete: []string{}, Keep: []string{}, Forget: append([]string{}, forgotten...)}
		for _, c := range live {
			if c.Delete {
				st.Delete = append(st.Delete, c.Key)
			} else {
				st.Set = append(st.Set, c.Key)
			}
		}
		for _, c := range kept {
			st.Keep = append(st.Keep, c.Key)
		}
		for _, keys := range [][]string{st.Set, st.Delete, st.Keep} {
			slices.Sort(keys)
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
func (c Committer) stage(ctx context.Context, lock adapters.Lock, s *Set, entry adapters.JournalEntry) error {
	for _, kind := range adapters.Kinds {
		if _, ok := entry.Elsewhere[kind]; !ok {
			continue
		}
		live, kept, _ := s.split(kind)
		live = slices.DeleteFunc(live, func(c adapters.Change) bool { return c.Delete })
		if err := c.put(ctx, lock, kind, entry, adapters.Staged(entry.ID), live); err != nil {
			return err
		}
		if err := c.put(ctx, lock, kind, entry, adapters.Kept(entry.ID), kept); err != nil {
			return err
		}
	}
	return nil
}

// put applies changes to an area of a kind outside of the record and reads back what was
// set.
func (c Committer) put(ctx context.Context, lock adapters.Lock, kind adapters.Kind, entry adapters.JournalEntry, area adapters.Area, changes []adapters.Change) error {
	if len(changes) == 0 {
		return nil
	}
	p, ns := c.Elsewhere[kind], entry.Namespace.In(area)
	if err := c.held(ctx, lock); err != nil {
		return err
	}
	if err := p.Values.Apply(ctx, ns, batch(entry, kind, area, changes)); err != nil {
		return err
	}
	found, err := p.Values.Load(ctx, ns)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		v, ok := found[ch.Key]
		if ok == ch.Delete || ok && !bytes.Equal(v.Bytes, ch.Value.Bytes) {
			return &adapters.Error{Adapter: p.Name, Op: "write " + string(kind),
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

// at gives the adapter that holds what a commit staged, and refuses any other.
func (c Committer) at(kind adapters.Kind, st adapters.Staging) (adapters.Values, error) {
	p, ok := c.Elsewhere[kind]
	if ok && p.Name == st.Adapter {
		return p.Values, nil
	}
	return nil, &adapters.ConfigError{Adapter: "store", Reason: fmt.Sprintf("an unfinished commit has %s in %s", kind, st.Adapter),
		Hint: fmt.Sprintf("name that adapter: --adapter %s=%s", kind, st.Adapter)}
}

// promote puts staged values in force. It may be repeated: what is not staged any more
// is in force already, since the staged areas are emptied last.
func (c Committer) promote(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry) error {
	for _, kind := range adapters.Kinds {
		st, ok := entry.Elsewhere[kind]
		if !ok {
			continue
		}
		values, err := c.at(kind, st)
		if err != nil {
			return err
		}
		kept, err := values.Load(ctx, entry.Namespace.In(adapters.Kept(entry.ID)))
		if err != nil {
			return err
		}
		staged, err := values.Load(ctx, entry.Namespace.In(adapters.Staged(entry.ID)))
		if err != nil {
			return err
		}
		for _, step := range []struct {
			area    adapters.Area
			changes []adapters.Change
		}{
			{adapters.Before, append(settings(st.Keep, kept), deletions(st.Forget)...)},
			{adapters.Live, append(settings(st.Set, staged), deletions(st.Delete)...)},
			{adapters.Kept(entry.ID), deletions(sorted(kept))},
			{adapters.Staged(entry.ID), deletions(sorted(staged))},
		} {
			if err := c.put(ctx, lock, kind, entry, step.area, step.changes); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollBack forgets what was staged.
func (c Committer) rollBack(ctx context.Context, lock adapters.Lock, entry adapters.JournalEntry) error {
	for _, kind := range adapters.Kinds {
		st, ok := entry.Elsewhere[kind]
		if !ok {
			continue
		}
		if _, err := c.at(kind, st); err != nil {
			return err
		}
		if err := c.put(ctx, lock, kind, entry, adapters.Staged(entry.ID), deletions(st.Set)); err != nil {
			return err
		}
		if err := c.put(ctx, lock, kind, entry, adapters.Kept(entry.ID), deletions(st.Keep)); err != nil {
			return err
		}
	}
	return nil
}

// settings are changes that give keys the values that are there for them.
func settings(keys []string, values map[string]adapters.Value) []adapters.Change {
	var list []adapters.Change
	for _, k := range keys {
		if v, ok := values[k]; ok {
			list = append(list, adapters.Change{Key: k, Value: v})
		}
	}
	return list
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
		live, before, forgotten := s.split(kind)
		before = append(before, deletions(forgotten)...)
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
		if old.Status == adapters.Removed && !s.removes && s.Entry != entryOperation {
			i.CreatedAt, i.PublicBaseURL = now, ""
		}
		i.Status = cmp.Or(s.keepsStatus, adapters.Installed)
	}
	if s.Entry != entryOperation || slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Kind != adapters.Operations }) {
		i.Revision++ // how far an operation is, no plan is made of
	}
	i.Pack = packOf(s.Origin)
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
		Pack: packOf(origin),
	}}})
}

func packOf(o adapters.Origin) adapters.PackRef {
	return adapters.PackRef{ID: o.PackID, Version: o.PackVersion, Digest: o.PackDigest, Unverified: o.Unverified}
}

func newID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", errors.New("no randomness: " + err.Error())
	}
	return hex.EncodeToString(b[:]), nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
