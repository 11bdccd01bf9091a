package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/oauth"
)

func native(issuer string) string {
	return fmt.Sprintf(`"idp": {"client_id": "native", "issuer": %q}`, issuer)
}

func TestConsentInABrowserGivesTokens(t *testing.T) {
	issuer := openIDProvider(t)
	p := &person{}
	p.visit = func(_ context.Context, c oauth.Consent) error {
		ended, page := login(t, c.URL, false)
		revealsNothing(t, strings.TrimSpace(page), ended.Query().Get("code"), ended.Query().Get("state"))
		if !strings.Contains(page, "Go back to the terminal") {
			t.Errorf("the browser shows %q", page)
		}
		return nil
	}
	x := oauth.New(oauth.Config{Clients: clients(t, native(issuer)), Mode: oauth.Browser, Person: p})
	ns := adapters.Namespace{Tenant: "acme", Install: "main"}

	out, err := x.Execute(t.Context(), ns, operation("idp", "openid", "email", "offline_access"))
	if err != nil {
		t.Fatal(err)
	}

	asked := p.asked(t)
	want := oauth.Consent{Namespace: ns, Provider: "idp", Scopes: []string{"openid", "email", "offline_access"},
		URL: asked.URL, PackRedirect: "https://pack.example/oauth"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	q := query(t, asked)
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" || q.Get("nonce") == "" ||
		q.Get("response_type") != "code" || !strings.HasPrefix(q.Get("redirect_uri"), "http://127.0.0.1:") {
		t.Errorf("the person visits %s", asked.URL)
	}
	nobodyListens(t, asked)

	var token oauth2.Token
	decode(t, out.Secrets[oauth.TokenKey], &token)
	var more struct {
		Scope string `json:"scope"`
		ID    string `json:"id_token"`
	}
	decode(t, out.Secrets[oauth.TokenKey], &more)
	switch {
	case len(out.Secrets) != 3:
		t.Errorf("%d secrets, want 3", len(out.Secrets))
	case token.AccessToken == "" || token.AccessToken != string(out.Secrets[oauth.AccessTokenKey]):
		t.Error("the access token is missing, or not the same twice")
	case token.RefreshToken == "" || token.RefreshToken != string(out.Secrets[oauth.RefreshTokenKey]):
		t.Error("the refresh token is missing, or not the same twice")
	case token.TokenType != "Bearer" || token.Expiry.Location() != time.UTC || token.Expiry.Nanosecond() != 0:
		t.Errorf("type %q, expiry %s", token.TokenType, token.Expiry)
	case more.ID == "":
		t.Error("the id_token is missing")
	}
	for _, want := range []string{`"openid"`, `"email"`, token.Expiry.Format(time.RFC3339), "can be refreshed"} {
		if !strings.Contains(out.Detail, want) {
			t.Errorf("detail %q lacks %q", out.Detail, want)
		}
	}
	revealsNothing(t, out.Detail, token.AccessToken, token.RefreshToken, more.ID, q.Get("state"), q.Get("nonce"))

	// What was stored is enough to go on with.
	token.Expiry = time.Unix(1, 0)
	config := &oauth2.Config{ClientID: "native", Endpoint: oauth2.Endpoint{TokenURL: issuer + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: transport})
	if fresh, err := config.TokenSource(ctx, &token).Token(); err != nil || fresh.AccessToken == token.AccessToken {
		t.Errorf("the stored token cannot be refreshed: %v", err)
	}
}

func TestConsentByHandGivesTokens(t *testing.T) {
	issuer := openIDProvider(t)
	for name, enter := range map[string]func(ended *url.URL) string{
		"the address of the browser": func(u *url.URL) string { return " " + u.String() + "\n" },
		"the code":                   func(u *url.URL) string { return u.Query().Get("code") },
	} {
		t.Run(name, func(t *testing.T) {
			var ended *url.URL
			p := &person{}
			p.visit = func(_ context.Context, c oauth.Consent) error {
				nobodyListens(t, c)
				ended, _ = login(t, c.URL, true)
				return nil
			}
			p.answer = func(context.Context) (string, error) { return enter(ended), nil }
			x := oauth.New(oauth.Config{Clients: clients(t, native(issuer)), Mode: oauth.Manual, Person: p})
			out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid"))
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Secrets[oauth.AccessTokenKey]) == 0 || out.Secrets[oauth.RefreshTokenKey] != nil {
				t.Errorf("secrets for %d keys, without offline_access", len(out.Secrets))
			}
		})
	}
}

