package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/greentic"
	"github.com/greentic-ai/greentic-provision/adapters/oauth"
	"github.com/greentic-ai/greentic-provision/adapters/plugin"
	"github.com/greentic-ai/greentic-provision/adapters/postgres"
	"github.com/greentic-ai/greentic-provision/adapters/seal"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/form"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/render"
)

// storing is where state is kept: the flags of every command that reads or writes it.
type storing struct {
	store, identity, passphraseFile string
	adapters                        []string
	oauth, oauthClients             string
}

// fault is for tests: what a store calls before it writes (sqlstore.Options.Fault).
var fault func(op string) error

func (s *storing) flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.store, "store", "", "where state is kept: a file, postgres://… or default (greentic-provision/store.db in the user's state directory, which is taken without this flag)")
	fs.StringVar(&s.identity, "identity", "", "age identity of the stored secrets: file:PATH, passphrase:PATH or command:COMMAND (default: a file that is made in the user's configuration directory)")
	fs.StringVar(&s.passphraseFile, "passphrase-file", "", "file with the passphrase of --identity passphrase:PATH (default: it is asked on the terminal)")
	fs.StringArrayVar(&s.adapters, "adapter", nil, "keep or do this elsewhere: NAME=URL, where NAME is "+join(adapterNames)+" and URL is plugin:PATH?sha256=… or, for config and secrets, greentic:BUNDLE")
}

// executing adds the flags of commands that carry out operations.
func (s *storing) executing(fs *pflag.FlagSet) {
	fs.StringVar(&s.oauth, "oauth", "", "how consent is asked for: browser (a URL to open on this machine), manual (a URL and a code to paste), none (it waits) (default: browser on a terminal, else none)")
	fs.StringVar(&s.oauthClients, "oauth-clients", "", "file with the client registrations of OAuth providers")
}

// The names of --adapter: kinds of values, then kinds of operations.
var adapterNames = []string{"config", "secrets", "webhooks", "subscriptions", "oauth"}

var valueAdapters = map[string]adapters.Kind{"config": adapters.Config, "secrets": adapters.Secrets}

var operationAdapters = map[string]adapters.OperationKind{
	"webhooks": adapters.Webhook, "subscriptions": adapters.Subscription, "oauth": adapters.OAuth,
}

// check reports the first flag that makes no sense.
func (s *storing) check() error {
	seen := map[string]bool{}
	for _, a := range s.adapters {
		name, url, ok := strings.Cut(a, "=")
		switch {
		case !ok || url == "":
			return &usageError{what: "--adapter", where: quote(a), rule: "is not NAME=URL", hint: "say something like secrets=plugin:/opt/adapter?sha256=…"}
		case !slices.Contains(adapterNames, name):
			return &usageError{what: "--adapter", where: quote(name), rule: "is none of " + join(adapterNames)}
		case seen[name]:
			return &usageError{what: "--adapter", where: quote(name), rule: "is given twice"}
		}
		seen[name] = true
		scheme, rest, _ := strings.Cut(url, ":")
		switch {
		case scheme == "plugin":
		case scheme == "greentic" && valueAdapters[name] != "" && rest == "":
			return &usageError{what: "--adapter", where: quote(a), rule: "names no bundle", hint: "say " + name + "=greentic:BUNDLE"}
		case scheme == "greentic" && valueAdapters[name] != "":
		default:
			return &usageError{what: "--adapter", where: quote(a), rule: "is neither plugin:PATH?sha256=… nor, for config and secrets, greentic:BUNDLE"}
		}
	}
	if s.passphraseFile != "" && !strings.HasPrefix(s.identity, "passphrase:") {
		return &usageError{what: "--passphrase-file", rule: "is for --identity passphrase:PATH"}
	}
	if err := oneOf("oauth", s.oauth, []string{"browser", "manual", "none"}); err != nil {
		return err
	}
	if seen["oauth"] && (s.oauth != "" || s.oauthClients != "") {
		return &usageError{what: "--adapter", where: "oauth", rule: "contradicts --oauth and --oauth-clients", hint: "leave one of them out"}
	}
	return nil
}

