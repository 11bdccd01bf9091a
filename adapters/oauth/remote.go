package oauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

const (
	// maxReply bounds one answer of a provider, in bytes. Token sets are a few KiB.
	maxReply = 256 << 10
	// patience is how long a provider may take for one answer.
	patience = 30 * time.Second
)

// replyError says why a provider's answer was not taken. Its text is our own, apart
// from host names: what a provider sends may be what it was sent.
type replyError struct{ reason string }

func (e *replyError) Error() string { return e.reason }

// remote is the transport of one flow. It obeys the flow's context where libraries do
// not (go-oidc fetches keys in a goroutine without one), reads every answer whole and
// bounded, and follows no redirect: RFC 6749 has none at these addresses, and a POST
// that is sent on takes the code and the client secret with it.
type remote struct {
	ctx  context.Context
	base http.RoundTripper

	mu sync.Mutex
	// last is the error of the last answer, for libraries that keep only its text.
	last error
}

func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, patience, &replyError{fmt.Sprintf("gives no answer within %s", patience)})
	defer cancel()
	resp, err := r.whole(req.WithContext(ctx))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", hostile.Quote(req.URL.Host), err)
	}
	r.mu.Lock()
	r.last = err
	r.mu.Unlock()
	return resp, err
}

// failure says why the last request failed; nil when it was answered.
func (r *remote) failure() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// whole gives a response whose body is in memory.
func (r *remote) whole(req *http.Request) (*http.Response, error) {
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, reason(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, &replyError{fmt.Sprintf("answers with a redirect (HTTP status %d), which is not followed", resp.StatusCode)}
	case req.Method == http.MethodGet && resp.StatusCode != http.StatusOK: // a POST has more to say
		return nil, &replyError{fmt.Sprintf("answers with HTTP status %d", resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case len(body) > maxReply:
		return nil, &replyError{fmt.Sprintf("answers with more than %d bytes", maxReply)}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// reason says what went wrong in our own words. Texts of package net/http quote what a
// server sent, those of x509 what is in its certificate.
func reason(err error) error {
	text := "does not answer as an HTTP server does"
	switch {
	case is[x509.UnknownAuthorityError](err):
		text = "has a certificate of an unknown authority"
	case is[x509.HostnameError](err):
		text = "has a certificate for another host"
	case is[*tls.CertificateVerificationError](err):
		text = "has a certificate that is not valid"
	case is[tls.AlertError](err), is[tls.RecordHeaderError](err), errors.Is(err, http.ErrSchemeMismatch):
		text = "does not speak TLS as it should"
	case is[*net.DNSError](err):
		text = "is not a host name that can be resolved"
	case is[syscall.Errno](err):
		errno, _ := errors.AsType[syscall.Errno](err)
		text = "cannot be reached: " + errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "ends the connection before its answer is whole"
	}
	return &replyError{text}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
