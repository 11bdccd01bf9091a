package greentic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

func TestMain(m *testing.M) {
	// What the person who runs the tests has set is not what they are about.
	for _, name := range []string{"GREENTIC_ENV", masterKeyName, storePathName} {
		os.Unsetenv(name)
	}
	leakcheck.Main(m)
}

func openSecrets(t *testing.T, path string) adapters.Values {
	t.Helper()
	v, err := Secrets(path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func openConfig(t *testing.T, bundle string) adapters.Values {
	t.Helper()
	v, err := Config(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// placeName says to the suite where a namespace is.
func placeName(ns adapters.Namespace) (string, bool) {
	p, err := placeOf(ns, defaultEnv)
	return p.String(), err == nil
}

func TestSecretsConform(t *testing.T) {
	storetest.Values(t, func(t *testing.T) adapters.Values { return openSecrets(t, t.TempDir()) },
		storetest.Kind(adapters.Secrets), storetest.SecretNames(), storetest.Namespaces(placeName), storetest.WholeBatches(),
		storetest.Limits(adapters.MaxKey, largest))
}

// What Greentic does not read is kept for every namespace.
func TestConfigThatIsOnlyHereConforms(t *testing.T) {
	storetest.Values(t, func(t *testing.T) adapters.Values { return openConfig(t, t.TempDir()) },
		storetest.Kind(adapters.Config), storetest.JSON(), storetest.WholeBatches(),
		storetest.Namespaces(func(ns adapters.Namespace) (string, bool) {
			name, ok := placeName(ns)
			return name, ok && ns.Install == storetest.Somewhere.Install
		}))
}

// What Greentic reads is one configuration of a provider per bundle.
func TestConfigThatGreenticReadsConforms(t *testing.T) {
	storetest.Values(t, func(t *testing.T) adapters.Values { return &bundles{t: t, root: t.TempDir()} },
		storetest.Kind(adapters.Config), storetest.JSON(), storetest.WholeBatches(), storetest.Namespaces(placeName),
		storetest.Limits(adapters.MaxKey, largest))
}

// bundles has a bundle for each tenant, and the suite's installation for the one that
// Greentic knows.
type bundles struct {
	t    *testing.T
	root string
}

func (b *bundles) of(ns adapters.Namespace) (adapters.Values, adapters.Namespace, error) {
	switch ns.Install {
	case storetest.Somewhere.Install:
		ns.Install = ""
	case "":
		ns.Install = storetest.Somewhere.Install
	}
	p, err := placeOf(ns, defaultEnv)
	if err != nil {
		return nil, ns, err
	}
	sum := sha256.Sum256([]byte(p.env + "/" + p.tenant + "/" + p.team))
	dir := filepath.Join(b.root, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, ns, err
	}
	v, err := Config(dir)
	return v, ns, err
}

func (b *bundles) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	v, ns, err := b.of(ns)
	if err != nil {
		return nil, err
	}
	return v.Keys(ctx, ns)
}

func (b *bundles) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	v, ns, err := b.of(ns)
	if err != nil {
		return nil, err
	}
	return v.Load(ctx, ns)
}

func (b *bundles) Apply(ctx context.Context, ns adapters.Namespace, batch adapters.Batch) error {
	v, ns, err := b.of(ns)
	if err != nil {
		return err
	}
	return v.Apply(ctx, ns, batch)
}
