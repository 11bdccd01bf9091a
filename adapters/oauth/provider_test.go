package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/oauth"
)

const (
	canaryCode    = "canary-code"
	canarySecret  = "canary-client-secret"
	canaryAccess  = "canary-access-token"
	canaryRefresh = "canary-refresh-token"
	canaryText    = "canary-of-the-answer"
)

var signingKey = sync.OnceValue(newKey)

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// provider misbehaves as its functions say. Those that are nil behave.
type provider struct {
	url string
	// config and claims change what is said.
	config func(doc map[string]any)
	claims func(c map[string]any)
	// token and keys answer a request in the place of the provider.
	token http.HandlerFunc
	keys  http.HandlerFunc
	// back adds to the address to which the browser is sent.
	back url.Values
	sign *ecdsa.PrivateKey // "nobody's key" when it is not signingKey

	person *person
	mu     sync.Mutex
	forms  []url.Values // of the requests for tokens
	basic  []string     // their Authorization
}

// start serves the provider; its person consents at once.
func (p *provider) start(t *testing.T) *provider {
	t.Helper()
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	p.url = s.URL
	if p.sign == nil {
		p.sign = signingKey()
	}
	p.person = &person{}
	p.person.visit = func(_ context.Context, c oauth.Consent) error {
		back := url.Values{"code": {canaryCode}}
		maps.Copy(back, p.back)
		comeBack(t, c, back)
		return nil
	}
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/auth", "token_endpoint": p.url + "/token",
			"jwks_uri": p.url + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}}
		if p.config != nil {
			p.config(doc)
		}
		reply(w, doc)
	case "/keys":
		if p.keys != nil {
			p.keys(w, r)
			return
		}
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signingKey().Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		if r.ParseForm() == nil {
			p.mu.Lock()
			p.forms = append(p.forms, r.PostForm)
			p.basic = append(p.basic, r.Header.Get("Authorization"))
			p.mu.Unlock()
		}
		if p.token != nil {
			p.token(w, r)
			return
		}
		reply(w, map[string]any{"access_token": canaryAccess, "token_type": "Bearer", "refresh_token": canaryRefresh,
			"expires_in": 300, "scope": "openid", "id_token": p.idToken()})
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (p *provider) idToken() string {
	half := sha256.Sum256([]byte(canaryAccess))
	visited, _ := url.Parse(p.person.asks[0].URL)
	claims := map[string]any{"iss": p.url, "aud": "client", "sub": "somebody", "nonce": visited.Query().Get("nonce"),
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "at_hash": base64.RawURLEncoding.EncodeToString(half[:16])}
	if p.claims != nil {
		p.claims(claims)
	}
	return sign(claims, p.sign)
}

func sign(claims map[string]any, key *ecdsa.PrivateKey) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// execute asks for consent with the provider as an issuer, or with its endpoints alone.
func (p *provider) execute(t *testing.T, ctx context.Context, withIssuer bool, scopes ...string) (adapters.Outcome, error) {
	t.Helper()
	t.Setenv("OAUTH_TEST_SECRET", canarySecret)
	where := fmt.Sprintf(`"auth_url": "%s/auth", "token_url": "%s/token"`, p.url, p.url)
	if withIssuer {
		where = fmt.Sprintf(`"issuer": %q`, p.url)
	}
	x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: p.person, Clients: clients(t,
		`"idp": {"client_id": "client", "client_secret_env": "OAUTH_TEST_SECRET", `+where+`}`)})
	return x.Execute(ctx, adapters.Namespace{}, operation("idp", scopes...))
}

// secrets gives everything that no error may have in it.
func (p *provider) secrets(t *testing.T) []string {
	all := []string{canaryCode, canarySecret, canaryAccess, canaryRefresh, canaryText}
	if len(p.person.asks) > 0 {
		q := query(t, p.person.asks[0])
		all = append(all, q.Get("state"), q.Get("nonce"), q.Get("code_challenge"))
	}
	for i, form := range p.forms {
		all = append(all, form.Get("code_verifier"), p.basic[i])
	}
	return all
}

// echo gives everything that a request for tokens had in it.
func echo(r *http.Request) string { return r.PostForm.Encode() + r.Header.Get("Authorization") }

