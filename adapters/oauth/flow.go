package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// flow is one request for consent, from its start to the tokens.
type flow struct {
	client   client
	secret   string // of the client; "" for a public one
	remote   *remote
	http     *http.Client
	endpoint oauth2.Endpoint
	issuer   *oidc.Provider // nil where the registration has none
	scopes   []string

	expected expected
	verifier string
}

// connect gives the flow a transport of its own, and the function that closes what
// only it used.
func (f *flow) connect(ctx context.Context, base http.RoundTripper) func() {
	end := func() {}
	if base == nil {
		t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxReply}
		base, end = t, t.CloseIdleConnections
	}
	f.remote = &remote{ctx: ctx, base: base}
	f.http = &http.Client{Transport: f.remote}
	return end
}

// discover finds the endpoints, from the issuer where there is one.
func (f *flow) discover(ctx context.Context) error {
	f.endpoint = f.client.endpoint
	if f.client.Issuer == "" {
		return nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, f.http), f.client.Issuer)
	if err != nil {
		reason := f.remote.failure()
		if other, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
			reason = fmt.Errorf("it is of the issuer %s, not of that of the registration", hostile.Quote(other.Discovered))
		} else if reason == nil {
			reason = errors.New("it is not the JSON that it should be")
		}
		return fmt.Errorf("the issuer's OpenID configuration cannot be used: %w", reason)
	}
	var more struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return errors.New("the issuer's OpenID configuration cannot be used: it is not the JSON that it should be")
	}
	f.endpoint = provider.Endpoint()
	for _, a := range []struct{ name, address string }{
		{"authorization_endpoint", f.endpoint.AuthURL}, {"token_endpoint", f.endpoint.TokenURL}, {"jwks_uri", more.Keys},
	} {
		u, err := checkAddress(a.address)
		if err == nil && u.Scheme == "http" && !strings.HasPrefix(f.client.Issuer, "http:") {
			err = errors.New("is http, though the issuer is https") // a far provider names no service of this host
		}
		if err != nil {
			return fmt.Errorf("the issuer's OpenID configuration cannot be used: its %s %w", a.name, err)
		}
	}
	style := oauth2.AuthStyleInHeader // the default of OpenID Connect Discovery 1.0, 3
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, secretBasic) {
		style = oauth2.AuthStyleInParams
	}
	f.endpoint.AuthStyle = f.client.authStyle(style)
	f.issuer = provider
	return nil
}

// expect makes up the values that no one else knows.
func (f *flow) expect(scopes []string) {
	f.scopes = scopes
	f.verifier = oauth2.GenerateVerifier()
	// 32 random bytes serve as state and nonce, too.
	f.expected = expected{redirect: *f.client.redirect, state: oauth2.GenerateVerifier(), nonce: oauth2.GenerateVerifier(), issuer: f.client.Issuer}
}

// config is read when the redirect has its port.
func (f *flow) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID:     f.client.ID,
		ClientSecret: f.secret,
		Endpoint:     f.endpoint,
		RedirectURL:  f.expected.redirect.String(),
		Scopes:       f.scopes,
	}
}

// url is where the person gives consent.
func (f *flow) url() string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.verifier)}
	if f.issuer != nil {
		options = append(options, oauth2.SetAuthURLParam("nonce", f.expected.nonce))
	}
	for name, value := range f.client.Params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return f.config().AuthCodeURL(f.expected.state, options...)
}

// exchange turns the code into tokens and checks them.
func (f *flow) exchange(ctx context.Context, code string) (adapters.Outcome, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, f.http)
	token, err := f.config().Exchange(ctx, code, oauth2.VerifierOption(f.verifier))
	if err != nil {
		return adapters.Outcome{}, fmt.Errorf("the code was not exchanged: %w", f.refusal(err, code))
	}
	set, err := f.tokenSet(ctx, token)
	if err != nil {
		return adapters.Outcome{}, err
	}
	return set.outcome(f.scopes)
}

// refusal says why there are no tokens. What package oauth2 says quotes the answer.
func (f *flow) refusal(err error, code string) error {
	if failure := f.remote.failure(); failure != nil {
		return failure
	}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if refused.ErrorCode == "" {
			return fmt.Errorf("the provider answers with HTTP status %d", refused.Response.StatusCode)
		}
		return fmt.Errorf("the provider refuses with %s",
			errorCode(refused.ErrorCode, code, f.secret, f.verifier, f.expected.nonce, f.expected.state))
	}
	return errors.New("the provider's answer is not a token")
}
