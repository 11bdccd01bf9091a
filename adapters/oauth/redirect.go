package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// outOfBand is the redirect URI with which a provider shows the code to the person.
	outOfBand = "urn:ietf:wg:oauth:2.0:oob"
	// maxAnswer bounds what a browser or a person hands in, in bytes.
	maxAnswer = 16 << 10
	// maxErrorCode bounds what is shown of an error code, in bytes.
	maxErrorCode = 64
	// headerPatience is how long a connection to the loopback server may stay silent.
	headerPatience = 10 * time.Second
	// attempts bounds the search for a port that is free on both loopbacks.
	attempts = 10
)

// expected knows the one answer that a flow waits for.
type expected struct {
	redirect url.URL // with its port
	state    string
	nonce    string // for the id_token
	issuer   string // "" when not known
}

// answer is what a provider had to say.
type answer struct {
	code string
	err  error // why there is no code
}

// read takes the parameters of a redirect. It says no to one that is not the answer:
// anybody may call at the address, but only the provider and the person know the state.
func (e *expected) read(query string) (answer, bool) {
	q, err := url.ParseQuery(query)
	if err != nil || len(q["state"]) != 1 || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(e.state)) != 1 {
		return answer{}, false
	}
	return e.readFrom(q), true
}

func (e *expected) readFrom(q url.Values) answer {
	switch {
	case e.issuer != "" && q.Has("iss") && q.Get("iss") != e.issuer: // RFC 9207, 2.4
		return answer{err: errors.New("the answer is from another issuer")}
	case q.Get("error") == "access_denied":
		return answer{err: errors.New("consent was denied (access_denied)")}
	case q.Has("error"):
		return answer{err: fmt.Errorf("the provider refused with %s", errorCode(q.Get("error"), e.state, e.nonce))}
	case len(q["code"]) != 1:
		return answer{err: errors.New("the answer has neither one code nor an error")}
	}
	return readCode(q.Get("code"))
}

// errorCode gives the code of an error as it may be shown. A provider that repeats a
// secret as its error code is not repeated.
func errorCode(code string, secrets ...string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	}
	reveals := func(secret string) bool { return secret != "" && strings.Contains(code, secret) }
	if code == "" || len(code) > maxErrorCode || strings.ContainsFunc(code, odd) || slices.ContainsFunc(secrets, reveals) {
		return "an error code that cannot be shown"
	}
	return code
}

func readCode(code string) answer {
	if code == "" || !visible(code, true) { // RFC 6749, A.11
		return answer{err: errors.New("the code is empty or has a character that codes do not have")}
	}
	return answer{code: code}
}

