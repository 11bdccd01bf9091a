package plugin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/plugin"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// checksum is that of the test binary.
var checksum = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hex.EncodeToString(hash.Sum(nil)), err
})

// config names the test binary as a plug-in with a personality.
func config(t *testing.T, personality string) plugin.Config {
	t.Helper()
	if personalities[personality] == nil {
		t.Fatalf("there is no plug-in %q", personality)
	}
	sum, err := checksum()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), personality)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return plugin.Config{Path: path, SHA256: sum, Kind: "config"}
}

// open starts a plug-in; it ends with the test.
func open(t *testing.T, cfg plugin.Config) *plugin.Client {
	t.Helper()
	c, err := plugin.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// shortDir is t.TempDir for sockets, whose paths may have 104 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var somewhere = storetest.Somewhere

func set(key, value string) adapters.Batch {
	return adapters.Batch{ID: "1", Changes: []adapters.Change{{Key: key, Value: adapters.Value{Bytes: []byte(value), Secret: true}}}}
}

// oneLine checks what all errors have in common.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 1200 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		t.Errorf("an error of %d bytes: %.300q", len(text), text)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("an error holds a value: %v", err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Values(t, func(t *testing.T) adapters.Values { return open(t, config(t, "good")).Values() }, storetest.WholeBatches())
}

func TestPluginsThatDoNotStartAreNamedWithTheReason(t *testing.T) {
	t.Parallel()
	for personality, want := range map[string]string{
		"hangs-at-start":            `it did not answer within 1s of its start (its last words were "waiting for the vault")`,
		"hangs-after-the-handshake": `it did not answer within 1s of its start`,
		"exits-at-start":            `it ended with exit code 3, its last words were "\x1b[31mcannot open the vault", without saying where it listens`,
		"exits-after-the-handshake": `it ended with exit code 4 before it answered`,
		"closes-its-output":         `it is not a plug-in: it closed its standard output`,
		"says-something-else":       `it is not a plug-in: it began with "\x1b[2Jusage: something else [flags]"`,
		"roars":                     `it is not a plug-in: it began with "\x00garbage\xff`,
		"speaks-version-2":          `it speaks version "2" of the adapter protocol, and this program 1`,
		"speaks-core-version-9":     `it speaks version "9" of go-plugin's protocol, and this program 1`,
		"speaks-netrpc":             `it speaks "netrpc" and not grpc`,
		"has-no-certificate":        `it gave no certificate`,
		"listens-elsewhere":         `it listens on "192.0.2.1:80", which is not this machine alone`,
	} {
		t.Run(personality, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, personality)
			if strings.HasPrefix(personality, "hangs-") {
				cfg.StartTimeout = time.Second
			}
			_, err := plugin.Open(t.Context(), cfg)
			refused, ok := errors.AsType[*adapters.ConfigError](err)
			if !ok {
				t.Fatalf("Open: %v, want a ConfigError", err)
			}
			if refused.Adapter != "plugin "+personality || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), strconv.Quote(cfg.Path)) {
				t.Errorf("Open: %v\nwant %s", err, want)
			}
			oneLine(t, err)
		})
	}
}

func TestProgramsThatAreNotThePluginAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o700); err != nil {
		t.Fatal(err)
	}
	endless := write("endless", "", 0o700)
	if err := os.Truncate(endless, 1<<40); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, sum, want string }{
		"another program":     {write("other", "is", 0o700), sum("was"), "its sha256 is " + sum("is") + ", and the configuration says " + sum("was")},
		"no file":             {filepath.Join(dir, "none"), sum(""), "no such file or directory"},
		"a folder":            {dir, sum(""), "it is not a file"},
		"a pipe":              {pipe, sum(""), "it is not a file"},
		"a file without end":  {endless, sum(""), "a program has at most"},
		"no program":          {write("text", "text", 0o600), sum("text"), "it is not executable (chmod +x)"},
		"a program of no use": {write("bytes", "bytes", 0o700), sum("bytes"), "it cannot be run: exec format error"},
		"a script":            {write("script", "#!/bin/sh\n", 0o700), sum("#!/bin/sh\n"), "it is a script"},
		"no checksum":         {endless, "", "there is no checksum"},
		"half a checksum":     {endless, "abcd", "sha256=abcd is not a checksum"},
		"no path":             {"", sum(""), "there is no path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plugin.Open(t.Context(), plugin.Config{Path: test.path, SHA256: test.sum, Kind: "secrets"})
			if _, ok := errors.AsType[*adapters.ConfigError](err); !ok || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path) {
				t.Errorf("Open: %v\nwant %s", err, test.want)
			}
			oneLine(t, err)
		})
	}
}