func TestAClientWithASecretAuthenticates(t *testing.T) {
	issuer := openIDProvider(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(webSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OAUTH_TEST_RIGHT", webSecret)
	t.Setenv("OAUTH_TEST_WRONG", "canary-of-a-wrong-secret")
	for name, test := range map[string]struct{ member, refused string }{
		"from a file":         {fmt.Sprintf(`"client_secret_file": %q`, file), ""},
		"from a variable":     {`"client_secret_env": "OAUTH_TEST_RIGHT"`, ""},
		"in the body":         {`"client_secret_env": "OAUTH_TEST_RIGHT", "token_endpoint_auth_method": "client_secret_post"`, ""},
		"with a wrong secret": {`"client_secret_env": "OAUTH_TEST_WRONG"`, "refuses with invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			var ended *url.URL
			p := &person{}
			p.visit = func(_ context.Context, c oauth.Consent) error {
				ended, _ = login(t, c.URL, true)
				return nil
			}
			p.answer = func(context.Context) (string, error) { return ended.String(), nil }
			x := oauth.New(oauth.Config{Mode: oauth.Manual, Person: p, Clients: clients(t,
				fmt.Sprintf(`"idp": {"client_id": "web", "issuer": %q, "redirect_uri": %q, %s}`, issuer, webRedirect, test.member))})
			out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid"))
			if test.refused != "" {
				fails(t, out, err, test.refused)
				revealsNothing(t, err.Error(), webSecret, "canary-of-a-wrong-secret", ended.Query().Get("code"))
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// transport changes the requests to a provider.
type transport struct {
	base   http.RoundTripper
	change func(form url.Values)
}

func (x transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		x.change(r.PostForm)
		text := r.PostForm.Encode()
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
	return x.base.RoundTrip(r)
}

func TestACodeIsWorthNothingWithoutItsVerifier(t *testing.T) {
	issuer := openIDProvider(t)
	for name, change := range map[string]func(url.Values){
		"none":    func(f url.Values) { f.Del("code_verifier") },
		"another": func(f url.Values) { f.Set("code_verifier", oauth2.GenerateVerifier()) },
	} {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			p := &person{}
			p.visit = func(_ context.Context, c oauth.Consent) error {
				login(t, c.URL, false)
				return nil
			}
			x := oauth.New(oauth.Config{Clients: clients(t, native(issuer)), Mode: oauth.Browser, Person: p, Transport: transport{base, change}})
			out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid"))
			fails(t, out, err, "refuses with invalid_")
			failed(t, err)
		})
	}
}

func TestARefusalOfTheProviderIsTold(t *testing.T) {
	issuer := openIDProvider(t)
	p := &person{}
	p.visit = func(_ context.Context, c oauth.Consent) error {
		login(t, c.URL, false)
		return nil
	}
	x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: p, Clients: clients(t,
		fmt.Sprintf(`"idp": {"client_id": "native", "issuer": %q, "params": {"prompt": "none"}}`, issuer))})
	out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid"))
	fails(t, out, err, "the provider refused with login_required")
	failed(t, err)
	nobodyListens(t, p.asked(t))
}

func TestWithoutAnybodyToAskOperationsStayPending(t *testing.T) {
	some := clients(t, `"github": {"client_id": "x"}`, `"other": {"client_id": "x", "auth_url": "https://as.example/auth",
		"token_url": "https://as.example/token", "redirect_uri": "https://as.example/shown"}`)
	for name, test := range map[string]struct {
		config   oauth.Config
		provider string
		want     string
	}{
		"no registrations":             {oauth.Config{Mode: oauth.Browser, Person: &person{}}, "github", "no client is registered"},
		"no registration":              {oauth.Config{Mode: oauth.Browser, Person: &person{}, Clients: some}, "gitlab", "no client is registered"},
		"none":                         {oauth.Config{Mode: oauth.None, Person: &person{}, Clients: some}, "github", "a person has to consent"},
		"no person":                    {oauth.Config{Mode: oauth.Browser, Clients: some}, "github", "a person has to consent"},
		"a redirect to somewhere else": {oauth.Config{Mode: oauth.Browser, Person: &person{}, Clients: some}, "other", "manual mode"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := oauth.New(test.config).Execute(t.Context(), adapters.Namespace{}, operation(test.provider))
			fails(t, out, err, test.want)
			pending(t, err)
			// That can be known beforehand, without trying.
			if ready := oauth.New(test.config).Ready(operation(test.provider)); ready == nil || ready.Error() != err.Error() {
				t.Errorf("ready says %v", ready)
			}
			if p, ok := test.config.Person.(*person); ok && len(p.asks) > 0 {
				t.Error("somebody was asked")
			}
		})
	}
}

func TestOnlyStartOfOAuthIsExecuted(t *testing.T) {
	p := &person{}
	x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: p, Clients: clients(t, `"github": {"client_id": "x"}`)})
	for want, change := range map[string]func(*adapters.Operation){
		`the kind "webhook"`:                  func(op *adapters.Operation) { op.Kind = adapters.Webhook },
		`the verb "revoke\n"`:                 func(op *adapters.Operation) { op.Verb = "revoke\n" },
		`"repo admin:org" is not a scope`:     func(op *adapters.Operation) { op.Scopes = []string{"user", "repo admin:org"} },
		`"" is not a scope`:                   func(op *adapters.Operation) { op.Scopes = []string{""} },
		`"a\r\nb" is not a scope`:             func(op *adapters.Operation) { op.Scopes = []string{"a\r\nb"} },
		`"\x1b[31m" is registered`:            func(op *adapters.Operation) { op.Target = "\x1b[31m" },
		`"` + strings.Repeat("x", 120) + `"…`: func(op *adapters.Operation) { op.Target = strings.Repeat("x", 5000) },
	} {
		op := operation("github")
		change(&op)
		out, err := x.Execute(t.Context(), adapters.Namespace{}, op)
		want = strings.TrimSuffix(want, " is registered")
		fails(t, out, err, want)
		revealsNothing(t, err.Error())
	}
	if len(p.asks) > 0 {
		t.Error("somebody was asked")
	}
}

