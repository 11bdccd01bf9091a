package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/limits"
)

func TestSizeFlag(t *testing.T) {
	for _, c := range []struct {
		in   string
		want limits.Bytes
		err  string
	}{
		{in: "64MiB", want: 64 * limits.MiB},
		{in: "512KiB", want: 512 * limits.KiB},
		{in: "2 GiB", want: 2 * limits.GiB},
		{in: "4096", want: 4096},
		{in: "0", want: 0},
		{in: "", err: "not a size"},
		{in: "MiB", err: "not a size"},
		{in: "64MB", err: "not a size"},
		{in: "-1", err: "not a size"},
		{in: "1.5GiB", err: "not a size"},
		{in: "99999999999999999999", err: "not a size"},
		{in: "17179869184GiB", err: "too large"},
	} {
		var got limits.Bytes
		err := sizeFlag{&got}.Set(c.in)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%q gives %d, %v; want %d", c.in, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q gives %d, %v; want %q", c.in, got, err, c.err)
		}
	}
}

// TestSizeFlagRoundTrip: the default that --help shows can be typed.
func TestSizeFlagRoundTrip(t *testing.T) {
	for _, size := range []limits.Bytes{0, 1, 1023, limits.KiB, limits.KiB + 1, 64 * limits.MiB, 3 * limits.GiB} {
		shown := sizeFlag{&size}.String()
		var back limits.Bytes
		if err := (sizeFlag{&back}).Set(shown); err != nil || back != size {
			t.Errorf("%d shows as %q, which reads as %d, %v", size, shown, back, err)
		}
	}
}

// TestEveryLimitHasItsFlag: Validate names the flag of each limit, so the two
// must agree; an impossible value of any flag must be caught.
func TestEveryLimitHasItsFlag(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	l := limits.Default()
	limitFlags(fs, &l)
	if err := checkLimits(l); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	n := 0
	fs.VisitAll(func(f *pflag.Flag) {
		n++
		l := limits.Default()
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		limitFlags(fs, &l)
		bad := "9999999GiB"
		switch f.Value.Type() {
		case "duration":
			bad = "1ns"
		case "int":
			bad = "-1"
		}
		if err := fs.Set(f.Name, bad); err != nil {
			t.Errorf("--%s %s: %v", f.Name, bad, err)
		}
		if err := checkLimits(l); err == nil || !strings.Contains(err.Error(), "--"+f.Name+":") {
			t.Errorf("--%s %s gives %v", f.Name, bad, err)
		}
	})
	if n != 13 {
		t.Errorf("%d limit flags, want 13", n)
	}
}

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"x", "greentic.messaging-telegram", "Zürich 1", strings.Repeat("x", 256)} {
		if err := checkName("provider-id", ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "a\nb", "a\x1b[31m", "\u202e", "\xff", strings.Repeat("x", 257)} {
		err := checkName("provider-id", bad)
		if err == nil || !strings.HasPrefix(err.Error(), "--provider-id: ") || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func TestCheckBaseURL(t *testing.T) {
	for _, ok := range []string{"https://example.invalid", "http://localhost:8080/base", "https://[::1]:1/"} {
		if err := checkBaseURL(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "example.com", "/path", "ftp://x", "https:", "https:///path", "https://user:hunter2@x", "https://user:hunter2@x:port", "user:hunter2@x", "%zz", "http://a b"} {
		err := checkBaseURL(bad)
		if err == nil || !strings.HasPrefix(err.Error(), "--public-base-url: ") {
			t.Errorf("%q gives %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