func TestKindsAreShortWords(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "Secrets", "a b", "a=b", "-x", strings.Repeat("x", 33)} {
		cfg := config(t, "good")
		cfg.Kind = kind
		_, err := plugin.Open(t.Context(), cfg)
		if _, ok := errors.AsType[*adapters.ConfigError](err); !ok {
			t.Errorf("kind %q: %v", kind, err)
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	for url, want := range map[string]plugin.Config{
		"plugin:/opt/secrets?sha256=" + sum:                            {Path: "/opt/secrets", SHA256: sum},
		"plugin:./secrets?sha256=" + strings.ToUpper(sum):              {Path: "./secrets", SHA256: strings.ToUpper(sum)},
		"plugin:/a%20b%3F/c?timeout=1m30s&sha256=" + sum:               {Path: "/a b?/c", SHA256: sum, CallTimeout: 90 * time.Second},
		"plugin:C:/Program Files/secrets.exe?timeout=5s&sha256=" + sum: {Path: "C:/Program Files/secrets.exe", SHA256: sum, CallTimeout: 5 * time.Second},
	} {
		if got, err := plugin.ParseURL(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", url, got, err, want)
		}
	}
	for url, want := range map[string]string{
		"":                                   "does not begin with plugin:",
		"file:/x":                            "does not begin with plugin:",
		"plugin:":                            "there is no path",
		"plugin:/x":                          "there is no checksum",
		"plugin:/x?sha256=" + sum[1:]:        "is not a checksum",
		"plugin:/x?sha256=" + sum + "00":     "is not a checksum",
		"plugin:/x?sha256=" + sum[2:] + "zz": "is not a checksum",
		"plugin:/x?sha256=" + sum + "&sha256=" + sum: `"sha256" is given 2 times`,
		"plugin:/x?sha256=" + sum + "&timeout=5":     "timeout=5 is not a time",
		"plugin:/x?sha256=" + sum + "&timeout=-5s":   "timeout=-5s is not a time",
		"plugin:/x?sha256=" + sum + "&user=root":     `there is no parameter "user"`,
		"plugin:/x%zz?sha256=" + sum:                 "the path: ",
		"plugin:/x?sha256=%zz":                       "the parameters: ",
	} {
		_, err := plugin.ParseURL(url)
		if _, ok := errors.AsType[*adapters.ConfigError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}

// TestMisbehaviourInACallIsOneNamedError: whatever the plug-in does, the call ends with
// an error that names it.
func TestMisbehaviourInACallIsOneNamedError(t *testing.T) {
	t.Parallel()
	load := func(ctx context.Context, c *plugin.Client) error {
		_, err := c.Values().Load(ctx, somewhere)
		return err
	}
	keys := func(ctx context.Context, c *plugin.Client) error {
		_, err := c.Values().Keys(ctx, somewhere)
		return err
	}
	apply := func(ctx context.Context, c *plugin.Client) error {
		return c.Values().Apply(ctx, somewhere, set("token", canary))
	}
	remove := func(ctx context.Context, c *plugin.Client) error {
		if err := apply(ctx, c); err != nil {
			return fmt.Errorf("apply before: %w", err)
		}
		return c.Values().Apply(ctx, somewhere, adapters.Batch{Changes: []adapters.Change{{Key: "token", Delete: true}}})
	}
	execute := func(ctx context.Context, c *plugin.Client) error {
		_, err := c.Executor().Execute(ctx, somewhere, adapters.Operation{Kind: adapters.Webhook})
		return err
	}
	for _, test := range []struct {
		personality string
		call        func(context.Context, *plugin.Client) error
		want        string
	}{
		{"hangs", load, "load config: it did not answer within 300ms"},
		{"exits", load, `load config: it ended with exit code 7, its last words were "the disk is gone"`},
		{"prints-and-exits", load, `it ended with exit code 7, its last words were "printed while serving"`},
		{"is-killed", load, "load config: it was killed by SIGKILL"},
		{"dies-with-a-value", apply, "write config: read back: it ended, and its last words hold a value"},
		{"panics", load, "load config: it failed (Internal): \"panic with a string"},
		{"panics", execute, "execute webhook: it failed (Internal): \"panic: runtime error: index out of range"},
		{"gives-reasons", load, `load config: it failed (Unknown): "\x1b[31mno\nway\a xxx`},
		{"gives-reasons", apply, "write config: it failed (Unknown) and gave a reason that holds a value"},
		{"gives-raw-reasons", load, `load config: it failed (PermissionDenied): "\x1b[31mno\nway\a xxx`},
		{"gives-raw-reasons", keys, "list the keys of config: it failed ("},
		{"floods-with-keys", keys, "it floods: more than 10000 keys"},
		{"floods-with-bytes", load, "it floods: more than 67108864 bytes"},
		{"never-ends", load, "it sends without end"},
		{"sends-large-values", load, `the value of "large" has 1048577 bytes`},
		{"sends-large-messages", load, "message larger than max"},
		{"sends-keys-twice", keys, `it gave the key "a" twice`},
		{"sends-empty-keys", keys, "it gave a key that is none: it is empty"},
		{"sends-long-keys", keys, "has 513 bytes; a key has at most 512"},
		{"sends-control-keys", keys, `"a\x1b[2J" has a control character`},
		{"answers-nothing", load, "load config: it does not serve this"},
		{"answers-nothing", apply, "write config: it does not serve this"},
		{"valuable", execute, "execute webhook: it does not serve this"},
		{"executes-nothing", execute, "execute webhook: it answered with neither done nor pending"},
		{"tells-secrets", execute, "execute webhook: it says something for people that holds one of its secrets"},
		{"stores-nothing", apply, `write config: it said that it stored "token", and does not have it`},
		{"acknowledges-all", apply, `write config: it said that it stored "token", and does not have it`},
		{"deletes-nothing", remove, `write config: it said that it deleted "token", and still has it`},
		{"stores-another-value", apply, `write config: it said that it stored "token", and has another value for it`},
		{"forgets-secrecy", apply, `it said that it stored "token", and does not know any more whether it is secret`},
		{"mixes-tenants", apply, "write config: it mixes installations: with another tenant, that nobody wrote to, it gave 1 keys"},
		{"mixes-areas", apply, "write config: it mixes installations: with another area"},
	} {
		t.Run(test.personality, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, test.personality)
			if test.personality == "hangs" {
				cfg.CallTimeout = 300 * time.Millisecond
			}
			err := test.call(t.Context(), open(t, cfg))
			if _, ok := errors.AsType[*adapters.Error](err); !ok || !strings.HasPrefix(err.Error(), "plugin "+test.personality+": ") || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v\nwant %s", err, test.want)
			}
			oneLine(t, err)
		})
	}
}

