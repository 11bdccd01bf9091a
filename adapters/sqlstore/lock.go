package sqlstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// maxHolder bounds how much is kept of who holds a lock, in bytes.
const maxHolder = 200

// lock is an adapters.Lock.
type lock struct {
	s        *Store
	ns       adapters.Namespace
	token    uint64
	held     Held
	released atomic.Bool
}

func (l *lock) Namespace() adapters.Namespace { return l.ns }
func (l *lock) Token() uint64                 { return l.token }

// Unlock releases the lock. A second time does nothing.
func (l *lock) Unlock() error {
	if l.released.Swap(true) {
		return nil
	}
	fault := l.s.fault("unlock")
	err := l.held.Release()
	if err == nil {
		err = fault
	}
	if err != nil {
		return l.s.fail("unlock "+l.ns.String(), err)
	}
	return nil
}

// Lock is documented in adapters.Store.
func (s *Store) Lock(ctx context.Context, ns adapters.Namespace, holder string) (adapters.Lock, error) {
	ns = ns.In(adapters.Live)
	l, err := s.lock(ctx, ns, hostile.Escape(holder, maxHolder))
	if err != nil {
		return nil, s.fail("lock "+ns.String(), err)
	}
	return l, nil
}

func (s *Store) lock(ctx context.Context, ns adapters.Namespace, holder string) (*lock, error) {
	if s.readOnly {
		return nil, errReadOnly
	}
	if err := checkNamespace(ns); err != nil {
		return nil, err
	}
	held, err := s.wait(ctx, ns)
	if err != nil {
		return nil, err
	}
	// The end of ctx ends the waiting only. Were it to end this as well, who has little
	// time would not learn what the database says: that it is locked, say.
	ctx, cancel := settling(ctx, s.waiting+settle)
	defer cancel()
	l := &lock{s: s, ns: ns, held: held}
	err = s.write(ctx, ns.Scope(), func(t *tx) error {
		var token int64
		_, err := t.returning(ctx, "put lock", `INSERT INTO provision_locks (scope, namespace, token, session, holder, since)
			VALUES (?1, ?2, 1, ?3, ?4, ?5)
			ON CONFLICT (namespace) DO UPDATE SET token = provision_locks.token + 1,
				session = excluded.session, holder = excluded.holder, since = excluded.since
			RETURNING token`,
			[]any{string(ns.Scope()), ns.String(), held.Session(), holder, time.Now().UTC().Format(time.RFC3339Nano)}, &token)
		l.token = uint64(token)
		return err
	})
	if err == nil {
		err = s.fault("locked")
	}
	if err != nil {
		held.Release()
		return nil, err
	}
	return l, nil
}

// wait takes the engine's lock, asking for it once and then until ctx ends.
func (s *Store) wait(ctx context.Context, ns adapters.Namespace) (Held, error) {
	const most = 200 * time.Millisecond
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, most) {
		if err := s.fault("lock"); err != nil {
			return nil, err
		}
		held, err := s.try(ctx, ns)
		if held != nil || err != nil {
			return held, err
		}
		select {
		case <-ctx.Done():
			return nil, s.locked(ctx, ns)
		case <-time.After(pause):
		}
	}
}

// try asks once for the engine's lock, also when ctx has ended.
func (s *Store) try(ctx context.Context, ns adapters.Namespace) (Held, error) {
	ctx, cancel := settling(ctx, s.waiting+settle)
	defer cancel()
	held, err := s.dialect.Locker.Try(ctx, ns.String())
	return held, ended(ctx, err)
}

// locked says who has the lock that somebody has.
func (s *Store) locked(ctx context.Context, ns adapters.Namespace) error {
	ctx, cancel := settling(ctx, 5*time.Second) // somebody waits who has given up
	defer cancel()
	e := &adapters.LockedError{Namespace: ns}
	session, err := s.dialect.Locker.Session(ctx, ns.String())
	if err != nil || session == "" {
		return e
	}
	var of, holder, since string
	err = s.read(ctx, ns.Scope(), func(t *tx) error {
		_, err := t.row(ctx, `SELECT session, holder, since FROM provision_locks WHERE scope = ?1 AND namespace = ?2`,
			[]any{string(ns.Scope()), ns.String()}, &of, &holder, &since)
		return err
	})
	if err != nil || of != session {
		return e // who holds it has not written it down yet
	}
	e.Holder = holder
	e.Since, _ = time.Parse(time.RFC3339Nano, since)
	return e
}

// newest gives the newest token of an installation, 0 when it was never locked, and
// keeps the next one from being given until the transaction ends.
func (t *tx) newest(ctx context.Context, ns adapters.Namespace) (uint64, error) {
	var token int64
	_, err := t.returning(ctx, "fence", `UPDATE provision_locks SET token = token WHERE scope = ?1 AND namespace = ?2 RETURNING token`,
		[]any{string(ns.Scope()), ns.In(adapters.Live).String()}, &token)
	return uint64(token), err
}
