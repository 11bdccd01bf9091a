// Package commit makes durable what a run wants done, all of it or nothing, and undoes
// it again.
//
//	engine.Outcome ─► Set ─► review (differences) ─► Commit ─► state
//	       Current ─┘                                  │
//	                                                   ├─ journal: intent      durable before the first effect
//	                                                   ├─ elsewhere: stage     values beside those in force, read back
//	                                                   ├─ record: one transaction: values, installation, audit, journal: committed
//	                                                   ├─ elsewhere: promote   what was staged is in force
//	                                                   └─ journal: finished
//
// The record (adapters.Store) holds every kind of values unless an adapter holds it
// elsewhere. Where nothing is elsewhere, a commit is the intent and one transaction.
// After a crash, Recover undoes what was not committed and finishes what was; both can
// be repeated, since every change says what is to be and not what to do. One writer at a
// time holds an installation's lock from before the state is read until the commit is
// finished.
//
// Secrets go to the secrets' adapter and nowhere else. Configuration in which a secret
// of the run is found is kept sealed as if it were one; a key or name that holds one is
// refused.
package commit
