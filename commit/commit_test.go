package commit_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

func TestMain(m *testing.M) {
	if crashes() {
		return
	}
	pgtest.Main(m)
}

const setupPlan = `{"config_patch":{"region":"eu","nested":{"a":[1,2]}},
 "secrets_patch":{"set":{"BOT-TOKEN":{"redacted":true}},"delete":[]},
 "webhook_ops":[{"op":"register","url":"https://x.invalid/hook","metadata":{"provider":"chat"}}],
 "subscription_ops":[{"op":"create","id":"s1","metadata":{"resource":"r"}},{"op":"sync","metadata":{}}],
 "oauth_ops":[{"op":"start","provider":"idp","scopes":["a","b"]}],"notes":["hello"]}`

const updatePlan = `{"config_patch":{"region":"us","nested":null,"new":1},
 "secrets_patch":{"set":{"other":{"redacted":true}},"delete":["bot_token"]},
 "subscription_ops":[{"op":"delete","id":"s1"}]}`

var (
	setupSecrets  = map[string]string{"BOT-TOKEN": canary}
	updateSecrets = map[string]string{"other": canary + "2"}
)

func TestApplyUpdateRemoveLeavesWhatWasThere(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	// What somebody else put there.
	for kind, key := range map[adapters.Kind]string{adapters.Config: "region", adapters.Secrets: "bot_token", adapters.State: "kept"} {
		err := c.Record.Values(kind).Apply(t.Context(), home, adapters.Batch{ID: "x", Changes: []adapters.Change{{Key: key, Value: adapters.Value{Bytes: []byte(`"old"`), Secret: kind != adapters.Config}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := dump(t, t.Context(), c.Stores, home)
	if i := apply(t, c, lock, pack.EntrySetup, setupPlan, setupSecrets); i.Revision != 1 || i.Status != adapters.Installed {
		t.Errorf("after setup: %+v", i)
	}
	cur := load(t, c, home)
	if got := string(cur.Values[adapters.Config]["region"].Bytes); got != `"eu"` {
		t.Errorf("region is %s", got)
	}
	if got := string(cur.Values[adapters.Secrets]["bot_token"].Bytes); got != canary {
		t.Errorf("the token is %q", got)
	}
	apply(t, c, lock, pack.EntryUpdate, updatePlan, updateSecrets)
	cur = load(t, c, home)
	if _, ok := cur.Values[adapters.Config]["nested"]; ok {
		t.Error("null in an update leaves the value")
	}
	if _, ok := cur.Values[adapters.Secrets]["bot_token"]; ok {
		t.Error("a deleted secret is there")
	}
	if i := remove(t, c, lock); i.Revision != 3 || i.Status != adapters.Removed || len(i.Touched) != 0 {
		t.Errorf("after remove: %+v", i)
	}
	if d := cmp.Diff(before, dump(t, t.Context(), c.Stores, home)); d != "" {
		t.Errorf("after remove (-before +after):\n%s", d)
	}
	r, err := c.Record.Check(t.Context())
	if err != nil || len(r.Problems) > 0 || r.Audit != 3 {
		t.Errorf("check: %+v, %v", r, err)
	}
}

// A plan that was applied is applied again: nothing changes but the record of it.
func TestApplyingTwiceChangesNothing(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	apply(t, c, lock, pack.EntrySetup, setupPlan, setupSecrets)
	once := dump(t, t.Context(), c.Stores, home)
	res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
	set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{})
	if len(set.Changes) != 0 {
		t.Errorf("changes %+v", set.Differences())
	}
	if i, err := c.Commit(t.Context(), lock, set); err != nil || i.Revision != 2 {
		t.Errorf("%+v, %v", i, err)
	}
	if d := cmp.Diff(once, dump(t, t.Context(), c.Stores, home)); d != "" {
		t.Error(d)
	}
}

func TestPlansThatCannotBeApplied(t *testing.T) {
	c := fresh(t)
	for name, tc := range map[string]struct {
		plan    string
		secrets map[string]string
		wanted  commit.Wanted
		codes   []string
	}{
		"a secret that is only announced": {`{"secrets_patch":{"set":{"K":{"redacted":true}}}}`, nil, commit.Wanted{}, []string{"SECRET_VALUE_MISSING"}},
		"set and deleted":                 {`{"secrets_patch":{"set":{"K":{"redacted":true}},"delete":["k"]}}`, map[string]string{"K": canary}, commit.Wanted{}, []string{"PLAN_CONTRADICTS"}},
		"one secret under two names":      {`{"secrets_patch":{"set":{"K-1":{"redacted":true},"k_1":{"redacted":true}}}}`, map[string]string{"K-1": canary, "k_1": "z"}, commit.Wanted{}, []string{"PLAN_CONTRADICTS"}},
		"a key that is a secret":          {`{"config_patch":{"` + canary + `":1}}`, map[string]string{"x": canary}, commit.Wanted{}, []string{"PLAN_KEY_IS_SECRET"}},
		"an empty key":                    {`{"config_patch":{"":1}}`, nil, commit.Wanted{}, []string{"PLAN_KEY_UNUSABLE"}},
		"a control character in a key":    {`{"config_patch":{"a\u001b":1}}`, nil, commit.Wanted{}, []string{"PLAN_KEY_UNUSABLE"}},
		"a long key":                      {`{"config_patch":{"` + strings.Repeat("x", 513) + `":1}}`, nil, commit.Wanted{}, []string{"PLAN_KEY_UNUSABLE"}},
		"keys that policy forbids": {`{"config_patch":{"a":1,"b":2},"secrets_patch":{"set":{"K":{"redacted":true}}},"subscription_ops":[{"op":"create","id":"s"}]}`, map[string]string{"K": canary},
			commit.Wanted{Keys: []string{"a"}}, []string{"KEY_NOT_ALLOWED", "KEY_NOT_ALLOWED", "KEY_NOT_ALLOWED"}},
	} {
		t.Run(name, func(t *testing.T) {
			res, out := ran(pack.EntrySetup, tc.plan, tc.secrets, nil)
			set, found := commit.New(res, out, load(t, c, home), tc.wanted)
			var codes []string
			for _, d := range found {
				codes = append(codes, d.Code)
				if strings.Contains(d.Message+d.Path+d.Hint, canary) {
					t.Errorf("a secret in %+v", d)
				}
			}
			if set != nil || !slices.Equal(codes, tc.codes) {
				t.Errorf("set %v, %q", set != nil, codes)
			}
		})
	}
}

func TestSecretsOfTheOperator(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	const announced = `{"secrets_patch":{"set":{"API-Key":{"redacted":true}}}}`
	res, out := ran(pack.EntrySetup, announced, nil, nil)
	set, found := commit.New(res, out, load(t, c, home), commit.Wanted{Secrets: map[string][]byte{"api_key": []byte(canary), "stray": []byte("x")}})
	if set == nil || len(found) != 1 || found[0].Code != "SECRET_NOT_WANTED" {
		t.Fatalf("%+v", found)
	}
	if _, err := c.Commit(t.Context(), lock, set); err != nil {
		t.Fatal(err)
	}
	if got := string(load(t, c, home).Values[adapters.Secrets]["api_key"].Bytes); got != canary {
		t.Errorf("stored %q", got)
	}
	// It is there now: announcing it again leaves it.
	set, found = commit.New(res, out, load(t, c, home), commit.Wanted{})
	if set == nil || len(set.Changes) != 0 {
		t.Errorf("%+v %+v", set, found)
	}
}

func TestAnswersAreTheValuesOfSecretsWithTheirNames(t *testing.T) {
	c := fresh(t)
	const announced = `{"secrets_patch":{"set":{"API-Key":{"redacted":true},"TOKEN":{"redacted":true},"own":{"redacted":true}}}}`
	res, out := ran(pack.EntrySetup, announced, map[string]string{"own": "from the pack"}, nil)
	set, found := commit.New(res, out, load(t, c, home), commit.Wanted{Answers: json.RawMessage(`{"token":"top","api_key":"top","own":"answer","secrets":{"api_key":"section"}}`)})
	if set == nil {
		t.Fatalf("%+v", found)
	}
	got := map[string]string{}
	for _, ch := range set.Changes {
		got[ch.Key] = string(ch.After.Bytes)
	}
	if d := cmp.Diff(map[string]string{"api_key": "section", "token": "top", "own": "from the pack"}, got); d != "" {
		t.Error(d)
	}
}

func TestMissingSecretsMayWait(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	res, out := ran(pack.EntrySetup, `{"secrets_patch":{"set":{"K":{"redacted":true}}}}`, nil, nil)
	set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{LeaveMissing: true})
	if _, err := c.Commit(t.Context(), lock, set); err != nil {
		t.Fatal(err)
	}
	if ops := load(t, c, home).Operations(); len(ops) != 1 || ops[0].Kind != adapters.SecretValue || ops[0].Status != adapters.Pending {
		t.Fatalf("%+v", ops)
	}
	ops, err := c.Resume(t.Context(), lock, load(t, c, home), map[string][]byte{"k": []byte(canary)})
	if err != nil || len(ops) != 0 {
		t.Errorf("%+v, %v", ops, err)
	}
	cur := load(t, c, home)
	if string(cur.Values[adapters.Secrets]["k"].Bytes) != canary || cur.Revision() != 2 {
		t.Errorf("%+v", cur)
	}
	remove(t, c, lock)
	if d := dump(t, t.Context(), c.Stores, home); d != "{}" {
		t.Errorf("left: %s", d)
	}
}

func TestMessagesAreNotSentSilently(t *testing.T) {
	c := fresh(t)
	res, out := ran(pack.EntrySetup, `{}`, nil, nil)
	for range 2 {
		out.Effects = append(out.Effects, plan.Effect{Step: plan.Apply, Via: plan.ViaHostCall, Op: "messaging.send", Target: "messaging.ops"})
	}
	if _, found := commit.New(res, out, load(t, c, home), commit.Wanted{}); len(found) != 1 || found[0].Code != "MESSAGE_NOT_SENT" || found[0].Path != "messaging.ops" {
		t.Errorf("%+v", found)
	}
}

// Configuration, metadata and blobs in which a secret is found are sealed like secrets,
// and no file has one in any form.
func TestNoSecretLiesInClear(t *testing.T) {
	dir := t.TempDir()
	s, err := openSQLite(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := commit.Committer{Stores: commit.Stores{Record: s}, By: "tester"}
	lock := locked(t, c, home)
	q, _ := json.Marshal(canary)
	res, out := ran(pack.EntrySetup, `{"config_patch":{"url":"https://u:`+canary+`@x.invalid","plain":1},"secrets_patch":{"set":{"K":{"redacted":true}}},
 "webhook_ops":[{"op":"register","id":"w","metadata":{"secret":`+string(q)+`}},{"op":"register","url":"https://x.invalid/`+canary+`"}],
 "subscription_ops":[{"op":"create","id":"s","metadata":{"t":`+string(q)+`}}],"notes":["`+canary+`"]}`, map[string]string{"K": canary}, map[string]string{"blob": "x" + canary})
	set, found := commit.New(res, out, load(t, c, home), commit.Wanted{})
	if set == nil {
		t.Fatalf("%+v", found)
	}
	for _, d := range set.Differences() {
		if strings.Contains(fmt.Sprintf("%s %s %s", d.Key, d.Before, d.After), canary) {
			t.Errorf("the review shows %+v", d)
		}
	}
	if _, err := c.Commit(t.Context(), lock, set); err != nil {
		t.Fatal(err)
	}
	cur := load(t, c, home)
	if got := string(cur.Values[adapters.Config]["url"].Bytes); !strings.Contains(got, canary) {
		t.Errorf("the address was stored as %s", got)
	}
	// The next run knows what it must not show, also without the secret itself.
	cur.Values[adapters.Secrets] = nil
	state, err := cur.State()
	if err != nil {
		t.Fatal(err)
	}
	host := capability.NewHost(capability.Config{State: state})
	if said := plan.NewScrubber(host.Secrets()...).Scrub("see https://u:" + canary + "@x.invalid and x" + canary); strings.Contains(said, canary) {
		t.Errorf("the next run says %q", said)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	noCanary(t, dir)
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	noCanary(t, dir)
}

// noCanary looks for the canary in every file below dir, in the forms that programs
// write it.
func noCanary(t testing.TB, dir string) {
	t.Helper()
	forms := map[string]string{"plain": canary, "base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "="),
		"base64, one later": base64.StdEncoding.EncodeToString([]byte("x" + canary))[2:18], "base64, two later": base64.StdEncoding.EncodeToString([]byte("xx" + canary))[4:20],
		"hex": hex.EncodeToString([]byte(canary)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(canary))), "URL": url.QueryEscape(canary), "path": url.PathEscape(canary)}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for form, text := range forms {
			if strings.Contains(string(b), text) {
				t.Errorf("%s holds a secret as %s", path, form)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What nobody ever tried to do elsewhere is forgotten when it is taken away; what was
// done is undone.
func TestOperations(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	apply(t, c, lock, pack.EntrySetup, setupPlan, setupSecrets)
	var keys []string
	for _, l := range load(t, c, home).Operations() {
		keys = append(keys, l.Key+" "+l.Verb+" "+string(l.Status))
	}
	want := []string{"webhook/of-9d3eb4b304fd440c register pending", "subscription/s1 create pending", "subscription/subscription sync pending", "oauth/idp start pending"}
	if d := cmp.Diff(want, keys); d != "" {
		t.Fatal(d)
	}
	hooks := &executor{}
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.Webhook: hooks,
		adapters.Subscription: &executor{err: errors.New("the service is down")}, adapters.OAuth: &executor{err: fmt.Errorf("nobody is there: %w", adapters.ErrPending)}}
	for range 2 {
		if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
			t.Fatal(err)
		}
	}
	var status []string
	for _, l := range load(t, c, home).Operations() {
		status = append(status, fmt.Sprintf("%s %s %d %s", l.Key, l.Status, l.Attempts, l.Detail))
	}
	want = []string{"webhook/of-9d3eb4b304fd440c done 1 did it", "subscription/s1 failed 2 the service is down", "subscription/subscription failed 2 the service is down",
		"oauth/idp pending 0 nobody is there: pending"}
	if d := cmp.Diff(want, status); d != "" {
		t.Error(d)
	}
	if len(hooks.ids) != 1 {
		t.Errorf("the webhook was done %d times", len(hooks.ids))
	}
	if rev := load(t, c, home).Revision(); rev != 1 {
		t.Errorf("operations made revision %d", rev)
	}
	remove(t, c, lock)
	status = nil
	for _, l := range load(t, c, home).Operations() {
		status = append(status, l.Key+" "+l.Verb+" "+string(l.Status))
	}
	want = []string{"subscription/subscription delete pending", "subscription/s1 delete pending", "webhook/of-9d3eb4b304fd440c delete pending"}
	if d := cmp.Diff(want, status); d != "" {
		t.Error(d)
	}
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.Webhook: hooks, adapters.Subscription: hooks}
	if ops, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil || len(ops) != 0 {
		t.Errorf("%+v, %v", ops, err)
	}
	if i := load(t, c, home).Install; i.Status != adapters.Removed {
		t.Errorf("the installation is %s", i.Status)
	}
}

type executor struct {
	err error
	ids []string
	out adapters.Outcome
}

func (e *executor) Execute(_ context.Context, _ adapters.Namespace, op adapters.Operation) (adapters.Outcome, error) {
	e.ids = append(e.ids, op.ID)
	if e.out.Secrets != nil {
		return e.out, nil
	}
	return adapters.Outcome{Detail: "did it"}, e.err
}

func TestTokensOfTwoProvidersAreKeptApart(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	token := func(v string) adapters.Outcome {
		return adapters.Outcome{Secrets: map[string][]byte{"oauth_access_token": []byte(v)}}
	}
	apply(t, c, lock, pack.EntrySetup, `{"oauth_ops":[{"op":"start","provider":"One"}]}`, nil)
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.OAuth: &executor{out: token(canary)}}
	if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
		t.Fatal(err)
	}
	apply(t, c, lock, pack.EntryUpdate, `{"oauth_ops":[{"op":"start","provider":"Two"}]}`, nil)
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.OAuth: &executor{out: token("second-token-value")}}
	if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range load(t, c, home).Values[adapters.Secrets] {
		got[k] = string(v.Bytes)
	}
	want := map[string]string{"oauth_access_token": canary, "oauth_access_token_one": canary, "oauth_access_token_two": "second-token-value"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	remove(t, c, lock)
	if d := dump(t, t.Context(), c.Stores, home); d != "{}" {
		t.Errorf("left: %s", d)
	}
}

// The pack's own removal counts for its operations.
func TestRemovalOfThePack(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	apply(t, c, lock, pack.EntrySetup, setupPlan, setupSecrets)
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.Webhook: &executor{}}
	if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
		t.Fatal(err)
	}
	res, out := ran(pack.EntryRemove, `{"config_patch":{"removed":true},"webhook_ops":[{"op":"delete","url":"https://x.invalid/hook","metadata":{"how":"gently"}}]}`, nil, nil)
	set, found, err := c.NewRemoval(t.Context(), load(t, c, home), res, out, commit.Wanted{})
	if err != nil || set == nil {
		t.Fatal(found, err)
	}
	if _, err := c.Commit(t.Context(), lock, set); err != nil {
		t.Fatal(err)
	}
	cur := load(t, c, home)
	ops := cur.Operations()
	if len(cur.Values[adapters.Config]) != 0 || len(ops) != 1 || ops[0].Verb != "delete" || string(ops[0].Metadata["how"]) != `"gently"` {
		t.Errorf("config %v, operations %+v", cur.Values[adapters.Config], ops)
	}
}

