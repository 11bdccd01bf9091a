package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/guests"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/render"
)

// crashOf runs a guest as a pack with --artifacts, and gives the capsule's path.
func crashOf(t *testing.T, name string, flags ...string) string {
	t.Helper()
	all, err := guests.All()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(g guests.Guest) bool { return g.Name == name })
	if i < 0 {
		t.Fatalf("no guest %q", name)
	}
	archive, err := guests.Pack(all[i])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pack := filepath.Join(dir, "guest.gtpack")
	if err := os.WriteFile(pack, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	artifacts := filepath.Join(dir, "made", "artifacts")
	args := append([]string{"dry-run", "setup", "--pack", pack, "--worker", workertest.Path, "--no-cache", "--artifacts", artifacts}, flags...)
	var stdout, stderr strings.Builder
	if code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); code != 5 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	made, err := filepath.Glob(filepath.Join(artifacts, "*"))
	if err != nil || len(made) != 1 || !strings.Contains(stderr.String(), made[0]) {
		t.Fatalf("artifacts %q, %v\n%s", made, err, stderr.String())
	}
	if st, err := os.Stat(made[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	return made[0]
}

func replay(t *testing.T, path string, flags ...string) (render.Replay, int) {
	t.Helper()
	var stdout, stderr strings.Builder
	code := run(t.Context(), append([]string{"replay", path, "--worker", workertest.Path, "--json"}, flags...), strings.NewReader(""), &stdout, &stderr)
	var r render.Replay
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
		t.Fatalf("exit code %d: %v\n%s%s", code, err, stdout.String(), stderr.String())
	}
	return r, code
}

// The loss of a worker is kept, and made to happen again, with the same verdict and the
// same facts.
func TestCrashesAreKeptAndReplayed(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	for _, tt := range []struct {
		guest string
		flags []string
		phase string
	}{
		{"lifting-bomb", nil, "step"},
		{"lifting-bomb", []string{"--codegen", "interpreter"}, "step"},
		{"flags-beyond-last-label", nil, "step"},
		{"compile-slow", []string{"--compile-timeout", "300ms"}, "compile"},
	} {
		t.Run(strings.Join(append([]string{tt.guest}, tt.flags...), " "), func(t *testing.T) {
			t.Parallel()
			path := crashOf(t, tt.guest, tt.flags...)
			r, code := replay(t, path)
			if code != 0 || !r.Same || r.Phase != tt.phase || !slices.Equal(r.Then.Facts, r.Now.Facts) || len(r.Now.Facts) == 0 || r.Then.Signal != r.Now.Signal {
				t.Errorf("exit code %d: %+v", code, r)
			}
		})
	}
}

// With more room the bomb goes off elsewhere or not at all: that is another verdict, and
// the exit code says so.
func TestAReplayThatEndsOtherwise(t *testing.T) {
	path := crashOf(t, "lifting-bomb")
	rewrite(t, path, func(doc map[string]any) { doc["verdict"] = "worker_crash" })
	if r, code := replay(t, path); code != 4 || r.Same || r.Then.Verdict != "worker_crash" {
		t.Errorf("exit code %d: %+v", code, r)
	}
}

// rewrite changes capsule.json in a capsule.
func rewrite(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range r.File {
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == "capsule.json" {
			var doc map[string]any
			if err := json.Unmarshal(data, &doc); err != nil {
				t.Fatal(err)
			}
			change(doc)
			if data, err = json.Marshal(doc); err != nil {
				t.Fatal(err)
			}
		}
		to, err := w.Create(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is secret in a run is nowhere in its capsule, and a replay says that its guest is
// told something else.
func TestACapsuleHoldsNoSecret(t *testing.T) {
	for _, canary := range []string{"canary-4f1c9", "§q7"} { // a short one, too
		t.Run(canary, func(t *testing.T) { holdsNoSecret(t, canary) })
	}
}

func holdsNoSecret(t *testing.T, canary string) {
	answers := filepath.Join(t.TempDir(), "answers.json")
	if err := os.WriteFile(answers, []byte(`{"api_token":"`+canary+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	path := crashOf(t, "lifting-bomb", "--answers", answers)
	whole := ""
	rewrite(t, path, func(doc map[string]any) {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		whole = string(b)
	})
	if strings.Contains(whole, canary) || !strings.Contains(whole, "api_token") {
		t.Errorf("the capsule holds %s", whole)
	}
	if r, code := replay(t, path); code != 0 || !r.Scrubbed {
		t.Errorf("exit code %d: %+v", code, r)
	}
}

func TestCapsulesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		text:                         "is no capsule",
		filepath.Join(dir, "absent"): "no such file",
		dir:                          "directory",
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), []string{"replay", path, "--worker", workertest.Path}, strings.NewReader(""), &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %s", path, code, stderr.String())
		}
	}
}

// Where capsules cannot go is said before anything is run.
func TestArtifactsThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	packDir := filepath.Join("..", "..", "testdata", "packs", "noop-provision")
	for path, want := range map[string]string{
		file:                                 "not a directory",
		filepath.Join(file, "below"):         "not a directory",
		filepath.Join(packDir, "components"): "in the directory of --pack",
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), []string{"dry-run", "setup", "--pack", packDir, "--worker", workertest.Path, "--artifacts", path}, strings.NewReader(""), &stdout, &stderr)
		if code != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %s", path, code, stderr.String())
		}
	}
}

// A file may come from anybody: it takes no wall down, and no limit beyond the default.
func TestACapsuleAsksForNothing(t *testing.T) {
	path := crashOf(t, "lifting-bomb")
	rewrite(t, path, func(doc map[string]any) { doc["receipt"].(map[string]any)["isolation"] = "none" })
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"replay", path, "--worker", workertest.Path}, strings.NewReader(""), &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), "cannot ask for") {
		t.Errorf("isolation none: exit code %d, %s", code, stderr.String())
	}
	rewrite(t, path, func(doc map[string]any) {
		doc["receipt"].(map[string]any)["isolation"] = "standard"
		limits := doc["limits"].(map[string]any)
		limits["guest_memory"], limits["worker_data"] = 4<<30, 16<<30
		limits["step_time_ns"] = 3600e9
	})
	r, code := replay(t, path)
	if code != 0 || !r.Same {
		t.Errorf("exit code %d: %+v", code, r)
	}
	for _, wall := range r.Walls.Walls {
		if wall.Name == "rlimits" && !strings.HasPrefix(wall.Detail, "data=201326592 ") {
			t.Errorf("the worker had %s", wall.Detail)
		}
	}
}
