package limits_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/limits"
)

func TestBytesString(t *testing.T) {
	for b, want := range map[limits.Bytes]string{
		0:                            "0 bytes",
		1:                            "1 bytes",
		1023:                         "1023 bytes",
		limits.KiB:                   "1 KiB",
		limits.KiB + 1:               "1025 bytes",
		1536 * limits.KiB:            "1536 KiB",
		limits.MiB:                   "1 MiB",
		64 * limits.MiB:              "64 MiB",
		limits.GiB:                   "1 GiB",
		limits.GiB + limits.MiB:      "1025 MiB",
		limits.Bytes(math.MaxUint64): "18446744073709551615 bytes",
	} {
		if got := b.String(); got != want {
			t.Errorf("%d: %q, want %q", uint64(b), got, want)
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	if err := limits.Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestData(t *testing.T) {
	l := limits.Default()
	if got := l.Data(); got != 192*limits.MiB {
		t.Errorf("default: %s", got)
	}
	l.GuestMemory = limits.GiB
	if got := l.Data(); got != limits.GiB+128*limits.MiB {
		t.Errorf("follows the guest's memory: %s", got)
	}
	l.WorkerData = 40 * limits.MiB
	if got := l.Data(); got != 40*limits.MiB {
		t.Errorf("set: %s", got)
	}
}

// Each number is pushed just past both of its ends, one at a time; the error must
// name the flag that helps, and nothing else.
func TestValidate(t *testing.T) {
	size := func(f func(*limits.Limits) *limits.Bytes) func(*limits.Limits, uint64) {
		return func(l *limits.Limits, v uint64) { *f(l) = limits.Bytes(v) }
	}
	span := func(f func(*limits.Limits) *time.Duration) func(*limits.Limits, uint64) {
		return func(l *limits.Limits, v uint64) { *f(l) = time.Duration(v) }
	}
	for flag, tt := range map[string]struct {
		set    func(*limits.Limits, uint64)
		lo, hi uint64
	}{
		"max-guest-memory":    {size(func(l *limits.Limits) *limits.Bytes { return &l.GuestMemory }), 64 << 10, 4 << 30},
		"max-worker-data":     {size(func(l *limits.Limits) *limits.Bytes { return &l.WorkerData }), 32 << 20, 16 << 30},
		"step-timeout":        {span(func(l *limits.Limits) *time.Duration { return &l.StepTime }), 10e6, 3600e9},
		"run-timeout":         {span(func(l *limits.Limits) *time.Duration { return &l.RunTime }), 10e6, 24 * 3600e9},
		"compile-timeout":     {span(func(l *limits.Limits) *time.Duration { return &l.CompileTime }), 10e6, 3600e9},
		"max-compile-memory":  {size(func(l *limits.Limits) *limits.Bytes { return &l.CompileMemory }), 64 << 20, 64 << 30},
		"max-stack":           {size(func(l *limits.Limits) *limits.Bytes { return &l.Stack }), 64 << 10, 4 << 20},
		"max-step-input":      {size(func(l *limits.Limits) *limits.Bytes { return &l.StepInput }), 1 << 10, 8 << 20},
		"max-step-output":     {size(func(l *limits.Limits) *limits.Bytes { return &l.StepOutput }), 64, 8 << 20},
		"max-host-call-bytes": {size(func(l *limits.Limits) *limits.Bytes { return &l.HostCallBytes }), 1 << 10, 4 << 20},
	} {
		for v, ok := range map[uint64]bool{tt.lo - 1: false, tt.lo: true, tt.hi: true, tt.hi + 1: false} {
			l := limits.Default()
			tt.set(&l, v)
			err := l.Validate()
			if (err == nil) != ok {
				t.Errorf("--%s %d: %v", flag, v, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "--"+flag+":") || strings.Count(err.Error(), "--") != 1) {
				t.Errorf("--%s %d: %v", flag, v, err)
			}
		}
	}
	for v, ok := range map[int]bool{-1: false, 0: true, 1_000_000: true, 1_000_001: false} {
		l := limits.Default()
		l.HostCalls = v
		if err := l.Validate(); (err == nil) != ok {
			t.Errorf("--max-host-calls %d: %v", v, err)
		}
	}
	for v, ok := range map[limits.Bytes]bool{0: true, 4 * limits.MiB: true, 4*limits.MiB + 1: false} {
		l := limits.Default()
		l.Log = v
		if err := l.Validate(); (err == nil) != ok {
			t.Errorf("--max-log %s: %v", v, err)
		}
	}
}

// All problems are reported together.
func TestValidateJoins(t *testing.T) {
	err := limits.Limits{Log: limits.GiB, HostCalls: -1}.Validate()
	if err == nil {
		t.Fatal("the zero value is valid")
	}
	for _, flag := range []string{"max-guest-memory", "step-timeout", "run-timeout", "compile-timeout", "max-compile-memory",
		"max-stack", "max-step-input", "max-step-output", "max-log", "max-host-calls", "max-host-call-bytes"} {
		if !strings.Contains(err.Error(), "--"+flag+":") {
			t.Errorf("--%s is not named", flag)
		}
	}
	if strings.Contains(err.Error(), "max-worker-data") {
		t.Error("--max-worker-data: 0 means its default")
	}
}

func TestVerdictsAreDistinct(t *testing.T) {
	seen := map[limits.Verdict]bool{}
	for _, v := range limits.Verdicts {
		if v == "" || seen[v] || strings.ToLower(string(v)) != string(v) {
			t.Errorf("verdict %q", v)
		}
		seen[v] = true
	}
	if len(seen) != 13 || !seen[limits.OK] || !seen[limits.HostFault] {
		t.Errorf("%d verdicts: %v", len(seen), limits.Verdicts)
	}
}

func TestWallError(t *testing.T) {
	cause := errors.New("operation not permitted")
	for _, tt := range []struct {
		err  limits.WallError
		want string
	}{
		{limits.WallError{Wall: "mount"}, "cannot raise the mount wall"},
		{limits.WallError{Wall: "mount", Where: "pivot_root"}, "cannot raise the mount wall at pivot_root"},
		{limits.WallError{Wall: "mount", Err: cause}, "cannot raise the mount wall: operation not permitted"},
		{limits.WallError{Wall: "mount", Where: "pivot_root", Err: cause, Hint: "run as root"},
			"cannot raise the mount wall at pivot_root: operation not permitted (run as root)"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
		if tt.err.Err != nil && !errors.Is(&tt.err, cause) {
			t.Errorf("%q does not unwrap", tt.want)
		}
	}
}

// No field may be forgotten: each one that is too large is cut, and each one that is
// not stays.
func TestWithin(t *testing.T) {
	most := limits.Default()
	most.WorkerData = most.Data()
	for i := range reflect.TypeFor[limits.Limits]().NumField() {
		for _, by := range []int64{1, -1} {
			l := most
			f := reflect.ValueOf(&l).Elem().Field(i)
			if f.CanInt() {
				f.SetInt(f.Int() + by)
			} else {
				f.SetUint(f.Uint() + uint64(by))
			}
			want := l
			if by > 0 {
				want = most
			}
			if got := l.Within(most); got != want {
				t.Errorf("%s %+d: %+v, want %+v", reflect.TypeFor[limits.Limits]().Field(i).Name, by, got, want)
			}
		}
	}
}
