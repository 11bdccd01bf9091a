package commit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/pack"
)

// TestManyWriters: 50 applies at once over 10 installations of 5 tenants, from 4 stores as
// 4 hosts have them. Each apply adds one to what it read, so that a lost update shows, and
// looks for what is not its tenant's.
func TestManyWriters(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { manyWriters(t, where{dir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { manyWriters(t, where{dir: t.TempDir(), postgres: postgresURL(t)}) })
}

func manyWriters(t *testing.T, w where) {
	const applies, installs, tenants, hosts = 50, 10, 5, 4
	var committers []commit.Committer
	for range hosts {
		c, err := w.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Record.Close()
		committers = append(committers, c)
	}
	home := func(install int) adapters.Namespace {
		// The same provider and install for every tenant: only the tenant tells them apart.
		return adapters.Namespace{Env: "prod", Tenant: fmt.Sprintf("tenant-%d", install%tenants), Provider: "chat", Install: fmt.Sprint(install / tenants)}
	}
	var wg sync.WaitGroup
	for n := range applies {
		wg.Go(func() {
			ns := home(n % installs)
			if err := count(t.Context(), committers[n%hosts], ns); err != nil {
				t.Errorf("%s: %v", ns, err)
			}
		})
	}
	wg.Wait()
	c := committers[0]
	for i := range installs {
		cur := load(t, c, home(i))
		if got, want := string(cur.Values[adapters.Config]["count"].Bytes), fmt.Sprint(applies/installs); got != want || cur.Revision() != applies/installs {
			t.Errorf("%s counted %s at revision %d, want %s", home(i), got, cur.Revision(), want)
		}
	}
	r, err := c.Record.Check(t.Context())
	if err != nil || len(r.Problems) > 0 || r.Audit != applies || r.Installs != installs || len(r.Heads) != tenants {
		t.Errorf("check: %+v, %v", r, err)
	}
}

// count adds one to the installation's count.
func count(ctx context.Context, c commit.Committer, ns adapters.Namespace) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lock, err := c.Record.Lock(ctx, ns, "writer")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	cur, err := c.Load(ctx, ns)
	if err != nil {
		return err
	}
	for kind, values := range cur.Values {
		for k, v := range values {
			if kind != adapters.Config && kind != adapters.Secrets || k == "tenant" && string(v.Bytes) != `"`+ns.Tenant+`"` || k == "token" && string(v.Bytes) != "token-of-"+ns.Tenant {
				return fmt.Errorf("it sees %s %s of somebody else", kind, k)
			}
		}
	}
	n := 0
	fmt.Sscan(string(cur.Values[adapters.Config]["count"].Bytes), &n)
	planned := fmt.Sprintf(`{"config_patch":{"count":%d,"tenant":%q},"secrets_patch":{"set":{"token":{"redacted":true}}}}`, n+1, ns.Tenant)
	res, out := ran(pack.EntrySetup, planned, map[string]string{"token": "token-of-" + ns.Tenant}, nil)
	set, found := commit.New(res, out, cur, commit.Wanted{})
	if set == nil {
		return fmt.Errorf("refused: %+v", found)
	}
	_, err = c.Commit(ctx, lock, set)
	return err
}

// A second writer waits as long as it is told to, and then says who was in its way.
func TestASecondWriterSaysWhoHoldsTheLock(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Record.Lock(ctx, home, "second")
	if err == nil || !strings.Contains(err.Error(), "is being written by tester") {
		t.Errorf("%v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	second, err := c.Record.Lock(t.Context(), home, "second")
	if err != nil {
		t.Fatal(err)
	}
	if second.Token() <= lock.Token() {
		t.Errorf("the token went from %d to %d", lock.Token(), second.Token())
	}
	// The first one writes although it lost its lock.
	res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
	set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{})
	if _, err := c.Commit(t.Context(), lock, set); err == nil {
		t.Error("a writer without its lock wrote")
	}
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
	if d := dump(t, t.Context(), c.Stores, home); d != "{}" {
		t.Errorf("stored: %s", d)
	}
}
