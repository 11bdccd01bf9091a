package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/plan"
)

// hidden is in everything that must not be shown.
const hidden = "hunter2"

func operation(t *testing.T, op adapters.Operation) json.RawMessage {
	t.Helper()
	b, err := plan.Canonical(op)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneLine is what a key can be: text without control characters, but for that as nasty
// as it gets. It goes on where a line ends with what looks like another change.
var oneLine = "x\u202egnp.\u2800\u00a0" + strings.Repeat("k", 50) + strings.Repeat(" ", 8) + `+ admin = "true"`

func hostileChanges(t *testing.T) []commit.Difference {
	long := strings.Repeat("東", 150)
	var list []commit.Difference
	for _, kind := range append(adapters.Kinds, "unknown") {
		secret := kind == adapters.Secrets || kind == adapters.State
		if kind == adapters.Operations {
			continue
		}
		for i, key := range []string{nasty, oneLine, long, "plain", `a = "b"`, ""} {
			d := commit.Difference{Kind: kind, Key: key, What: []string{commit.Added, commit.Changed, commit.Gone}[i%3], Secret: secret}
			if d.What != commit.Added && !secret {
				d.Before = raw(map[string]string{nasty: nasty})
			}
			if d.What != commit.Gone && !secret {
				d.After = raw(strings.Repeat(nasty, 20))
			}
			list = append(list, d)
		}
		list = append(list, commit.Difference{Kind: kind, Key: "token", What: commit.Changed, Secret: true})
	}
	add := func(what string, before, after *adapters.Operation) {
		d := commit.Difference{Kind: adapters.Operations, What: what}
		if before != nil {
			d.Key, d.Before = string(before.Kind)+"/"+before.Target, operation(t, *before)
		}
		if after != nil {
			d.Key, d.After = string(after.Kind)+"/"+after.Target, operation(t, *after)
		}
		list = append(list, d)
	}
	first := &adapters.Operation{ID: hidden, Kind: adapters.Webhook, Verb: nasty, Target: oneLine, URL: "https://" + nasty + long, Scopes: []string{nasty, "mail.read"},
		Metadata: map[string]json.RawMessage{nasty: raw(nasty), oneLine: raw(long), "gone": raw(1), "URL": raw("https://good.example")},
		Status:   hidden, Attempts: 77, Detail: hidden}
	second := &adapters.Operation{ID: hidden, Kind: adapters.Webhook, Verb: "delete webhook x", Target: oneLine, URL: nasty,
		Metadata: map[string]json.RawMessage{nasty: raw(nasty), oneLine: raw(nasty), "new": raw(nil)}, Status: adapters.Pending}
	add(commit.Added, nil, first)
	add(commit.Changed, first, second)
	add(commit.Gone, second, nil)
	return append(list,
		commit.Difference{Kind: adapters.Operations, Key: "webhook/" + oneLine, What: commit.Added, Secret: true},
		commit.Difference{Kind: adapters.Operations, Key: "oauth/sha256-0", What: commit.Added, After: operation(t, adapters.Operation{Kind: adapters.OAuth, Verb: "start", Target: long})},
		commit.Difference{Kind: adapters.Operations, Key: "not/one", What: commit.Added, After: raw([]string{hidden})})
}

func TestHostileChanges(t *testing.T) {
	title, list := "Changes to "+nasty+strings.Repeat("n", 200), hostileChanges(t)
	got := Changes(title, list, Style{})
	fits(t, got)
	golden(t, "changes_hostile.golden", got)
	if strings.Contains(got, hidden) || strings.Contains(got, "77") {
		t.Error("shows what does not say what is to be done")
	}
	uncolour(t, Changes(title, list, Style{Color: true}), got)
}

// TestOperationChanges: a reviewer sees what an operation is to do, and from what to what
// it changes.
func TestOperationChanges(t *testing.T) {
	webhook := adapters.Operation{ID: "1", Kind: adapters.Webhook, Verb: "register", Target: "messages", URL: "https://old.example",
		Metadata: map[string]json.RawMessage{"events": raw([]string{"message"}), "same": raw(true)}, Status: adapters.Done, Attempts: 1, Detail: "said so"}
	other := webhook
	other.ID, other.Verb, other.URL, other.Status, other.Attempts, other.Detail = "2", "update", "https://new.example", adapters.Pending, 0, ""
	other.Metadata = map[string]json.RawMessage{"same": raw(true), "extra": raw(nil)}
	tried := webhook
	tried.Status, tried.Attempts, tried.Detail = adapters.Failed, 2, "no"
	consent := adapters.Operation{Kind: adapters.OAuth, Verb: "start", Target: "google", Scopes: []string{"mail.read", "openid"}}
	wider := consent
	wider.Scopes = []string{"mail.read", "mail.send"}
	for _, c := range []struct {
		name string
		d    commit.Difference
		want string
	}{
		{"added", commit.Difference{What: commit.Added, After: operation(t, webhook)},
			`  + register webhook messages
            URL = "https://old.example"
            metadata.events = ["message"]
            metadata.same = true
`},
		{"changed", commit.Difference{What: commit.Changed, Before: operation(t, webhook), After: operation(t, other)},
			`  ~ register → update webhook messages
            URL "https://old.example" → "https://new.example"
            metadata.events ["message"] → none
            metadata.extra none → null
            metadata.same = true
`},
		{"removed", commit.Difference{What: commit.Gone, Before: operation(t, other)},
			`  - update webhook messages
            URL = "https://new.example"
            metadata.extra = null
            metadata.same = true
`},
		{"scopes", commit.Difference{Key: "oauth/google", What: commit.Changed, Before: operation(t, consent), After: operation(t, wider)},
			`  ~ start oauth google
            scopes ["mail.read","openid"] → ["mail.read","mail.send"]
`},
		{"tried", commit.Difference{What: commit.Changed, Before: operation(t, webhook), After: operation(t, tried)},
			`  ~ register webhook messages
            URL = "https://old.example"
            metadata.events = ["message"]
            metadata.same = true
            (what is to be done stays the same)
`},
		{"secret", commit.Difference{What: commit.Changed, Secret: true, Before: operation(t, webhook), After: operation(t, other)},
			"  ~ webhook/messages (holds a secret)\n"},
		{"another key", commit.Difference{Key: "webhook/sha256-00", What: commit.Gone, Before: operation(t, adapters.Operation{Kind: adapters.Webhook, Verb: "delete", Target: "messages"})},
			"  - delete webhook messages\n            key webhook/sha256-00\n"},
		{"moved", commit.Difference{Key: "webhook/of-00", What: commit.Changed, Before: operation(t, adapters.Operation{Kind: adapters.Webhook, Verb: "register", Target: "https://old.example", URL: "https://old.example"}),
			After: operation(t, adapters.Operation{Kind: adapters.Webhook, Verb: "register", Target: "https://new.example", URL: "https://new.example"})},
			`  ~ register webhook https://new.example
            key webhook/of-00
            URL "https://old.example" → "https://new.example"
            target "https://old.example" → "https://new.example"
`},
		{"long", commit.Difference{What: commit.Added}, "  + webhook/messages (too long to show)\n"},
		{"long before", commit.Difference{What: commit.Changed, After: operation(t, consent), Key: "oauth/google"},
			"  ~ start oauth google\n            before: (too long to show)\n            scopes = [\"mail.read\",\"openid\"]\n"},
		{"long after", commit.Difference{What: commit.Changed, Before: operation(t, webhook)}, "  ~ webhook/messages (too long to show)\n"},
		{"long removed", commit.Difference{What: commit.Gone}, "  - webhook/messages (too long to show)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.d.Kind = adapters.Operations; c.d.Key == "" {
				c.d.Key = "webhook/messages"
			}
			got := Changes("T", []commit.Difference{c.d}, Style{})
			fits(t, got)
			if want := "T\n\nOperations\n" + c.want; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestValuesTooLongToShow: a value that is not secret and not there is no bare key.
func TestValuesTooLongToShow(t *testing.T) {
	for _, kind := range []adapters.Kind{adapters.Config, adapters.Subscriptions} {
		got := Changes("T", []commit.Difference{
			{Kind: kind, Key: "a", What: commit.Added}, {Kind: kind, Key: "b", What: commit.Gone}, {Kind: kind, Key: "c", What: commit.Changed},
			{Kind: kind, Key: "d", What: commit.Changed, Before: raw(1)}, {Kind: kind, Key: "e", What: commit.Changed, After: raw(nil)},
			{Kind: kind, Key: "f", What: commit.Changed, Secret: true},
		}, Style{})
		want := `
  + a = (too long to show)
  - b was (too long to show)
  ~ c (too long to show) → (too long to show)
  ~ d 1 → (too long to show)
  ~ e (too long to show) → null
  ~ f (holds a secret)
`
		if _, got, _ := strings.Cut(got, kindTitles[kind]); got != want {
			t.Errorf("%s: got%swant%s", kind, got, want)
		}
	}
}

// TestEveryChangeIsShown: whoever agrees has seen every key to its last character, and
// how much of a value is missing.
func TestEveryChangeIsShown(t *testing.T) {
	var list []commit.Difference
	for _, kind := range []adapters.Kind{adapters.Config, adapters.Secrets, adapters.Subscriptions, adapters.State, adapters.Operations} {
		for i := range maxItems + 100 {
			key := fmt.Sprintf("%s/%04d%send", kind, i, strings.Repeat("é", 240))
			list = append(list, commit.Difference{Kind: kind, Key: key, What: commit.Added, Secret: kind == adapters.Secrets, After: raw(strings.Repeat("v", 1000))})
		}
	}
	got := Changes("T", list, Style{})
	fits(t, got)
	unwrapped := strings.ReplaceAll(got, "\n    | ", "")
	for _, d := range list {
		if !strings.Contains(unwrapped, "  + "+d.Key+"\n") {
			t.Fatalf("%s is not there whole", d.Key)
		}
	}
	if n := strings.Count(strings.Join(strings.Fields(got), " "), "… (+802 characters)"); n != 2*(maxItems+100) {
		t.Errorf("%d values say what is missing", n)
	}
}

// TestHiddenIsNoChange: what is kept for the next run is nobody's to review.
func TestHiddenIsNoChange(t *testing.T) {
	for _, kind := range []adapters.Kind{adapters.Hidden, "unknown"} {
		if got := Changes("T", []commit.Difference{{Kind: kind, Key: hidden, What: commit.Added, After: raw(hidden)}}, Style{}); got != "T\n  nothing changes\n" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// TestValuesOfConfiguration: one a line, each key whole, and nothing of what is secret.
func TestValuesOfConfiguration(t *testing.T) {
	got := Values([]commit.Difference{
		{Key: "z", Secret: true, After: raw(hidden)}, {Key: "host", After: raw("mail.example")}, {Key: `a = "b"`, After: raw(1)},
		{Key: strings.Repeat("k", 100), After: raw(nasty)},
	})
	fits(t, got)
	want := `"a = \"b\"" = 1
host        = "mail.example"
` + strings.Repeat("k", 78) + "\n| " + strings.Repeat("k", 22) + `
    = "x\u001b[31m\u001b[2J\r\nComplete: 0 errors\u202egnp.\ufffd\u009b1m"
z           = (holds a secret)
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestOperations(t *testing.T) {
	values := map[string]adapters.Value{}
	for key, op := range map[string]adapters.Operation{
		"oauth/google":     {ID: "1", Kind: adapters.OAuth, Verb: "start", Target: "google", Status: adapters.Done, Attempts: 1, Detail: "consented"},
		"webhook/" + nasty: {ID: "2", Kind: adapters.Webhook, Verb: nasty, Target: nasty, URL: nasty + strings.Repeat("u", 300), Status: adapters.Failed, Attempts: 2, Detail: strings.Repeat(nasty, 5)},
	} {
		values[key] = adapters.Value{Bytes: operation(t, op)}
	}
	for i, key := range []string{"webhook/sha256-0123456789abcdef", "webhook/" + strings.Repeat("s", 200)} {
		values[key] = adapters.Value{Secret: true, Bytes: operation(t, adapters.Operation{ID: "3", Kind: adapters.Webhook, Verb: "verb" + hidden, Target: hidden, URL: "https://" + hidden,
			Scopes: []string{hidden}, Metadata: map[string]json.RawMessage{hidden: raw(hidden)}, Status: adapters.Failed, Attempts: i + 1, Detail: "got " + hidden})}
	}
	list := commit.Current{Values: map[adapters.Kind]map[string]adapters.Value{adapters.Operations: values}}.Operations()
	got := Operations(list, Style{})
	fits(t, got)
	golden(t, "operations_hostile.golden", got)
	if strings.Contains(got, hidden) {
		t.Error("a secret is shown")
	}
	uncolour(t, Operations(list, Style{Color: true}), got)
}
