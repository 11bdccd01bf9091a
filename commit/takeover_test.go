package commit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
)

// elsewhere keeps secrets in m, under a name.
func elsewhere(c commit.Committer, name string, m *memory) commit.Committer {
	c.Elsewhere = map[adapters.Kind]commit.Place{adapters.Secrets: {Name: name, Values: m}}
	return c
}

func secretsOf(m *memory, area adapters.Area) map[string]string {
	out := map[string]string{}
	for k, v := range m.values[home.In(area)] {
		out[k] = string(v.Bytes)
	}
	return out
}

// A writer that loses its lock while it works elsewhere, to one that recovers and commits,
// does no more harm: whatever it was at, what the second one did stays.
func TestAWriterThatLostItsLockDoesNoHarm(t *testing.T) {
	for n := 1; ; n++ {
		c := fresh(t)
		m := newMemory()
		m.values[home] = map[string]adapters.Value{"bot_token": {Bytes: []byte("old"), Secret: true}, "gone": {Bytes: []byte("g"), Secret: true}}
		c = elsewhere(c, "plugin:a", m)
		lock := locked(t, c, home)
		res, out := ran(pack.EntrySetup, `{"secrets_patch":{"set":{"bot_token":{"redacted":true}},"delete":["gone"]}}`, map[string]string{"bot_token": "first"}, nil)
		set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{})
		loads, taken := 0, false
		m.fault = func(op string) error {
			if taken || op != "load" {
				return nil
			}
			if loads++; loads != n {
				return nil
			}
			taken = true
			lock.Unlock() // the connection that held it is lost
			second, err := c.Record.Lock(context.Background(), home, "second")
			if err != nil {
				return err
			}
			defer second.Unlock()
			if _, err := c.Recover(context.Background(), second); err != nil {
				t.Errorf("the second writer recovers: %v", err)
			}
			apply(t, c, second, pack.EntrySetup, `{"secrets_patch":{"set":{"bot_token":{"redacted":true},"gone":{"redacted":true}}}}`, map[string]string{"bot_token": "second", "gone": "second"})
			return nil
		}
		_, err := c.Commit(t.Context(), lock, set)
		if !taken {
			if n < 4 {
				t.Fatalf("only %d places", n)
			}
			break
		}
		want := map[string]string{"bot_token": "second", "gone": "second"}
		if d := cmp.Diff(want, secretsOf(m, adapters.Live)); d != "" {
			t.Errorf("at load %d, where the first writer says %v:\n%s", n, err, d)
		}
		third := locked(t, c, home)
		if open, err := c.Recover(t.Context(), third); err != nil || len(open) != 0 {
			t.Errorf("at load %d something is open: %+v, %v", n, open, err)
		}
		remove(t, c, third)
		if d := cmp.Diff(map[string]string{"bot_token": "old", "gone": "g"}, secretsOf(m, adapters.Live)); d != "" {
			t.Errorf("at load %d, after remove:\n%s", n, d)
		}
		for ns, v := range m.values {
			if ns.Area != adapters.Live && len(v) > 0 {
				t.Errorf("at load %d: %s is left", n, ns)
			}
		}
	}
}

// What was staged in one adapter is finished in that one or not at all.
func TestRecoverNeedsTheSameAdapter(t *testing.T) {
	for _, committed := range []bool{false, true} {
		a, b := newMemory(), newMemory()
		c := elsewhere(fresh(t), "plugin:a", a)
		lock := locked(t, c, home)
		res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
		set, _ := commit.New(res, out, load(t, c, home), commit.Wanted{})
		lost := errors.New("the adapter is away")
		a.fault = func(string) error {
			open, err := c.Record.Journal(context.Background(), home.Scope(), true)
			if err != nil {
				return err
			}
			if committed == (len(open) > 0 && open[0].Status == adapters.Committed) && len(open) > 0 {
				return lost
			}
			return nil
		}
		if _, err := c.Commit(t.Context(), lock, set); !errors.Is(err, lost) {
			t.Fatal(err)
		}
		a.fault = nil
		for _, other := range []commit.Committer{elsewhere(c, "plugin:b", b), {Stores: commit.Stores{Record: c.Record}}} {
			_, err := other.Recover(t.Context(), lock)
			if _, ok := errors.AsType[*adapters.ConfigError](err); !ok || !strings.Contains(err.Error(), "plugin:a") {
				t.Errorf("with another adapter: %v", err)
			}
		}
		if got, err := c.Recover(t.Context(), lock); err != nil || len(got) != 1 || (got[0].Status == adapters.Finished) != committed {
			t.Errorf("%+v, %v", got, err)
		}
		if got := secretsOf(a, adapters.Live)["bot_token"]; (got == canary) != committed {
			t.Errorf("the token is %q", got)
		}
		if len(b.values[home]) > 0 {
			t.Errorf("the other adapter has %v", b.values)
		}
	}
}