// checkNames refuses names of an installation that Greentic's stores do not tell apart:
// there, what was not given has a name of its own, and two installations would be one.
func (s *storing) checkNames(ns adapters.Namespace) error {
	i := slices.IndexFunc(s.adapters, func(a string) bool {
		_, url, _ := strings.Cut(a, "=")
		return strings.HasPrefix(url, "greentic:")
	})
	if i < 0 {
		return nil
	}
	const hint = "Greentic gives what is missing a name of its own, and two installations would be one there"
	for _, n := range []struct{ flag, value string }{{"--env", ns.Env}, {"--tenant", ns.Tenant}} {
		if n.value == "" {
			return &usageError{what: "--adapter", where: quote(s.adapters[i]), rule: "needs " + n.flag, hint: hint}
		}
	}
	if team := strings.TrimSpace(ns.Team); team != ns.Team || team == "_" || strings.EqualFold(team, "default") {
		return &usageError{what: "--team", where: quote(ns.Team), rule: "is no team to Greentic, where --adapter keeps a part", hint: "leave it out, or name another"}
	}
	return nil
}

// namesStore says that --store was given: then the store must be there, but for apply.
func (s *storing) namesStore() bool { return s.store != "" }

// isPostgres says that the store is on a server.
func (s *storing) isPostgres() bool {
	return strings.HasPrefix(s.store, "postgres://") || strings.HasPrefix(s.store, "postgresql://")
}

// defaultStore is the value of --store for what is taken without it.
const defaultStore = "default"

// file is that of a store which is not on a server.
func (s *storing) file() (string, error) {
	if s.store == "" || s.store == defaultStore {
		dir, err := stateDir()
		if err != nil {
			return "", &usageError{what: "--store", rule: err.Error(), hint: "name a file"}
		}
		return filepath.Join(dir, "store.db"), nil
	}
	path := strings.TrimPrefix(s.store, "sqlite:")
	if scheme, _, ok := strings.Cut(path, "://"); ok { // the rest may hold a password
		return "", &usageError{what: "--store", where: quote(scheme + "://…"), rule: "is neither a file nor postgres://…"}
	}
	if path == "" {
		return "", &usageError{what: "--store", where: quote(s.store), rule: "names no file"}
	}
	return path, nil
}

// inputs are the files that --output must leave alone. What cannot be told is left to
// whoever opens it.
func (s *storing) inputs() []input {
	list := []input{{"--passphrase-file", s.passphraseFile}, {"--oauth-clients", s.oauthClients}}
	if !s.isPostgres() {
		if file, err := s.file(); err == nil {
			if real, err := filepath.EvalSymlinks(file); err == nil {
				file = real // -wal and -shm lie beside that one
			}
			list = append(list, input{"--store", file}, input{"--store", file + "-wal"}, input{"--store", file + "-shm"})
		}
	}
	if s.identity == "" {
		if path, err := seal.DefaultPath(); err == nil {
			list = append(list, input{"--identity", path})
		}
	} else if source, err := seal.Parse(s.identity); err == nil {
		list = append(list, input{"--identity", source.Path})
	}
	for _, a := range s.adapters {
		_, url, _ := strings.Cut(a, "=")
		if bundle, ok := strings.CutPrefix(url, "greentic:"); ok {
			if st, err := os.Stat(bundle); err == nil && st.Mode().IsRegular() {
				list = append(list, input{"--adapter", bundle})
			}
		} else if cfg, err := plugin.ParseURL(url); err == nil {
			list = append(list, input{"--adapter", cfg.Path})
		}
	}
	return list
}

// stateDir is the user's directory of state (XDG Base Directory Specification 0.8).
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, program), nil
	}
	if runtime.GOOS == "darwin" {
		dir, err := os.UserConfigDir() // ~/Library/Application Support
		return filepath.Join(dir, program), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", program), err
}

// opened are stores, and what ends them.
type opened struct {
	commit.Stores
	close func()
}

// how a store is opened.
type opening int

const (
	looked   opening = iota // for reading; nil where none was named and there is none: looking makes nothing
	existing                // the same, for writing
	creating
)

// noStore says that the store which was named is not there.
func noStore(s storing) error {
	e := &usageError{what: "--store", where: quote(s.store), rule: "there is no such store", hint: "apply setup makes one"}
	if s.isPostgres() {
		e.where = "" // may hold a password
	}
	return e
}

