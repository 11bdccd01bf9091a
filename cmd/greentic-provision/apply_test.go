package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/greentic"
	"github.com/greentic-ai/greentic-provision/adapters/plugin"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/packtest"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
)

// failing is a plug-in that fails: it keeps secrets in a file in GREENTIC_ADAPTER_DIR, and
// does what GREENTIC_ADAPTER_FAIL says at its n-th call: "kill 3", "hang 3".
const failing = "failing-plugin"

func failingPlugin() {
	plugin.Serve(&fails{file: failingFile(os.Getenv("GREENTIC_ADAPTER_DIR"))}, nil)
}

func failingFile(dir string) string { return filepath.Join(dir, "values.json") }

type fails struct {
	calls int
	file  string
}

func (f *fails) call(ctx context.Context) {
	how, at, _ := strings.Cut(os.Getenv("GREENTIC_ADAPTER_FAIL"), " ")
	n, _ := strconv.Atoi(at)
	if f.calls++; f.calls != n {
		return
	}
	switch how {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "hang":
		<-ctx.Done()
		time.Sleep(time.Minute)
	}
}

// read gives what is in the file: values by namespace and key.
func (f *fails) read() (map[string]map[string]adapters.Value, error) {
	values := map[string]map[string]adapters.Value{}
	b, err := os.ReadFile(f.file)
	if errors.Is(err, os.ErrNotExist) {
		return values, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &values)
	}
	return values, err
}

func (f *fails) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	values, err := f.read()
	return slices.Sorted(maps.Keys(values[ns.String()])), err
}

func (f *fails) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	f.call(ctx)
	values, err := f.read()
	return values[ns.String()], err
}

func (f *fails) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	f.call(ctx)
	values, err := f.read()
	if err != nil {
		return err
	}
	of := values[ns.String()]
	if of == nil {
		of = map[string]adapters.Value{}
	}
	for _, c := range b.Changes {
		if c.Delete {
			delete(of, c.Key)
		} else {
			of[c.Key] = c.Value
		}
	}
	if values[ns.String()] = of; len(of) == 0 {
		delete(values, ns.String())
	}
	text, err := json.Marshal(values)
	if err == nil {
		err = os.WriteFile(f.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(f.file+".new", f.file)
	}
	return err
}

// desk is a person's machine: a home of its own, a pack, answers.
type desk struct {
	*testing.T
	dir   string
	store []string // flags that say where state is
	// elsewhere is all that can be seen of the values that are not in the store.
	elsewhere func(*testing.T) string
}

const answer = "hunter2-C4n4ry/x"

