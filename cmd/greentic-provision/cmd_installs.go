package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/render"
)

// looking holds the flags of commands that look at what is stored.
type looking struct {
	storing
	installation
	json bool
}

// oneInstallation adds a command about one installation, named by its flags or as one
// argument, as installs list prints it. how opens the store; more are arguments behind that, by name.
func (a *app) oneInstallation(how opening, use, short string, more []string, flags func(*cobra.Command), run func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, args []string) error) *cobra.Command {
	var f looking
	usage := use
	for _, m := range more {
		usage += " " + m
	}
	c := &cobra.Command{
		Use:   usage + " [NAMESPACE]",
		Short: short,
		Args:  cobra.ArbitraryArgs,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) < len(more) {
			return &usageError{what: c.CommandPath(), rule: "needs " + more[len(args)], hint: "see " + c.CommandPath() + " --help"}
		}
		rest := args[len(more):]
		if len(rest) > 1 {
			return &usageError{what: c.CommandPath(), where: quote(rest[1]), rule: "is one argument too many", hint: "it takes one NAMESPACE; every other input is a flag"}
		}
		if len(rest) == 1 {
			for _, flag := range []string{"provider-id", "install-id", "env", "tenant", "team"} {
				if c.Flags().Changed(flag) {
					return &usageError{what: "NAMESPACE", where: quote(rest[0]), rule: "contradicts --" + flag, hint: "it names the whole installation; leave one of the two out"}
				}
			}
		}
		if err := f.storing.check(); err != nil {
			return err
		}
		if err := f.installation.check(c.Flags().Changed); err != nil {
			return err
		}
		ns := f.namespace("")
		if len(rest) == 1 {
			var err error
			if ns, err = adapters.ParseNamespace(rest[0]); err != nil || ns.Area != adapters.Live {
				return &usageError{what: "NAMESPACE", where: quote(rest[0]), rule: "is not the name of an installation", hint: "installs list prints them"}
			}
		} else if f.providerID == "" {
			return &usageError{what: c.CommandPath(), rule: "which installation?", hint: "name it with --provider-id, or as installs list prints it"}
		}
		if err := f.storing.checkNames(ns); err != nil {
			return err
		}
		o, err := a.stored(c.Context(), f.storing, how)
		if err != nil {
			return err
		}
		defer o.close()
		return run(c.Context(), f, o, ns, args[:len(more)])
	}
	f.storing.flags(c.Flags())
	f.identityFlags(c.Flags())
	c.Flags().BoolVar(&f.json, "json", false, "print a JSON object")
	if flags != nil {
		flags(c)
	}
	return c
}

// stored opens a store that must be there.
func (a *app) stored(ctx context.Context, s storing, how opening) (*opened, error) {
	o, err := a.openStores(ctx, s, how)
	if err == nil && o == nil {
		err = &usageError{what: "--store", rule: "nothing was applied yet, so there is no store", hint: "apply setup makes one"}
	}
	return o, err
}

// installed gives the record of an installation that must be there.
func installed(ctx context.Context, o *opened, ns adapters.Namespace) (*adapters.Install, error) {
	install, err := o.Record.Install(ctx, ns)
	if err == nil && install == nil {
		err = &usageError{what: "installation", where: quote(ns.String()), rule: "there is no such one", hint: "installs list prints those that there are"}
	}
	return install, err
}

// installLine is one installation in a list.
type installLine struct {
	Namespace string           `json:"namespace"`
	Status    adapters.Status  `json:"status"`
	Revision  uint64           `json:"revision"`
	Pack      adapters.PackRef `json:"pack"`
	CreatedAt time.Time        `json:"created_at"`
	UpdatedAt time.Time        `json:"updated_at"`
	By        string           `json:"by"`
	// Waiting counts the operations that removing it left to be done.
	Waiting int `json:"waiting_operations,omitempty"`
}

func lineOf(i adapters.Install) installLine {
	return installLine{Namespace: i.Namespace.String(), Status: i.Status, Revision: i.Revision, Pack: i.Pack, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, By: i.By}
}

// number gives "1 thing" or "2 things".
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

