// Package oauth carries out operations of the kind oauth: it asks a person for
// consent and gives the tokens that a provider then hands out.
//
// It is the authorisation code flow of RFC 6749 as RFC 8252 has it for programs that
// run at a person's side, with PKCE (RFC 7636, S256 always), state, and with OpenID
// providers a nonce:
//
//	Browser  the provider sends the browser back to a server on loopback that waits
//	         for this one answer
//	Manual   the person pastes the code, or the address at which the browser ended;
//	         nothing listens, so the browser may be on another machine
//	None     nobody is asked; the operation stays pending
//
// Which client to be, and where the provider is, is the operator's to say: [Clients].
// The pack says the provider's name and the scopes and nothing else. The redirect URL
// of the operation is where the pack's own web server would wait for an answer; this
// flow does not end there, and only shows it to the person.
//
// The person sees in the browser for which client and scopes consent is asked, and who
// asks on the terminal. What comes back is trusted as far as it was checked: the state
// of a redirect, the issuer where the provider names it (RFC 9207), TLS, and of an
// id_token the signature, issuer, audience, expiry, nonce and at_hash. An id_token of a
// provider without an issuer in its registration cannot be checked and is dropped.
//
// No code, token, client secret, verifier, state or nonce is in an error, and nothing
// that a provider answered but its error code.
package oauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// The keys of Outcome.Secrets.
const (
	AccessTokenKey  = "oauth_access_token"
	RefreshTokenKey = "oauth_refresh_token" // where the provider gave one
	// TokenKey has everything: a canonical JSON object with access_token, token_type,
	// and where the provider gave them refresh_token, expiry (RFC 3339, UTC), scope and
	// id_token. It decodes into an oauth2.Token.
	TokenKey = "oauth_token"
)

// Mode is how an answer comes back from the person's browser.
type Mode int

// The modes.
const (
	None Mode = iota
	Browser
	Manual
)

// DefaultTimeout is how long a person is waited for where Config says nothing.
const DefaultTimeout = 5 * time.Minute

// Consent is what a person is asked for. All but the URL may have been written by a
// pack: escape it before showing it.
type Consent struct {
	Namespace adapters.Namespace
	Provider  string
	Scopes    []string
	URL       string // to be visited
	// PackRedirect is the redirect URL of the pack, or "". The flow does not use it.
	PackRedirect string
}

// Person is how a flow reaches somebody. Both methods return when ctx ends. Their
// errors are given on and do not repeat the URL; one that wraps adapters.ErrPending
// leaves the operation pending.
type Person interface {
	// Visit has the person visit c.URL, by opening a browser or by showing it, and does
	// not wait for the visit to end.
	Visit(ctx context.Context, c Consent) error
	// Answer gives what the person entered after Visit: the code, or the address at
	// which the browser ended. It is for Manual.
	Answer(ctx context.Context) (string, error)
}

// Config is what an Executor needs.
type Config struct {
	Clients *Clients
	Mode    Mode
	// Person is needed for Browser and Manual; without one, every operation stays
	// pending.
	Person Person
	// Transport reaches the provider. Nil verifies TLS with the system's authorities
	// and goes by the proxies of the environment.
	Transport http.RoundTripper
	// Timeout is how long the person is waited for. 0 is DefaultTimeout.
	Timeout time.Duration
}

// Executor carries out the operations. It is safe for concurrent use, as far as the
// Person is.
type Executor struct{ config Config }

var _ adapters.Executor = (*Executor)(nil)

// New gives an Executor. It opens nothing.
func New(c Config) *Executor {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Executor{c}
}

// Execute asks for consent and gives the tokens as secrets. Executing an operation
// twice asks twice, and the later tokens count: a provider hands them out once and they
// are kept nowhere here.
//
// The error wraps adapters.ErrPending where there is no registration for the provider,
// nobody to ask, or nobody who answers within the timeout. Other errors say that the
// provider or the person refused, or that an answer cannot be trusted.
func (x *Executor) Execute(ctx context.Context, ns adapters.Namespace, op adapters.Operation) (adapters.Outcome, error) {
	out, hint, err := x.execute(ctx, ns, op)
	if err != nil {
		return adapters.Outcome{}, &adapters.Error{Adapter: "oauth", Op: "ask for consent at " + hostile.Quote(op.Target), Hint: hint, Err: err}
	}
	return out, nil
}