// fakeAt registers a provider of which no issuer is known.
func fakeAt(address string) string {
	return fmt.Sprintf(`"idp": {"client_id": "native", "auth_url": "%s/auth", "token_url": "%s/token"}`, address, address)
}

func TestDeniedConsentIsAFailure(t *testing.T) {
	for _, mode := range []oauth.Mode{oauth.Browser, oauth.Manual} {
		p := &person{}
		var ask oauth.Consent
		p.visit = func(_ context.Context, c oauth.Consent) error {
			if ask = c; mode == oauth.Browser {
				comeBack(t, c, url.Values{"error": {"access_denied"}, "error_description": {"no"}})
			}
			return nil
		}
		p.answer = func(context.Context) (string, error) {
			q := query(t, ask)
			return q.Get("redirect_uri") + "?error=access_denied&state=" + q.Get("state"), nil
		}
		x := oauth.New(oauth.Config{Mode: mode, Person: p, Clients: clients(t, fakeAt("http://127.0.0.1:1"))})
		out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp"))
		fails(t, out, err, "consent was denied")
		failed(t, err)
		nobodyListens(t, ask)
	}
}

func TestAnswersOfOthersAreNotTaken(t *testing.T) {
	issuer := openIDProvider(t)
	p := &person{}
	p.visit = func(_ context.Context, c oauth.Consent) error {
		for _, foreign := range []url.Values{
			{"code": {"forged"}, "state": {"guessed"}},
			{"code": {"forged"}, "state": {""}},
			{"error": {"access_denied"}, "state": {"guessed"}},
			{"code": {"forged"}, "state": {query(t, c).Get("state"), "guessed"}},
		} {
			if status := comeBack(t, c, foreign); status != http.StatusBadRequest {
				t.Errorf("%v: status %d, want 400", foreign, status)
			}
		}
		login(t, c.URL, false)
		return nil
	}
	x := oauth.New(oauth.Config{Clients: clients(t, native(issuer)), Mode: oauth.Browser, Person: p})
	if _, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid")); err != nil {
		t.Errorf("a forged answer came in between: %v", err)
	}
}

func TestAnAnswerCountsOnce(t *testing.T) {
	issuer := openIDProvider(t)
	p := &person{}
	p.visit = func(_ context.Context, c oauth.Consent) error {
		ended, _ := login(t, c.URL, false)
		for _, second := range []url.Values{ended.Query(), {"error": {"access_denied"}}} {
			if status := comeBack(t, c, second); status != http.StatusBadRequest {
				t.Errorf("a second answer: status %d, want 400", status)
			}
		}
		return nil
	}
	x := oauth.New(oauth.Config{Clients: clients(t, native(issuer)), Mode: oauth.Browser, Person: p})
	if _, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid")); err != nil {
		t.Error(err)
	}
}