func (a *app) installsList() *cobra.Command {
	var f looking
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List what is installed",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.storing.check(); err != nil {
				return err
			}
			if (f.env == "") != (f.tenant == "") {
				return &usageError{what: "--env and --tenant", rule: "one is there without the other", hint: "give both, or none for all installations"}
			}
			o, err := a.openStores(c.Context(), f.storing, looked)
			if err != nil {
				return err
			}
			lines := []installLine{}
			if o != nil {
				defer o.close()
				list, err := o.Record.Installs(c.Context(), f.scope())
				if err != nil {
					return err
				}
				for _, i := range list {
					l := lineOf(i)
					if i.Status == adapters.Removed {
						// What was done is not kept on record there, so that all of them wait.
						keys, err := o.Record.Values(adapters.Operations).Keys(c.Context(), i.Namespace)
						if err != nil {
							return err
						}
						l.Waiting = len(keys)
					}
					if all || i.Status == adapters.Installed || l.Waiting > 0 {
						lines = append(lines, l)
					}
				}
			}
			if f.json {
				return a.printJSON(map[string]any{"installs": lines})
			}
			var b bytes.Buffer
			w := 1
			for _, l := range lines {
				w = max(w, len(strconv.FormatUint(l.Revision, 10)))
			}
			for _, l := range lines {
				fmt.Fprintf(&b, "%s\n  %-9s  revision %*d  %s  %s %s\n", render.Text(l.Namespace, 300), l.Status, w, l.Revision,
					l.UpdatedAt.Format(time.RFC3339), render.Text(l.Pack.ID, 80), render.Text(l.Pack.Version, 40))
				if l.Waiting > 0 {
					fmt.Fprintf(&b, "  %s of it still %s (installs show, apply resume)\n", number(l.Waiting, "operation"), map[bool]string{true: "waits", false: "wait"}[l.Waiting == 1])
				}
			}
			if len(lines) == 0 {
				b.WriteString("nothing is installed\n")
			}
			return output{to: a.stdout}.write(b.Bytes())
		},
	}
	f.storing.flags(c.Flags())
	c.Flags().StringVar(&f.env, "env", "", "only installations of this environment; with --tenant")
	c.Flags().StringVar(&f.tenant, "tenant", "", "only installations of this tenant; with --env")
	c.Flags().BoolVar(&all, "all", false, "those that were removed, too (without it, as far as operations of theirs wait)")
	c.Flags().BoolVar(&f.json, "json", false, "print a JSON object")
	return c
}

// scope is that of --env and --tenant; all of them without either.
func (i installation) scope() adapters.Scope {
	if i.env == "" && i.tenant == "" {
		return adapters.AllScopes
	}
	return adapters.Namespace{Env: i.env, Tenant: i.tenant}.Scope()
}

// shownInstall is what installs show prints: the installation, and the record in the
// form of Greentic's own types.
type shownInstall struct {
	installLine
	PlanDigest  string                   `json:"plan_digest"`
	StateDigest string                   `json:"state_digest"`
	Plan        json.RawMessage          `json:"plan"`
	Elsewhere   map[adapters.Kind]string `json:"elsewhere,omitempty"`
	Operations  []commit.Listed          `json:"operations"`
	Unfinished  []string                 `json:"unfinished_commits"` // by journal id
	Record      providerInstall          `json:"record"`
}

// providerInstall is Greentic's canonical record of an installed provider.
type providerInstall struct {
	Tenant             map[string]*string `json:"tenant"`
	ProviderID         string             `json:"provider_id"`
	InstallID          string             `json:"install_id"`
	PackID             string             `json:"pack_id"`
	PackVersion        string             `json:"pack_version"`
	CreatedAt          time.Time          `json:"created_at"`
	UpdatedAt          time.Time          `json:"updated_at"`
	ConfigRefs         map[string]string  `json:"config_refs"`
	SecretRefs         map[string]string  `json:"secret_refs"`
	WebhookState       map[string]string  `json:"webhook_state"`
	SubscriptionsState map[string]string  `json:"subscriptions_state"`
	Metadata           map[string]string  `json:"metadata"`
}

