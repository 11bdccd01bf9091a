package qa_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

func text(s string) *string { return &s }

func TestResponse(t *testing.T) {
	setup := parseSetup(t, "questions: [{name: public_base_url}, {name: bot_token, secret: true}, {name: chat_id}]")
	reqs, _ := qa.ParseSecretRequirements([]byte(`["TELEGRAM_BOT_TOKEN","OTHER_KEY"]`))
	classifier := qa.NewClassifier(setup, nil, reqs)
	at := qa.Circumstances{Mode: "setup", Provider: "messaging-telegram", Tenant: plan.Tenant{Tenant: text("ac/me")},
		PublicBaseURL: text("https://flag.example/"), Ingress: true, Classifier: classifier, Messages: qa.Bundle{"qa.no": "Not so."}}
	const cleanup = `"cleanup":["delete_config_key","delete_provenance_key","best_effort_revoke_webhooks","best_effort_delete_provider_owned_secrets","sweep"]`
	for name, c := range map[string]struct {
		result string
		change func(*qa.Circumstances)
		want   string
	}{
		"setup": {
			result: `{"ok":true,"config":{"public_base_url":"https://bot.example","bot_token":"123:abc","chat_id":"42","enabled":true,"nothing":null,"pin":7,"sink":{"api_key":"k"}},"remove":null,"diagnostics":[],"error":null}`,
			want: `{"ok":true,"plan":{"config_patch":{"chat_id":"42","enabled":true,"public_base_url":"https://bot.example"},"notes":[],"oauth_ops":[],
				"secrets_patch":{"delete":[],"set":{"bot_token":{"redacted":false,"value":"123:abc"},"pin":{"redacted":false,"value":"7"},"sink":{"redacted":false,"value":"{\"api_key\":\"k\"}"}}},"subscription_ops":[],
				"webhook_ops":[{"id":null,"metadata":{"provider":"messaging-telegram","team":"default","tenant":"ac/me"},"op":"register","url":"https://bot.example/v1/messaging/ingress/messaging-telegram/ac%2Fme/default"}]},
				"summary":{"added":["bot_token","chat_id","enabled","pin","public_base_url","sink"],"changed":[],"mode":"setup","removed":[],"secrets":["bot_token","pin","sink"]}}`,
		},
		"update": {
			result: `{"ok":true,"config":{"public_base_url":"https://bot.example","bot_token":"new","chat_id":"9","more":1,"gone":null}}`,
			change: func(c *qa.Circumstances) {
				c.Mode, c.Ingress = "upgrade", false
				c.Current = json.RawMessage(`{"chat_id":"1","public_base_url":"https://bot.example","gone":1,"old_token":"x","bot_token":"old"}`)
			},
			want: `{"ok":true,"plan":{"config_patch":{"chat_id":"9","gone":null,"more":1},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":["old_token"],"set":{"bot_token":{"redacted":false,"value":"new"}}},"subscription_ops":[],"webhook_ops":[]},
				"summary":{"added":["more"],"changed":["bot_token","chat_id"],"mode":"update","removed":["gone","old_token"],"secrets":["bot_token","old_token"]}}`,
		},
		"update, with secrets of others": {
			result: `{"ok":true,"config":{"chat_id":"9"}}`,
			change: func(c *qa.Circumstances) {
				c.Mode, c.Ingress = "upgrade", false
				c.Current = json.RawMessage(`{"chat_id":"9","bot_token":"old","oauth_access_token":"x","signing":"y"}`)
				c.Stored = map[string]bool{"bot_token": true, "oauth_access_token": true, "signing": true}
			},
			want: `{"ok":true,"plan":{"config_patch":{},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":["bot_token"],"set":{}},"subscription_ops":[],"webhook_ops":[]},
				"summary":{"added":[],"changed":[],"mode":"update","removed":["bot_token"],"secrets":["bot_token"]}}`,
		},
		"remove": {
			result: `{"ok":true,"config":null,"remove":{"remove_all":true,` + cleanup + `}}`,
			change: func(c *qa.Circumstances) {
				c.Mode = "remove"
				c.Current = json.RawMessage(`{"chat_id":"1","my_token":"x","public_base_url":"https://now.example"}`)
			},
			want: `{"ok":true,"plan":{"config_patch":{"chat_id":null,"public_base_url":null},
				"notes":["on removal: the provider's config is deleted","on removal: the record of where the config came from is to be deleted","on removal: webhooks are revoked as far as possible","on removal: the secrets that the provider owns are deleted as far as possible","on removal: sweep"],
				"oauth_ops":[],"secrets_patch":{"delete":["OTHER_KEY","bot_token","my_token"],"set":{}},"subscription_ops":[],
				"webhook_ops":[{"id":null,"metadata":{"provider":"messaging-telegram","team":"default","tenant":"ac/me"},"op":"delete","url":"https://now.example/v1/messaging/ingress/messaging-telegram/ac%2Fme/default"}]},
				"summary":{"added":[],"changed":[],"mode":"remove","removed":["chat_id","public_base_url"],"secrets":["OTHER_KEY","bot_token","my_token"]}}`,
		},
		"remove, of a config that is not known": {
			result: `{"ok":true,"remove":{"remove_all":true,"cleanup":["delete_config_key"]}}`,
			change: func(c *qa.Circumstances) { c.Mode, c.Ingress = "remove", false },
			want: `{"ok":true,"plan":{"config_patch":{"chat_id":null,"public_base_url":null},"notes":["on removal: the provider's config is deleted"],"oauth_ops":[],"secrets_patch":{"delete":[],"set":{}},"subscription_ops":[],"webhook_ops":[]},
				"summary":{"added":[],"changed":[],"mode":"remove","removed":["chat_id","public_base_url"],"secrets":[]}}`,
		},
		"remove, without a word on what": {
			result: `{"ok":true,"config":{"confirm_remove":"true"},"warnings":[],"errors":[],"meta":{}}`,
			change: func(c *qa.Circumstances) { c.Mode, c.Classifier = "remove", nil },
			want: `{"diagnostics":[{"code":"QA_REMOVES_NOTHING","message":"the component accepts the removal and does not say what to remove","severity":"warn"}],"ok":true,
				"plan":{"config_patch":{},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":[],"set":{}},"subscription_ops":[],"webhook_ops":[]},"summary":{"added":[],"changed":[],"mode":"remove","removed":[],"secrets":[]}}`,
		},
		"rejected": {
			result: `{"ok":false,"config":null,"remove":null,"diagnostics":["said so",{"level":"warning","code":"not-so","msg_key":"qa.no","field":"chat_id","hint":"h"}],"error":"invalid config"}`,
			want: `{"diagnostics":[{"code":"QA_COMPONENT","message":"said so","severity":"warn"},{"code":"NOT_SO","hint":"h","message":"Not so.","path":"/chat_id","severity":"warn"},
				{"code":"QA_REJECTED","hint":"check the answers against the questions of the component","message":"invalid config","severity":"error"}],"ok":false}`,
		},
		"rejected by component-qa 0.6.0": {
			result: `{"ok":false,"warnings":["w"],"errors":[{"key":"qa.no","msg_key":"qa.no","fields":["confirm_remove"]}],"meta":{"mode":"remove"}}`,
			want:   `{"diagnostics":[{"code":"QA_COMPONENT","message":"Not so.","path":"/confirm_remove","severity":"error"},{"code":"QA_COMPONENT","message":"w","severity":"warn"}],"ok":false}`,
		},
		"rejected without a word": {
			result: `{"ok":false}`,
			want:   `{"diagnostics":[{"code":"QA_REJECTED","hint":"check the answers against the questions of the component","message":"the component rejects the answers and does not say why","severity":"error"}],"ok":false}`,
		},
		"accepted with errors in its diagnostics, and nothing else": {
			result: `{"ok":true,"diagnostics":[{"severity":"fatal","message":"m"},{}, 7]}`,
			change: func(c *qa.Circumstances) { c.PublicBaseURL = nil },
			want: `{"diagnostics":[{"code":"QA_COMPONENT","message":"m","severity":"warn"},{"code":"QA_COMPONENT","message":"the component reports something without a text","severity":"warn"},{"code":"QA_COMPONENT","message":"7","severity":"warn"},
				{"code":"QA_NO_CONFIG","message":"the component accepts the answers and makes no config of them","severity":"warn"},
				{"code":"WEBHOOK_WITHOUT_URL","hint":"give --public-base-url","message":"the pack has an ingress, and there is no public base URL to make its webhook's address of","severity":"warn"}],"ok":true,
				"plan":{"config_patch":{},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":[],"set":{}},"subscription_ops":[],"webhook_ops":[{"id":null,"metadata":{"provider":"messaging-telegram","team":"default","tenant":"ac/me"},"op":"register","url":null}]},
				"summary":{"added":[],"changed":[],"mode":"setup","removed":[],"secrets":[]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := at
			if c.change != nil {
				c.change(&c0)
			}
			r, err := qa.ParseResult(json.RawMessage(c.result))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Response(c0)
			if err != nil {
				t.Fatal(err)
			}
			want, err := plan.Read([]byte(c.want))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Error(d)
			}
			decoded, err := plan.DecodeResponse(got)
			if err != nil || decoded.Failed == r.OK || len(decoded.Misspelt) > 0 {
				t.Errorf("%+v, %v", decoded, err)
			}
		})
	}
}

func TestAResponseHandsSecretsToTheEngineAlone(t *testing.T) {
	r, err := qa.ParseResult(json.RawMessage(`{"ok":true,"config":{"bot_token":"S3CRET-value","enabled":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Response(qa.Circumstances{})
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := plan.DecodeResponse(b)
	if err != nil || decoded.Secrets["bot_token"] != "S3CRET-value" {
		t.Fatalf("%v, %v", decoded.Secrets, err)
	}
	decoded.Secrets = nil
	if b, _ := json.Marshal(decoded); strings.Contains(string(b), "S3CRET") {
		t.Errorf("%s", b)
	}
}

func TestLongTextsOfAComponentAreLeftOutWhole(t *testing.T) {
	r, err := qa.ParseResult(json.RawMessage(`{"ok":false,"error":"` + strings.Repeat("x", 5000) + `","diagnostics":["` + strings.Repeat("y", 5000) + `"]}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Response(qa.Circumstances{})
	if err != nil || strings.Contains(string(b), "xx") || strings.Contains(string(b), "yy") || strings.Count(string(b), "(a long text)") != 2 {
		t.Errorf("%s, %v", b, err)
	}
}

func TestResponseRefusesACurrentConfigThatIsNone(t *testing.T) {
	r := &qa.Result{OK: true}
	if b, err := r.Response(qa.Circumstances{Current: json.RawMessage(`[]`)}); err == nil {
		t.Errorf("%s", b)
	}
}

func TestParseResultRefuses(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 201), ",")
	for _, result := range []string{
		`[]`, `{`, `{}`, `{"ok":"yes"}`, `{"ok":true,"config":[]}`, `{"ok":true,"error":7}`, `{"ok":true,"remove":[]}`,
		`{"ok":true,"remove":{"cleanup":{}}}`, `{"ok":true,"remove":{"cleanup":[7]}}`, `{"ok":true,"remove":{"cleanup":["a\nb"]}}`,
		`{"ok":true,"remove":{"cleanup":[` + many + `]}}`, `{"ok":true,"diagnostics":{}}`, `{"ok":true,"diagnostics":[` + many + `]}`,
		`{"ok":true,"config":"S3CRET"}`,
	} {
		if r, err := qa.ParseResult(json.RawMessage(result)); err == nil || strings.Contains(err.Error(), "S3CRET") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %v, %v", result, r, err)
		}
	}
}

func TestAResultIsOKOnlyWhenNothingSaysOtherwise(t *testing.T) {
	for result, want := range map[string]bool{
		`{"ok":true,"config":{}}`:                            true,
		`{"config":{}}`:                                      true,
		`{"ok":true,"error":""}`:                             true,
		`{"ok":true,"error":"e"}`:                            false,
		`{"ok":true,"error":{"code":"E","message":"m"}}`:     false,
		`{"ok":true,"config":{},"errors":[{"key":"k"}]}`:     false,
		`{"ok":true,"config":{},"errors":[],"warnings":[1]}`: true,
	} {
		if r, err := qa.ParseResult(json.RawMessage(result)); err != nil || r.OK != want {
			t.Errorf("%s: %+v, %v", result, r, err)
		}
	}
}