// openStores opens what the flags name.
func (a *app) openStores(ctx context.Context, s storing, how opening) (*opened, error) {
	keys, err := a.identity(s)
	if err != nil {
		return nil, err
	}
	o := &opened{Stores: commit.Stores{Elsewhere: map[adapters.Kind]commit.Place{}, Executors: map[adapters.OperationKind]adapters.Executor{}}, close: func() {}}
	options := sqlstore.Options{Sealer: keys, Fault: fault, ReadOnly: how == looked}
	if s.isPostgres() {
		o.Record, err = store(postgres.Open(ctx, s.store, options))
	} else {
		var path string
		if path, err = s.file(); err != nil {
			return nil, err
		}
		if _, err = os.Stat(path); how != creating && errors.Is(err, fs.ErrNotExist) {
			err = sqlstore.ErrNoStore
		} else {
			o.Record, err = store(sqlite.Open(ctx, path, options))
		}
	}
	switch {
	case errors.Is(err, sqlstore.ErrNoStore) && s.namesStore():
		return nil, noStore(s)
	case errors.Is(err, sqlstore.ErrNoStore):
		return nil, nil
	case err != nil:
		return nil, err
	}
	closers := []func(){func() { o.Record.Close() }}
	o.close = func() {
		for _, c := range slices.Backward(closers) {
			c()
		}
	}
	for _, spec := range s.adapters {
		done, err := a.addAdapter(ctx, o, spec)
		if err != nil {
			o.close()
			return nil, err
		}
		closers = append(closers, done)
	}
	return o, nil
}

// store keeps a nil *Store from becoming an interface that is not nil.
func store[S adapters.Store](s S, err error) (adapters.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// addAdapter opens the adapter that a value of --adapter names.
func (a *app) addAdapter(ctx context.Context, o *opened, spec string) (done func(), err error) {
	name, url, _ := strings.Cut(spec, "=")
	kind := valueAdapters[name]
	if bundle, ok := strings.CutPrefix(url, "greentic:"); ok {
		if bundle, err = filepath.Abs(bundle); err != nil {
			return nil, err
		}
		place := commit.Place{Name: "greentic:" + bundle}
		if kind == adapters.Config {
			place.Values, err = greentic.Config(bundle)
			place.Clear = true
		} else {
			place.Values, err = greentic.Secrets(bundle)
		}
		if err != nil {
			return nil, err
		}
		if w := greentic.Warning(); w != "" && (kind == adapters.Secrets || o.Elsewhere[adapters.Secrets].Values == nil) {
			fmt.Fprintf(a.stderr, "%s: warning: %s\n", program, w)
		}
		o.Elsewhere[kind] = place
		return func() {}, nil
	}
	cfg, err := plugin.ParseURL(url)
	if err != nil {
		return nil, err
	}
	if cfg.Path, err = filepath.Abs(cfg.Path); err != nil {
		return nil, err
	}
	cfg.Name, cfg.Kind = name, cmp.Or(string(kind), string(operationAdapters[name]))
	client, err := plugin.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		o.Elsewhere[kind] = commit.Place{Name: "plugin:" + filepath.Base(cfg.Path), Values: client.Values()}
	} else {
		o.Executors[operationAdapters[name]] = client.Executor()
	}
	return func() { client.Close() }, nil
}

// executors adds what asks for consent, where no adapter does.
func (a *app) executors(ctx context.Context, s storing, o *opened) error {
	if _, ok := o.Executors[adapters.OAuth]; ok {
		return nil
	}
	var clients *oauth.Clients
	if s.oauthClients != "" {
		b, err := a.readInput(ctx, "--oauth-clients", s.oauthClients, 1*limits.MiB, "")
		if err != nil {
			return err
		}
		if clients, err = oauth.ParseClients(b); err != nil {
			return malformed("--oauth-clients", s.oauthClients, err)
		}
	}
	o.Executors[adapters.OAuth] = oauth.New(oauth.Config{Clients: clients, Mode: a.consentMode(s.oauth), Person: person{a}})
	return nil
}

// consentMode is how consent is asked for.
func (a *app) consentMode(flag string) oauth.Mode {
	switch cmp.Or(flag, map[bool]string{true: "browser", false: "none"}[a.hasTerminal()]) {
	case "browser":
		return oauth.Browser
	case "manual":
		return oauth.Manual
	}
	return oauth.None
}

// identity gives what seals and opens stored secrets. It opens nothing yet.
func (a *app) identity(s storing) (*seal.Keys, error) {
	cfg := seal.Config{Create: true}
	if s.identity == "" {
		path, err := seal.DefaultPath()
		if err != nil {
			return nil, err
		}
		cfg.Source = seal.Source{Kind: seal.File, Path: path}
		return seal.New(cfg), nil
	}
	var err error
	if cfg.Source, err = seal.Parse(s.identity); err != nil {
		return nil, err
	}
	cfg.Passphrase = func(ctx context.Context) (string, error) { return a.passphrase(ctx, s.passphraseFile, false) }
	cfg.NewPassphrase = func(ctx context.Context) (string, error) { return a.passphrase(ctx, s.passphraseFile, true) }
	return seal.New(cfg), nil
}