func (a *app) installsShow() *cobra.Command {
	return a.oneInstallation(looked, "show", "Show an installation: what it is made of, and which operations wait", nil, nil,
		func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, _ []string) error {
			install, err := installed(ctx, o, ns)
			if err != nil {
				return err
			}
			keys := map[adapters.Kind][]string{}
			for _, kind := range []adapters.Kind{adapters.Config, adapters.Secrets, adapters.Subscriptions, adapters.State} {
				if keys[kind], err = o.Keys(ctx, ns, kind); err != nil {
					return err
				}
			}
			values, err := o.Record.Values(adapters.Operations).Load(ctx, ns)
			if err != nil {
				return err
			}
			operations := commit.Current{Values: map[adapters.Kind]map[string]adapters.Value{adapters.Operations: values}}.Operations()
			journal, err := o.Record.Journal(ctx, ns.Scope(), true)
			if err != nil {
				return err
			}
			unfinished := []string{}
			for _, e := range journal {
				if e.Namespace == ns {
					unfinished = append(unfinished, e.ID)
				}
			}
			if f.json {
				return a.printJSON(shownInstall{lineOf(*install), install.PlanDigest, install.StateDigest, install.Plan, install.Elsewhere,
					operations, unfinished, recordOf(*install, keys, operations)})
			}
			var b bytes.Buffer
			fmt.Fprintf(&b, "%s\n", render.Text(ns.String(), 300))
			fmt.Fprintf(&b, "  status    %s, revision %d\n", install.Status, install.Revision)
			fmt.Fprintf(&b, "  pack      %s %s\n", render.Text(install.Pack.ID, 80), render.Text(install.Pack.Version, 40))
			fmt.Fprintf(&b, "            %s\n", render.Text(install.Pack.Digest, 80))
			fmt.Fprintf(&b, "  plan      %s\n", render.Text(install.PlanDigest, 80))
			fmt.Fprintf(&b, "  created   %s\n  updated   %s by %s\n", install.CreatedAt.Format(time.RFC3339), install.UpdatedAt.Format(time.RFC3339), render.Text(install.By, 120))
			for _, kind := range []adapters.Kind{adapters.Config, adapters.Secrets, adapters.Subscriptions, adapters.State} {
				for i, line := range commaLines(keys[kind], 80-12) {
					fmt.Fprintf(&b, "  %-9s %s\n", map[bool]string{true: shortKind[kind]}[i == 0], line)
				}
			}
			if n := len(unfinished); n > 0 {
				fmt.Fprintf(&b, "  %-9s %s: run recover\n", "journal", number(n, "unfinished commit"))
			}
			if len(operations) > 0 {
				b.WriteString("\n" + render.Operations(operations, style(a.stdout)))
			}
			return output{to: a.stdout}.write(b.Bytes())
		})
}