// One installation that cannot be recovered keeps no other from it.
func TestRecoverAllGoesOn(t *testing.T) {
	c := fresh(t)
	for _, install := range []string{"a", "b", "c"} {
		ns := home
		ns.Install = install
		m := newMemory()
		with := elsewhere(c, "plugin:"+install, m)
		lock := locked(t, with, ns)
		res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
		set, _ := commit.New(res, out, load(t, with, ns), commit.Wanted{})
		m.fault = func(string) error { return errors.New("away") }
		if _, err := with.Commit(t.Context(), lock, set); err == nil {
			t.Fatal("no error")
		}
		lock.Unlock()
	}
	c = elsewhere(c, "plugin:b", newMemory())
	list, err := c.RecoverAll(t.Context(), adapters.AllScopes, func(ns adapters.Namespace) (adapters.Lock, error) { return c.Record.Lock(t.Context(), ns, "x") })
	if err == nil || !strings.Contains(err.Error(), ":a:") && !strings.Contains(err.Error(), "plugin:a") || !strings.Contains(err.Error(), "plugin:c") {
		t.Errorf("%v", err)
	}
	if len(list) != 1 || !strings.HasSuffix(list[0].Namespace, ":b") {
		t.Errorf("%+v", list)
	}
}

// An adapter that could not hold it all is asked for nothing.
func TestWhatAnAdapterCouldNotHold(t *testing.T) {
	m := newMemory()
	c := elsewhere(fresh(t), "plugin:a", m)
	lock := locked(t, c, home)
	var set []string
	secrets := map[string]string{}
	for i := range adapters.MaxKeys {
		set = append(set, fmt.Sprintf(`"k%d":{"redacted":true}`, i))
		secrets[fmt.Sprintf("k%d", i)] = "v"
	}
	m.values[home] = map[string]adapters.Value{"one_more": {Bytes: []byte("x")}}
	res, out := ran(pack.EntrySetup, `{"secrets_patch":{"set":{`+strings.Join(set, ",")+`}}}`, nil, nil)
	for k, v := range secrets {
		out.Secrets[k] = []byte(v)
	}
	s, found := commit.New(res, out, load(t, c, home), commit.Wanted{})
	if s == nil {
		t.Fatal(found[0])
	}
	if _, err := c.Commit(t.Context(), lock, s); err == nil || !strings.Contains(err.Error(), "plugin:a") || !strings.Contains(err.Error(), "10001 keys") {
		t.Errorf("%v", err)
	}
	if j, err := c.Record.Journal(t.Context(), adapters.AllScopes, false); err != nil || len(j) != 0 {
		t.Errorf("journal %+v, %v", j, err)
	}
	// What keeps its values in clear is given none that holds a secret.
	c.Elsewhere = map[adapters.Kind]commit.Place{adapters.Config: {Name: "greentic:b", Values: newMemory(), Clear: true}}
	res, out = ran(pack.EntrySetup, `{"config_patch":{"url":"https://u:`+canary+`@x"}}`, map[string]string{"k": canary}, nil)
	s, _ = commit.New(res, out, load(t, c, home), commit.Wanted{})
	if _, err := c.Commit(t.Context(), lock, s); err == nil || !strings.Contains(err.Error(), "in clear") || strings.Contains(err.Error(), canary) {
		t.Errorf("%v", err)
	}
}

// once does an operation once for each key, as adapters are to.
type once struct {
	did  []string
	seen map[string]bool
}

func (o *once) Execute(_ context.Context, _ adapters.Namespace, op adapters.Operation) (adapters.Outcome, error) {
	if !o.seen[op.ID] {
		o.did = append(o.did, op.Verb+" "+op.Target)
	}
	o.seen[op.ID] = true
	return adapters.Outcome{}, nil
}

// What was done in an earlier life of an installation is done again in the next, and an
// address that changes is the same webhook.
func TestOperationsOfAnotherLifeAreDoneAgain(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	o := &once{seen: map[string]bool{}}
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.Webhook: o}
	hook := func(url string) string {
		return `{"webhook_ops":[{"op":"register","url":"` + url + `","metadata":{"provider":"chat"}},{"op":"register","id":"z"}]}`
	}
	resume := func() {
		t.Helper()
		if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, c, lock, pack.EntrySetup, hook("https://a"), nil)
	resume()
	resume()
	apply(t, c, lock, pack.EntryUpdate, hook("https://b"), nil)
	apply(t, c, lock, pack.EntryUpdate, hook("https://a"), nil)
	resume()
	remove(t, c, lock)
	resume()
	apply(t, c, lock, pack.EntrySetup, hook("https://a"), nil)
	resume()
	want := []string{"register https://a", "register z", "register https://a", "delete https://a", "delete z", "register https://a", "register z"}
	if d := cmp.Diff(want, o.did); d != "" {
		t.Error(d)
	}
}

