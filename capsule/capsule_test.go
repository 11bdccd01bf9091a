package capsule

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// sample is a capsule with something in every field.
func sample() *Capsule {
	code := []byte("(module)")
	sum := sha256.Sum256(code)
	walls := []limits.Wall{{Name: "mount", Raised: true, Observer: limits.ByKernel, Detail: "empty"}}
	return &Capsule{
		Format: Format, Program: "0.1.0", Kernel: "6.12 x86_64", Phase: "step",
		Verdict: limits.WorkerCrash, Observer: limits.ByKernel, Signal: "SIGSEGV", Detail: "died",
		Facts:      []limits.Fact{{Observer: limits.ByKernel, Name: "signal", Value: "SIGSEGV"}},
		Pack:       Pack{ID: "p", Version: "1", Digest: "sha256:00"},
		Components: []Component{{Path: "a.wat", SHA256: hex.EncodeToString(sum[:]), Text: true}},
		Step:       &Step{Name: "apply", Action: "step", Request: `{"a":1}`, Seed: strings.Repeat("00", 32)},
		HostCalls:  []HostCall{{Op: "config.get", Args: `{"key":"k"}`, Value: `"v"`}},
		Limits:     limits.Default(),
		Receipt:    limits.Receipt{Isolation: limits.Standard, Codegen: limits.Native, Engine: "e", Worker: "sha256:11", Walls: walls},
		Sighting:   limits.Sighting{PID: 7, UID: 65534, Namespaces: map[string]uint64{"net": 4026531840}},
		Frames:     []Frame{{From: limits.ByWorker, Type: "HostCall", ID: 1, Text: `config.get {"key":"k"}`}},
		LastWords:  "thread panicked",
		Code:       code,
	}
}

func encode(t testing.TB, c *Capsule) []byte {
	t.Helper()
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatGoesInComesOut(t *testing.T) {
	c := sample()
	got, err := Decode(encode(t, c))
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("%+v, %v\nwant %+v", got, err, c)
	}
	if again := encode(t, got); !bytes.Equal(again, encode(t, c)) {
		t.Error("the same capsule gives other bytes")
	}
	c.Component, c.Step, c.Code = -1, nil, nil // the worker was lost before it had anything
	if got, err := Decode(encode(t, c)); err != nil || got.Component != -1 || got.Code != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// A secret is in none of the texts that a guest, a worker or an answer had a hand in,
// however it is written there; and the capsule says that a replay differs.
func TestSecretsAreTakenOut(t *testing.T) {
	const secret = `hun"ter2-canary`
	quoted := `hun\"ter2-canary`
	c := sample()
	c.Step.Request = `{"answers":{"token":"` + quoted + `"}}`
	c.HostCalls = []HostCall{{Op: "secrets.get", Args: `{"key":"token"}`, Value: `"` + quoted + `"`, Message: "no " + secret}}
	c.Frames = []Frame{{Text: `component 0, step: {"answers":{"token":"` + quoted + `"}}`}, {Text: `secrets.get "` + quoted[:9]}}
	c.Facts[0].Value, c.Detail, c.LastWords = secret, "said "+secret, "panicked at "+secret
	c.Pack.ID, c.Components[0].Path = secret, secret+".wat"
	c.Scrub(plan.NewScrubber(secret))
	if !c.Scrubbed {
		t.Error("it does not say that something was taken out")
	}
	r, err := zip.NewReader(bytes.NewReader(encode(t, c)), int64(len(encode(t, c))))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := inflate(r.File[0], maxDocument)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"canary", `hun\`, `hun"`} {
		if strings.Contains(string(doc), form) {
			t.Errorf("%q is in %s", form, doc)
		}
	}
	clean := sample()
	clean.Scrub(plan.NewScrubber(secret))
	if clean.Scrubbed || !reflect.DeepEqual(clean, sample()) {
		t.Error("a capsule without secrets was changed")
	}
}

func archive(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		to, err := w.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whoever sends somebody a capsule gets nothing done with it but a replay.
func TestDecodeRefuses(t *testing.T) {
	whole := sample()
	doc, err := plan.Canonical(whole)
	if err != nil {
		t.Fatal(err)
	}
	with := func(old, new string) [2]string {
		if !strings.Contains(string(doc), old) {
			t.Fatalf("%q is not in %s", old, doc)
		}
		return [2]string{documentName, strings.Replace(string(doc), old, new, 1)}
	}
	code := [2]string{componentName, string(whole.Code)}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"no archive", []byte("hello"), "not a zip archive"},
		{"empty", archive(t), "must hold capsule.json"},
		{"another file", archive(t, [2]string{"x", "{}"}), "must hold capsule.json"},
		{"a file too many", archive(t, with(`"p"`, `"p"`), code, [2]string{"x", ""}), "must hold capsule.json"},
		{"a path for a component", archive(t, with(`"p"`, `"p"`), [2]string{"../component", ""}), "must hold capsule.json"},
		{"no JSON", archive(t, [2]string{documentName, "{"}), documentName},
		{"a list", archive(t, [2]string{documentName, "[]"}), documentName},
		{"deep", archive(t, [2]string{documentName, `{"facts":` + strings.Repeat("[", 100_000)}), documentName},
		{"a member twice", archive(t, [2]string{documentName, `{"format":1,"format":1}`}), documentName},
		{"an unknown member", archive(t, with(`"format":1`, `"format":1,"run":"rm"`), code), "unknown field"},
		{"a later format", archive(t, with(`"format":1`, `"format":2`), code), "format 2, this program reads 1"},
		{"an unknown verdict", archive(t, with(`"worker_crash"`, `"fine"`), code), `unknown verdict "fine"`},
		{"a component that is not there", archive(t, with(`"component":0`, `"component":1`), code), "component 1 of 1"},
		{"an unknown isolation", archive(t, with(`"standard"`, `"loose"`), code), `unknown isolation "loose"`},
		{"an unknown code generator", archive(t, with(`"native"`, `"winch"`), code), `unknown code generator "winch"`},
		{"a short seed", archive(t, with(strings.Repeat("00", 32), "00"), code), "32 bytes"},
		{"limits beyond their range", archive(t, with(`"stack":524288`, `"stack":524288000`), code), "--max-stack"},
		{"no component", archive(t, with(`"p"`, `"p"`)), "component: is missing"},
		{"a component of nobody", archive(t, with(`"component":0`, `"component":-1`), code), "step of no component"},
		{"another component", archive(t, with(`"p"`, `"p"`), [2]string{componentName, "(module (func))"}), "sha256"},
	} {
		_, err := Decode(tt.file)
		var wrong *Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") && tt.name != "limits beyond their range" {
			t.Errorf("%s: %v, want …%s…", tt.name, err, tt.want)
		}
	}
}

// Either a capsule that can be replayed, or an error: never both, never neither; and
// what was read can be written and read again.
func FuzzDecode(f *testing.F) {
	doc, err := plan.Canonical(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := Decode(archive(t, [2]string{documentName, string(doc)}, [2]string{componentName, "(module)"}))
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		if err != nil {
			return
		}
		again, err := Decode(encode(t, c))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v, %v, want %+v", again, err, c)
		}
	})
}
