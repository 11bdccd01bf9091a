// Package sqlstore is the adapters.Store over database/sql, written once for every
// engine. What engines do differently is their Dialect; adapters/sqlite and
// adapters/postgres have one each.
//
// Tables, the same in each engine (see schema):
//
//	provision_meta      name, value                         schema version; recipient of sealed values
//	provision_values    scope, namespace, kind, key, …      every value; namespace has the area in it
//	provision_installs  scope, namespace, record            adapters.Install as canonical JSON
//	provision_journal   scope, id, namespace, status, …     adapters.JournalEntry as canonical JSON
//	provision_audit     scope, seq, entry                   adapters.AuditEntry as canonical JSON
//	provision_chains    scope, seq, hash                    the last entry of each scope
//	provision_locks     scope, namespace, token, holder, …  the newest lock of each installation
//
// Values, records and journal entries have a sum, which tells when a disk has changed
// them; audit entries have their chain.
//
// Each Commit and each Apply is one transaction. The first statement (of an Apply with
// a token) is an update of
// the installation's row in provision_locks that changes nothing where the token is
// the newest: it holds the row until the transaction ends, so that a lock taken over
// in between waits for the transaction, or the transaction finds the newer token. In
// the same way the row in provision_chains puts the appenders of one scope in order.
// Keys are written in their order, so that no two transactions wait for each other.
//
// A Lock is two things: a lock of the engine's Locker, which ends with its process,
// and the row, which counts the tokens and says who took the newest. The row of a
// crashed holder stays, so it is only believed where it names the session that holds
// the engine's lock.
//
// A store opened with Options.ReadOnly is looked at and never made, migrated, locked or
// written; where there is none the error wraps ErrNoStore.
//
// Values of adapters.Secrets, adapters.State and adapters.Hidden, and those marked
// Secret, are stored sealed to the recipient in provision_meta, which the Sealer gave when the first of
// them was written. Each is bound to its namespace, kind and key, so that nobody who
// can write to the database can put one in another's place.
package sqlstore
