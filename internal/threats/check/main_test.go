package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/threats"
)

// stream is what go test prints when every test of the table ends as result says.
func stream(result func(threats.Test) string) string {
	var b strings.Builder
	for _, s := range threats.Sections() {
		for _, r := range s.Rows {
			for _, t := range r.Tests {
				if action := result(t); action != "" {
					line, _ := json.Marshal(event{Action: action, Package: threats.Module + t.Package, Test: t.Output()})
					fmt.Fprintf(&b, "%s\n", line)
				}
			}
		}
	}
	return b.String()
}

func TestATestThatDidNotPassIsNamed(t *testing.T) {
	first := threats.Sections()[0].Rows[0].Tests[0]
	for _, tt := range []struct {
		name, action string
		code         int
		want         string
	}{
		{"all passed", "pass", 0, "passed"},
		{"one was skipped", "skip", 1, first.Name + ": skip"},
		{"one did not run", "", 1, first.Name + ": not run"},
		{"one failed", "fail", 1, first.Name + ": fail"},
	} {
		in := stream(func(test threats.Test) string {
			if test == first {
				return tt.action
			}
			return "pass"
		})
		var out strings.Builder
		if code := run(strings.NewReader(in), &out, false); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: %d, %s", tt.name, code, out.String())
		}
	}
}

// A package that fails without a failing test, say because it does not compile, fails it all.
func TestAFailingPackageIsShown(t *testing.T) {
	in := stream(func(threats.Test) string { return "pass" }) +
		`{"Action":"build-output","Output":"x.go:1: undefined: y\n"}` + "\n" +
		`{"Action":"output","Package":"p","Output":"FAIL p\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\nnot JSON\n"
	var out strings.Builder
	if code := run(strings.NewReader(in), &out, false); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"undefined: y", "FAIL p", "not JSON"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not shown: %s", want, out.String())
		}
	}
}

func TestForAnyone(t *testing.T) {
	in := stream(func(test threats.Test) string {
		if test.Anyone {
			return "pass"
		}
		return ""
	})
	var out strings.Builder
	if code := run(strings.NewReader(in), &out, true); code != 0 {
		t.Errorf("%d, %s", code, out.String())
	}
}
