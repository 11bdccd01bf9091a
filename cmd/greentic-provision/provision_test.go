package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
)

// The code of a pack is told what its grants and keys allow, whether what exists comes
// from a store or from a file; the host knows all of it.
func TestPackIsToldWhatItMayKnow(t *testing.T) {
	r := packRun{
		dryRun: dryRun{grants: []string{"config", "secrets"}, keys: []string{"region", "BOT_TOKEN"}},
		state: capability.State{
			Config:  map[string]json.RawMessage{"region": []byte(`"eu"`), "other": []byte("1")},
			Secrets: map[string]string{"bot-token": "s3cr-bot", "OTHER": "s3cr-other"},
		},
	}
	const guest = `{"config":{"region":"eu"},"secrets":{"bot-token":{"redacted":true,"value":null}},"subscriptions":[]}`
	told := r.told()
	if got := string(told.ForGuest()); got != guest {
		t.Errorf("told %s", got)
	}
	if got := slices.Collect(maps.Keys(told.Secrets)); !slices.Equal(got, []string{"bot-token"}) || len(r.state.Secrets) != 2 {
		t.Errorf("told the secrets %q of %d", got, len(r.state.Secrets))
	}

	r.dryRun.state = filepath.Join(t.TempDir(), "state.json")
	const file = `{"config":{"region":"eu","other":1},"secrets":{"bot-token":"s3cr-bot","OTHER":"s3cr-other"},"subscriptions":[{"id":"region"}]}`
	if err := os.WriteFile(r.dryRun.state, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	r.limits = limits.Default()
	in, state, err := (&app{}).inputs(t.Context(), r.dryRun, &pack.Blueprint{})
	if err != nil || string(in.ExistingState) != guest || len(state.Secrets) != 2 {
		t.Errorf("told %s of %d secrets, %v", in.ExistingState, len(state.Secrets), err)
	}
}
