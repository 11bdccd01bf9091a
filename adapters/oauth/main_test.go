package oauth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/oauth"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the example provider logs each request
	leakcheck.Main(m)
}

const (
	webSecret   = "canary-of-the-web-client"
	webRedirect = "https://pack.example/callback"
)

// accounts are those of every OpenID provider here. Making its key takes long.
var accounts = sync.OnceValue(func() *storage.Storage {
	storage.RegisterClients(
		storage.NativeClient("native", "http://127.0.0.1/callback", "http://localhost/callback"),
		storage.WebClient("web", webSecret, webRedirect),
	)
	return storage.NewStorage(storage.NewUserStore("http://127.0.0.1"))
})

// openIDProvider starts the example of a real implementation and gives its issuer.
func openIDProvider(t *testing.T) string {
	t.Helper()
	var handler http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	handler = exampleop.SetupServer(s.URL, accounts(), nil, false)
	return s.URL
}

// clients parses registrations whose providers are given as JSON members.
func clients(t *testing.T, providers ...string) *oauth.Clients {
	t.Helper()
	c, err := oauth.ParseClients([]byte(`{"providers": {` + strings.Join(providers, ",") + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func operation(provider string, scopes ...string) adapters.Operation {
	return adapters.Operation{ID: "1", Kind: adapters.OAuth, Verb: "start", Target: provider, Scopes: scopes, URL: "https://pack.example/oauth"}
}

// person is the one who is asked. The functions may be nil.
type person struct {
	visit  func(ctx context.Context, c oauth.Consent) error
	answer func(ctx context.Context) (string, error)

	mu   sync.Mutex
	asks []oauth.Consent
}

func (p *person) Visit(ctx context.Context, c oauth.Consent) error {
	p.mu.Lock()
	p.asks = append(p.asks, c)
	p.mu.Unlock()
	if p.visit == nil {
		return nil
	}
	return p.visit(ctx, c)
}

func (p *person) Answer(ctx context.Context) (string, error) {
	if p.answer == nil {
		return "", errors.New("nobody expected to be asked for an answer")
	}
	return p.answer(ctx)
}

// asked gives what the person was shown, once.
func (p *person) asked(t *testing.T) oauth.Consent {
	t.Helper()
	if len(p.asks) != 1 {
		t.Fatalf("the person was asked %d times, want once", len(p.asks))
	}
	return p.asks[0]
}

// query gives the parameters of the address that a person is to visit.
func query(t *testing.T, c oauth.Consent) url.Values {
	t.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// login does at the example provider what a person does in a browser, and gives the
// address at which the browser ended and what it showed. With stop, the browser does
// not go on to that address, as where nobody listens.
func login(t *testing.T, visit string, stop bool) (ended *url.URL, text string) {
	t.Helper()
	u, err := url.Parse(visit)
	if err != nil {
		t.Fatal(err)
	}
	redirect, err := url.Parse(u.Query().Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	b := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if stop && r.URL.Host == redirect.Host {
			ended = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page := get(t, b, visit)
	if page.Request.URL.Host != u.Host { // sent back at once
		return page.Request.URL, body(t, page)
	}
	body(t, page)
	id := page.Request.URL.Query().Get("authRequestID")
	if id == "" {
		t.Fatalf("the provider shows no login: %s", page.Status)
	}
	last, err := b.PostForm(u.Scheme+"://"+u.Host+"/login/username", url.Values{
		"id": {id}, "username": {"test-user@127.0.0.1"}, "password": {"verysecure"}})
	if err != nil {
		t.Fatal(err)
	}
	text = body(t, last)
	if ended == nil {
		ended = last.Request.URL
	}
	if ended.Host != redirect.Host {
		t.Fatalf("the browser ended at %s", ended)
	}
	return ended, text
}

func get(t *testing.T, c *http.Client, address string) *http.Response {
	t.Helper()
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// comeBack visits the redirect of a request with more parameters, as a provider has a
// browser do, and gives the status.
func comeBack(t *testing.T, c oauth.Consent, answer url.Values) int {
	t.Helper()
	q := query(t, c)
	if !answer.Has("state") {
		answer.Set("state", q.Get("state"))
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp := get(t, &http.Client{Transport: transport}, q.Get("redirect_uri")+"?"+answer.Encode())
	body(t, resp)
	return resp.StatusCode
}

// nobodyListens fails when the redirect of a request is still served.
func nobodyListens(t *testing.T, c oauth.Consent) {
	t.Helper()
	u, err := url.Parse(query(t, c).Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", u.Host); err == nil {
		conn.Close()
		t.Errorf("%s is still listened at", u.Host)
	}
}

// revealsNothing fails when a text has a secret in it, in any usual form, or more than
// one line.
func revealsNothing(t *testing.T, text string, secrets ...string) {
	t.Helper()
	if strings.ContainsAny(text, "\r\n") {
		t.Errorf("more than one line: %q", text)
	}
	for _, s := range secrets {
		for _, form := range []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))} {
			if s != "" && strings.Contains(text, form) {
				t.Errorf("%q reveals a secret, %q", text, s)
			}
		}
	}
}

// fails wants an error that is about the operation and none of the others.
func fails(t *testing.T, out adapters.Outcome, err error, part string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, but %q; want one with %q", out.Detail, part)
	}
	if !strings.Contains(err.Error(), part) {
		t.Errorf("error %q, want one with %q", err, part)
	}
	if len(out.Secrets) > 0 || out.Detail != "" {
		t.Errorf("an outcome beside the error %q", err)
	}
	if _, ok := errors.AsType[*adapters.Error](err); !ok {
		t.Errorf("error %T, want an *adapters.Error", err)
	}
}

func pending(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, adapters.ErrPending) {
		t.Errorf("error %q leaves nothing pending", err)
	}
}

func failed(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, adapters.ErrPending) {
		t.Errorf("error %q leaves the operation pending; it failed", err)
	}
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
