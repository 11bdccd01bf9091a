package adapters

import (
	"fmt"
	"time"
)

// Error says which adapter could not do what. Its text is one line and holds no
// secret.
type Error struct {
	Adapter string // "sqlite", "postgres", "plugin NAME", …
	Op      string // what was to be done: "load secrets"
	Hint    string // what to do about it, or ""
	Err     error
}

func (e *Error) Error() string {
	s := e.Adapter + ": " + e.Op + ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ConfigError says that an adapter cannot be opened as it was asked for: a wrong URL,
// a missing or wrong identity, a schema of a newer version. Nothing was changed.
type ConfigError struct {
	Adapter string
	Reason  string
	Hint    string
}

func (e *ConfigError) Error() string {
	s := e.Adapter + ": " + e.Reason
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// LockedError says who holds the lock that was waited for in vain.
type LockedError struct {
	Namespace Namespace
	Holder    string    // as given to Lock; "" when not known
	Since     time.Time // zero when not known
}

func (e *LockedError) Error() string {
	who := e.Holder
	if who == "" {
		who = "somebody"
	}
	s := fmt.Sprintf("%s is being written by %s", e.Namespace, who)
	if !e.Since.IsZero() {
		s += " since " + e.Since.UTC().Format(time.RFC3339)
	}
	return s
}

// FencedError says that a writer's lock was taken over: another one came after it.
type FencedError struct {
	Namespace Namespace
	Token     uint64
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("%s: the lock with token %d is not held any more; nothing was written", e.Namespace, e.Token)
}