func (x *Executor) execute(ctx context.Context, ns adapters.Namespace, op adapters.Operation) (out adapters.Outcome, hint string, err error) {
	switch {
	case op.Kind != adapters.OAuth:
		return out, "", fmt.Errorf("an operation of the kind %s is not for this adapter", hostile.Quote(string(op.Kind)))
	case op.Verb != "start":
		return out, `the only verb is "start"`, fmt.Errorf("the verb %s is not known", hostile.Quote(op.Verb))
	}
	for _, s := range op.Scopes {
		// One scope with a space in it would be two scopes that nobody reviewed.
		if s == "" || !visible(s, false) || strings.ContainsAny(s, `"\`) {
			return out, "", fmt.Errorf("%s is not a scope (RFC 6749, 3.3)", hostile.Quote(s))
		}
	}
	c, hint, err := x.ready(op)
	if err != nil {
		return out, hint, err
	}
	f := flow{client: c}
	f.secret, err = c.secret()
	if err != nil {
		return out, "", err
	}
	defer f.connect(ctx, x.config.Transport)()
	if err := f.discover(ctx); err != nil {
		return out, "", err
	}
	a, err := x.ask(ctx, &f, Consent{Namespace: ns, Provider: op.Target, Scopes: op.Scopes, PackRedirect: op.URL})
	if err != nil {
		return out, "", err
	}
	if a.err != nil {
		return out, "", a.err
	}
	out, err = f.exchange(ctx, a.code)
	return out, "", err
}

// ready gives the client of an operation's provider. The error wraps ErrPending.
func (x *Executor) ready(op adapters.Operation) (c client, hint string, err error) {
	c, ok := x.config.Clients.find(op.Target)
	switch {
	case !ok:
		return c, "register one in the file of OAuth clients", fmt.Errorf("%w: no client is registered with this provider", adapters.ErrPending)
	case x.config.Person == nil || x.config.Mode != Browser && x.config.Mode != Manual:
		return c, "do it at a terminal, or with a browser", fmt.Errorf("%w: a person has to consent", adapters.ErrPending)
	case x.config.Mode == Browser && c.redirect.Scheme != "http":
		return c, "use the manual mode", fmt.Errorf("%w: the redirect_uri of the registration is not on loopback, so the code has to be entered", adapters.ErrPending)
	}
	return c, "", nil
}

// Ready says whether there is a client and a person for an operation.
func (x *Executor) Ready(op adapters.Operation) error {
	if _, hint, err := x.ready(op); err != nil {
		return &adapters.Error{Adapter: "oauth", Op: "ask for consent at " + hostile.Quote(op.Target), Hint: hint, Err: err}
	}
	return nil
}

// ask gets the answer of the provider by way of the person.
func (x *Executor) ask(ctx context.Context, f *flow, c Consent) (answer, error) {
	wait, cancel := context.WithTimeoutCause(ctx, x.config.Timeout,
		fmt.Errorf("%w: nobody consented within %s", adapters.ErrPending, x.config.Timeout))
	defer cancel()
	// A Person may return its own idea of why the context ended.
	failed := func(err error) (answer, error) {
		if wait.Err() != nil {
			return answer{}, context.Cause(wait)
		}
		return answer{}, fmt.Errorf("nobody can be asked: %w", err)
	}

	f.expect(c.Scopes)
	if x.config.Mode == Manual {
		if err := unused(ctx, &f.expected.redirect); err != nil {
			return answer{}, err
		}
		c.URL = f.url()
		if err := x.config.Person.Visit(wait, c); err != nil {
			return failed(err)
		}
		text, err := x.config.Person.Answer(wait)
		if err != nil {
			return failed(err)
		}
		return f.expected.readText(text), nil
	}

	l, err := listen(ctx, &f.expected)
	if err != nil {
		return answer{}, err
	}
	defer l.close()
	c.URL = f.url()
	if err := x.config.Person.Visit(wait, c); err != nil {
		return failed(err)
	}
	select {
	case a := <-l.answers:
		return a, nil
	case <-wait.Done():
		return answer{}, context.Cause(wait)
	}
}
