package oauth

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/endpoints"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

const (
	// MaxClients bounds the file of registrations, in bytes.
	MaxClients = 1 << 20
	// maxSecret bounds the file of a client secret, in bytes.
	maxSecret = 64 << 10
	// defaultRedirect is where a browser comes back to: on any free port, which
	// providers have to allow for loopback addresses (RFC 8252, 7.3).
	defaultRedirect = "http://127.0.0.1/callback"
)

// known are the providers of whom a registration need not name the endpoints. All of
// them document that a client secret is taken from the body of a request.
var known = map[string]oauth2.Endpoint{
	"discord":   endpoints.Discord,
	"github":    endpoints.GitHub,
	"gitlab":    endpoints.GitLab,
	"google":    endpoints.Google,
	"microsoft": endpoints.AzureAD(""), // accounts of every kind
	"msgraph":   endpoints.AzureAD(""), // what Greentic calls it
	"slack":     endpoints.Slack,
}

// Clients are the operator's registrations with providers, by the provider's name.
// ParseClients makes them; nil has none.
type Clients struct{ byProvider map[string]client }

// client is one registration as its file has it.
type client struct {
	ID          string            `json:"client_id"`
	SecretFile  string            `json:"client_secret_file"`
	SecretEnv   string            `json:"client_secret_env"`
	AuthMethod  string            `json:"token_endpoint_auth_method"`
	Issuer      string            `json:"issuer"`
	AuthURL     string            `json:"auth_url"`
	TokenURL    string            `json:"token_url"`
	RedirectURI string            `json:"redirect_uri"`
	Params      map[string]string `json:"params"`

	redirect *url.URL        // RedirectURI
	endpoint oauth2.Endpoint // where Issuer is ""
}

// The ways of RFC 7591 in which a client with a secret shows it.
const (
	secretBasic = "client_secret_basic" // in a header
	secretPost  = "client_secret_post"  // in the body
)

// ParseClients reads registrations: a JSON object of at most MaxClients bytes, without
// other members than these:
//
//	{"providers": {
//	  "github": {                                 // a known provider: client_id is enough
//	    "client_id": "…",
//	    "client_secret_file": "/run/secrets/github"  // an absolute path, or
//	  },                                             // "client_secret_env": "NAME"; public clients have neither
//	  "keycloak": {                               // found out from its issuer, and then id_tokens are verified
//	    "client_id": "…",
//	    "issuer": "https://id.example.com/realms/main",
//	    "params": {"audience": "…"}               // more for the address that the person visits
//	  },
//	  "other": {
//	    "client_id": "…",
//	    "auth_url": "https://…", "token_url": "https://…",
//	    "redirect_uri": "http://localhost:8123/callback",
//	    "client_secret_env": "OTHER_SECRET",
//	    "token_endpoint_auth_method": "client_secret_post"  // or client_secret_basic
//	  }
//	}}
//
// The known providers are discord, github, gitlab, google, microsoft, msgraph (as
// microsoft) and slack. Addresses are https, or http on loopback.
//
// redirect_uri is what is registered with the provider. On loopback it is listened on
// for the person's browser: at its port, or without one, at any that is free. The
// path has to be that of the registration, as providers compare it; it is not a secret,
// state is. The default is http://127.0.0.1/callback. Another address, or
// urn:ietf:wg:oauth:2.0:oob, is for Manual.
//
// The error is an [*adapters.ConfigError]. It names the place by its JSON Pointer and
// repeats no value.
func ParseClients(b []byte) (*Clients, error) {
	if len(b) > MaxClients {
		return nil, badClients("", fmt.Sprintf("there are %d bytes; at most %d are read", len(b), MaxClients))
	}
	if _, err := plan.ReadObject(b); err != nil {
		if e, ok := errors.AsType[*plan.JSONError](err); ok {
			return nil, badClients(jsontext.Pointer(e.Path), e.Reason)
		}
		return nil, badClients("", "is not JSON")
	}
	var doc struct {
		Providers map[string]client `json:"providers"`
	}
	if err := json.Unmarshal(b, &doc, json.RejectUnknownMembers(true)); err != nil {
		wrong, ok := errors.AsType[*json.SemanticError](err)
		switch {
		case !ok:
			return nil, badClients("", "is malformed")
		case errors.Is(err, json.ErrUnknownName) && wrong.JSONPointer.LastToken() == "client_secret":
			return nil, badClients(wrong.JSONPointer, "does not belong here; keep the secret elsewhere, and name client_secret_file or client_secret_env")
		case errors.Is(err, json.ErrUnknownName):
			return nil, badClients(wrong.JSONPointer, "is not a known member")
		}
		return nil, badClients(wrong.JSONPointer, "is of the wrong type")
	}
	if len(doc.Providers) == 0 {
		return nil, badClients("/providers", "is missing or empty")
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Providers)) {
		c := doc.Providers[name]
		if member, err := c.check(name); err != nil {
			at := jsontext.Pointer("/providers").AppendToken(name)
			if member != "" {
				at = at.AppendToken(member)
			}
			return nil, badClients(at, err.Error())
		}
		doc.Providers[name] = c
	}
	return &Clients{doc.Providers}, nil
}