// maxPassphrase bounds the file of a passphrase.
const maxPassphrase = 4 * limits.KiB

// passphrase reads the passphrase of an identity; one that is new is asked for twice.
func (a *app) passphrase(ctx context.Context, file string, fresh bool) (string, error) {
	if file != "" {
		b, err := a.readInput(ctx, "--passphrase-file", file, maxPassphrase, "")
		return string(bytes.TrimRight(b, "\r\n")), err
	}
	if !a.hasTerminal() {
		return "", &usageError{what: "--identity", rule: "needs its passphrase", hint: "give it with --passphrase-file FILE, or run on a terminal"}
	}
	if !fresh {
		return a.askLine(ctx, "Passphrase of the identity: ", true)
	}
	first, err := a.askLine(ctx, "New passphrase of the identity: ", true)
	if err != nil {
		return "", err
	}
	again, err := a.askLine(ctx, "The same again: ", true)
	if err == nil && again != first {
		err = &usageError{what: "the new passphrase", rule: "was not the same the second time"}
	}
	return first, err
}

// hasTerminal says whether somebody can be asked.
func (a *app) hasTerminal() bool {
	f, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// askLine asks for a line on the terminal. The question goes to stderr.
func (a *app) askLine(ctx context.Context, prompt string, secret bool) (string, error) {
	line, err := form.AskLine(ctx, form.Terminal{In: a.stdin, Out: a.stderr}, prompt, secret)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = &usageError{what: "stdin", rule: strings.TrimSuffix(err.Error(), ": "+io.ErrUnexpectedEOF.Error())}
	}
	return line, asked(err)
}

// person is who is asked for consent.
type person struct{ *app }

// Visit shows where to go: this program starts no browser, since it starts nothing but
// workers and adapters.
func (p person) Visit(_ context.Context, c oauth.Consent) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s asks for consent at %s", render.Text(c.Namespace.Provider, 80), render.Text(c.Provider, 80))
	if len(c.Scopes) > 0 {
		fmt.Fprintf(&b, " for %s", render.Text(strings.Join(c.Scopes, ", "), 600))
	}
	if c.PackRedirect != "" {
		fmt.Fprintf(&b, " (the pack's own redirect, %s, is not used)", render.Text(c.PackRedirect, 200))
	}
	fmt.Fprintf(&b, ". Open this address in a browser:\n\n  %s\n\n", render.Text(c.URL, 1<<14))
	_, err := io.WriteString(p.stderr, b.String())
	return err
}

// Answer reads what the browser ended at.
func (p person) Answer(ctx context.Context) (string, error) {
	if !p.hasTerminal() {
		return "", fmt.Errorf("nobody can paste the code: stdin is no terminal: %w", adapters.ErrPending)
	}
	return p.askLine(ctx, "The code, or the address at which the browser ended: ", true)
}

// by says who does something, in journals and audit logs.
func by() string {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s@%s, process %d", name, host, os.Getpid())
}

// writer locks an installation, and finishes or undoes what a crash left of it.
func (a *app) writer(ctx context.Context, o *opened, ns adapters.Namespace, wait time.Duration) (commit.Committer, adapters.Lock, []commit.Recovered, error) {
	c := commit.Committer{Stores: o.Stores, By: by()}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	lock, err := o.Record.Lock(waiting, ns, c.By)
	if err != nil {
		if e, ok := errors.AsType[*adapters.LockedError](err); ok && ctx.Err() == nil {
			return c, nil, nil, fmt.Errorf("%w; waited %s (--lock-timeout)", e, wait)
		}
		return c, nil, nil, err
	}
	recovered, err := c.Recover(ctx, lock)
	if err != nil {
		lock.Unlock()
		return c, nil, nil, err
	}
	for _, r := range recovered {
		fmt.Fprintf(a.stderr, "%s: an earlier %s of %s was interrupted (journal %s): %s\n", program, r.Entry, r.Namespace, r.JournalID, recoveredWords[r.Status])
	}
	return c, lock, recovered, nil
}

var recoveredWords = map[adapters.JournalStatus]string{
	adapters.Finished: "finished now", adapters.RolledBack: "undone, nothing of it is in force",
}
