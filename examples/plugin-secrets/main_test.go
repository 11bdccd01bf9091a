package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/plugin"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

// program is the name by which the test binary is the plug-in.
const program = "plugin-secrets"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == program {
		main()
		return
	}
	leakcheck.Main(m)
}

// checksum is that of the test binary.
var checksum = sync.OnceValues(func() (string, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer self.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, self)
	return hex.EncodeToString(hash.Sum(nil)), err
})

// place is where the plug-in keeps what it is given.
type place struct{ dir, identity string }

func newPlace(t *testing.T) place {
	p := place{filepath.Join(t.TempDir(), "secrets"), filepath.Join(t.TempDir(), "identity")}
	p.newIdentity(t)
	return p
}

func (p place) newIdentity(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.identity, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

var environment sync.Mutex

// open starts the plug-in; it ends with the test.
func (p place) open(t *testing.T) adapters.Values {
	t.Helper()
	sum, err := checksum()
	if err != nil {
		t.Skip("the test binary cannot be read by itself: ", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), program)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	environment.Lock()
	defer environment.Unlock()
	os.Setenv("GREENTIC_ADAPTER_DIR", p.dir)
	os.Setenv("GREENTIC_ADAPTER_IDENTITY_FILE", p.identity)
	client, err := plugin.Open(t.Context(), plugin.Config{Path: path, SHA256: sum, Kind: "secrets"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client.Values()
}

func TestConformance(t *testing.T) {
	storetest.Values(t, func(t *testing.T) adapters.Values { return newPlace(t).open(t) },
		storetest.Kind(adapters.Secrets), storetest.WholeBatches())
}

const canary = "canary-7d3e1f"

func set(key string) adapters.Batch {
	return adapters.Batch{Changes: []adapters.Change{{Key: key, Value: adapters.Value{Bytes: []byte(canary)}}}}
}

func TestFilesAreSealedAndPrivate(t *testing.T) {
	p := newPlace(t)
	if err := p.open(t).Apply(t.Context(), storetest.Somewhere, set("token")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			if info.Mode().Perm() != 0o700 {
				t.Errorf("the folder has mode %v", info.Mode())
			}
			return nil
		}
		files++
		b, err := os.ReadFile(path)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", d.Name(), info.Mode())
		}
		for _, what := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), "token", storetest.Somewhere.Tenant} {
			if bytes.Contains(b, []byte(what)) || strings.Contains(d.Name(), what) {
				t.Errorf("%s shows %q", d.Name(), what)
			}
		}
		return err
	})
	if err != nil || files != 1 {
		t.Errorf("%d files, want 1; %v", files, err)
	}
}

func TestNothingIsLeftWhenAllKeysAreDeleted(t *testing.T) {
	p := newPlace(t)
	v := p.open(t)
	if err := v.Apply(t.Context(), storetest.Somewhere, set("token")); err != nil {
		t.Fatal(err)
	}
	if err := v.Apply(t.Context(), storetest.Somewhere, adapters.Batch{Changes: []adapters.Change{{Key: "token", Delete: true}}}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(p.dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestAnotherProcessReadsWhatOneWrote(t *testing.T) {
	p := newPlace(t)
	if err := p.open(t).Apply(t.Context(), storetest.Somewhere, set("token")); err != nil {
		t.Fatal(err)
	}
	got, err := p.open(t).Load(t.Context(), storetest.Somewhere)
	if err != nil || string(got["token"].Bytes) != canary {
		t.Errorf("Load = %d values, %v", len(got), err)
	}
}

// TestWritersInSeveralProcesses: no change of one is lost to another.
func TestWritersInSeveralProcesses(t *testing.T) {
	p := newPlace(t)
	var writers sync.WaitGroup
	for _, key := range []string{"a", "b", "c"} {
		v := p.open(t)
		writers.Go(func() {
			for _, n := range []string{"1", "2", "3", "4"} {
				if err := v.Apply(t.Context(), storetest.Somewhere, set(key+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if keys, err := p.open(t).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 12 {
		t.Errorf("%q, %v; want 12 keys", keys, err)
	}
}

func TestRefusals(t *testing.T) {
	other := storetest.Somewhere
	other.Tenant = "other"
	for _, test := range []struct {
		name string
		do   func(*testing.T, place, *store)
		want string
	}{
		{"another identity", func(t *testing.T, p place, _ *store) { p.newIdentity(t) }, "identity did not match any of the recipients"},
		{"no identity", func(t *testing.T, p place, _ *store) { os.Remove(p.identity) }, "GREENTIC_ADAPTER_IDENTITY_FILE: open "},
		{"an identity of no kind", func(t *testing.T, p place, _ *store) { os.WriteFile(p.identity, []byte("key"), 0o600) }, "does not hold one X25519 identity"},
		{"a damaged file", func(t *testing.T, p place, s *store) {
			b, err := os.ReadFile(s.path(storetest.Somewhere))
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-1] ^= 1
			if err := os.WriteFile(s.path(storetest.Somewhere), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "failed to decrypt"},
		{"another tenant's file", func(t *testing.T, p place, s *store) {
			if err := os.Rename(s.path(other), s.path(storetest.Somewhere)); err != nil {
				t.Fatal(err)
			}
		}, "is not the file of provision:dev:acme:core:telegram:main"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			v := p.open(t)
			for _, ns := range []adapters.Namespace{storetest.Somewhere, other} {
				if err := v.Apply(t.Context(), ns, set("token")); err != nil {
					t.Fatal(err)
				}
			}
			test.do(t, p, &store{kind: "secrets", dir: p.dir})
			_, err := v.Load(t.Context(), storetest.Somewhere)
			if _, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load: %v, want %q", err, test.want)
			}
			if err := v.Apply(t.Context(), storetest.Somewhere, set("new")); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Apply: %v, want %q", err, test.want)
			}
		})
	}
}

func TestWithoutAFolderItSaysWhatToSet(t *testing.T) {
	p := newPlace(t)
	p.dir = ""
	v := p.open(t)
	_, loading := v.Load(t.Context(), storetest.Somewhere)
	for _, err := range []error{loading, v.Apply(t.Context(), storetest.Somewhere, set("token"))} {
		if err == nil || !strings.Contains(err.Error(), "set GREENTIC_ADAPTER_DIR") {
			t.Error(err)
		}
	}
}
