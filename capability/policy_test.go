package capability_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/capability"
)

func TestPolicy(t *testing.T) {
	p, err := capability.ParsePolicy([]byte(`{"packs":{"a":{"grants":["config"],"keys":["x_*"]},"b":{"grants":[]},"c":{}},"default":{"keys":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]capability.Permission{
		"a": {Grants: []string{"config"}, Keys: []string{"x_*"}}, "b": {Grants: []string{}}, "c": {}, "other": {Keys: []string{}},
	} {
		if got, ok := p.For(id); !ok || !cmp.Equal(got, want) {
			t.Errorf("%s has %#v, %v", id, got, ok)
		}
	}
	if p, err = capability.ParsePolicy([]byte(`{"packs":{}}`)); err != nil {
		t.Fatal(err)
	}
	if got, ok := p.For("a"); ok {
		t.Errorf("a pack that no policy names has %#v", got)
	}
}

func TestPolicyIsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                                "must be an object",
		`{"pack":{}}`:                       "JSON at /pack: is not a member of a policy",
		`{"packs":{"a":{"grant":[]}}}`:      "/packs/a/grant: is not a member of a policy",
		`{"packs":{"a":null}}`:              "/packs/a: must be an object",
		`{"packs":{"a":{"grants":["fs"]}}}`: `/packs/a/grants: unknown capability "fs"`,
		`{"default":{"grants":["fs"]}}`:     `/default/grants: unknown capability "fs"`,
		`{"default":{"keys":"x"}}`:          "/default/keys: is not what belongs",
		`{"packs":{},"packs":{}}`:           "duplicate",
	} {
		if _, err := capability.ParsePolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", text, err, want)
		}
	}
	if _, err := capability.ParsePolicy(make([]byte, capability.MaxPolicy+1)); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("a huge policy gives %v", err)
	}
}

func TestPatternsOfKeys(t *testing.T) {
	for _, c := range []struct {
		patterns        []string
		key             string
		asKey, asSecret bool // as a key, as a secret
	}{
		{nil, "x", true, true}, {[]string{}, "x", false, false}, {[]string{"*"}, "x", true, true}, {[]string{"x"}, "xy", false, false},
		{[]string{"x*"}, "xy", true, true}, {[]string{"BOT-TOKEN"}, "bot_token", false, true}, {[]string{"bot.*"}, "BOT_TOKEN", false, true},
		{[]string{"bot_*"}, "robot_x", false, false}, {[]string{""}, "x", false, false}, {[]string{"a", "b"}, "b", true, true},
	} {
		if key, secret := capability.AllowsKey(c.patterns, c.key), capability.AllowsSecret(c.patterns, c.key); key != c.asKey || secret != c.asSecret {
			t.Errorf("%q allow %q: %v as a key, %v as a secret", c.patterns, c.key, key, secret)
		}
	}
}