// readText takes what a person typed or pasted: the code, or the whole address at which
// the browser ended.
func (e *expected) readText(text string) answer {
	text = strings.TrimSpace(text)
	if len(text) > maxAnswer {
		return answer{err: fmt.Errorf("what was entered is longer than %d bytes", maxAnswer)}
	}
	if !strings.Contains(text, "://") {
		return readCode(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != e.redirect.Scheme || u.Host != e.redirect.Host || !samePath(u, &e.redirect) {
		return answer{err: fmt.Errorf("what was entered is neither a code nor the address at which the browser ended, which begins with %s",
			e.redirect.String())}
	}
	a, ok := e.read(u.RawQuery)
	if !ok {
		return answer{err: errors.New("the address that was entered belongs to another request; enter the one that this request led to")}
	}
	return a
}

// samePath takes the empty path for "/", as browsers do.
func samePath(a, b *url.URL) bool {
	return strings.TrimPrefix(a.EscapedPath(), "/") == strings.TrimPrefix(b.EscapedPath(), "/")
}

// loopback is a server that waits for one redirect.
type loopback struct {
	expected *expected
	taken    atomic.Bool
	answers  chan answer // gets one
	server   *http.Server
	ended    chan struct{} // one for each listener that is served no more
	n        int           // listeners
}

// listen opens the redirect's address, sets its port, and serves it until close.
func listen(ctx context.Context, e *expected) (*loopback, error) {
	listeners, err := open(ctx, &e.redirect)
	if err != nil {
		return nil, err
	}
	l := &loopback{expected: e, answers: make(chan answer, 1), ended: make(chan struct{}, len(listeners)), n: len(listeners)}
	l.server = &http.Server{
		Handler:           l,
		ReadHeaderTimeout: headerPatience,
		ReadTimeout:       headerPatience,
		WriteTimeout:      headerPatience,
		MaxHeaderBytes:    maxAnswer,
		ErrorLog:          log.New(io.Discard, "", 0), // it would quote requests
	}
	l.server.SetKeepAlivesEnabled(false)
	for _, ln := range listeners {
		go func() {
			l.server.Serve(ln) // until close
			l.ended <- struct{}{}
		}()
	}
	return l, nil
}

// close ends the server and its connections. The page was written before the answer
// was given on.
func (l *loopback) close() {
	l.server.Close()
	for range l.n {
		<-l.ended
	}
}

// open listens at the address of u. A browser may take localhost for either loopback
// (RFC 8252, 8.3), so both have to be ours: another process at the second one would be
// given the code.
func open(ctx context.Context, u *url.URL) ([]net.Listener, error) {
	hosts := []string{u.Hostname()}
	if u.Hostname() == "localhost" {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var config net.ListenConfig
	for try := 1; ; try++ {
		var listeners []net.Listener
		port := u.Port()
		if port == "" {
			port = "0"
		}
		var err error
		for i, host := range hosts {
			var ln net.Listener
			if ln, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, port)); err != nil {
				if i > 0 && !errors.Is(err, syscall.EADDRINUSE) {
					err = nil // this host has no IPv6, and nobody else can listen there either
				}
				break
			}
			listeners = append(listeners, ln)
			port = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
		}
		if err == nil {
			u.Host = net.JoinHostPort(u.Hostname(), port)
			return listeners, nil
		}
		for _, ln := range listeners {
			ln.Close()
		}
		if u.Port() != "" || try == attempts || ctx.Err() != nil {
			return nil, fmt.Errorf("the redirect of the browser cannot be waited for: %w", err)
		}
	}
}

// unused sets a port at which nobody listens now, for a redirect that a person copies
// from the browser.
func unused(ctx context.Context, u *url.URL) error {
	if u.Scheme != "http" || u.Port() != "" {
		return nil
	}
	listeners, err := open(ctx, u)
	for _, ln := range listeners {
		ln.Close()
	}
	return err
}

const (
	pageTaken = "<!doctype html><html lang=en><meta charset=utf-8><title>Answer received</title>" +
		"<p>The answer has arrived. Go back to the terminal to see what came of it; this window can be closed.\n"
	pageWrong = "<!doctype html><html lang=en><meta charset=utf-8><title>Not expected</title>" +
		"<p>This is not the answer that is waited for. Go back to the terminal.\n"
)

// ServeHTTP takes the answer once. What it says has nothing of the request in it.
func (l *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := l.expected
	switch {
	case r.Host != e.redirect.Host: // somebody's name for our address (DNS rebinding)
		page(w, http.StatusBadRequest, pageWrong)
	case !samePath(r.URL, &e.redirect):
		page(w, http.StatusNotFound, pageWrong)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		page(w, http.StatusMethodNotAllowed, pageWrong)
	default:
		a, ok := e.read(r.URL.RawQuery)
		if !ok || !l.taken.CompareAndSwap(false, true) {
			page(w, http.StatusBadRequest, pageWrong)
			return
		}
		page(w, http.StatusOK, pageTaken)
		l.answers <- a
	}
}

func page(w http.ResponseWriter, status int, html string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(html)))
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, html)
	http.NewResponseController(w).Flush() // whoever is told of the answer next may close the connection
}
