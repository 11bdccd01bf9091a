package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/postgres"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// What tells a process that it is to be a victim: a store, the operation at which it
// dies and the revision that it commits.
const victim = "SQLSTORE_TEST_VICTIM"

// openAt opens a store by its path or URL.
func openAt(ctx context.Context, where string, o sqlstore.Options) (*sqlstore.Store, error) {
	if strings.HasPrefix(where, "postgres://") {
		return postgres.Open(ctx, where, o)
	}
	return sqlite.Open(ctx, where, o)
}

// beVictim commits a revision and dies at the n-th operation.
func beVictim(arguments string) error {
	var n, revision int
	var where string
	if _, err := fmt.Sscan(arguments, &n, &revision, &where); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := openAt(ctx, where, sqlstore.Options{Sealer: sealer{}, Fault: func(string) error {
		if n--; n == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
		return nil
	}})
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := s.Lock(ctx, storetest.Somewhere, "victim")
	if err != nil {
		return err
	}
	if err := s.Commit(ctx, l, revisionOf(revision)); err != nil {
		return err
	}
	return l.Unlock()
}

// revisionOf makes a commit whose parts all tell its revision.
func revisionOf(n int) adapters.Write {
	ns, now := storetest.Somewhere, time.Now().UTC()
	id := fmt.Sprintf("%032x", n)
	entry := adapters.AuditEntry{Time: now, Scope: ns.Scope(), Namespace: ns.String(), What: "setup", Revision: uint64(n), JournalID: id}
	w := adapters.Write{
		Install: &adapters.Install{Namespace: ns, Status: adapters.Installed, Revision: uint64(n), CreatedAt: now, UpdatedAt: now},
		Journal: &adapters.JournalEntry{ID: id, Namespace: ns, Status: adapters.Finished, Revision: uint64(n), CreatedAt: now, UpdatedAt: now},
		Audit:   []adapters.AuditEntry{entry, entry},
	}
	for _, kind := range []adapters.Kind{adapters.Config, adapters.Secrets} {
		w.Values = append(w.Values, adapters.Part{Kind: kind, Batch: adapters.Batch{Changes: append(set("a", strconv.Itoa(n), false).Changes, set("b", strconv.Itoa(n), true).Changes...)}})
	}
	return w
}

// revisionIn gives the revision that all parts of a store tell.
func revisionIn(t *testing.T, s *sqlstore.Store) int {
	t.Helper()
	ns := storetest.Somewhere
	i, err := s.Install(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	revision := 0
	if i != nil {
		revision = int(i.Revision)
	}
	journal, err := s.Journal(t.Context(), ns.Scope(), false)
	if err != nil || len(journal) != revision {
		t.Errorf("at revision %d the journal has %d entries, %v", revision, len(journal), err)
	}
	audit, err := s.Audit(t.Context(), ns.Scope())
	if err != nil || len(audit) != 2*revision {
		t.Errorf("at revision %d the audit log has %d entries, %v", revision, len(audit), err)
	}
	for _, kind := range []adapters.Kind{adapters.Config, adapters.Secrets} {
		m, err := s.Values(kind).Load(t.Context(), ns)
		if err != nil {
			t.Fatal(err)
		}
		if revision == 0 && len(m) > 0 || revision > 0 && (string(m["a"].Bytes) != strconv.Itoa(revision) || string(m["b"].Bytes) != strconv.Itoa(revision)) {
			t.Errorf("at revision %d there are %d values of %s, the first is %q", revision, len(m), kind, m["a"].Bytes)
		}
	}
	if r, err := s.Check(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Errorf("at revision %d there are the problems %+v, %v", revision, r.Problems, err)
	}
	return revision
}

// killedAnywhere kills a process at each of its operations, from those that make the
// store on, and looks at what it left.
func killedAnywhere(t *testing.T, e engine) {
	before, killed := 0, 0
	for n := 1; ; n++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", victim, n, before+1, e.where))
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("the victim of operation %d: %v: %s", n, err, out)
		}
		s := e.opened(t, sqlstore.Options{})
		after := revisionIn(t, s)
		l, lockErr := s.Lock(t.Context(), storetest.Somewhere, "survivor") // that of the victim is free
		if lockErr != nil {
			t.Fatal(lockErr)
		}
		l.Unlock()
		s.Close()
		if after != before && after != before+1 {
			t.Fatalf("after operation %d the revision is %d, it was %d", n, after, before)
		}
		if err == nil {
			if killed < 15 || after != before+1 {
				t.Errorf("the last of %d victims left revision %d after %d", killed, after, before)
			}
			return
		}
		killed++
		before = after
	}
}