func TestWhatIsEnteredIsChecked(t *testing.T) {
	const canary = "canary-of-a-code"
	for name, test := range map[string]struct {
		enter func(q url.Values) string
		want  string
	}{
		"another request": {func(q url.Values) string { return q.Get("redirect_uri") + "?state=guessed&code=" + canary }, "belongs to another request"},
		"no state":        {func(q url.Values) string { return q.Get("redirect_uri") + "?code=" + canary }, "belongs to another request"},
		"another host": {func(q url.Values) string {
			return "http://127.0.0.1:1/callback?code=" + canary + "&state=" + q.Get("state")
		}, "neither a code nor the address"},
		"another path": {func(q url.Values) string {
			return q.Get("redirect_uri") + "/x?code=" + canary + "&state=" + q.Get("state")
		}, "neither a code nor the address"},
		"no address":       {func(url.Values) string { return "http://[" + canary }, "neither a code nor the address"},
		"nothing":          {func(url.Values) string { return " \n" }, "the code is empty"},
		"control sequence": {func(url.Values) string { return canary + "\x1b[0m" }, "a character that codes do not have"},
		"a novel":          {func(url.Values) string { return canary + strings.Repeat("x", 16<<10) }, "longer than"},
		"neither code nor error": {func(q url.Values) string { return q.Get("redirect_uri") + "?state=" + q.Get("state") },
			"neither one code nor an error"},
		"the state as an error": {func(q url.Values) string {
			return q.Get("redirect_uri") + "?state=" + q.Get("state") + "&error=" + q.Get("state")
		}, "an error code that cannot be shown"},
		"an error in color": {func(q url.Values) string {
			return q.Get("redirect_uri") + "?state=" + q.Get("state") + "&error=%1b[31m"
		},
			"an error code that cannot be shown"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &person{}
			var q url.Values
			p.visit = func(_ context.Context, c oauth.Consent) error {
				q = query(t, c)
				return nil
			}
			p.answer = func(context.Context) (string, error) { return test.enter(q), nil }
			x := oauth.New(oauth.Config{Mode: oauth.Manual, Person: p, Clients: clients(t, fakeAt("http://127.0.0.1:1"))})
			out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp"))
			fails(t, out, err, test.want)
			failed(t, err)
			revealsNothing(t, err.Error(), canary, q.Get("state"), q.Get("code_challenge"))
		})
	}
}

func TestTheOutOfBandRedirectIsSentAsRegistered(t *testing.T) {
	p := &person{}
	p.answer = func(context.Context) (string, error) { return "", fmt.Errorf("%w: not today", adapters.ErrPending) }
	x := oauth.New(oauth.Config{Mode: oauth.Manual, Person: p,
		Clients: clients(t, `"github": {"client_id": "x", "redirect_uri": "urn:ietf:wg:oauth:2.0:oob", "params": {"audience": "a b"}}`)})
	out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("github", "repo", "gist"))
	fails(t, out, err, "not today")
	pending(t, err)
	asked := p.asked(t)
	q := query(t, asked)
	if !strings.HasPrefix(asked.URL, "https://github.com/login/oauth/authorize?") || q.Get("redirect_uri") != "urn:ietf:wg:oauth:2.0:oob" ||
		q.Get("scope") != "repo gist" || q.Get("audience") != "a b" || q.Has("nonce") {
		t.Errorf("the person visits %s", asked.URL)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	errInterrupt := errors.New("interrupted by the test")
	registered := clients(t, fakeAt("http://127.0.0.1:1"))
	for name, test := range map[string]struct {
		mode  oauth.Mode
		await func(p *person, interrupt func())
	}{
		"before the browser comes back": {oauth.Browser, func(p *person, interrupt func()) {
			p.visit = func(context.Context, oauth.Consent) error { interrupt(); return nil }
		}},
		"while the browser is opened": {oauth.Browser, func(p *person, interrupt func()) {
			p.visit = func(ctx context.Context, _ oauth.Consent) error { interrupt(); <-ctx.Done(); return ctx.Err() }
		}},
		"before something is entered": {oauth.Manual, func(p *person, interrupt func()) {
			p.answer = func(ctx context.Context) (string, error) { interrupt(); <-ctx.Done(); return "", ctx.Err() }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			p := &person{}
			test.await(p, func() { cancel(errInterrupt) })
			out, err := oauth.New(oauth.Config{Mode: test.mode, Person: p, Clients: registered}).Execute(ctx, adapters.Namespace{}, operation("idp"))
			fails(t, out, err, errInterrupt.Error())
			failed(t, err)
			if !errors.Is(err, errInterrupt) {
				t.Errorf("error %q does not wrap the cause", err)
			}
			nobodyListens(t, p.asked(t))
		})
	}
}

