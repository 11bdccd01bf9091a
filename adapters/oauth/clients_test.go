package oauth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/oauth"
)

func TestRegistrationsAreRead(t *testing.T) {
	c := clients(t,
		`"github": {"client_id": "x", "client_secret_file": "/run/secrets/github"}`,
		`"msgraph": {"client_id": "x", "redirect_uri": "http://localhost"}`,
		`"keycloak": {"client_id": "x", "issuer": "https://id.example/realms/main", "params": {"audience": "api"}}`,
		`"local": {"client_id": "x", "issuer": "http://[::1]:8080/"}`,
		`"other": {"client_id": "x", "client_secret_env": "X", "token_endpoint_auth_method": "client_secret_basic",
			"auth_url": "https://as.example/auth?tenant=1", "token_url": "https://as.example/token", "redirect_uri": "http://[::1]:8123/back"}`,
		`"shown": {"client_id": "x", "issuer": "https://id.example", "redirect_uri": "https://pack.example/callback"}`)
	if diff := cmp.Diff([]string{"github", "keycloak", "local", "msgraph", "other", "shown"}, c.Providers()); diff != "" {
		t.Error(diff)
	}
	if got := (*oauth.Clients)(nil).Providers(); len(got) != 0 {
		t.Errorf("no registrations are %q", got)
	}
}

func TestKnownProvidersNeedNoEndpoints(t *testing.T) {
	for _, name := range []string{"discord", "github", "gitlab", "google", "microsoft", "msgraph", "slack"} {
		clients(t, fmt.Sprintf(`%q: {"client_id": "x"}`, name))
	}
}