func TestAProviderThatMisbehavesIsRefused(t *testing.T) {
	token := func(h http.HandlerFunc) func(*provider) { return func(p *provider) { p.token = h } }
	config := func(change func(map[string]any)) func(*provider) { return func(p *provider) { p.config = change } }
	claims := func(name string, value any) func(*provider) {
		return func(p *provider) { p.claims = func(c map[string]any) { c[name] = value } }
	}
	answer := func(change func(map[string]any)) func(*provider) {
		return func(p *provider) {
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				a := map[string]any{"access_token": canaryAccess, "token_type": "Bearer", "id_token": p.idToken()}
				change(a)
				reply(w, a)
			}
		}
	}
	raw := func(text func(*http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(conn, text(r))
			conn.Close()
		}
	}

	for name, test := range map[string]struct {
		misbehave func(*provider)
		want      string
	}{
		// What discovery says.
		"another issuer":        {config(func(d map[string]any) { d["issuer"] = "https://evil.example\x1b" }), `it is of the issuer "https://evil.example\x1b"`},
		"issuer with a slash":   {config(func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" }), "not of that of the registration"},
		"http elsewhere":        {config(func(d map[string]any) { d["token_endpoint"] = "http://far.example/token" }), "its token_endpoint is http to another host"},
		"no token endpoint":     {config(func(d map[string]any) { delete(d, "token_endpoint") }), "its token_endpoint is missing"},
		"a script to visit":     {config(func(d map[string]any) { d["authorization_endpoint"] = "javascript:" + canaryText }), "its authorization_endpoint has no host"},
		"a file of keys":        {config(func(d map[string]any) { d["jwks_uri"] = "file:///etc/passwd" }), "its jwks_uri has no host"},
		"discovery of a type":   {config(func(d map[string]any) { d["issuer"] = []string{canaryText} }), "not the JSON that it should be"},
		"methods of a type":     {config(func(d map[string]any) { d["token_endpoint_auth_methods_supported"] = canaryText }), "not the JSON that it should be"},
		"discovery without end": {config(func(d map[string]any) { d["x"] = strings.Repeat(canaryText, 1<<20) }), "answers with more than 262144 bytes"},

		// What the token endpoint says.
		"an error that echoes": {token(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": echo(r), "error_uri": "https://x/?" + echo(r)})
		}), "refuses with invalid_grant"},
		"an error of a success": {token(func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]string{"error": "bad_verification_code", "access_token": canaryAccess})
		}), "refuses with bad_verification_code"},
		"the code as an error": {token(func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]string{"error": r.PostForm.Get("code")})
		}), "an error code that cannot be shown"},
		"the verifier as an error": {token(func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]string{"error": "x." + r.PostForm.Get("code_verifier")})
		}), "an error code that cannot be shown"},
		"a header as an error": {token(func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]string{"error": r.Header.Get("Authorization")})
		}), "an error code that cannot be shown"},
		"a status that echoes":  {token(func(w http.ResponseWriter, r *http.Request) { http.Error(w, echo(r), 500) }), "answers with HTTP status 500"},
		"a line that echoes":    {token(raw(func(r *http.Request) string { return "HTTP/1.1 4XX " + echo(r) + "\r\n\r\n" })), "does not answer as an HTTP server does"},
		"a header that echoes":  {token(raw(func(r *http.Request) string { return "HTTP/1.1 200 OK\r\n" + echo(r) + "\r\n\r\n" })), "does not answer as an HTTP server does"},
		"no HTTP":               {token(raw(func(r *http.Request) string { return echo(r) })), "does not answer as an HTTP server does"},
		"the end":               {token(raw(func(*http.Request) string { return "" })), "ends the connection"},
		"half an answer":        {token(raw(func(*http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{" })), "ends the connection"},
		"garbage":               {token(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{"+echo(r)) }), "is not a token"},
		"HTML":                  {token(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>"+echo(r)) }), "is not a token"},
		"no token":              {token(func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]string{"echo": echo(r)}) }), "is not a token"},
		"megabytes":             {token(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat(canaryText, 1<<20)) }), "answers with more than 262144 bytes"},
		"megabytes of a header": {token(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat(canaryText, 1<<18)) }), "does not answer as an HTTP server does"},
		"a redirect": {token(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://evil.example/?"+echo(r))
			w.WriteHeader(307)
		}), "answers with a redirect (HTTP status 307), which is not followed"},
		"a redirect to itself": {token(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/token", http.StatusFound) }), "a redirect (HTTP status 302)"},
		"a line in the token":  {answer(func(a map[string]any) { a["access_token"] = canaryAccess + "\r\nX: y" }), "access_token has a character"},
		"a line in the scope":  {answer(func(a map[string]any) { a["scope"] = canaryText + "\n" }), "scope has a character"},

		// What the id_token says.
		"no id_token":            {answer(func(a map[string]any) { delete(a, "id_token") }), "gave no id_token"},
		"id_token of a type":     {answer(func(a map[string]any) { a["id_token"] = 1 }), "gave no id_token"},
		"id_token of garbage":    {answer(func(a map[string]any) { a["id_token"] = canaryText }), "it is malformed"},
		"id_token without a key": {answer(func(a map[string]any) { a["id_token"] = unsigned(a["id_token"].(string)) }), "it is malformed"},
		"id_token of another":    {claims("iss", "https://"+canaryText), "it is of another issuer"},
		"id_token for another":   {claims("aud", canaryText), "it is for another client"},
		"id_token of the past":   {claims("exp", 1), "it has expired"},
		"id_token of a future":   {claims("nbf", time.Now().Add(time.Hour).Unix()), "it cannot be verified"},
		"id_token of a replay":   {claims("nonce", canaryText), "its nonce is not that of this request"},
		"id_token without nonce": {claims("nonce", ""), "its nonce is not that of this request"},
		"another access token":   {claims("at_hash", canaryText), "it belongs to another access token"},
		"nobody's key":           {func(p *provider) { p.sign = newKey() }, "its signature is not by a key that the provider publishes"},
		"keys in megabytes": {func(p *provider) {
			p.keys = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(canaryText, 1<<20)) }
		}, "answers with more than"},
		"keys elsewhere": {func(p *provider) {
			p.keys = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://evil.example", http.StatusFound)
			}
		}, "a redirect (HTTP status 302)"},
		"keys of garbage": {func(p *provider) {
			p.keys = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, canaryText) }
		}, "its signature is not by a key that the provider publishes"},

		"the answer of another": {func(p *provider) { p.back = url.Values{"iss": {"https://evil.example"}} }, "the answer is from another issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{}
			test.misbehave(p)
			p.start(t)
			out, err := p.execute(t, t.Context(), true, "openid")
			fails(t, out, err, test.want)
			failed(t, err)
			revealsNothing(t, err.Error(), p.secrets(t)...)
			if len(p.forms) > 1 {
				t.Errorf("the code was sent %d times", len(p.forms))
			}
			if len(p.person.asks) > 0 {
				nobodyListens(t, p.person.asks[0])
			}
		})
	}
}