// An installation is worked on with the adapters that it was made with.
func TestOtherAdaptersAreRefused(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	with := c
	with.Elsewhere = map[adapters.Kind]commit.Place{adapters.Secrets: {Name: "plugin:/a", Values: newMemory()}}
	apply(t, with, lock, pack.EntrySetup, setupPlan, setupSecrets)
	for _, other := range []map[adapters.Kind]commit.Place{nil, {adapters.Secrets: {Name: "plugin:/b", Values: newMemory()}}, {adapters.Secrets: with.Elsewhere[adapters.Secrets], adapters.Config: {Name: "greentic:/x", Values: newMemory()}}} {
		c.Elsewhere = other
		if _, err := c.Load(t.Context(), home); err == nil {
			t.Errorf("%v is accepted", other)
		} else if _, ok := errors.AsType[*adapters.ConfigError](err); !ok {
			t.Errorf("%v", err)
		}
	}
}

// An adapter that says yes and stores nothing is found out before anything is in force.
func TestAnAdapterThatLies(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	m := newMemory()
	m.lie = true
	c.Elsewhere = map[adapters.Kind]commit.Place{adapters.Secrets: {Name: "plugin:/liar", Values: m}}
	res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
	set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{})
	_, err := c.Commit(t.Context(), lock, set)
	if err == nil || !strings.Contains(err.Error(), "plugin:/liar") || strings.Contains(err.Error(), canary) {
		t.Errorf("%v", err)
	}
	if cur := load(t, c, home); cur.Install != nil || len(cur.Values[adapters.Config]) > 0 {
		t.Errorf("%+v", cur)
	}
	if open, err := c.Record.Journal(t.Context(), home.Scope(), true); err != nil || len(open) != 0 {
		t.Errorf("open: %+v, %v", open, err)
	}
}

