package qa_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/qa"
)

func TestParseSecretRequirements(t *testing.T) {
	const list = `[{"scope":{"env":"<env>","tenant":"<tenant>"},"description":"D","key":"TELEGRAM_BOT_TOKEN"},
		{"id":"a","required":false,"format":"text","schema":{"type":"string"},"examples":["x"]},
		{"name":"b","generated":{"policy":"random","length":20}},"c",{"key":"a","required":true}]`
	want := []qa.SecretRequirement{
		{Key: "TELEGRAM_BOT_TOKEN", Required: true, Description: "D", Scope: &qa.Scope{Env: "<env>", Tenant: "<tenant>"}},
		{Key: "a", Required: true, Format: "text", Schema: json.RawMessage(`{"type":"string"}`), Examples: json.RawMessage(`["x"]`)},
		{Key: "b", Required: true, Generated: json.RawMessage(`{"length":20,"policy":"random"}`)},
		{Key: "c", Required: true},
	}
	for _, doc := range []string{list, `{"pack_id":"x","secret_requirements":` + list + `}`, `{"requirements":` + list + `}`} {
		got, err := qa.ParseSecretRequirements([]byte(doc))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(err, d)
		}
	}
	if got, err := qa.ParseSecretRequirements([]byte(`{"pack_id":"x"}`)); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	for _, doc := range []string{`7`, `{`, `[{}]`, `[{"key":"a\nb"}]`, `[7]`, `{"secret_requirements":{}}`, `[` + strings.Repeat(`"a",`, 500) + `"a"]`, `"` + strings.Repeat("x", 4<<20) + `"`} {
		if got, err := qa.ParseSecretRequirements([]byte(doc)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: %v, %v", doc, got, err)
		}
	}
}

const described = `{"provider":"telegram","config_schema":{"kind":"object","fields":{
	"api_base_url":{"required":true,"schema":{"kind":"string"}},
	"graph_tenant_id":{"required":true,"schema":{"kind":"string","secret":true}}}},
	"redactions":[{"path":"$.chat_id","strategy":"replace"},{"path":"$.audit.key"},{"path":"/sink"},{"path":"$"},7]}`

func TestClassifier(t *testing.T) {
	setup := parseSetup(t, "questions: [{name: route, secret: true}, {name: public_base_url}]")
	reqs, err := qa.ParseSecretRequirements([]byte(`["STATE_REDIS_URL","pack.WEBEX_ROOM","ROUTE","unasked"]`))
	if err != nil {
		t.Fatal(err)
	}
	c := qa.NewClassifier(setup, json.RawMessage(described), reqs)
	for field, want := range map[string]string{
		"route":           "setup.yaml asks for it with secret: true",
		"graph_tenant_id": "the component describes it as a secret",
		"chat_id":         "the component redacts it",
		"audit":           "the component redacts it",
		"sink":            "the component redacts it",
		"redis_url":       "the pack requires the secret STATE_REDIS_URL",
		"room":            "the pack requires the secret pack.WEBEX_ROOM",
		"my_room":         "",
		"bot_token":       "its name sounds like a secret",
		"public_base_url": "",
		"api_base_url":    "",
		"max_tokens":      "",
	} {
		if got := c.Reason(field); got != want || c.IsSecret(field) != (want != "") {
			t.Errorf("%s: %q", field, got)
		}
	}
	if d := cmp.Diff([]string{"STATE_REDIS_URL", "audit", "chat_id", "graph_tenant_id", "pack.WEBEX_ROOM", "route", "sink", "unasked"}, c.SecretKeys()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"api_base_url", "audit", "chat_id", "graph_tenant_id", "public_base_url", "route", "sink"}, c.Fields()); d != "" {
		t.Error(d)
	}
	f := parseSpec(t, `{"questions":[{"id":"redis_url"},{"id":"public_base_url"}]}`)
	if c.Mark(f); !f.Questions[0].Secret || f.Questions[1].Secret {
		t.Errorf("%+v", f.Questions)
	}
	c = qa.NewClassifier(nil, json.RawMessage(`{"redactions":`), nil)
	if c.IsSecret("chat_id") || !c.IsSecret("api_key") || len(c.SecretKeys()) != 0 {
		t.Error("a classifier of nothing")
	}
}

func TestDescribedProvider(t *testing.T) {
	for describe, want := range map[string]string{
		described:                       "telegram",
		`{"provider_type":"messaging"}`: "messaging",
		`{"provider":"a\nb"}`:           "",
		`{"provider":7}`:                "",
		`{}`:                            "",
		`[`:                             "",
	} {
		if got := qa.DescribedProvider(json.RawMessage(describe)); got != want {
			t.Errorf("%s: %q", describe, got)
		}
	}
}

// However many keys a pack requires, a field costs the same: components make a
// hundred thousand.
func TestClassifyingDoesNotDependOnHowManyKeysThereAre(t *testing.T) {
	var many []qa.SecretRequirement
	for i := range 500 {
		many = append(many, qa.SecretRequirement{Key: fmt.Sprintf("%sK%d_PART_%d", strings.Repeat("A_", 40), i, i)})
	}
	c := qa.NewClassifier(nil, nil, many)
	fields := map[string]bool{"part_7": true, "k7_part_7": true, "x.K7-part-7": false, "rt_7": false, "7": true, "part_777": false, "": false, "_": false, "x_" + many[7].Key: true, "x" + many[7].Key: false}
	for field, want := range fields {
		if c.IsSecret(field) != want {
			t.Errorf("%q is a secret: %v", field, !want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { c.IsSecret("a_field_of_a_component") }); n > 200 {
		t.Errorf("%v allocations for a field", n)
	}
}