// commaLines joins texts by commas, in lines of at most width characters where single
// texts are not longer.
func commaLines(texts []string, width int) []string {
	var lines []string
	line := ""
	for i, t := range texts {
		t = render.Text(t, 200)
		if i < len(texts)-1 {
			t += ","
		}
		switch {
		case line == "":
			line = t
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(t) > width:
			lines, line = append(lines, line), t
		default:
			line += " " + t
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

var shortKind = map[adapters.Kind]string{adapters.Config: "config", adapters.Secrets: "secrets", adapters.Subscriptions: "subscr.", adapters.State: "state"}

func recordOf(i adapters.Install, keys map[adapters.Kind][]string, operations []commit.Listed) providerInstall {
	ns := i.Namespace
	r := providerInstall{
		Tenant:     map[string]*string{"environment": orNull(ns.Env), "tenant": orNull(ns.Tenant), "team": orNull(ns.Team)},
		ProviderID: ns.Provider, InstallID: ns.Install, PackID: i.Pack.ID, PackVersion: i.Pack.Version, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
		ConfigRefs: map[string]string{}, SecretRefs: map[string]string{}, WebhookState: map[string]string{}, SubscriptionsState: map[string]string{},
		Metadata: map[string]string{"plan_digest": i.PlanDigest},
	}
	for _, k := range keys[adapters.Config] {
		r.ConfigRefs[k] = ns.String() + ":" + k
	}
	for _, k := range keys[adapters.Secrets] {
		r.SecretRefs[k] = ns.String() + ":" + k
	}
	for _, l := range operations {
		switch l.Kind {
		case adapters.Webhook:
			r.WebhookState[l.Key] = string(l.Status)
		case adapters.Subscription:
			r.SubscriptionsState[l.Key] = string(l.Status)
		}
	}
	return r
}

func (a *app) installsHistory() *cobra.Command {
	return a.oneInstallation(looked, "history", "Show who did what to an installation, and when", nil, nil,
		func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, _ []string) error {
			history, err := o.History(ctx, ns)
			if err != nil {
				return err
			}
			if len(history) == 0 { // it also has what never became an installation
				if _, err := installed(ctx, o, ns); err != nil {
					return err
				}
			}
			if f.json {
				return a.printJSON(map[string]any{"history": history})
			}
			var b bytes.Buffer
			for _, e := range history {
				revision := ""
				if e.Revision > 0 {
					revision = fmt.Sprintf(" revision %d", e.Revision)
				}
				fmt.Fprintf(&b, "%s  %-9s%s  %s  %s %s  by %s\n", e.Time.Format(time.RFC3339), render.Text(e.What, 20), revision, shortDigest(e.PlanDigest),
					render.Text(e.Pack.ID, 80), render.Text(e.Pack.Version, 40), render.Text(e.By, 120))
				for _, line := range commaLines(happened(e), 80-4) {
					fmt.Fprintf(&b, "    %s\n", line)
				}
			}
			return output{to: a.stdout}.write(b.Bytes())
		})
}

// happened gives the short of an entry's detail, as far as its head does not say it.
func happened(e adapters.AuditEntry) []string {
	var detail struct {
		Changes []commit.Difference `json:"changes"`
		Denied  []capability.Denial `json:"denied"`
		Entry   string              `json:"entry"`
		Exit    *int                `json:"exit_code"`
		Codes   []string            `json:"codes"`
		Status  string              `json:"status"`
	}
	if json.Unmarshal(e.Detail, &detail) != nil {
		return []string{"(the detail cannot be read)"}
	}
	var list []string
	switch e.What {
	case "denied":
		for _, d := range detail.Denied {
			what := cmp.Or(string(d.Op), d.Grant)
			if d.Key != "" {
				what += " of " + d.Key
			}
			if d.More > 0 {
				what += fmt.Sprintf(" and %d more", d.More)
			}
			list = append(list, what)
		}
	case "failed":
		if detail.Exit != nil {
			list = append(list, fmt.Sprintf("%s ended with exit code %d", detail.Entry, *detail.Exit))
		}
		list = append(list, detail.Codes...)
	case "recover":
		if words := recoveredWords[adapters.JournalStatus(detail.Status)]; words != "" {
			list = append(list, detail.Entry+": "+words)
		}
	case "operation":
		for _, d := range detail.Changes {
			if d.Kind != adapters.Operations {
				continue
			}
			var op adapters.Operation
			if d.After == nil || json.Unmarshal(d.After, &op) != nil || op.Status == "" {
				list = append(list, d.Key+" "+map[bool]string{true: "done", false: d.What}[d.What == commit.Gone])
			} else {
				list = append(list, d.Key+" "+string(op.Status))
			}
		}
	}
	return list
}

// shortDigest is enough of a digest to tell it from others on a screen.
func shortDigest(d string) string {
	if d == "" {
		return "-"
	}
	return render.Text(d[:min(len(d), 19)], 19)
}

func (a *app) installsDiff() *cobra.Command {
	var from, to int64
	return a.oneInstallation(looked, "diff", "Show what changed between two revisions of an installation", nil, func(c *cobra.Command) {
		c.Flags().Int64Var(&from, "from", -1, "revision to begin with (default: the one before --to)")
		c.Flags().Int64Var(&to, "to", -1, "revision to end with (default: the newest)")
	}, func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, _ []string) error {
		install, err := installed(ctx, o, ns)
		if err != nil {
			return err
		}
		if to < 0 {
			to = int64(install.Revision)
		}
		if from < 0 {
			from = max(0, to-1)
		}
		history, err := o.History(ctx, ns)
		if err != nil {
			return err
		}
		diffs, err := commit.Between(history, uint64(from), uint64(to))
		if err != nil {
			return &usageError{what: "--from and --to", rule: err.Error(), hint: "installs history lists the revisions"}
		}
		if f.json {
			return a.printJSON(map[string]any{"namespace": ns.String(), "from": from, "to": to, "changes": diffs})
		}
		title := fmt.Sprintf("Changes to %s from revision %d to %d", ns, from, to)
		return output{to: a.stdout}.write([]byte(render.Changes(title, diffs, style(a.stdout))))
	})
}

func (a *app) configList() *cobra.Command {
	return a.oneInstallation(looked, "list", "List the configuration of an installation", nil, nil,
		func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, _ []string) error {
			current, err := a.configuration(ctx, o, ns)
			if err != nil {
				return err
			}
			if f.json {
				values, withheld := map[string]json.RawMessage{}, []string{}
				for k, v := range current {
					if v.Secret {
						withheld = append(withheld, k)
					} else {
						values[k] = v.Bytes
					}
				}
				slices.Sort(withheld)
				return a.printJSON(map[string]any{"config": values, "withheld": withheld})
			}
			var list []commit.Difference
			for k, v := range current {
				list = append(list, commit.Difference{Kind: adapters.Config, Key: k, What: commit.Added, After: v.Bytes, Secret: v.Secret})
			}
			return output{to: a.stdout}.write([]byte(render.Values(list)))
		})
}