// leaving is done just when somebody gives up.
type leaving struct{ cancel context.CancelCauseFunc }

func (l leaving) Execute(context.Context, adapters.Namespace, adapters.Operation) (adapters.Outcome, error) {
	l.cancel(errors.New("Ctrl-C"))
	return adapters.Outcome{Secrets: map[string][]byte{"oauth_token": []byte(canary)}}, nil
}

func TestWhatWasDoneIsRecordedAlthoughSomebodyGaveUp(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	apply(t, c, lock, pack.EntrySetup, `{"oauth_ops":[{"op":"start","provider":"idp"}]}`, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.OAuth: leaving{cancel}}
	if _, err := c.Resume(ctx, lock, load(t, c, home), nil); err != nil {
		t.Log(err) // it may say that it was interrupted
	}
	cur := load(t, c, home)
	if string(cur.Values[adapters.Secrets]["oauth_token"].Bytes) != canary || cur.Operations()[0].Status != adapters.Done {
		t.Errorf("%+v", cur.Operations())
	}
}

// A removed installation takes no secrets, and its record does not begin anew.
func TestARemovedInstallationTakesNoSecrets(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.Now = func() time.Time { return start }
	apply(t, c, lock, pack.EntrySetup, `{"webhook_ops":[{"op":"register","id":"w"}]}`, nil)
	c.Executors = map[adapters.OperationKind]adapters.Executor{adapters.Webhook: &executor{out: adapters.Outcome{Secrets: map[string][]byte{"Signing Key": []byte(canary)}}}}
	if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
		t.Fatal(err)
	}
	if got := load(t, c, home).Values[adapters.Secrets]["signing_key"].Bytes; string(got) != canary {
		t.Errorf("signing_key is %q", got)
	}
	c.Now = func() time.Time { return start.Add(time.Hour) }
	remove(t, c, lock)
	if _, err := c.Resume(t.Context(), lock, load(t, c, home), nil); err != nil {
		t.Fatal(err)
	}
	cur := load(t, c, home)
	if len(cur.Values[adapters.Secrets]) > 0 || !cur.Install.CreatedAt.Equal(start) || cur.Install.Status != adapters.Removed {
		t.Errorf("%+v", cur)
	}
}

// What becomes known as a secret later is sealed from then on, and the runs after that
// know it, also when it is not among the secrets any more.
func TestSecretsThatStandInConfiguration(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	apply(t, c, lock, pack.EntrySetup, `{"config_patch":{"url":"https://h/bot`+canary+`/x"}}`, nil)
	if load(t, c, home).Values[adapters.Config]["url"].Secret {
		t.Error("nobody said that it is a secret")
	}
	apply(t, c, lock, pack.EntryUpdate, `{"config_patch":{"url":"https://h/bot`+canary+`/x"},"secrets_patch":{"set":{"k":{"redacted":true}}}}`, map[string]string{"k": canary})
	if !load(t, c, home).Values[adapters.Config]["url"].Secret {
		t.Error("the value stays in clear")
	}
	apply(t, c, lock, pack.EntryUpdate, `{"secrets_patch":{"delete":["k"]}}`, nil)
	state, err := load(t, c, home).State()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(state.Hidden, "\n")+"\n", canary+"\n") {
		t.Errorf("the next run does not know the secret by itself: %d texts", len(state.Hidden))
	}
}

// A secret that waited is not waited for any more once it is there.
func TestASecretThatIsGivenLater(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	const announced = `{"secrets_patch":{"set":{"K":{"redacted":true}}}}`
	for _, wanted := range []commit.Wanted{{LeaveMissing: true}, {Secrets: map[string][]byte{"k": []byte(canary)}}} {
		res, out := ran(pack.EntrySetup, announced, nil, nil)
		set, found := commit.New(res, out, load(t, c, home), wanted)
		if set == nil {
			t.Fatal(found)
		}
		if _, err := c.Commit(t.Context(), lock, set); err != nil {
			t.Fatal(err)
		}
	}
	if ops := load(t, c, home).Operations(); len(ops) > 0 {
		t.Errorf("%+v", ops)
	}
}

