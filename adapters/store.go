package adapters

import (
	"context"
	"encoding/json"
	"time"
)

// Store is the system of record. Implementations are safe for concurrent use by many
// processes.
type Store interface {
	// Values gives the store's own values of a kind.
	Values(kind Kind) Values
	// Lock makes the caller the one writer of an installation (ns in any area) and
	// waits for it until ctx ends; then the error is a *LockedError. holder says for
	// people who holds it: user, host, process.
	Lock(ctx context.Context, ns Namespace, holder string) (Lock, error)
	// Install gives the record of an installation; nil when there is none.
	Install(ctx context.Context, ns Namespace) (*Install, error)
	// Installs gives the records of a scope, sorted by namespace, removed ones too.
	Installs(ctx context.Context, scope Scope) ([]Install, error)
	// Journal gives the entries of a scope, oldest first: all, or those that are open.
	Journal(ctx context.Context, scope Scope, open bool) ([]JournalEntry, error)
	// Audit gives the log of a scope in its order.
	Audit(ctx context.Context, scope Scope) ([]AuditEntry, error)
	// Commit writes everything in one transaction that is durable when it returns nil.
	// The error is a *FencedError when lock is not the newest of its installation; then,
	// and with any other error, nothing was written, unless the connection was lost in
	// the moment of the commit: the journal then tells.
	Commit(ctx context.Context, lock Lock, w Write) error
	// Check looks for damage: of the file or database itself, of sealed values, of the
	// chains of the audit log, of records that do not fit together. It changes nothing.
	Check(ctx context.Context) (Report, error)
	// Backup writes a copy to a new file, consistent while others write.
	Backup(ctx context.Context, path string) error
	Close() error
}

// Lock is a held lock. It ends with Unlock or with its process.
type Lock interface {
	Namespace() Namespace
	// Token is the fencing token: greater than that of every earlier lock of the
	// installation.
	Token() uint64
	Unlock() error
}

// Write is one transaction. Nil parts are left alone.
type Write struct {
	Values  []Part
	Install *Install
	Journal *JournalEntry // put under its ID
	// Audit is appended to the scope's log. The store gives Seq, Prev and Hash.
	Audit []AuditEntry
}

// Part is a batch for one kind and area of the lock's installation.
type Part struct {
	Kind  Kind
	Area  Area
	Batch Batch
}

// Status is how an installation stands.
type Status string

// The statuses.
const (
	Installed Status = "installed"
	Removed   Status = "removed"
)

// Install is the record of one installation. It holds no secret.
type Install struct {
	Namespace Namespace `json:"-"` // encoded as its text, by the store
	Status    Status    `json:"status"`
	// Revision counts the commits that changed what a run can see, from 1: how far an
	// operation is does not count.
	Revision    uint64          `json:"revision"`
	Pack        PackRef         `json:"pack"`
	PlanDigest  string          `json:"plan_digest"`
	StateDigest string          `json:"state_digest"` // of what the plan was made against
	Plan        json.RawMessage `json:"plan"`         // scrubbed
	// Touched has every key that the installation ever changed, in the order of the
	// first time: what removing undoes, from the end.
	Touched []Touched `json:"touched"`
	// PublicBaseURL is what the last run was given, or "". A later one that is given
	// none has the same.
	PublicBaseURL string `json:"public_base_url,omitempty"`
	// Elsewhere names the adapters of the kinds that live outside of the Store: whoever
	// works on the installation needs the same ones.
	Elsewhere map[Kind]string `json:"elsewhere,omitempty"`
	CreatedAt time.Time       `json:"created_at"` // UTC
	UpdatedAt time.Time       `json:"updated_at"`
	By        string          `json:"by"` // who did the last commit
}

// PackRef names a pack.
type PackRef struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
	// Unverified says that the pack ran although its bytes are not what it says of them.
	Unverified bool `json:"unverified,omitempty"`
}

// Touched is a key that an installation changed. Existed says that it had a value
// before, which is kept in the area Before.
type Touched struct {
	Kind    Kind   `json:"kind"`
	Key     string `json:"key"`
	Existed bool   `json:"existed"`
}

// JournalStatus is how far a commit is.
type JournalStatus string

// The statuses of a commit. Intent and Committed are open: after a crash in the one
// the commit is undone, in the other it is finished.
const (
	Intent     JournalStatus = "intent"
	Committed  JournalStatus = "committed" // the transaction of the Store is done, values elsewhere may not be
	Finished   JournalStatus = "finished"
	RolledBack JournalStatus = "rolled_back"
)

// Open says that a commit in this status was neither finished nor undone.
func (s JournalStatus) Open() bool { return s == Intent || s == Committed }

// JournalEntry is one commit. It holds no value.
type JournalEntry struct {
	ID          string        `json:"id"` // 32 hexadecimal digits
	Namespace   Namespace     `json:"-"`
	Status      JournalStatus `json:"status"`
	Origin      Origin        `json:"origin"`
	Revision    uint64        `json:"revision"` // that the commit makes
	Token       uint64        `json:"token"`
	PlanDigest  string        `json:"plan_digest"`
	StateDigest string        `json:"state_digest"`
	// Elsewhere are the changes to kinds that live outside of the Store, by kind.
	Elsewhere map[Kind]Staging `json:"elsewhere"`
	By        string           `json:"by"`
	CreatedAt time.Time        `json:"created_at"`
	UpdatedAt time.Time        `json:"updated_at"`
}

// Staging lists by key what a commit does to one kind outside of the Store.
type Staging struct {
	Adapter string   `json:"adapter"` // the only one that can finish or undo it
	Set     []string `json:"set"`     // their values are in the area Staged(ID)
	Delete  []string `json:"delete"`  // sorted, as Set
	// Keep are keys whose values of before go to the area Before; they are in Kept(ID).
	Keep []string `json:"keep"`
	// Forget are keys of the area Before that are not needed after the commit.
	Forget []string `json:"forget"`
}

// AuditEntry is one line of the audit log. The log of a scope is a chain: Hash is
// "sha256:" and the hexadecimal sha256 of the entry's canonical JSON with an empty Hash, and
// Prev the Hash of the entry before it, "" for the first.
type AuditEntry struct {
	Seq         uint64          `json:"seq"` // from 1, in its scope
	Time        time.Time       `json:"time"`
	Scope       Scope           `json:"scope"`
	Namespace   string          `json:"namespace"`
	By          string          `json:"by"`   // user, host, process
	What        string          `json:"what"` // "setup", "update", "remove", "recover", "denied", "failed", "operation"
	Revision    uint64          `json:"revision"`
	JournalID   string          `json:"journal_id"`
	Pack        PackRef         `json:"pack"`
	PlanDigest  string          `json:"plan_digest"`
	StateDigest string          `json:"state_digest"`
	Walls       json.RawMessage `json:"walls"`  // the receipt of the walls; null where nothing ran
	Detail      json.RawMessage `json:"detail"` // an object; secrets by key only
	Prev        string          `json:"prev"`
	Hash        string          `json:"hash"`
}

// Report is what Check found. It is sound when Problems is empty.
type Report struct {
	Problems []Problem       `json:"problems"`
	Installs int             `json:"installs"`
	Values   int             `json:"values"`
	Audit    int             `json:"audit_entries"`
	Open     int             `json:"open_commits"`
	Heads    map[Scope]Chain `json:"heads"` // to be kept elsewhere: an end that was cut off shows by them
}

// Chain is the end of an audit log.
type Chain struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// Problem is one kind of damage in one place.
type Problem struct {
	Where string `json:"where"`
	What  string `json:"what"`
}
