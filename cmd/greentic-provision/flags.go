package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/limits"
)

// sizeFlag is a limits.Bytes on the command line.
type sizeFlag struct{ to *limits.Bytes }

var units = []struct {
	suffix string
	size   limits.Bytes
}{{"GiB", limits.GiB}, {"MiB", limits.MiB}, {"KiB", limits.KiB}, {"", 1}}

func (f sizeFlag) Type() string { return "size" }

// String gives the form that Set reads.
func (f sizeFlag) String() string {
	if f.to == nil {
		return ""
	}
	for _, u := range units {
		if *f.to >= u.size && *f.to%u.size == 0 {
			return strconv.FormatUint(uint64(*f.to/u.size), 10) + u.suffix
		}
	}
	return "0"
}

func (f sizeFlag) Set(s string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
		if err != nil {
			return errors.New("not a size (say 64MiB, 512KiB or a number of bytes)")
		}
		if n > math.MaxUint64/uint64(u.size) {
			return errors.New("is too large for a size")
		}
		*f.to = limits.Bytes(n) * u.size
		return nil
	}
	panic("unreachable: the last unit is the empty one")
}

// limitFlags adds a flag for every limit, with the defaults that l holds.
func limitFlags(fs *pflag.FlagSet, l *limits.Limits) {
	size := func(to *limits.Bytes, name, usage string) { fs.Var(sizeFlag{to}, name, usage) }
	size(&l.GuestMemory, "max-guest-memory", "linear memory of one guest instance")
	size(&l.WorkerData, "max-worker-data", "private memory of the worker process; 0 means guest memory + 128MiB")
	fs.DurationVar(&l.StepTime, "step-timeout", l.StepTime, "wall time of one step, host calls included")
	fs.DurationVar(&l.RunTime, "run-timeout", l.RunTime, "wall time of the run, compilation excluded")
	fs.DurationVar(&l.StartTime, "start-timeout", l.StartTime, "wall time until a worker is ready, and for loading and sealing")
	fs.DurationVar(&l.CompileTime, "compile-timeout", l.CompileTime, "wall time of one compilation")
	size(&l.CompileMemory, "max-compile-memory", "private memory of the compiling process")
	size(&l.Stack, "max-stack", "WebAssembly stack of a guest")
	size(&l.StepInput, "max-step-input", "request JSON of one step")
	size(&l.StepOutput, "max-step-output", "response JSON of one step")
	size(&l.Log, "max-log", "log text kept of one step; the rest is counted")
	fs.IntVar(&l.HostCalls, "max-host-calls", l.HostCalls, "host calls of one step")
	size(&l.HostCallBytes, "max-host-call-bytes", "arguments or reply of one host call")
}

// checkLimits words the problems that limits.Validate finds as wrong input.
func checkLimits(l limits.Limits) error {
	if err := l.Validate(); err != nil {
		return &usageError{what: "limits", rule: errorLine(err)}
	}
	return nil
}

// checkName checks an identifier that the operator gives. It ends up in plans,
// logs and keys, so it must be short and printable.
func checkName(flag, value string) error {
	rule := ""
	switch {
	case value == "":
		rule = "is empty"
	case len(value) > 256:
		rule = fmt.Sprintf("has %d bytes, more than 256", len(value))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !strconv.IsPrint(r) }):
		rule = "has characters that cannot be printed"
	case value == "." || value == "..":
		rule = "is a step in a path, and guests build paths from it"
	default:
		return nil
	}
	return &usageError{what: "--" + flag, where: quote(value), rule: rule, hint: "leave the flag out, or say a name in printable characters"}
}

// checkBaseURL checks --public-base-url. Guests build addresses from it, and it
// is shown in plans: so it is absolute, and holds no password.
func checkBaseURL(s string) error {
	const flag = "--public-base-url"
	const hint = "say something like https://example.com"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The parser's text quotes the URL, password and all.
		return &usageError{what: flag, rule: "is not a URL", hint: hint}
	case u.User != nil:
		return &usageError{what: flag, rule: "holds a user name or password, which would show in the plan", hint: hint}
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		e := &usageError{what: flag, where: quote(s), rule: "is not an absolute http or https URL", hint: hint}
		if strings.Contains(s, "@") { // user:password@host is a URL with the scheme "user"
			e.where = ""
		}
		return e
	}
	return nil
}
