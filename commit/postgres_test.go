package commit_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/postgres"
	"github.com/greentic-ai/greentic-provision/adapters/seal"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
)

// openPostgres opens the store at url, with the identity in dir.
func openPostgres(ctx context.Context, dir, url string, fault func(string) error) (adapters.Store, error) {
	keys := seal.New(seal.Config{Source: seal.Source{Kind: seal.File, Path: filepath.Join(dir, "keys", "identity.txt")}, Create: true})
	return postgres.Open(ctx, url, sqlstore.Options{Sealer: keys, Fault: fault})
}

func postgresURL(t *testing.T) string {
	t.Helper()
	return pgtest.Open(t)
}
