package sqlstore

import (
	"context"
	"database/sql"
)

// Dialect is what engines do differently. Queries of this package have the parameters
// ?1, ?2, …
type Dialect struct {
	Name string // of the adapter in errors
	// Rewrite gives a query with the engine's own parameters.
	Rewrite func(query string) string
	// These stand for {int}, {bytes} and {options} in the schema: types of columns, and
	// what follows a table's columns.
	Int, Bytes, TableOptions string
	// Protect gives the statements that let a transaction see only the rows of its
	// scope in a table; nil where the engine has no such thing.
	Protect func(table string) []string
	// Write, Read and Migrate begin transactions. Read's sees one state of everything.
	// Two of Migrate's exclude each other, even before there is a table.
	Write, Read, Migrate []string
	// SetScope tells the engine the scope ?1 of the transaction; "" where it has no use
	// for it.
	SetScope string
	// HasTable counts the tables with the name ?1.
	HasTable string
	// Damage gives what the engine itself finds wrong with the database; nil where it
	// has no such check.
	Damage func(ctx context.Context, c *sql.Conn) ([]string, error)
	// Unchanged fails when the database at its path is not the one any more that was
	// opened. It is called before each COMMIT and at the end of each read; nil where
	// that cannot happen.
	Unchanged func() error
	// Hint says what to do about an error of the engine, or "".
	Hint   func(err error) string
	Locker Locker
	// Backup writes a copy of the store, whose connections are in db, to a new file.
	Backup func(ctx context.Context, db *sql.DB, s *Store, path string) error
}

// Locker gives locks that end with the process that holds them. Names are texts of
// namespaces.
type Locker interface {
	// Try takes a lock; nil when somebody has it.
	Try(ctx context.Context, name string) (Held, error)
	// Session gives the Session of who has the lock; "" when nobody has or it cannot be
	// told.
	Session(ctx context.Context, name string) (string, error)
}

// Held is a lock that was taken.
type Held interface {
	// Session tells this holder from all others of the same lock.
	Session() string
	Release() error
}

// Sealer keeps values from being read where they lie.
type Sealer interface {
	// Recipient gives the public key that a new store is sealed to.
	Recipient(ctx context.Context) (string, error)
	// Seal closes a value. binding names its place.
	Seal(recipient, binding string, plain []byte) ([]byte, error)
	// Open gives what was sealed, and refuses another binding. The error is an
	// *adapters.ConfigError when the recipient's identity is missing or is another.
	Open(ctx context.Context, recipient, binding string, sealed []byte) ([]byte, error)
}