func TestAfterTheEndEveryCallFailsWithItsReason(t *testing.T) {
	t.Parallel()
	for personality, want := range map[string]string{"exits": "exit code 7", "is-killed": "SIGKILL"} {
		c := open(t, config(t, personality))
		_, first := c.Values().Load(t.Context(), somewhere)
		_, keys := c.Values().Keys(t.Context(), somewhere)
		_, execute := c.Executor().Execute(t.Context(), somewhere, adapters.Operation{})
		for _, err := range []error{first, keys, c.Values().Apply(t.Context(), somewhere, set("a", "b")), execute} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", personality, err, want)
			}
		}
	}
}

func TestLastWordsThatHoldAValueAreNeverShown(t *testing.T) {
	t.Parallel()
	c := open(t, config(t, "dies-with-a-value"))
	first := c.Values().Apply(t.Context(), somewhere, set("token", canary))
	_, later := c.Values().Keys(t.Context(), somewhere)
	for _, err := range []error{first, later} {
		if err == nil {
			t.Fatal("no error")
		}
		oneLine(t, err)
	}
}

func TestAPluginThatPanicsOrIsCancelledGoesOnServing(t *testing.T) {
	t.Parallel()
	for _, personality := range []string{"panics", "floods-with-bytes", "hangs"} {
		cfg := config(t, personality)
		cfg.CallTimeout = time.Second
		c := open(t, cfg)
		if _, err := c.Values().Load(t.Context(), somewhere); err == nil {
			t.Errorf("%s: no error", personality)
		}
		if _, err := c.Values().Keys(t.Context(), somewhere); err != nil {
			t.Errorf("%s: %v", personality, err)
		}
	}
}