func TestWrongRegistrationsAreRefused(t *testing.T) {
	const canary = "canary-in-the-file"
	one := func(members string) string {
		return `{"providers": {"p": {"client_id": "x", "issuer": "https://id.example", ` + members + `}}}`
	}
	endpoints := func(auth, token string) string {
		return fmt.Sprintf(`{"providers": {"p": {"client_id": "x", "auth_url": %q, "token_url": %q}}}`, auth, token)
	}
	for text, want := range map[string]string{
		``:                                  "is empty",
		`[]`:                                "must be an object",
		`{"providers": {`:                   "ends too early",
		`{"providers": {}, "x": 1}`:         "at /x: is not a known member",
		`{}`:                                "at /providers: is missing or empty",
		`{"providers": ["` + canary + `"]}`: "at /providers: is of the wrong type",
		`{"providers": {"p": {"client_id": "x"}}}`:                                                "at /providers/p: has neither issuer nor",
		`{"providers": {"a/b": {}}}`:                                                              "at /providers/a~1b/client_id: is missing",
		`{"providers": {"": {"client_id": "x"}}}`:                                                 "the provider's name is empty",
		`{"providers": {"\u001b": {"client_id": "x"}}}`:                                           `at /providers/\x1b: the provider's name`,
		`{"providers": {"p": {"client_id": "x"}, "p": {"client_id": "y"}}}`:                       "at /providers/p: is a duplicate name",
		`{"providers": {"github": {"client_id": ["` + canary + `"]}}}`:                            "at /providers/github/client_id: is of the wrong type",
		`{"providers": {"github": {"client_id": "` + canary + `\n"}}}`:                            "at /providers/github/client_id: has a character",
		`{"providers": {"github": {"client_id": "x", "client_secret": "` + canary + `"}}}`:        "at /providers/github/client_secret: does not belong here",
		`{"providers": {"github": {"client_id": "x", "CLIENT_ID": "` + canary + `"}}}`:            "at /providers/github/CLIENT_ID: is not a known member",
		one(`"client_secret_file": "/x", "client_secret_env": "` + canary + `"`):                  "at /providers/p/client_secret_env: is there beside",
		one(`"client_secret_file": "` + canary + `"`):                                             "at /providers/p/client_secret_file: is not an absolute path",
		one(`"client_secret_file": "/` + canary + `\n"`):                                          "at /providers/p/client_secret_file: is not an absolute path, or has a character",
		one(`"client_secret_env": "` + canary + `=x"`):                                            "at /providers/p/client_secret_env: is not the name",
		one(`"client_secret_env": "X", "token_endpoint_auth_method": "` + canary + `"`):           "at /providers/p/token_endpoint_auth_method: is neither",
		one(`"token_endpoint_auth_method": "client_secret_post"`):                                 "at /providers/p/token_endpoint_auth_method: is there without",
		one(`"auth_url": "https://as.example"`):                                                   "at /providers/p/issuer: is there beside",
		one(`"params": {"state": "` + canary + `"}`):                                              `at /providers/p/params: has a name that is empty or one that the flow itself sets: "state"`,
		one(`"params": {"": "` + canary + `"}`):                                                   "at /providers/p/params: has a name that is empty",
		one(`"params": {"audience": 1}`):                                                          "at /providers/p/params/audience: is of the wrong type",
		one(`"redirect_uri": "http://far.example/` + canary + `"`):                                "at /providers/p/redirect_uri: is http to another host",
		one(`"redirect_uri": "http://127.0.0.2/` + canary + `"`):                                  "at /providers/p/redirect_uri: is on loopback, but not at",
		one(`"redirect_uri": "http://127.0.0.1:0/` + canary + `"`):                                "at /providers/p/redirect_uri: has the port 0",
		one(`"redirect_uri": "http://127.0.0.1/?x=` + canary + `"`):                               "at /providers/p/redirect_uri: has a query",
		one(`"redirect_uri": "com.example.app:/` + canary + `"`):                                  "at /providers/p/redirect_uri: has no host",
		`{"providers": {"p": {"client_id": "x", "issuer": "https://id.example?` + canary + `"}}}`: "at /providers/p/issuer: has a query",
		`{"providers": {"p": {"client_id": "x", "issuer": "http://id.example"}}}`:                 "at /providers/p/issuer: is http to another host",
		endpoints("https://as.example", ""):                                                       "at /providers/p/token_url: is missing",
		endpoints("", "https://as.example"):                                                       "at /providers/p/auth_url: is missing",
		endpoints("https://as.example", "https://u:"+canary+"@x.example"):                         "at /providers/p/token_url: has a user or password",
		endpoints("https://as.example/#"+canary, "https://as.example"):                            "at /providers/p/auth_url: has a fragment",
		endpoints("https://as.example/%zz"+canary, "https://as.example"):                          "at /providers/p/auth_url: is not an address",
		endpoints("ftp://"+canary, "https://as.example"):                                          "at /providers/p/auth_url: is neither https nor",
		endpoints("https:///"+canary, "https://as.example"):                                       "at /providers/p/auth_url: has no host",
		strings.Repeat(" ", oauth.MaxClients) + `{}`:                                              "at most 1048576 are read",
	} {
		c, err := oauth.ParseClients([]byte(text))
		if err == nil || c != nil {
			t.Errorf("%.200s is taken; want %q", text, want)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: error %q, want one with %q", text, err, want)
		}
		if _, ok := errors.AsType[*adapters.ConfigError](err); !ok {
			t.Errorf("%.200s: error %T, want an *adapters.ConfigError", text, err)
		}
		revealsNothing(t, err.Error(), canary)
	}
}

func FuzzParseClients(f *testing.F) {
	f.Add([]byte(`{"providers": {"github": {"client_id": "x", "client_secret_file": "/x", "params": {"a": "b"}}}}`))
	f.Add([]byte(`{"providers": {"p": {"client_id": "x", "issuer": "https://id.example", "redirect_uri": "http://localhost:1/x"}}}`))
	f.Add([]byte(`{"providers": {"p": {"client_id": "x", "auth_url": "https://a", "token_url": "http://[::1]:2/"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := oauth.ParseClients(b)
		if (err == nil) != (len(c.Providers()) > 0) {
			t.Fatalf("error %v, providers %q", err, c.Providers())
		}
		if err != nil {
			revealsNothing(t, err.Error())
		}
	})
}