func badClients(at jsontext.Pointer, reason string) error {
	where := "the OAuth clients"
	if at != "" {
		where += " at " + hostile.Escape(string(at), 2*hostile.MaxShown)
	}
	return &adapters.ConfigError{Adapter: "oauth", Reason: where + ": " + reason}
}

// Providers gives the names of the providers, sorted.
func (c *Clients) Providers() []string {
	if c == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(c.byProvider))
}

func (c *Clients) find(provider string) (client, bool) {
	if c == nil {
		return client{}, false
	}
	found, ok := c.byProvider[provider]
	return found, ok
}

// reserved are the parameters that the flow sets, and those that would change what it
// is (RFC 9101; response modes that do not come back in an address).
var reserved = []string{"client_id", "client_secret", "code", "code_challenge", "code_challenge_method", "code_verifier",
	"grant_type", "nonce", "redirect_uri", "request", "request_uri", "response_mode", "response_type", "scope", "state"}

// check fills in what the members imply. An error is about one of them.
func (c *client) check(name string) (member string, err error) {
	switch {
	case name == "" || len(name) > adapters.MaxKey || hostile.Escape(name, len(name)) != name:
		return "", fmt.Errorf("the provider's name is empty, longer than %d bytes, or has a character that cannot be shown", adapters.MaxKey)
	case c.ID == "":
		return "client_id", errors.New("is missing or empty")
	case !visible(c.ID, true):
		return "client_id", errors.New("has a character other than those of printable ASCII")
	case c.SecretFile != "" && c.SecretEnv != "":
		return "client_secret_env", errors.New("is there beside client_secret_file; name one of them")
	case c.SecretFile != "" && (!filepath.IsAbs(c.SecretFile) || hostile.Escape(c.SecretFile, len(c.SecretFile)) != c.SecretFile):
		return "client_secret_file", errors.New("is not an absolute path, or has a character that cannot be shown")
	case strings.ContainsAny(c.SecretEnv, "=\x00"):
		return "client_secret_env", errors.New("is not the name of an environment variable")
	case c.AuthMethod != "" && c.AuthMethod != secretBasic && c.AuthMethod != secretPost:
		return "token_endpoint_auth_method", fmt.Errorf("is neither %s nor %s", secretBasic, secretPost)
	case c.AuthMethod != "" && !c.hasSecret():
		return "token_endpoint_auth_method", errors.New("is there without a client secret")
	}
	if member, err := c.checkEndpoint(name); err != nil {
		return member, err
	}
	if c.RedirectURI == "" {
		c.RedirectURI = defaultRedirect
	}
	if c.redirect, err = checkRedirect(c.RedirectURI); err != nil {
		return "redirect_uri", err
	}
	for _, p := range slices.Sorted(maps.Keys(c.Params)) {
		if p == "" || slices.Contains(reserved, p) {
			return "params", errors.New("has a name that is empty or one that the flow itself sets: " + hostile.Quote(p))
		}
	}
	return "", nil
}

