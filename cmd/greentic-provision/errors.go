package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/render"
)

// exitMismatch is the exit code of what was not applied because nobody reviewed it.
const exitMismatch = 7

// exitCodeHelp is the table of the README; a test holds the two together.
const exitCodeHelp = `
  0    a complete plan, no error diagnostics
  1    host fault: our side or a store broke, an operation failed, or no step-worker was found
  2    usage: flags, unreadable files (the one of --worker too), malformed answers
  3    pack rejected: malformed, unsafe, not what it says of itself, no such entry, not runnable
  4    the pack's steps reported errors, or its plan cannot be reviewed
  5    a step was stopped: trap, deadline, memory, output, forbidden call, crash
  6    isolation unavailable and not waived, or doctor found that a wall does not hold
  7    apply refused: the plan or the state differs from what was reviewed, or nobody agreed
  130  interrupted
`

// usageError is a wrong input. It prints as "what: where: rule (hint)": which
// flag or command, where in it, which rule it breaks, what to do.
type usageError struct {
	what, where, rule, hint string
}

func (e *usageError) Error() string {
	s := e.what
	if e.where != "" {
		s += ": " + e.where
	}
	s += ": " + e.rule
	if e.hint != "" {
		s += " (" + e.hint + ")"
	}
	return s
}

// failed is how a command says that its result, which it has written, calls for
// an exit code other than 0. Line says why in one line; it goes to stderr where
// the result itself is not on the screen.
type failed struct {
	code int
	line string
}

func (e *failed) Error() string { return e.line }

// finish turns the error of a command into an exit code and says what went
// wrong: one line on stderr, and with --json an error document on stdout as
// well, so that whoever parses stdout always finds a JSON object there.
func (a *app) finish(ctx context.Context, err error, asJSON bool) int {
	if err == nil {
		return engine.ExitOK
	}
	if f, ok := errors.AsType[*failed](err); ok {
		if f.line != "" {
			fmt.Fprintf(a.stderr, "%s: %s\n", program, render.Line(f.line, maxErrorLine))
		}
		return f.code
	}
	code := exitCode(ctx, err)
	message := errorLine(err)
	if _, ok := errors.AsType[*appliedError](err); code == engine.ExitInterrupted && !ok {
		message = "interrupted"
		if cause := context.Cause(ctx); cause != nil { // none: by a key in the form
			message += ": " + cause.Error()
		}
	}
	line := message
	if !strings.HasPrefix(line, program) { // the name of a command begins with that of the program
		line = program + ": " + line
	}
	fmt.Fprintln(a.stderr, render.Line(line, maxErrorLine))
	if asJSON {
		// When stdout takes nothing either, the line above and the code have said it.
		_ = a.printJSON(errorDocument{errorBody{Code: code, Message: message}})
	}
	return code
}

// maxErrorLine bounds an error line; a pack's author has a hand in some.
const maxErrorLine = 2000

// errorLine gives an error as one line. Errors that list several problems, one
// per line, are joined.
func errorLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// errorDocument is what --json prints when there is no result.
type errorDocument struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code    int    `json:"exit_code"`
	Message string `json:"message"`
}

// exitCode decides the exit code of an error that left no result: what is wrong
// about the command line here, everything else in engine.ExitCode.
func exitCode(ctx context.Context, err error) int {
	if _, ok := errors.AsType[*commit.UnfinishedError](err); ok {
		return engine.ExitFault // whatever the cause: somebody has to know
	}
	if ctx.Err() != nil {
		return engine.ExitInterrupted
	}
	if _, ok := errors.AsType[*appliedError](err); ok {
		return engine.ExitFault
	}
	if noDescriptors(err) {
		return engine.ExitFault
	}
	if errors.Is(err, engine.ErrInterrupted) {
		return engine.ExitInterrupted // by a key, where no signal came
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return engine.ExitUsage
	}
	if _, ok := errors.AsType[*commit.MismatchError](err); ok {
		return exitMismatch
	}
	if _, ok := errors.AsType[*declinedError](err); ok {
		return exitMismatch
	}
	if _, ok := errors.AsType[*adapters.ConfigError](err); ok {
		return engine.ExitUsage
	}
	if _, ok := errors.AsType[*adapters.Error](err); ok {
		return engine.ExitFault // also where a path is at the bottom of it
	}
	code := engine.ExitCode(nil, err)
	if _, ok := errors.AsType[*fs.PathError](err); ok && code == engine.ExitFault {
		return engine.ExitUsage // a path that was given and cannot be read
	}
	return code
}

// noDescriptors says that it is nobody's fault which file it was that could not be
// opened: there were no descriptors left.
func noDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// flagError explains what pflag did not like.
func flagError(c *cobra.Command, err error) error {
	if args := c.Flags().Args(); c.HasSubCommands() && len(args) > 0 {
		return chooseCommand(c, args) // of a command that there is not, every flag is unknown
	}
	e := &usageError{what: c.CommandPath(), rule: err.Error(), hint: "see " + c.CommandPath() + " --help"}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		e.where, e.rule = quote("--"+unknown.GetSpecifiedName()), "no such flag"
		if len(unknown.GetSpecifiedShortnames()) > 0 {
			e.where = quote("-" + unknown.GetSpecifiedShortnames())
		}
		if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
			e.hint = "did you mean --" + near + "?"
		}
		return e
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return &usageError{what: "--" + missing.GetFlag().Name, rule: "needs a value", hint: missing.GetFlag().Usage}
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return &usageError{what: "--" + bad.GetFlag().Name, where: quote(bad.GetValue()), rule: errors.Unwrap(bad).Error()}
	}
	return e
}

// noEmptyValues refuses flags that were given as --flag "", which is a variable
// that the caller's script forgot to set more often than it is meant.
func noEmptyValues(c *cobra.Command, _ []string) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && f.Value.Type() == "string" && f.Value.String() == "" {
			err = &usageError{what: "--" + f.Name, rule: "needs a value", hint: f.Usage}
		}
	})
	return err
}

// nearest gives the name that s was probably meant to be, or "".
func nearest(s string, names []string) string {
	best, dist := "", max(2, len(s)/3)+1
	for _, n := range names {
		if d := distance(s, n); d < dist {
			best, dist = n, d
		}
		if len(s) >= 3 && strings.HasPrefix(n, s) && best == "" {
			best = n
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