// Whatever fails elsewhere, wherever: the state is that of before or of after, and what is
// left is recovered.
func TestFailuresElsewhere(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for n := 1; ; n++ {
			c := fresh(t)
			lock := locked(t, c, home)
			m := newMemory()
			m.values[home] = map[string]adapters.Value{"bot_token": {Bytes: []byte("old"), Secret: true}}
			c.Elsewhere = map[adapters.Kind]commit.Place{adapters.Secrets: {Name: "plugin:/a", Values: m}}
			res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
			cur := load(t, c, home)
			before := dump(t, t.Context(), c.Stores, home)
			set, _ := commit.New(res, out, cur, commit.Wanted{})
			calls, failed := 0, false
			m.fault = func(string) error {
				if calls++; calls == n || lost && calls > n {
					failed = true
					return errors.New("the adapter is away")
				}
				return nil
			}
			_, err := c.Commit(t.Context(), lock, set)
			if !failed {
				if n < 5 {
					t.Fatalf("%d calls only", n)
				}
				break
			}
			m.fault = nil
			if _, err := c.Recover(t.Context(), lock); err != nil {
				t.Fatal(err)
			}
			after := dump(t, t.Context(), c.Stores, home)
			unfinished, isUnfinished := errors.AsType[*commit.UnfinishedError](err)
			switch {
			case isUnfinished && unfinished.Committed:
				if got := string(m.values[home]["bot_token"].Bytes); got != canary || load(t, c, home).Revision() != 1 {
					t.Errorf("call %d: finished, and the token is %q", n, got)
				}
			case err == nil:
				t.Errorf("call %d: no error", n)
			case after != before:
				t.Errorf("call %d: %v; state differs:\n%s", n, err, cmp.Diff(before, after))
			}
			for ns := range m.values {
				if ns.Area != adapters.Live && ns.Area != adapters.Before && len(m.values[ns]) > 0 {
					t.Errorf("call %d: %s is left", n, ns)
				}
			}
			if open, err := c.Record.Journal(t.Context(), home.Scope(), true); err != nil || len(open) != 0 {
				t.Errorf("call %d: open: %+v, %v", n, open, err)
			}
		}
	}
}