func (c *client) checkEndpoint(name string) (member string, err error) {
	endpoint, isKnown := known[name]
	switch {
	case c.Issuer != "" && (c.AuthURL != "" || c.TokenURL != ""):
		return "issuer", errors.New("is there beside auth_url or token_url, which it would say itself")
	case c.Issuer != "":
		u, err := checkAddress(c.Issuer)
		if err == nil && u.RawQuery != "" {
			err = errors.New("has a query")
		}
		return "issuer", err
	case c.AuthURL != "" || c.TokenURL != "":
		if _, err := checkAddress(c.AuthURL); err != nil {
			return "auth_url", err
		}
		if _, err := checkAddress(c.TokenURL); err != nil {
			return "token_url", err
		}
		// What RFC 6749, 2.3.1, has every server take.
		c.endpoint = oauth2.Endpoint{AuthURL: c.AuthURL, TokenURL: c.TokenURL, AuthStyle: oauth2.AuthStyleInHeader}
	case isKnown:
		c.endpoint = endpoint
		c.endpoint.AuthStyle = oauth2.AuthStyleInParams
	default:
		return "", errors.New("has neither issuer nor auth_url and token_url, and the provider is not a known one")
	}
	c.endpoint.AuthStyle = c.authStyle(c.endpoint.AuthStyle)
	return "", nil
}

// authStyle says how the client authenticates where it says nothing itself. The way is
// never tried out, as package oauth2 would: that sends the code twice, and a provider
// may take the second time for theft (RFC 6749, 4.1.2).
func (c *client) authStyle(otherwise oauth2.AuthStyle) oauth2.AuthStyle {
	switch {
	case !c.hasSecret(), c.AuthMethod == secretPost:
		return oauth2.AuthStyleInParams // a public client has only its id to send (RFC 6749, 3.2.1)
	case c.AuthMethod == secretBasic:
		return oauth2.AuthStyleInHeader
	}
	return otherwise
}

func (c *client) hasSecret() bool { return c.SecretFile != "" || c.SecretEnv != "" }

// secret reads the client secret, "" for a public client. It is read when it is needed,
// so that it can be changed, and is missing only to those who use it.
func (c *client) secret() (string, error) {
	var text string
	switch {
	case c.SecretEnv != "":
		if text = os.Getenv(c.SecretEnv); text == "" {
			return "", fmt.Errorf("the client secret is not there: the environment variable %s is unset or empty", hostile.Quote(c.SecretEnv))
		}
	case c.SecretFile != "":
		b, err := readSecret(c.SecretFile)
		if err != nil {
			return "", fmt.Errorf("the client secret cannot be read: %w", err)
		}
		if text = strings.TrimRight(string(b), "\r\n"); text == "" {
			return "", fmt.Errorf("the client secret is not there: %s is empty", hostile.Quote(c.SecretFile))
		}
	default:
		return "", nil
	}
	if !visible(text, true) {
		return "", errors.New("the client secret has a character other than those of printable ASCII (RFC 6749, A.2)")
	}
	return text, nil
}

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for, whatever the context says
		return nil, fmt.Errorf("%s is not a file", hostile.Quote(path))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s is longer than %d bytes", hostile.Quote(path), maxSecret)
	}
	return b, err
}

// checkAddress takes the absolute https address of a provider, or http on loopback,
// where nobody listens in.
func checkAddress(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("is missing or empty")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil: // whose text repeats the address
		return nil, errors.New("is not an address")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("has no host")
	case u.User != nil:
		return nil, errors.New("has a user or password")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return nil, errors.New("has a fragment")
	case u.Scheme == "http" && !isLoopback(u):
		return nil, errors.New("is http to another host; only https is safe there")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is neither https nor, on loopback, http")
	}
	return u, nil
}

// checkRedirect takes an address of checkAddress, or the URN that has the provider
// show the code.
func checkRedirect(s string) (*url.URL, error) {
	if s == outOfBand {
		return &url.URL{Scheme: "urn", Opaque: strings.TrimPrefix(outOfBand, "urn:")}, nil
	}
	u, err := checkAddress(s)
	switch {
	case err != nil:
		return nil, err
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("has a query")
	case u.Port() == "0":
		return nil, errors.New("has the port 0; leave the port out for any that is free")
	case u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
		return nil, errors.New("is on loopback, but not at 127.0.0.1, [::1] or localhost")
	}
	return u, nil
}

func isLoopback(u *url.URL) bool {
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

// visible says that s is of printable ASCII, as RFC 6749 has everything in appendix A,
// with spaces or without.
func visible(s string, space bool) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == ' ' && !space })
}
