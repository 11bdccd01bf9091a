package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/form"
	"github.com/greentic-ai/greentic-provision/qa"
)

// interview asks the questions of a pack on the terminal. The questions go to
// stderr, so that stdout still holds the result and nothing else.
func (a *app) interview(ctx context.Context, f *qa.Form, given json.RawMessage) (json.RawMessage, error) {
	if f == nil || len(f.Questions) == 0 {
		fmt.Fprintf(a.stderr, "%s: the pack asks no questions\n", program)
		return given, nil
	}
	t := form.Terminal{In: a.stdin, Out: a.stderr, Accessible: os.Getenv("TERM") == "dumb" || os.Getenv("ACCESSIBLE") != ""}
	answers, err := form.Ask(ctx, t, f, given)
	if err != nil {
		return nil, asked(err)
	}
	path, err := form.AskSave(ctx, t, "answers.json")
	if err != nil {
		return nil, asked(err)
	}
	if path != "" {
		if err := form.Save(path, f, answers); err != nil {
			return nil, &usageError{what: "saving the answers", where: quote(path), rule: pathReason(err)}
		}
		fmt.Fprintf(a.stderr, "%s: the answers, without secrets, are in %s\n", program, quote(path))
	}
	return answers, nil
}

// asked words why asking ended.
func asked(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, form.ErrAborted) {
		return fmt.Errorf("%w: %w", engine.ErrInterrupted, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &usageError{what: "--interactive", rule: strings.TrimSuffix(err.Error(), ": "+io.ErrUnexpectedEOF.Error())}
	}
	if _, ok := errors.AsType[*form.UnaskableError](err); ok {
		return &usageError{what: "--interactive", rule: err.Error()}
	}
	return err
}

// needTerminal refuses --interactive where nobody can answer.
func needTerminal(in io.Reader) error {
	if f, ok := in.(*os.File); ok && !term.IsTerminal(int(f.Fd())) && os.Getenv("ACCESSIBLE") == "" {
		return &usageError{what: "--interactive", rule: "needs a terminal on stdin", hint: "give the answers with --answers FILE"}
	}
	return nil
}