func TestAPersonWhoDoesNotAnswerLeavesItPending(t *testing.T) {
	registered := clients(t, fakeAt("http://127.0.0.1:1"))
	for _, mode := range []oauth.Mode{oauth.Browser, oauth.Manual} {
		p := &person{}
		p.answer = func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		x := oauth.New(oauth.Config{Mode: mode, Person: p, Clients: registered, Timeout: time.Millisecond})
		out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp"))
		fails(t, out, err, "nobody consented within 1ms")
		pending(t, err)
		nobodyListens(t, p.asked(t))
	}
}

// silent is a provider that accepts requests and says nothing.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// drip is a provider whose answer never ends.
type drip struct{}

func (drip) RoundTrip(r *http.Request) (*http.Response, error) {
	pr, pw := io.Pipe()
	context.AfterFunc(r.Context(), func() { pw.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: pr, Request: r}, nil
}

func TestASilentProviderIsGivenUp(t *testing.T) {
	registered := clients(t, `"github": {"client_id": "x", "redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}`)
	for name, base := range map[string]http.RoundTripper{"no answer": silent{}, "no end": drip{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &person{}
				p.answer = func(context.Context) (string, error) { return "canary-of-a-code", nil }
				x := oauth.New(oauth.Config{Mode: oauth.Manual, Person: p, Transport: base, Clients: registered})
				out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("github"))
				fails(t, out, err, `"github.com": gives no answer within 30s`)
				failed(t, err)
				revealsNothing(t, err.Error(), "canary-of-a-code")
			})
		})
	}
}

func TestTheBrowserMayTakeLocalhostForEitherLoopback(t *testing.T) {
	issuer := openIDProvider(t)
	p := &person{}
	p.visit = func(_ context.Context, c oauth.Consent) error {
		if r := query(t, c).Get("redirect_uri"); !strings.HasPrefix(r, "http://localhost:") {
			t.Errorf("redirect_uri %s", r)
		}
		login(t, c.URL, false)
		return nil
	}
	x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: p, Clients: clients(t,
		fmt.Sprintf(`"idp": {"client_id": "native", "issuer": %q, "redirect_uri": "http://localhost/callback"}`, issuer))})
	if _, err := x.Execute(t.Context(), adapters.Namespace{}, operation("idp", "openid")); err != nil {
		t.Error(err)
	}
	nobodyListens(t, p.asked(t))
}

func TestAMissingSecretIsTold(t *testing.T) {
	dir := t.TempDir()
	empty, huge := filepath.Join(dir, "empty"), filepath.Join(dir, "huge")
	for file, content := range map[string][]byte{empty: []byte("\n"), huge: bytes.Repeat([]byte("canary"), 20<<10)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OAUTH_TEST_ODD", "canary\x01")
	for member, want := range map[string]string{
		`"client_secret_env": "OAUTH_TEST_NONE"`:                  "OAUTH_TEST_NONE",
		`"client_secret_env": "OAUTH_TEST_ODD"`:                   "a character other than",
		fmt.Sprintf(`"client_secret_file": %q`, empty):            "is empty",
		fmt.Sprintf(`"client_secret_file": %q`, huge):             "longer than 65536 bytes",
		fmt.Sprintf(`"client_secret_file": %q`, dir):              "is not a file",
		fmt.Sprintf(`"client_secret_file": %q`, dir+"/not-there"): "no such file",
	} {
		p := &person{}
		x := oauth.New(oauth.Config{Mode: oauth.Browser, Person: p, Clients: clients(t, `"github": {"client_id": "x", `+member+`}`)})
		out, err := x.Execute(t.Context(), adapters.Namespace{}, operation("github"))
		fails(t, out, err, want)
		revealsNothing(t, err.Error(), "canary")
		if len(p.asks) > 0 {
			t.Errorf("%s: somebody was asked", member)
		}
	}
}
