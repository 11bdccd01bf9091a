package sqlstore_test

import (
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

func TestSQLite(t *testing.T) { all(t, onSQLite) }

// TestPostgres keeps each store in a schema of one database, which takes less time
// than a database each.
func TestPostgres(t *testing.T) { all(t, onPostgres(pgtest.Open(t))) }

// all runs every test of this package; empty gives an engine with nothing in it.
func all(t *testing.T, empty func(*testing.T) engine) {
	t.Run("conformance", func(t *testing.T) {
		storetest.Store(t, func(t *testing.T) storetest.Place { return place(empty(t)) })
	})
	for _, test := range []struct {
		name string
		run  func(*testing.T, engine)
	}{
		{"a migration goes forward", migrationForward},
		{"a damaged version is refused", damagedVersion},
		{"many open a new store at once", manyOpenANewStoreAtOnce},
		{"no identity is made for a store without secrets", noIdentityIsMadeForAStoreWithoutSecrets},
		{"the first recipient wins", firstRecipientWins},
		{"another recipient is recorded", anotherRecipient},
		{"secrets are not in clear", secretsAreNotInClear},
		{"a missing identity", missingIdentity},
		{"a sealed value opens in its place only", sealedValuesOpenInTheirPlaceOnly},
		{"errors of the sealer", sealersErrors},
		{"beyond the limits", beyondTheLimits},
		{"at the limits", atTheLimits},
		{"killed anywhere", killedAnywhere},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, empty(t))
		})
	}
}