func (a *app) configGet() *cobra.Command {
	return a.oneInstallation(looked, "get", "Print one value of the configuration, as JSON", []string{"KEY"}, nil,
		func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, args []string) error {
			current, err := a.configuration(ctx, o, ns)
			if err != nil {
				return err
			}
			v, ok := current[args[0]]
			switch {
			case !ok:
				return &usageError{what: "KEY", where: quote(args[0]), rule: "the installation has no such configuration", hint: "config list prints what there is"}
			case v.Secret:
				return &usageError{what: "KEY", where: quote(args[0]), rule: "holds a secret, which is never shown"}
			}
			return output{to: a.stdout}.writeText(append(bytes.Clone(v.Bytes), '\n'))
		})
}

func (a *app) configuration(ctx context.Context, o *opened, ns adapters.Namespace) (map[string]adapters.Value, error) {
	if _, err := installed(ctx, o, ns); err != nil {
		return nil, err
	}
	return o.Values(ctx, ns, adapters.Config)
}

func (a *app) secretsList() *cobra.Command {
	return a.oneInstallation(looked, "list", "List the secrets of an installation, by key", nil, nil,
		func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, _ []string) error {
			if _, err := installed(ctx, o, ns); err != nil {
				return err
			}
			keys, err := o.Keys(ctx, ns, adapters.Secrets)
			if err != nil {
				return err
			}
			if f.json {
				return a.printJSON(map[string]any{"secrets": append([]string{}, keys...)})
			}
			var b bytes.Buffer
			for _, k := range keys {
				fmt.Fprintln(&b, render.Text(k, 512))
			}
			return output{to: a.stdout}.write(b.Bytes())
		})
}

// waitingHint says how what waits is done.
func waitingHint(operations []commit.Listed) string {
	var how []string
	for _, k := range []struct {
		kind adapters.OperationKind
		flag string
	}{
		{adapters.Webhook, "--adapter webhooks=…"}, {adapters.Subscription, "--adapter subscriptions=…"},
		{adapters.OAuth, "--oauth-clients FILE (and --oauth, or --adapter oauth=…)"}, {adapters.SecretValue, "--secrets FILE"},
	} {
		if slices.ContainsFunc(operations, func(l commit.Listed) bool { return l.Kind == k.kind && l.Status == adapters.Pending }) {
			how = append(how, k.flag)
		}
	}
	if len(how) == 0 {
		if count(operations, adapters.Failed) > 0 {
			return "nothing else waits\n"
		}
		return "nothing waits\n"
	}
	return strings.Join(commaLines(append([]string{"what waits is done with " + how[0]}, how[1:]...), 80), "\n") + "\n"
}

// applyResume tries again what waits.
func (a *app) applyResume() *cobra.Command {
	var secrets string
	var wait time.Duration
	var exec storing
	c := a.oneInstallation(existing, "resume", "Carry out the operations of an installation that wait", nil, func(c *cobra.Command) {
		exec.executing(c.Flags())
		c.Flags().StringVar(&secrets, "secrets", "", "file with values for secrets that wait for one, a JSON object of texts; - is stdin")
		lockFlag(c.Flags(), &wait)
	}, func(ctx context.Context, f looking, o *opened, ns adapters.Namespace, _ []string) error {
		f.oauth, f.oauthClients = exec.oauth, exec.oauthClients
		if err := f.storing.check(); err != nil {
			return err
		}
		given, err := a.readSecrets(ctx, secrets)
		if err != nil {
			return err
		}
		if _, err := installed(ctx, o, ns); err != nil {
			return err
		}
		if err := a.executors(ctx, f.storing, o); err != nil {
			return err
		}
		committer, lock, _, err := a.writer(ctx, o, ns, wait)
		if err != nil {
			return err
		}
		defer lock.Unlock()
		current, err := committer.Load(ctx, ns)
		if err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(given)) {
			canon, _ := capability.CanonicalSecret(k)
			if !slices.ContainsFunc(current.Operations(), func(l commit.Listed) bool { return l.Kind == adapters.SecretValue && l.Target == canon }) {
				fmt.Fprintf(a.stderr, "%s: warning: --secrets: nothing waits for %s\n", program, quote(k))
			}
		}
		operations, err := committer.Resume(ctx, lock, current, given)
		if err != nil {
			return err
		}
		if f.json {
			err = a.printJSON(map[string]any{"namespace": ns.String(), "operations": operations})
		} else {
			text := waitingHint(operations)
			if len(operations) > 0 {
				text = render.Operations(operations, style(a.stdout)) + "\n" + text
			}
			err = output{to: a.stdout}.write([]byte(text))
		}
		if n := count(operations, adapters.Failed); err == nil && n > 0 {
			err = &failed{code: engine.ExitFault, line: fmt.Sprintf("%d of the operations failed", n)}
		}
		return err
	})
	return c
}