func TestTheCallersContextEndsACall(t *testing.T) {
	t.Parallel()
	c := open(t, config(t, "hangs"))
	why := errors.New("the operator went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	_, err := c.Values().Load(ctx, somewhere)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("Load: %v", err)
	}
	// An Apply that waits for another ends too.
	other, cancel := context.WithCancelCause(t.Context())
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if err := c.Values().Apply(other, somewhere, set("a", "b")); !errors.Is(err, context.Canceled) {
				t.Errorf("Apply: %v", err)
			}
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	waiting.Wait()
}

func TestTheCallersContextEndsTheStart(t *testing.T) {
	t.Parallel()
	cfg := config(t, "hangs-at-start")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for {
			if _, err := os.Stat(cfg.Path + ".started"); err == nil || t.Context().Err() != nil {
				cancel(errors.New("enough"))
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := plugin.Open(ctx, cfg)
	if failed, ok := errors.AsType[*adapters.Error](err); !ok || failed.Op != "start" || !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if _, err := plugin.Open(ctx, config(t, "good")); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that has ended: %v", err)
	}
}

func TestCloseEndsCallsAndIsIdempotent(t *testing.T) {
	t.Parallel()
	c := open(t, config(t, "hangs"))
	loaded := make(chan error)
	go func() {
		_, err := c.Values().Load(t.Context(), somewhere)
		loaded <- err
	}()
	time.Sleep(50 * time.Millisecond)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-loaded; err == nil || !strings.Contains(err.Error(), "it is closed") {
		t.Errorf("the call under way: %v", err)
	}
	if _, err := c.Values().Keys(t.Context(), somewhere); err == nil || !strings.Contains(err.Error(), "it is closed") {
		t.Errorf("a call afterwards: %v", err)
	}
}

func TestServeReturnsWhenTheHostIsDone(t *testing.T) {
	t.Parallel()
	cfg := config(t, "leaves-properly")
	c, err := plugin.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Values().Apply(t.Context(), somewhere, set("a", "b")); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.Path + ".left"); err != nil {
		t.Errorf("it was killed: %v", err)
	}
}

func TestAPluginThatIsStartedByHandSaysWhatItIs(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	cmd := &exec.Cmd{Path: self, Args: []string{"/opt/good"}, Stdout: &out, Stderr: &errs}
	cmd.Run()
	want := "/opt/good is an adapter of greentic-provision: give it to --adapter as plugin:/opt/good?sha256=…\n"
	if cmd.ProcessState.ExitCode() != 1 || out.String() != "" || !strings.HasPrefix(errs.String(), want) {
		t.Errorf("exit code %d, %q, %q", cmd.ProcessState.ExitCode(), out.String(), errs.String())
	}
}

// TestWhatAPluginStartedEndsWithIt: when it must be killed, and when it ends by itself.
func TestWhatAPluginStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	for personality, end := range map[string]func(*plugin.Client) error{
		"ignores-sigterm": (*plugin.Client).Close,
		"leaves-a-child": func(c *plugin.Client) error {
			if _, err := c.Values().Load(t.Context(), somewhere); err == nil {
				return errors.New("it did not end")
			}
			return nil
		},
	} {
		c := open(t, config(t, personality))
		pids, err := c.Values().Keys(t.Context(), somewhere)
		if err != nil {
			t.Fatal(err)
		}
		if err := end(c); err != nil {
			t.Errorf("%s: %v", personality, err)
		}
		for _, text := range pids {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			vanishes(t, pid)
		}
	}
}