func TestACancelledCommitIsNone(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
	set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	if _, err := c.Commit(ctx, lock, set); err == nil {
		t.Error("no error")
	}
	if d := dump(t, t.Context(), c.Stores, home); d != "{}" {
		t.Errorf("stored: %s", d)
	}
}

func TestReviewedPlans(t *testing.T) {
	res, _ := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
	file := func(change func(*engine.Result)) []byte {
		r := *res
		if change != nil {
			change(&r)
		}
		b, err := plan.Canonical(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, err := commit.ParseReviewed(file(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Matches(res); err != nil {
		t.Error(err)
	}
	other, _ := ran(pack.EntrySetup, updatePlan, nil, nil)
	other.Inputs.InstallID, other.Inputs.State.Revision = "second", 4
	reviewedAt3 := r
	reviewedAt3.Inputs.State.Revision = 3
	err = reviewedAt3.Matches(other)
	m, ok := errors.AsType[*commit.MismatchError](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	want := []string{`the installation was none and is "second"`, "the installation was at revision 3 and is at 4",
		"the plan's digest was " + res.Digest + " and is " + other.Digest,
		"config_patch.nested has changed", "config_patch.new is new", "config_patch.region has changed", "notes[0] is gone", "oauth_ops[0] is gone",
		"secrets_patch.delete.bot_token is new", "secrets_patch.set.BOT-TOKEN is gone", "secrets_patch.set.other is new",
		"subscription_ops[0] has changed", "subscription_ops[1] is gone", "webhook_ops[0] is gone"}
	if d := cmp.Diff(want, m.Differences); d != "" {
		t.Error(d)
	}
	for name, b := range map[string][]byte{
		"nothing":     []byte(`{}`),
		"no JSON":     []byte(`x`),
		"an edit":     []byte(strings.Replace(string(file(nil)), `"eu"`, `"us"`, 1)),
		"an array":    []byte(`[]`),
		"a plan only": []byte(`{"plan":{},"digest":"sha256:0"}`),
	} {
		if _, err := commit.ParseReviewed(b); err == nil {
			t.Errorf("%s is taken for a reviewed plan", name)
		}
	}
}

func TestBetween(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	apply(t, c, lock, pack.EntrySetup, setupPlan, setupSecrets)
	apply(t, c, lock, pack.EntryUpdate, updatePlan, updateSecrets)
	apply(t, c, lock, pack.EntryUpdate, `{"config_patch":{"region":"eu","new":null}}`, nil)
	history, err := c.History(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	say := func(from, to uint64) (lines []string) {
		diffs, err := commit.Between(history, from, to)
		if err != nil {
			return []string{err.Error()}
		}
		for _, d := range diffs {
			if d.Kind != adapters.Operations {
				lines = append(lines, fmt.Sprintf("%s %s %s %s %s", d.Kind, d.Key, d.What, d.Before, d.After))
			}
		}
		return lines
	}
	for _, tc := range []struct {
		from, to uint64
		want     []string
	}{
		{0, 1, []string{"config nested added  {\"a\":[1,2]}", `config region added  "eu"`, "secrets bot_token added  ", `subscriptions s1 added  {"resource":"r"}`}},
		{1, 3, []string{`config nested removed {"a":[1,2]} `, "secrets bot_token removed  ", "secrets other added  ", `subscriptions s1 removed {"resource":"r"} `}},
		{0, 3, []string{`config region added  "eu"`, "secrets other added  "}},
		{3, 3, []string{"revision 3 does not come before 3"}},
		{0, 9, []string{"there is no revision 9; the newest is 3"}},
	} {
		if d := cmp.Diff(tc.want, say(tc.from, tc.to)); d != "" {
			t.Errorf("%d to %d: %s", tc.from, tc.to, d)
		}
	}
}
