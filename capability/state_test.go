package capability_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/greentic-ai/greentic-provision/capability"
)

func TestParseState(t *testing.T) {
	for _, c := range []struct{ in, guest string }{
		{`{}`, `{"config":{},"secrets":{},"subscriptions":[]}`},
		{stateJSON, `{"config":{"nested":{"a":[1,2.5,null]},"region":"eu","z":null},` +
			`"secrets":{"Bot Token":{"redacted":true,"value":null},"EMPTY":{"redacted":true,"value":null}},` +
			`"subscriptions":[{"id":"s1","metadata":{"topic":"a"}},{"id":"s0","metadata":{}}]}`},
		{` {"config":{"a.b":"x"}} ` + "\n", `{"config":{"a.b":"x"},"secrets":{},"subscriptions":[]}`},
	} {
		if got := string(parse(t, c.in).ForGuest()); got != c.guest {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.guest)
		}
	}
	_, err := capability.ParseState([]byte(`{"config":{"a\n":1}}`))
	if want := "JSON at /config/a\n: the text holds a control character"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := string(capability.State{}.ForGuest()); got != "null" {
		t.Errorf("no state is %s", got)
	}
}

func TestParseStateErrors(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ in, path, reason string }{
		{``, "", "is empty"},
		{`null`, "", "must be an object, found null"},
		{`[]`, "", "must be an object, found an array"},
		{`{} {}`, "", "has more than one value"},
		{`{"config":`, "", "ends too early"},
		{`{"konfig":{}}`, "/konfig", "is not a member of a state file"},
		{`{"config":[]}`, "/config", "must be an object, found an array"},
		{`{"config":{"a":1,"a":2}}`, "/config/a", "is a duplicate name"},
		{`{"config":{"":1}}`, "/config/", "empty"},
		{`{"config":{"a/b\n":1}}`, "/config/a~1b\n", "control character"},
		{`{"config":{"` + strings.Repeat("k", 513) + `":1}}`, "/config/" + strings.Repeat("k", 513), "over the limit of 512"},
		{`{"config":{"a":` + deep(63) + `}}`, "", "nests deeper than 64"},
		{"{\"config\":{\"a\":\"\xff\"}}", "/config/a", "UTF-8"},
		{`{"config":{"a":[0,-1e999]}}`, "/config/a/1", "outside the range of float64"},
		{`{"secrets":{"A":hunter2}}`, "/secrets/A", "has an invalid character, at byte 16"},
		{`{"secrets":{"A":{"v":"hunter2"}}}`, "/secrets/A", "must be a string, found an object"},
		{`{"config":{"a":1e-999}}`, "/config/a", "too small"},
		{`{"secrets":{"A":72}}`, "/secrets/A", "must be a string, found a number"},
		{`{"secrets":{"A":null}}`, "/secrets/A", "must be a string, found null"},
		{`{"subscriptions":["a"]}`, "/subscriptions/0", "must be an object, found a string"},
		{`{"secrets":{"a b":"hunter2","A_B":"x"}}`, "/secrets/a b", `names the same secret as "A_B"`},
		{`{"secrets":{" ":"hunter2"}}`, "/secrets/ ", "blank"},
		{`{"subscriptions":{}}`, "/subscriptions", "must be an array, found an object"},
		{`{"subscriptions":[{"metadata":{}}]}`, "/subscriptions/0/id", "empty"},
		{`{"subscriptions":[{"id":"a"},{"id":"a"}]}`, "/subscriptions/1/id", "twice"},
		{`{"subscriptions":[{"id":"a","metadata":[]}]}`, "/subscriptions/0/metadata", "must be an object, found an array"},
		{`{"subscriptions":[{"id":"a","topic":"x"}]}`, "/subscriptions/0/topic", "is not a member of a state file"},
		{`{"config":{"a":"` + strings.Repeat("x", capability.MaxState) + `"}}`, "", "over the limit"},
	} {
		st, err := capability.ParseState([]byte(c.in))
		e, ok := errors.AsType[*capability.StateError](err)
		if !ok || !strings.Contains(e.Reason, c.reason) || (c.path != "" && e.Path != c.path) {
			t.Errorf("%.80s: got %v, want %q at %q", c.in, err, c.reason, c.path)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a value is quoted: %v", c.in, err)
		}
		if !cmp.Equal(st, capability.State{}, cmp.AllowUnexported(capability.State{})) {
			t.Errorf("%.80s: a state beside the error", c.in)
		}
	}
	if _, err := capability.ParseState([]byte(`{"config":{"a":` + deep(62) + `}}`)); err != nil {
		t.Errorf("nested exactly 64 deep: %v", err)
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(stateJSON))
	f.Add([]byte(`{"config":{"a":1,"a":2}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := capability.ParseState(b)
		if err != nil {
			if _, ok := errors.AsType[*capability.StateError](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		guest := st.ForGuest()
		for _, v := range st.Secrets {
			if len(v) > 12 && !strings.Contains(strings.Replace(string(b), v, "", 1), v) && strings.Contains(string(guest), v) {
				t.Fatalf("a secret is shown to the guest: %s", guest)
			}
		}
		h := begun(t, capability.Config{State: st})
		if _, err := call(h, "config.list", `{}`); err != nil && code(err) != capability.TooLarge {
			t.Fatal(err)
		}
	})
}

// Allowed is for each part what a guest could read of it.
func TestAllowed(t *testing.T) {
	whole := parse(t, stateJSON)
	whole.Blobs = map[string][]byte{"cursor": []byte("1"), "region": []byte("2")}
	whole.Hidden = []string{"hunter2"}
	grants := func(g ...string) []string { return append([]string{}, g...) }
	for name, c := range map[string]struct {
		grants, keys []string
		guest        string
		blobs        int
	}{
		"everything": {nil, nil, string(whole.ForGuest()), 2},
		"no grants":  {grants(), nil, `{"config":{},"secrets":{},"subscriptions":[]}`, 0},
		"no keys":    {nil, []string{}, `{"config":{},"secrets":{},"subscriptions":[]}`, 0},
		"config":     {grants("config"), []string{"re*", "bot_token", "s1"}, `{"config":{"region":"eu"},"secrets":{},"subscriptions":[]}`, 0},
		"secrets":    {grants("secrets"), []string{"re*", "BOT-TOKEN", "s1"}, `{"config":{},"secrets":{"Bot Token":{"redacted":true,"value":null}},"subscriptions":[]}`, 0},
		"subscriptions": {grants("subscriptions"), []string{"re*", "bot_token", "s1"},
			`{"config":{},"secrets":{},"subscriptions":[{"id":"s1","metadata":{"topic":"a"}}]}`, 0},
		"state": {grants("state"), []string{"cur*"}, `{"config":{},"secrets":{},"subscriptions":[]}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := whole.Allowed(c.grants, c.keys)
			if guest := string(got.ForGuest()); guest != c.guest || len(got.Blobs) != c.blobs || !cmp.Equal(got.Hidden, whole.Hidden) {
				t.Errorf("the guest is told %s, has blobs %v, hidden are %q", guest, got.Blobs, got.Hidden)
			}
		})
	}
	if again := parse(t, stateJSON); string(whole.ForGuest()) != string(again.ForGuest()) || len(whole.Blobs) != 2 {
		t.Errorf("the whole state has changed: %s", whole.ForGuest())
	}
	if got := string(capability.State{}.Allowed(nil, nil).ForGuest()); got != "null" {
		t.Errorf("of nothing, %s is allowed", got)
	}
}