// vanishes waits until there is no such process, or only what init has not yet reaped.
func vanishes(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestNoiseDisturbsNobody(t *testing.T) {
	t.Parallel()
	c := open(t, config(t, "is-noisy"))
	for range 50 {
		if _, err := c.Values().Keys(t.Context(), somewhere); err != nil {
			t.Fatal(err)
		}
		if err := c.Values().Apply(t.Context(), somewhere, set("a", "b")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPluginCannotOpenMoreConnections(t *testing.T) {
	t.Parallel()
	if keys, err := open(t, config(t, "opens-connections")).Values().Keys(t.Context(), somewhere); err != nil || len(keys) != 0 {
		t.Errorf("%q, %v", keys, err)
	}
}

func TestAPluginSeesOnlyWhatIsAllowed(t *testing.T) {
	t.Setenv("GREENTIC_ADAPTER_OWN", "own")
	t.Setenv("GREENTIC_ADAPTER_KIND", "of the host")
	t.Setenv("SOME_TOKEN", canary)
	t.Setenv("LANG", "de")
	cfg := config(t, "tells-its-surroundings")
	dir := shortDir(t)
	t.Setenv("TMPDIR", dir)
	c := open(t, cfg)
	keys, err := c.Values().Keys(t.Context(), somewhere)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	for _, want := range []string{"GREENTIC_ADAPTER_OWN=own", "GREENTIC_ADAPTER_KIND=config", "LANG=de", "leads=true", "program=" + cfg.Path, "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(keys, want) {
			t.Errorf("%s is missing in %q", want, keys)
		}
	}
	if _, err := os.Stat("/proc/self/fd"); err == nil && !slices.Contains(keys, "stdin=/dev/null") {
		t.Errorf("standard input is another: %q", keys)
	}
	for _, key := range keys {
		name, _, _ := strings.Cut(key, "=")
		switch name {
		case "PATH", "HOME", "LANG", "stdin", "leads", "program":
		default:
			if !strings.HasPrefix(name, "GREENTIC_ADAPTER_") && !strings.HasPrefix(name, "PLUGIN_") {
				t.Errorf("the plug-in sees %s", name)
			}
		}
	}
}

func TestWhatIsLargestPassesInPages(t *testing.T) {
	t.Parallel()
	c := open(t, config(t, "good"))
	b := adapters.Batch{}
	for i := range adapters.MaxTotal / adapters.MaxValue {
		b.Changes = append(b.Changes, adapters.Change{Key: fmt.Sprint("large", i), Value: adapters.Value{Bytes: bytes.Repeat([]byte{byte(i)}, adapters.MaxValue)}})
	}
	if err := c.Values().Apply(t.Context(), somewhere, b); err != nil { // which reads it back
		t.Fatal(err)
	}
	many := somewhere
	many.Install = "many"
	b = adapters.Batch{}
	for i := range adapters.MaxKeys {
		b.Changes = append(b.Changes, adapters.Change{Key: fmt.Sprintf("%0*d", adapters.MaxKey, i)})
	}
	if err := c.Values().Apply(t.Context(), many, b); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.Values().Keys(t.Context(), many); err != nil || len(keys) != adapters.MaxKeys || !slices.IsSorted(keys) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	e := open(t, config(t, "good")).Executor()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	out, err := e.Execute(t.Context(), somewhere, adapters.Operation{ID: "op-1", Kind: adapters.OAuth, Verb: "start",
		Metadata: map[string]json.RawMessage{"deep": json.RawMessage(`{"a":[1]}`)}, AttemptedAt: &at})
	if err != nil {
		t.Fatal(err)
	}
	if want := `done \x1b[31m`; out.Detail != want {
		t.Errorf("Detail is %q, want %q", out.Detail, want)
	}
	for key, want := range map[string]string{"namespace": somewhere.String(), "id": "op-1", "metadata": `{"a":[1]}`, "at": at.String()} {
		if got := string(out.Secrets[key]); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	_, err = e.Execute(t.Context(), somewhere, adapters.Operation{Kind: adapters.OAuth, Verb: "wait"})
	if !errors.Is(err, adapters.ErrPending) || !strings.Contains(err.Error(), "execute oauth: somebody must agree") {
		t.Errorf("what must wait: %v", err)
	}
	_, err = e.Execute(t.Context(), somewhere, adapters.Operation{Kind: adapters.OAuth, Verb: "fail"})
	if err == nil || errors.Is(err, adapters.ErrPending) || !strings.Contains(err.Error(), "the other system is away") {
		t.Errorf("what failed: %v", err)
	}
}
