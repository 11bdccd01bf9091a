package qa_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/qa"
)

const (
	secretsPack = `{"provider_id":"acme.secrets.vault","config":{"required":["env","timeouts","empty"],"optional":["audit"],"constraints":{"enum":{"env":["dev","prod"],"level":[1,2]}}},
		"secrets":{"required":["sink"],"optional":["token"],"constraints":{"required_when":{"token":{"config_path":"audit.kind","values":["splunk",1]}}}},
		"capabilities":{"supports_read":true},"setup_needs":{"public_base_url":true,"oauth":false,"subscriptions":true}}`
	eventsPack    = `{"requirements":{"config_keys":["twilio.sid","schedules"],"secret_keys":["TWILIO_TOKEN"],"webhook_required":true,"subscriptions_required":false}}`
	messagingPack = `{"provider":"acme.chat","config_required":["public_base_url"],"config_optional":["room"],"secret_required":["CHAT_BOT_TOKEN"],"secret_optional":[],"oauth_required":true,"subscriptions_required":false}`
)

func TestDeclaredCheck(t *testing.T) {
	for name, c := range map[string]struct{ declared, answers, want string }{
		"secrets, answered":                   {secretsPack, `{"config":{"env":"dev","timeouts":{"ms":1},"empty":0,"level":2,"audit":{"kind":"http"}},"secrets":{"sink":"x"}}`, ""},
		"secrets, flat":                       {secretsPack, `{"env":"dev","timeouts":{},"empty":false,"sink":"x"}`, ""},
		"secrets, under a name that means it": {secretsPack, `{"config":{"env":"dev","timeouts":{},"empty":1},"secrets":{"AUDIT_SINK":"x"}}`, ""},
		"secrets, nothing": {secretsPack, `{"config":{},"secrets":{}}`, lines("error ANSWER_MISSING /config/env", "error ANSWER_MISSING /config/timeouts",
			"error ANSWER_MISSING /config/empty", "error ANSWER_MISSING /secrets/sink")},
		"secrets, wrong": {secretsPack, `{"config":{"env":"test","timeouts":null,"empty":"","level":[],"audit":{"kind":"splunk"}},"secrets":{"sink":"","token":null}}`,
			lines("error ANSWER_MISSING /config/timeouts", "error ANSWER_MISSING /config/empty", "error ANSWER_CHOICE /config/env", "error ANSWER_CHOICE /config/level",
				"error ANSWER_MISSING /secrets/sink", "error ANSWER_MISSING /secrets/token")},
		"secrets, a number that requires": {secretsPack, `{"config":{"env":"dev","timeouts":{},"empty":1,"audit":{"kind":1}},"secrets":{"sink":"x"}}`, lines("error ANSWER_MISSING /secrets/token")},
		"events, nested":                  {eventsPack, `{"twilio":{"sid":"AC1"},"schedules":[1],"public_base_url":"https://x"}`, lines("info ANSWER_MISSING /TWILIO_TOKEN")},
		"events, other names":             {eventsPack, `{"sid":"AC1"}`, lines("warn ANSWER_MISSING /twilio.sid", "warn ANSWER_MISSING /schedules", "info ANSWER_MISSING /TWILIO_TOKEN")},
		"messaging, answered":             {messagingPack, `{"mode":"dry-run","config":{"public_base_url":"<value>"},"secrets":{"bot_token":"x"}}`, ""},
		"messaging, nothing":              {messagingPack, `{"mode":"local","config":{},"secrets":{}}`, lines("error ANSWER_MISSING /config/public_base_url", "warn ANSWER_MISSING /secrets/CHAT_BOT_TOKEN")},
		"no answers":                      {messagingPack, `7`, lines("error ANSWERS_UNREADABLE ")},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := qa.ParseDeclared(json.RawMessage(c.declared))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, told(d.Check(json.RawMessage(c.answers)))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDeclaredNeeds(t *testing.T) {
	for declared, want := range map[string]string{
		secretsPack:                            secretsPack,
		`{"requirements":` + secretsPack + `}`: secretsPack,
		eventsPack: `{"provider_id":"","config":{"required":["twilio.sid","schedules"],"optional":[],"constraints":{}},"secrets":{"required":["TWILIO_TOKEN"],"optional":[],"constraints":{}},
			"setup_needs":{"public_base_url":true,"oauth":false,"subscriptions":false}}`,
		messagingPack: `{"provider_id":"acme.chat","config":{"required":["public_base_url"],"optional":["room"],"constraints":{}},"secrets":{"required":["CHAT_BOT_TOKEN"],"optional":[],"constraints":{}},
			"setup_needs":{"public_base_url":false,"oauth":true,"subscriptions":false}}`,
	} {
		d, err := qa.ParseDeclared(json.RawMessage(declared))
		if err != nil {
			t.Fatal(err)
		}
		var want1, got any
		if json.Unmarshal([]byte(strings.NewReplacer("[1,2]", `["1","2"]`, `"splunk",1`, `"splunk","1"`).Replace(want)), &want1) != nil || json.Unmarshal(d.JSON(), &got) != nil {
			t.Fatalf("%s", d.JSON())
		}
		if d := cmp.Diff(want1, got); d != "" {
			t.Error(d)
		}
		if again, err := qa.ParseDeclared(d.JSON()); err != nil || string(again.JSON()) != string(d.JSON()) {
			t.Errorf("%v", err)
		}
	}
}

func TestParseDeclaredRefuses(t *testing.T) {
	var many []string
	for i := range 501 {
		many = append(many, fmt.Sprintf(`"k%d":["a"]`, i))
	}
	for _, declared := range []string{
		`{"config":{"constraints":{"enum":{` + strings.Join(many, ",") + `}}}}`,
		`[]`, `{`, `{}`, `{"requirements":{}}`, `{"config":{"required":"a"}}`, `{"config":{"required":[{}]}}`, `{"config":{"required":["a\nb"]}}`,
		`{"config":{"constraints":[]}}`, `{"config":{"constraints":{"enum":{"a":{}}}}}`, `{"secrets":{"constraints":{"required_when":{"a":7}}}}`,
		`{"secrets":{"constraints":{"required_when":{"a":{"values":[]}}}}}`, `{"config":{},"setup_needs":{"oauth":1}}`, `{"config_keys":{}}`,
		`{"webhook_required":"yes"}`, `{"config_required":[` + strings.Repeat(`"a",`, 500) + `"a"]}`,
	} {
		if d, err := qa.ParseDeclared(json.RawMessage(declared)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %+v, %v", declared, d, err)
		}
	}
}

func TestRequirementsFrom(t *testing.T) {
	f := parseSpec(t, `{"questions":[{"id":"public_base_url","required":true},{"id":"room"},{"id":"bot_token","required":false},{"id":"pin","secret":true,"required":true},
		{"id":"mode","kind":"choice","choices":["a","b"],"required":true,"default":"a"},{"id":"extra","required":true,"visible_if":"room"}]}`)
	reqs, err := qa.ParseSecretRequirements([]byte(`["CHAT_BOT_TOKEN",{"key":"signing_key","generated":{}},{"key":"other","required":false},"redis_url"]`))
	if err != nil {
		t.Fatal(err)
	}
	d := qa.RequirementsFrom("chat", f, reqs)
	const want = `{"config":{"constraints":{"enum":{"mode":["a","b"]}},"optional":["room","mode","extra"],"required":["public_base_url"]},"provider_id":"chat","secrets":{"constraints":{},"optional":["signing_key","other"],"required":["bot_token","pin","redis_url"]},"setup_needs":{"oauth":false,"public_base_url":true,"subscriptions":false}}`
	if d := cmp.Diff(want, string(d.JSON())); d != "" {
		t.Error(d)
	}
	if got := told(d.Check(json.RawMessage(`{"public_base_url":"x","mode":"c","pin":"1"}`))); got != lines("error ANSWER_CHOICE /mode", "error ANSWER_MISSING /bot_token", "error ANSWER_MISSING /redis_url") {
		t.Error(got)
	}
	if got := string(qa.RequirementsFrom("x", nil, nil).JSON()); !strings.Contains(got, `"required":[]`) {
		t.Error(got)
	}
}