// What cannot be put back is said, and nothing is changed.
func TestAKeptValueThatIsLost(t *testing.T) {
	c := fresh(t)
	lock := locked(t, c, home)
	if err := c.Record.Values(adapters.Secrets).Apply(t.Context(), home, adapters.Batch{ID: "x", Changes: []adapters.Change{{Key: "bot_token", Value: adapters.Value{Bytes: []byte("old"), Secret: true}}}}); err != nil {
		t.Fatal(err)
	}
	apply(t, c, lock, pack.EntrySetup, setupPlan, setupSecrets)
	if err := c.Record.Values(adapters.Secrets).Apply(t.Context(), home.In(adapters.Before), adapters.Batch{ID: "y", Changes: []adapters.Change{{Key: "bot_token", Delete: true}}}); err != nil {
		t.Fatal(err)
	}
	set, _, err := c.NewRemoval(t.Context(), load(t, c, home), nil, engine.Outcome{}, commit.Wanted{})
	if err == nil || set != nil || !strings.Contains(err.Error(), `secrets "bot_token"`) {
		t.Errorf("%v, %v", set, err)
	}
}

// Grants and keys hold for what a response asks for, too.
func TestPolicyHoldsForPlans(t *testing.T) {
	c := fresh(t)
	for name, tc := range map[string]struct {
		wanted commit.Wanted
		codes  string
	}{
		"nothing granted": {commit.Wanted{Grants: []string{}}, "NOT_GRANTED NOT_GRANTED NOT_GRANTED NOT_GRANTED NOT_GRANTED NOT_GRANTED NOT_GRANTED"},
		"all but secrets": {commit.Wanted{Grants: []string{"config", "webhooks", "subscriptions", "oauth"}}, "NOT_GRANTED"},
		"everything":      {commit.Wanted{Grants: []string{"config", "webhooks", "subscriptions", "oauth", "secrets"}}, ""},
	} {
		res, out := ran(pack.EntrySetup, setupPlan, setupSecrets, nil)
		_, found := commit.New(res, out, load(t, c, home), tc.wanted)
		var codes []string
		for _, d := range found {
			codes = append(codes, d.Code)
		}
		if got := strings.Join(codes, " "); got != tc.codes {
			t.Errorf("%s: %s", name, got)
		}
	}
	res, out := ran(pack.EntrySetup, `{"config_patch":{"provision:prod:other:_:chat:default:k":1,"provision:prod:acme:_:chat:default:mine":2}}`, nil, nil)
	set, found := commit.New(res, out, load(t, c, home), commit.Wanted{Own: []string{home.String() + ":"}})
	if set != nil || len(found) != 1 || found[0].Code != "KEY_NOT_ALLOWED" {
		t.Errorf("%+v", found)
	}
	res, out = ran(pack.EntrySetup, `{"config_patch":{"provision:prod:acme:_:chat:default:mine":2}}`, nil, nil)
	if set, _ = commit.New(res, out, load(t, c, home), commit.Wanted{Own: []string{home.String() + ":"}}); set == nil || set.Changes[0].Key != "mine" {
		t.Errorf("%+v", set)
	}
}

// A reviewed plan is one with the state it would write, and of the same state.
func TestReviewedState(t *testing.T) {
	res, _ := ran(pack.EntrySetup, `{}`, nil, nil)
	b := encodeResult(t, res)
	r, err := commit.ParseReviewed(b)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := ran(pack.EntrySetup, `{}`, nil, map[string]string{"armed": "1"})
	other.Effects = append(other.Effects, stateWrite("armed"))
	if err := r.Matches(other); err == nil || !strings.Contains(err.Error(), "state.armed") {
		t.Errorf("%v", err)
	}
	if !commit.WritesState(other) || commit.WritesState(res) {
		t.Error("WritesState")
	}
	later, _ := ran(pack.EntrySetup, `{}`, nil, nil)
	later.Inputs.State.Revision = 3
	if err := r.Matches(later); err == nil {
		t.Error("a plan for nothing installed is taken for one at revision 3")
	}
}

// What a plan may leave behind is bounded: later runs are given it.
func TestPlansThatAreTooMuch(t *testing.T) {
	c := fresh(t)
	var ops []string
	for i := range commit.MaxOperations + 1 {
		ops = append(ops, fmt.Sprintf(`{"op":"register","id":"w%d"}`, i))
	}
	for name, p := range map[string]string{
		"operations":    `{"webhook_ops":[` + strings.Join(ops, ",") + `]}`,
		"configuration": `{"config_patch":{"a":"` + strings.Repeat("x", commit.MaxVisible) + `"}}`,
	} {
		res, out := ran(pack.EntrySetup, p, nil, nil)
		if set, found := commit.New(res, out, load(t, c, home), commit.Wanted{}); set != nil || len(found) != 1 || found[0].Code != "PLAN_TOO_LARGE" {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
