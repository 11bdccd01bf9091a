package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/render"
)

const program = "greentic-provision"

// app is one invocation: where it reads and writes.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program: arguments and streams in, exit code out. It is the only
// place that decides how an invocation ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// The first signal asks everything to stop, and the cause names it. The second
	// one finds the default handler: nobody should need kill -9 to be rid of us.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	// Which output was asked for must be known even where parsing failed half-way.
	return a.finish(ctx, err, wantsJSON(args))
}

// wantsJSON reads --json from the arguments as they stand, the last one counts.
func wantsJSON(args []string) (want bool) {
	for _, arg := range args {
		if arg == "--json" {
			want = true
		} else if value, ok := strings.CutPrefix(arg, "--json="); ok {
			want, _ = strconv.ParseBool(value)
		}
	}
	return want
}

// command builds the command tree.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   program,
		Short: "Run the provisioning steps of a Greentic pack in a sandbox, print the plan, apply it",
		Long: `greentic-provision runs the provisioning steps (collect, validate, apply, summary) that a
Greentic pack carries as WebAssembly, each run in a sandboxed process of its own, and prints what
they would do as a plan. A dry run does nothing else; apply stores what the plan says once it was
reviewed, all of it or nothing. No run has a network or files.

Exit codes:` + strings.TrimRight(exitCodeHelp, "\n"),
		Version:           buildinfo.Version,
		PersistentPreRunE: noEmptyValues,
		SilenceErrors:     true, // finish prints them
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetFlagErrorFunc(flagError)
	group := func(use, short string, subs ...*cobra.Command) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short}
		c.AddCommand(subs...)
		return c
	}
	var dryRuns []*cobra.Command
	for _, entry := range pack.Entries {
		dryRuns = append(dryRuns, a.dryRun(entry))
	}
	applies := []*cobra.Command{a.apply(pack.EntrySetup), a.apply(pack.EntryUpdate), a.apply(pack.EntryRemove), a.applyResume()}
	root.AddCommand(
		group("dry-run", "Work out what would be done, and do nothing", dryRuns...),
		group("apply", "Do what was worked out and reviewed, all of it or nothing", applies...),
		group("installs", "Look at what is installed, and at its history", a.installsList(), a.installsShow(), a.installsHistory(), a.installsDiff()),
		group("config", "Look at the configuration of an installation", a.configList(), a.configGet()),
		group("secrets", "Look at which secrets an installation has", a.secretsList()),
		a.recover(),
		group("store", "Check and back up what is stored", a.storeCheck(), a.storeBackup()),
		group("pack", "Look into packs and build them", a.packInspect(), a.packQuestions(), a.packVerify(), a.packBuild()),
		a.conformance(),
		a.replay(),
		group("cache", "Look at the compiled code that is kept between runs", a.cacheList(), a.cacheClear()),
		a.doctor(),
		group("limits", "Look at what workers are held to", a.limitsShow(), a.limitsDumpSeccomp()),
		a.version(),
	)
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.HasSubCommands() {
			// Cobra would print help and exit 0 for a group, also for one with a
			// misspelt command behind it.
			c.Args = cobra.ArbitraryArgs
			c.RunE = chooseCommand
		}
	}
	return root
}

// chooseCommand runs for a group that was named without one of its commands.
func chooseCommand(c *cobra.Command, args []string) error {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" {
			names = append(names, sub.Name())
		}
	}
	hint := "there are " + strings.Join(names, ", ") + "; see " + c.CommandPath() + " --help"
	if len(args) == 0 {
		return &usageError{what: c.CommandPath(), rule: "which command?", hint: hint}
	}
	if near := nearest(args[0], names); near != "" {
		hint = "did you mean " + c.CommandPath() + " " + near + "?"
	}
	return &usageError{what: c.CommandPath(), where: quote(args[0]), rule: "no such command", hint: hint}
}

// noArgs refuses arguments that are not flags, naming the first.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{what: c.CommandPath(), where: quote(args[0]), rule: "takes no arguments", hint: "every input is a flag; see " + c.CommandPath() + " --help"}
}

// quote shows an argument inside an error line.
func quote(arg string) string { return `"` + render.Text(arg, 60) + `"` }