// unsigned gives a token the algorithm "none".
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
}

func TestAProviderThatBehavesIsTaken(t *testing.T) {
	p := (&provider{back: url.Values{}}).start(t)
	p.back.Set("iss", p.url)
	out, err := p.execute(t, t.Context(), true, "openid")
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Secrets[oauth.AccessTokenKey]) != canaryAccess || string(out.Secrets[oauth.RefreshTokenKey]) != canaryRefresh {
		t.Errorf("secrets: %q", out.Secrets)
	}
	if !strings.HasPrefix(string(out.Secrets[oauth.TokenKey]), `{"access_token":"canary-access-token","expiry":"`) {
		t.Errorf("%s is not canonical", out.Secrets[oauth.TokenKey])
	}
	revealsNothing(t, out.Detail, p.secrets(t)...)
}

func TestAnIDTokenThatNobodyVouchesForIsDropped(t *testing.T) {
	p := (&provider{sign: newKey()}).start(t)
	out, err := p.execute(t, t.Context(), false, "openid")
	if err != nil {
		t.Fatal(err)
	}
	var set map[string]any
	decode(t, out.Secrets[oauth.TokenKey], &set)
	if _, ok := set["id_token"]; ok || set["access_token"] != canaryAccess {
		t.Errorf("stored %v", set)
	}
	if query(t, p.person.asks[0]).Has("nonce") {
		t.Error("a nonce was asked for, which nobody compares")
	}
}

func TestTheAnswerMayBeAForm(t *testing.T) { // as GitHub's is
	p := (&provider{token: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		io.WriteString(w, "access_token="+canaryAccess+"&scope=gist%2Crepo&token_type=bearer")
	}}).start(t)
	out, err := p.execute(t, t.Context(), false, "repo")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out.Secrets[oauth.TokenKey]), `{"access_token":"canary-access-token","scope":"gist,repo","token_type":"Bearer"}`; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if want := `consent given for "gist", "repo"`; out.Detail != want {
		t.Errorf("detail %q, want %q", out.Detail, want)
	}
}

