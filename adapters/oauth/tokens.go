package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// tokenSet is what is stored.
type tokenSet struct {
	Access  string     `json:"access_token"`
	Type    string     `json:"token_type"`
	Refresh string     `json:"refresh_token,omitempty"`
	Expiry  *time.Time `json:"expiry,omitempty"`
	Scope   string     `json:"scope,omitempty"` // as the provider wrote it
	ID      string     `json:"id_token,omitempty"`
}

// tokenSet checks what the provider gave.
func (f *flow) tokenSet(ctx context.Context, t *oauth2.Token) (*tokenSet, error) {
	s := &tokenSet{Access: t.AccessToken, Type: t.Type(), Refresh: t.RefreshToken}
	s.Scope, _ = t.Extra("scope").(string)
	if !t.Expiry.IsZero() {
		at := t.Expiry.UTC().Truncate(time.Second)
		s.Expiry = &at
	}
	for _, field := range []struct{ name, text string }{
		{"access_token", s.Access}, {"token_type", s.Type}, {"refresh_token", s.Refresh}, {"scope", s.Scope},
	} {
		if !visible(field.text, true) { // a line break in a token would become a header of its own
			return nil, fmt.Errorf("the provider's %s has a character other than those of printable ASCII (RFC 6749, appendix A)", field.name)
		}
	}
	if f.issuer == nil {
		return s, nil
	}
	s.ID, _ = t.Extra("id_token").(string)
	if s.ID == "" {
		if slices.Contains(granted(s.Scope, f.scopes), oidc.ScopeOpenID) {
			return nil, errors.New("the provider gave no id_token, which the scope openid asks for")
		}
		return s, nil
	}
	return s, f.verify(ctx, s)
}

// verify checks the id_token, after OpenID Connect Core 1.0, 3.1.3.7.
func (f *flow) verify(ctx context.Context, s *tokenSet) error {
	ctx = oidc.ClientContext(ctx, f.http)
	token, err := f.issuer.VerifierContext(ctx, &oidc.Config{ClientID: f.client.ID}).Verify(ctx, s.ID)
	switch {
	case err != nil:
		return fmt.Errorf("the id_token of the provider is not trusted: %w", f.distrust(err))
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.expected.nonce)) != 1:
		return errors.New("the id_token of the provider is not trusted: its nonce is not that of this request")
	case token.AccessTokenHash != "" && token.VerifyAccessToken(s.Access) != nil:
		return errors.New("the id_token of the provider is not trusted: it belongs to another access token")
	}
	return nil
}

// distrust says what is wrong with an id_token. Most errors of the library have no
// identity but their text, which goes on to quote the token; it is matched and never
// repeated.
func (f *flow) distrust(err error) error {
	if failure := f.remote.failure(); failure != nil {
		return failure
	}
	if is[*oidc.TokenExpiredError](err) {
		return errors.New("it has expired (check the clock of this host)")
	}
	for _, fault := range []struct{ theirs, ours string }{
		{"oidc: id token issued by a different provider", "it is of another issuer"},
		{"oidc: expected audience", "it is for another client"},
		{"oidc: malformed jwt", "it is malformed, or signed in a way that the provider did not announce"},
		{"failed to verify signature", "its signature is not by a key that the provider publishes"},
	} {
		if strings.HasPrefix(err.Error(), fault.theirs) {
			return errors.New(fault.ours)
		}
	}
	return errors.New("it cannot be verified")
}

// granted gives the scopes of a provider's answer, which may be separated by commas as
// GitHub's and Slack's are; none in the answer are those that were asked for.
func granted(scope string, asked []string) []string {
	if scopes := strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' || r == ',' }); len(scopes) > 0 {
		return scopes
	}
	return asked
}

// outcome is what is given on.
func (s *tokenSet) outcome(asked []string) (adapters.Outcome, error) {
	all, err := plan.Canonical(s)
	if err != nil {
		return adapters.Outcome{}, errors.New("the tokens cannot be written as JSON")
	}
	out := adapters.Outcome{Secrets: map[string][]byte{AccessTokenKey: []byte(s.Access), TokenKey: all}}
	detail := "consent given"
	if scopes := granted(s.Scope, asked); len(scopes) > 0 {
		detail += " for " + hostile.QuoteAll(scopes)
	}
	if s.Expiry != nil {
		detail += ", expires " + s.Expiry.Format(time.RFC3339)
	}
	if s.Refresh != "" {
		out.Secrets[RefreshTokenKey] = []byte(s.Refresh)
		detail += ", can be refreshed"
	}
	out.Detail = detail
	return out, nil
}
