// Package adapters declares what holds the state that provisioning makes: a store
// of record, and the places where single kinds of values may live instead of it.
//
//	Values    keys and values of one kind (config, secrets, …), by installation
//	Store     the system of record: values of every kind, installations, the
//	          journal, the audit log, locks; one Commit is one transaction
//	Executor  carries out operations on other systems: webhooks, subscriptions,
//	          consent flows
//
// Implementations are in the folders below; storetest is the suite that each of
// them runs. Adapters are trusted: they are reached only by the supervisor's
// process, never by a guest.
package adapters