func TestClientsAuthenticateOnceAndAsTheProviderTakesIt(t *testing.T) {
	const (
		basic  = "in the header"
		post   = "in the body"
		public = "with its id alone"
		secret = `, "client_secret_env": "OAUTH_TEST_SECRET"`
	)
	t.Setenv("OAUTH_TEST_SECRET", canarySecret)
	for name, test := range map[string]struct {
		methods []string // that the issuer names
		members string   // of the registration; with %s for the address
		want    string
	}{
		"issuer that says nothing": {nil, `"issuer": "%[1]s"` + secret, basic},
		"issuer of both":           {[]string{"client_secret_post", "client_secret_basic"}, `"issuer": "%[1]s"` + secret, basic},
		"issuer of one":            {[]string{"client_secret_post"}, `"issuer": "%[1]s"` + secret, post},
		"issuer overruled":         {[]string{"client_secret_post"}, `"issuer": "%[1]s", "token_endpoint_auth_method": "client_secret_basic"` + secret, basic},
		"issuer, no secret":        {nil, `"issuer": "%[1]s"`, public},
		"no issuer":                {nil, `"auth_url": "%[1]s/auth", "token_url": "%[1]s/token"` + secret, basic},
		"no issuer overruled": {nil, `"auth_url": "%[1]s/auth", "token_url": "%[1]s/token",
			"token_endpoint_auth_method": "client_secret_post"` + secret, post},
		"no issuer, no secret": {nil, `"auth_url": "%[1]s/auth", "token_url": "%[1]s/token"`, public},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{}
			if test.methods != nil {
				p.config = func(d map[string]any) { d["token_endpoint_auth_methods_supported"] = test.methods }
			}
			p.start(t)
			x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: p.person,
				Clients: clients(t, `"idp": {"client_id": "client", `+fmt.Sprintf(test.members, p.url)+`}`)})
			if _, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid")); err != nil {
				t.Fatal(err)
			}
			if len(p.forms) != 1 {
				t.Fatalf("%d requests for tokens, want 1", len(p.forms))
			}
			got := public
			switch form := p.forms[0]; {
			case p.basic[0] != "" && !form.Has("client_secret"):
				got = basic
			case p.basic[0] == "" && form.Get("client_secret") == canarySecret:
				got = post
			case p.basic[0] != "" || form.Has("client_secret") || form.Get("client_id") != "client":
				got = "in another way"
			}
			if got != test.want {
				t.Errorf("the client authenticates %s, want %s", got, test.want)
			}
		})
	}
}

// TestAFarIssuerNamesNothingOnLoopback: whatever listens there is none of its business.
func TestAFarIssuerNamesNothingOnLoopback(t *testing.T) {
	var issuer string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"issuer": issuer, "authorization_endpoint": issuer + "/auth", "token_endpoint": "http://127.0.0.1:1/token",
			"jwks_uri": issuer + "/keys"})
	}))
	defer s.Close()
	issuer = s.URL
	x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: &person{}, Transport: s.Client().Transport,
		Clients: clients(t, fmt.Sprintf(`"idp": {"client_id": "x", "issuer": %q}`, issuer))})
	out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp"))
	fails(t, out, err, "its token_endpoint is http, though the issuer is https")
}

func TestAProviderThatIsDownIsTold(t *testing.T) {
	p := (&provider{}).start(t)
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	p.url = s.URL
	out, err := p.execute(t, t.Context(), true, "openid")
	fails(t, out, err, "OpenID configuration cannot be used")
	fails(t, out, err, "cannot be reached: connection refused")
	failed(t, err)
	if len(p.person.asks) > 0 {
		t.Error("somebody was asked")
	}
	out, err = p.execute(t, t.Context(), false)
	fails(t, out, err, "the code was not exchanged")
	fails(t, out, err, "cannot be reached: connection refused")
	revealsNothing(t, err.Error(), p.secrets(t)...)
}

func TestCertificatesAreVerified(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	trusting := s.Client().Transport
	for name, test := range map[string]struct {
		issuer string
		base   http.RoundTripper
		want   string
	}{
		"unknown authority":  {s.URL, nil, "has a certificate of an unknown authority"},
		"another host":       {strings.Replace(s.URL, "127.0.0.1", "localhost", 1), trusting, "has a certificate for another host"},
		"no TLS at all":      {strings.Replace(plain.URL, "http:", "https:", 1), nil, "does not speak TLS as it should"},
		"known to operators": {s.URL, trusting, "answers with HTTP status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: &person{}, Transport: test.base,
				Clients: clients(t, fmt.Sprintf(`"idp": {"client_id": "x", "issuer": %q}`, test.issuer))})
			out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp"))
			fails(t, out, err, test.want)
		})
	}
}

func TestRequestsEndWithTheContext(t *testing.T) {
	errInterrupt := errors.New("interrupted by the test")
	for name, hang := range map[string]func(p *provider, h http.HandlerFunc){
		"for tokens": func(p *provider, h http.HandlerFunc) { p.token = h },
		"for keys":   func(p *provider, h http.HandlerFunc) { p.keys = h },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			p := &provider{}
			hang(p, func(_ http.ResponseWriter, r *http.Request) {
				cancel(errInterrupt)
				<-r.Context().Done()
			})
			p.start(t)
			out, err := p.execute(t, ctx, true, "openid")
			fails(t, out, err, errInterrupt.Error())
			if !errors.Is(err, errInterrupt) {
				t.Errorf("error %q does not wrap the cause", err)
			}
			revealsNothing(t, err.Error(), p.secrets(t)...)
		})
	}
}
