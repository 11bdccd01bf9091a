package sqlstore_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters/storetest"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
)

func TestMain(m *testing.M) {
	if arguments := os.Getenv(victim); arguments != "" {
		if err := beVictim(arguments); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

var crash = flag.Bool("crash", false, "run what takes long on PostgreSQL too, such as a writer that is killed at every operation (make crash)")

func TestSQLite(t *testing.T) {
	all(t, onSQLite)
	exhaustive(t, onSQLite)
}

// TestPostgres keeps each store in a schema of one database, which takes less time
// than a database each.
func TestPostgres(t *testing.T) {
	empty := onPostgres(pgtest.Open(t))
	if *crash {
		all(t, empty)
		exhaustive(t, empty)
		return
	}
	all(t, empty, storetest.Essential())
}

// all runs every test of this package but the exhaustive ones; empty gives an engine with
// nothing in it.
func all(t *testing.T, empty func(*testing.T) engine, options ...storetest.Option) {
	t.Run("conformance", func(t *testing.T) {
		storetest.Store(t, func(t *testing.T) storetest.Place { return place(empty(t)) }, options...)
	})
	run(t, empty, tests)
}

func exhaustive(t *testing.T, empty func(*testing.T) engine) {
	run(t, empty, []test{
		{"beyond the limits", beyondTheLimits},
		{"at the limits", atTheLimits},
		{"killed anywhere", killedAnywhere},
	})
}

type test struct {
	name string
	run  func(*testing.T, engine)
}

var tests = []test{
	{"a migration goes forward", migrationForward},
	{"a damaged version is refused", damagedVersion},
	{"many open a new store at once", manyOpenANewStoreAtOnce},
	{"looking makes nothing", lookingMakesNothing},
	{"a store that is read writes nothing", readOnlyWritesNothing},
	{"an older store is read after an apply", olderStoreIsNotRead},
	{"no identity is made for a store without secrets", noIdentityIsMadeForAStoreWithoutSecrets},
	{"the first recipient wins", firstRecipientWins},
	{"another recipient is recorded", anotherRecipient},
	{"secrets are not in clear", secretsAreNotInClear},
	{"a missing identity", missingIdentity},
	{"a sealed value opens in its place only", sealedValuesOpenInTheirPlaceOnly},
	{"errors of the sealer", sealersErrors},
	{"what is no key is refused", noKeys},
}

func run(t *testing.T, empty func(*testing.T) engine, tests []test) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, empty(t))
		})
	}
}
