package adapters

import "context"

// Kind is a kind of values.
type Kind string

// The kinds. Keys are UTF-8 of at most 512 bytes without control characters; how
// values look is in the comment.
const (
	Config        Kind = "config"        // canonical JSON, by config key
	Secrets       Kind = "secrets"       // any bytes, by canonical secret key
	Subscriptions Kind = "subscriptions" // the metadata, a canonical JSON object, by subscription id
	State         Kind = "state"         // any bytes, by key of the state store; always Secret
	Operations    Kind = "operations"    // an Operation as canonical JSON, by kind and target
	Hidden        Kind = "hidden"        // what a commit keeps for the next run; always Secret
)

// Kinds lists the kinds, in the order in which a commit writes them.
var Kinds = []Kind{Config, Secrets, Subscriptions, State, Operations, Hidden}

// What an implementation must take, and may refuse beyond.
const (
	MaxKey   = 512      // bytes of a key
	MaxValue = 1 << 20  // bytes of a value
	MaxKeys  = 10_000   // keys of one kind of an installation
	MaxTotal = 64 << 20 // bytes of all values of one kind of an installation
)

// Value is what a key holds. Secret says that its bytes must not lie in clear where
// anybody but its owner can read them: everything of Secrets, and whatever else a
// secret was found in. Where a kind is secret anyway, Load may give Secret as false
// or true.
type Value struct {
	Bytes  []byte
	Secret bool
}

// Change sets a key or, with Delete, takes it away. Deleting what is not there is no
// error.
type Change struct {
	Key    string
	Value  Value
	Delete bool
}

// Batch is a list of changes that belong together.
type Batch struct {
	// ID is the idempotency key: a batch that was applied and is applied once more
	// changes nothing, since its changes only say what is to be.
	ID string
	// Token is the fencing token of the lock under which the batch was made. It grows
	// with each lock of an installation; a smaller one is a writer that lost its lock.
	// An implementation that can remember the greatest may refuse smaller ones.
	Token uint64
	// Origin says where the changes come from, for implementations whose format has a
	// place for it.
	Origin Origin
	// Changes are in order; of several of one key, the last counts.
	Changes []Change
}

// Origin says what led to a change. Digests are "sha256:" and hexadecimal digits.
type Origin struct {
	Entry           string `json:"entry"` // "setup", "update", "remove"
	PackID          string `json:"pack_id"`
	PackVersion     string `json:"pack_version"`
	PackDigest      string `json:"pack_digest"`
	Unverified      bool   `json:"unverified,omitempty"`
	Component       string `json:"component,omitempty"` // path in the pack; "" where there is no single one
	ComponentDigest string `json:"component_digest,omitempty"`
}

// Values are the values of one kind, of all installations. Implementations are safe
// for concurrent use, obey ctx, and give errors that say what could not be done and
// hold no value.
type Values interface {
	// Keys gives the keys of an installation, sorted, without reading any value.
	Keys(ctx context.Context, ns Namespace) ([]string, error)
	// Load gives everything of an installation. An installation that nobody wrote is
	// empty, and no error.
	Load(ctx context.Context, ns Namespace) (map[string]Value, error)
	// Apply makes the changes of a batch. Each change happens whole or not at all; an
	// implementation that can makes the batch happen so. A batch that failed may be
	// applied again.
	Apply(ctx context.Context, ns Namespace, b Batch) error
}
