package adapters

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// OperationKind is what an operation is about.
type OperationKind string

// The kinds of operations.
const (
	Webhook      OperationKind = "webhook"
	Subscription OperationKind = "subscription"
	OAuth        OperationKind = "oauth"
	SecretValue  OperationKind = "secret" // a secret that the pack announced and nobody gave a value for; no Executor does it
)

// OperationStatus is how far an operation is.
type OperationStatus string

// The statuses. What is done stays recorded, so that removing can undo it.
const (
	Pending OperationStatus = "pending"
	Done    OperationStatus = "done"
	Failed  OperationStatus = "failed" // tried and not done; to be tried again
)

// Operation is something to be done on another system. It is recorded first and done
// afterwards.
type Operation struct {
	// ID is the idempotency key: made when the operation is recorded, and the same
	// however often it is tried. An Executor that is given it twice does it once.
	ID   string        `json:"id"`
	Kind OperationKind `json:"kind"`
	// Verb is what to do in the pack's words: register, create, update, sync, delete,
	// start, …
	Verb string `json:"verb"`
	// Target is the webhook's or subscription's id, the OAuth provider, the secret's
	// key.
	Target      string                     `json:"target"`
	URL         string                     `json:"url,omitempty"` // of a webhook; the redirect URL of OAuth
	Scopes      []string                   `json:"scopes,omitempty"`
	Metadata    map[string]json.RawMessage `json:"metadata,omitempty"`
	Order       uint64                     `json:"order"` // of recording, in the installation: they are done in it
	Status      OperationStatus            `json:"status"`
	Attempts    int                        `json:"attempts"`
	Detail      string                     `json:"detail,omitempty"`       // what the last attempt said
	AttemptedAt *time.Time                 `json:"attempted_at,omitempty"` // of the last attempt
}

// Outcome is what carrying out an operation gave.
type Outcome struct {
	Detail string // for people, without secrets
	// Secrets are to be stored with the installation, by key.
	Secrets map[string][]byte
}

// Readier is an Executor that can tell beforehand that an operation has to wait. The
// error wraps ErrPending and says what for; then nothing is tried, and nothing recorded.
type Readier interface {
	Ready(op Operation) error
}

// ErrPending is wrapped by an Executor's error when the operation has not failed but
// needs something that is not there now: a person, a terminal.
var ErrPending = errors.New("pending")

// Executor carries out operations of one kind. The error of one that was not carried
// out says why, without secrets.
type Executor interface {
	Execute(ctx context.Context, ns Namespace, op Operation) (Outcome, error)
}