func newDesk(t *testing.T, store ...string) *desk {
	d := &desk{t, t.TempDir(), store, func(*testing.T) string { return "" }}
	for _, name := range []string{"HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"} {
		t.Setenv(name, filepath.Join(d.dir, name))
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(workertest.Dir, "cache"))
	packs := filepath.Join("..", "..", "testdata", "packs")
	source, err := os.ReadFile(filepath.Join(packs, "mailer.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := packtest.Build(os.DirFS(filepath.Join(packs, "..", "contracts")), packtest.Txtar(source))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := packtest.Zip(files)
	if err != nil {
		t.Fatal(err)
	}
	d.write("mailer.gtpack", string(archive))
	d.write("answers.json", `{"host":"mail.example.invalid","api_key":"`+answer+`"}`)
	d.write("change.json", `{"host":"new.example.invalid"}`)
	return d
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

// run runs the program in this process, with flags for the store. No secret is in what it
// says.
func (d *desk) run(want int, args ...string) (stdout, stderr string) {
	d.Helper()
	code, stdout, stderr := d.try(args...)
	if code != want {
		d.Fatalf("%q: exit code %d, want %d\n%s%s", args, code, want, stdout, stderr)
	}
	return stdout, stderr
}

// try is run with any exit code.
func (d *desk) try(args ...string) (code int, stdout, stderr string) {
	d.Helper()
	var out, errs bytes.Buffer
	full := slices.Concat(args, d.store)
	if args[0] == "apply" || args[0] == "dry-run" {
		if !slices.Contains(args, "resume") {
			full = append(full, "--worker", workertest.Path)
		}
	}
	code = run(d.Context(), full, strings.NewReader(""), &out, &errs)
	if strings.Contains(out.String()+errs.String(), answer) {
		d.Fatalf("%q shows a secret", args)
	}
	return code, out.String(), errs.String()
}

var installed1 = []string{"--env", "prod", "--tenant", "acme", "--provider-id", "greentic.fixture.mailer"}

func (d *desk) about(want int, args ...string) string {
	d.Helper()
	out, _ := d.run(want, slices.Concat(args, installed1)...)
	return out
}

func (d *desk) setup(want int, more ...string) (stdout, stderr string) {
	d.Helper()
	return d.run(want, d.settingUp(more...)...)
}

func (d *desk) settingUp(more ...string) []string {
	return slices.Concat([]string{"apply", "setup", "--pack", d.path("mailer.gtpack"), "--answers", d.path("answers.json"), "--yes", "--json"}, installed1, more)
}

// state is all that can be seen of the installation, but for the history.
func (d *desk) state() string {
	d.Helper()
	code, out, stderr := d.try("installs", "list", "--json")
	if code == engine.ExitUsage && strings.Contains(stderr, "there is no such store") {
		out = `{"installs":[]}`
	} else if code != engine.ExitOK {
		d.Fatalf("exit code %d: %s", code, stderr)
	}
	var list struct{ Installs []struct{ Namespace string } }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		d.Fatal(err)
	}
	state := fmt.Sprintln(list.Installs)
	if len(list.Installs) > 0 {
		state += d.about(engine.ExitOK, "config", "list", "--json") + d.about(engine.ExitOK, "secrets", "list", "--json")
	}
	return state + d.elsewhere(d.T)
}

// home is a place where state can be: flags, and what is seen there with other eyes.
type home struct {
	flags     []string
	elsewhere func(*testing.T) string
}

// names gives the files in a folder, if it is there.
func names(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		list = append(list, f.Name())
	}
	return fmt.Sprintln("files elsewhere:", list)
}

// live gives keys of what is in force for installed1, and digests of the values.
func live(t *testing.T, values adapters.Values, err error) string {
	t.Helper()
	ns := adapters.Namespace{Env: "prod", Tenant: "acme", Provider: "greentic.fixture.mailer", Install: "default"}
	var found map[string]adapters.Value
	if err == nil {
		found, err = values.Load(t.Context(), ns)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := "live elsewhere:\n"
	for _, k := range slices.Sorted(maps.Keys(found)) {
		s += fmt.Sprintf("%s %x\n", k, sha256.Sum256(found[k].Bytes))
	}
	return s
}

// stores are the places where state can be.
func stores(t *testing.T) map[string]func(*testing.T) home {
	example, err := workertest.Build("examples/plugin-secrets")
	if err != nil {
		t.Fatal(err)
	}
	withPlugin := func(t *testing.T) home {
		dir := t.TempDir()
		identity := filepath.Join(dir, "identity.txt")
		// A key of this test's own, made as the program makes them.
		d := newDesk(t)
		d.setup(engine.ExitOK)
		key, err := os.ReadFile(filepath.Join(d.dir, "XDG_CONFIG_HOME", program, "identity.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(identity, key, 0o600); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(dir, "secrets")
		t.Setenv("GREENTIC_ADAPTER_DIR", folder)
		t.Setenv("GREENTIC_ADAPTER_IDENTITY_FILE", identity)
		return home{[]string{"--adapter", "secrets=plugin:" + example + "?sha256=" + fileSum(t, example)}, func(t *testing.T) string { return names(t, folder) }}
	}
	forGreentic := func(kinds ...string) func(t *testing.T) home {
		return func(t *testing.T) home {
			bundle := t.TempDir()
			h := home{elsewhere: func(t *testing.T) string {
				secrets, err := greentic.Secrets(bundle)
				s := live(t, secrets, err)
				config, err := greentic.Config(bundle)
				return s + live(t, config, err)
			}}
			for _, kind := range kinds {
				h.flags = append(h.flags, "--adapter", kind+"=greentic:"+bundle)
			}
			return h
		}
	}
	nowhere := func(*testing.T) string { return "" }
	return map[string]func(*testing.T) home{
		"sqlite":                       func(*testing.T) home { return home{nil, nowhere} },
		"postgres":                     func(t *testing.T) home { return home{[]string{"--store", pgtest.Open(t)}, nowhere} },
		"sqlite, secrets elsewhere":    withPlugin,
		"sqlite, secrets for Greentic": forGreentic("secrets"),
		"sqlite, both for Greentic":    forGreentic("secrets", "config"),
	}
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestApplyEverywhere: dry run, review, apply, show, update, remove, wherever state is.
func TestApplyEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	for name, open := range stores(t) {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			d := newDesk(t, h.flags...)
			d.elsewhere = h.elsewhere
			before, empty := d.state(), d.elsewhere(t)
			plan := d.path("plan.json")
			// Nothing is installed, so that no store is needed for the plan.
			(&desk{T: t, dir: d.dir}).run(engine.ExitOK, slices.Concat([]string{"dry-run", "setup", "--pack", d.path("mailer.gtpack"), "--answers", d.path("answers.json"), "--json", "--output", plan}, installed1)...)
			d.run(engine.ExitOK, slices.Concat([]string{"apply", "setup", "--pack", d.path("mailer.gtpack"), "--answers", d.path("answers.json"), "--plan", plan}, installed1)...)
			if empty != "" && d.elsewhere(t) == empty {
				t.Error("nothing was stored elsewhere")
			}
			if got := d.about(engine.ExitOK, "secrets", "list"); got != "api_key\n" {
				t.Errorf("secrets: %q", got)
			}
			if got := d.about(engine.ExitOK, "config", "list"); got != "host = \"mail.example.invalid\"\nport = 587\n" {
				t.Errorf("configuration: %q", got)
			}
			if got := d.about(engine.ExitOK, "installs", "show"); !strings.Contains(got, "installed, revision 1") {
				t.Errorf("show: %q", got)
			}
			d.run(engine.ExitOK, slices.Concat([]string{"apply", "update", "--pack", d.path("mailer.gtpack"), "--answers", d.path("change.json"), "--yes"}, installed1)...)
			if got := d.about(engine.ExitOK, "config", "get", "host"); got != "\"new.example.invalid\"\n" {
				t.Errorf("after the update: %q", got)
			}
			d.run(engine.ExitOK, slices.Concat([]string{"apply", "remove", "--pack", d.path("mailer.gtpack"), "--yes"}, installed1)...)
			if diff := cmp.Diff(before, d.state()); diff != "" {
				t.Errorf("after remove (-before +after):\n%s", diff)
			}
			out, _ := d.run(engine.ExitOK, "store", "check")
			if !strings.Contains(out, "1 installation, 0 values, 3 entries in the audit log, 0 unfinished commits") {
				t.Errorf("check: %s", out)
			}
		})
	}
}

// TestStoresThatFail: each is one clear line and an exit code, and the state is as it was.
func TestStoresThatFail(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	t.Run("a connection that is lost", func(t *testing.T) {
		url := pgtest.Open(t)
		d := newDesk(t, "--store", url)
		d.setup(engine.ExitOK)
		before := d.state()
		for _, at := range []string{"put journal", "put install", "commit"} {
			breaks(t, at, func() error { pgtest.Terminate(t, url); return nil })
			_, stderr := d.run(engine.ExitFault, slices.Concat([]string{"apply", "update", "--pack", d.path("mailer.gtpack"), "--answers", d.path("change.json"), "--yes"}, installed1)...)
			if !strings.Contains(stderr, "postgres: ") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s: %q", at, stderr)
			}
			fault = nil
			d.run(engine.ExitOK, "recover")
			if got := d.state(); got != before {
				t.Errorf("%s: %s", at, cmp.Diff(before, got))
			}
		}
	})
	t.Run("a disk that is full", func(t *testing.T) {
		d := newDesk(t)
		d.setup(engine.ExitOK)
		before := d.state()
		breaks(t, "put install", func() error { return syscall.ENOSPC })
		_, stderr := d.run(engine.ExitFault, slices.Concat([]string{"apply", "update", "--pack", d.path("mailer.gtpack"), "--answers", d.path("change.json"), "--yes"}, installed1)...)
		if !strings.Contains(stderr, "no space left on device") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q", stderr)
		}
		fault = nil
		d.run(engine.ExitOK, "recover")
		if got := d.state(); got != before {
			t.Error(cmp.Diff(before, got))
		}
	})
	t.Run("a file that is damaged", func(t *testing.T) {
		d := newDesk(t)
		d.setup(engine.ExitOK)
		file := filepath.Join(d.dir, "XDG_STATE_HOME", program, "store.db")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(b)
		for i := 4096; i < len(damaged); i++ {
			damaged[i] ^= byte(i)
		}
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr := d.run(engine.ExitFault, slices.Concat([]string{"apply", "update", "--pack", d.path("mailer.gtpack"), "--answers", d.path("change.json"), "--yes"}, installed1)...)
		if !strings.Contains(stderr, "sqlite: ") || !strings.Contains(stderr, "malformed") {
			t.Errorf("%q", stderr)
		}
		if err := os.WriteFile(file, []byte("this is a letter, and no store at all"), 0o600); err != nil {
			t.Fatal(err)
		}
		code := run(t.Context(), []string{"store", "check"}, strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer))
		if code == engine.ExitOK {
			t.Error("a letter is a sound store")
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d.run(engine.ExitOK, "store", "check")
	})
	t.Run("an installation that somebody writes", func(t *testing.T) {
		d := newDesk(t)
		d.setup(engine.ExitOK)
		a := &app{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
		o, err := a.openStores(t.Context(), storing{}, existing)
		if err != nil {
			t.Fatal(err)
		}
		defer o.close()
		ns := adapters.Namespace{Env: "prod", Tenant: "acme", Provider: "greentic.fixture.mailer", Install: "default"}
		lock, err := o.Record.Lock(t.Context(), ns, "somebody@elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		_, stderr := d.setup(engine.ExitFault, "--lock-timeout", "50ms")
		if !strings.Contains(stderr, "is being written by somebody@elsewhere since 20") || !strings.Contains(stderr, "waited 50ms (--lock-timeout)") {
			t.Errorf("%q", stderr)
		}
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
		d.setup(engine.ExitOK)
	})
	t.Run("an identity of another store", func(t *testing.T) {
		d := newDesk(t)
		d.setup(engine.ExitOK)
		identity := filepath.Join(d.dir, "XDG_CONFIG_HOME", program, "identity.txt")
		if err := os.Rename(identity, identity+".old"); err != nil {
			t.Fatal(err)
		}
		_, stderr := d.setup(engine.ExitUsage)
		if !strings.Contains(stderr, "identity") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q", stderr)
		}
		if _, err := os.Stat(identity); !errors.Is(err, os.ErrNotExist) {
			t.Error("a new identity was made for an old store")
		}
		// Keys need none.
		d.about(engine.ExitOK, "secrets", "list")
	})
}

// breaks makes the store fail the first time that it comes to op.
func breaks(t *testing.T, op string, how func() error) {
	t.Helper()
	done := false
	fault = func(name string) error {
		if done || !strings.HasPrefix(name, op) {
			return nil
		}
		done = true
		return how()
	}
	t.Cleanup(func() { fault = nil })
}

// TestPluginsThatFail: whenever a plug-in goes, the run stops before anything is in force,
// or is finished by the next one.
func TestPluginsThatFail(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	path, err := exec.LookPath(failing)
	if err != nil {
		t.Fatal(err)
	}
	sum := fileSum(t, path)
	t.Run("another program", func(t *testing.T) {
		d := newDesk(t, "--adapter", "secrets=plugin:"+path+"?sha256="+strings.Repeat("0", 64))
		_, stderr := d.setup(engine.ExitUsage)
		if !strings.Contains(stderr, sum) || !strings.Contains(stderr, strings.Repeat("0", 64)) {
			t.Errorf("%q", stderr)
		}
	})
	for how, of := range map[string]struct {
		timeout string
		step    int // not each call is tried, but by make crash
	}{"kill": {"30s", 3}, "hang": {"500ms", 3}} {
		if *crash {
			of.step = 1
		}
		t.Run(how, func(t *testing.T) {
			healthy := "secrets=plugin:" + path + "?sha256=" + sum
			undone, finished := 0, 0
			for n, code := 1, engine.ExitFault; code != engine.ExitOK; n += of.step {
				dir := t.TempDir()
				d := newDesk(t, "--adapter", healthy)
				d.elsewhere = func(t *testing.T) string {
					values, err := (&fails{file: failingFile(dir)}).read()
					if err != nil {
						t.Fatal(err)
					}
					s := ""
					for _, ns := range slices.Sorted(maps.Keys(values)) {
						s += fmt.Sprintln(ns, slices.Sorted(maps.Keys(values[ns])))
					}
					return s
				}
				const nothing = "[]\n"
				const everything = "[{provision:prod:acme:_:greentic.fixture.mailer:default}]\n" +
					`{"config":{"host":"mail.example.invalid","port":587},"withheld":[]}` + "\n" + `{"secrets":["api_key"]}` + "\n" +
					"provision:prod:acme:_:greentic.fixture.mailer:default [api_key]\n"
				t.Setenv("GREENTIC_ADAPTER_DIR", dir)
				t.Setenv("GREENTIC_ADAPTER_FAIL", fmt.Sprint(how, " ", n))
				d.store = []string{"--adapter", healthy + "&timeout=" + of.timeout}
				var stderr string
				code, _, stderr = d.try(d.settingUp()...)
				if code != engine.ExitOK && (code != engine.ExitFault || !strings.Contains(stderr, "secrets") || strings.Count(stderr, "\n") != 1) {
					t.Fatalf("call %d: exit code %d: %q", n, code, stderr)
				}
				t.Setenv("GREENTIC_ADAPTER_FAIL", "")
				d.store = []string{"--adapter", healthy}
				d.run(engine.ExitOK, "recover")
				switch got := d.state(); {
				case got == everything && code != engine.ExitOK:
					finished++
				case got == everything:
				case got == nothing && code != engine.ExitOK:
					undone++
				default:
					t.Fatalf("call %d: exit code %d, %s", n, code, got)
				}
			}
			if undone < 2 || finished < 2 {
				t.Errorf("undone %d times, finished %d times", undone, finished)
			}
		})
	}
}

// TestAnUnfinishedCommitIsMentioned: by whatever looks at its installation; and what was
// recovered is told beside what could not be.
func TestAnUnfinishedCommitIsMentioned(t *testing.T) {
	path, err := exec.LookPath(failing)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, "--adapter", "secrets=plugin:"+path+"?sha256="+fileSum(t, path))
	t.Setenv("GREENTIC_ADAPTER_DIR", t.TempDir())
	const first, second = "provision:prod:acme:_:greentic.fixture.mailer:default", "provision:prod:acme:_:greentic.fixture.mailer:second"
	for _, install := range []string{"default", "second"} {
		for n := 1; ; n++ {
			t.Setenv("GREENTIC_ADAPTER_FAIL", fmt.Sprint("kill ", n))
			code, _, stderr := d.try(d.settingUp("--install-id", install)...)
			if code == engine.ExitOK {
				t.Fatal("no commit was left unfinished")
			}
			if strings.Contains(stderr, "the commit has happened and is not finished") {
				break
			}
		}
	}
	t.Setenv("GREENTIC_ADAPTER_FAIL", "")
	if out, _ := d.run(engine.ExitOK, "installs", "show", first); !strings.Contains(out, "  journal   1 unfinished commit: run recover\n") {
		t.Errorf("show: %s", out)
	}
	if out, _ := d.run(engine.ExitOK, "installs", "show", first, "--json"); !strings.Contains(out, `"unfinished_commits":["`) {
		t.Errorf("show: %s", out)
	}
	if out, _ := d.run(engine.ExitOK, "store", "check"); !strings.Contains(out, ", 2 unfinished commits\nrun recover: ") {
		t.Errorf("check: %s", out)
	}

	a := &app{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	o, err := a.openStores(t.Context(), storing{}, existing)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	ns, err := adapters.ParseNamespace(second)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := o.Record.Lock(t.Context(), ns, "somebody@elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	out, stderr := d.run(engine.ExitFault, "recover", "--lock-timeout", "50ms")
	if !strings.Contains(out, "setup of "+first) || strings.Contains(out, second) || !strings.Contains(stderr, second+" is being written by somebody@elsewhere") {
		t.Errorf("recover: %s%s", out, stderr)
	}
	out, _ = d.run(engine.ExitFault, "recover", "--lock-timeout", "0s", "--json")
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, "is being written by somebody@elsewhere") {
		t.Errorf("recover: %s", out)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if out, _ := d.run(engine.ExitOK, "recover"); !strings.Contains(out, "setup of "+second) {
		t.Errorf("recover: %s", out)
	}
}

// TestARemovalThatWaitsIsListed: what was done elsewhere and is not undone yet must not be
// forgotten with the installation.
func TestARemovalThatWaitsIsListed(t *testing.T) {
	d := newDesk(t)
	ns := adapters.Namespace{Env: "prod", Tenant: "acme", Provider: "greentic.fixture.mailer", Install: "default"}
	d.setup(engine.ExitOK)
	a := &app{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	o, err := a.openStores(t.Context(), storing{}, existing)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	lock, err := o.Record.Lock(t.Context(), ns, "the test")
	if err != nil {
		t.Fatal(err)
	}
	done := adapters.Operation{ID: "1", Kind: adapters.Webhook, Verb: "register", Target: "hook", Status: adapters.Done, Attempts: 1, Order: 1}
	b, err := json.Marshal(done)
	if err != nil {
		t.Fatal(err)
	}
	err = o.Record.Commit(t.Context(), lock, adapters.Write{Values: []adapters.Part{{Kind: adapters.Operations, Batch: adapters.Batch{
		ID: "1", Token: lock.Token(), Changes: []adapters.Change{{Key: "webhook/hook", Value: adapters.Value{Bytes: b}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	d.about(engine.ExitOK, "apply", "remove", "--yes")
	const want = "  1 operation of it still waits (installs show, apply resume)\n"
	if out, _ := d.run(engine.ExitOK, "installs", "list"); !strings.Contains(out, ns.String()+"\n  removed    revision 2  ") || !strings.HasSuffix(out, want) {
		t.Errorf("list: %s", out)
	}
	if out := d.about(engine.ExitOK, "apply", "resume"); !strings.Contains(out, "pending  webhook delete hook") || !strings.HasSuffix(out, "\nwhat waits is done with --adapter webhooks=…\n") {
		t.Errorf("resume: %s", out)
	}
}

func TestCommaLines(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  []string
	}{
		{nil, nil},
		{[]string{"a"}, []string{"a"}},
		{[]string{"abc", "de", "fg"}, []string{"abc, de,", "fg"}},
		{[]string{"longer than that", "x"}, []string{"longer than that,", "x"}},
		{[]string{"a\nb"}, []string{`a\nb`}},
	} {
		if diff := cmp.Diff(c.want, commaLines(c.texts, 8)); diff != "" {
			t.Errorf("%q: %s", c.texts, diff)
		}
	}
}
