// Command check reads what `go test -json` prints, shows it as go test would, and fails
// when a test of the table of threats did not run and pass:
//
//	go test -json ./... | go run ./internal/threats/check
//	… | go run ./internal/threats/check -anyone    as an ordinary user: the tests that must pass for anyone
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/threats"
)

func main() {
	anyone := flag.Bool("anyone", false, "check only the tests that must pass for an ordinary user")
	flag.Parse()
	os.Exit(run(os.Stdin, os.Stdout, *anyone))
}

// event is one line of go test -json (go doc cmd/test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

func run(in io.Reader, out io.Writer, anyone bool) int {
	result := map[string]string{} // of each test, by package and name
	said := map[string][]string{}
	failed := false
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				out.Write(line) // the go command's own words
			} else {
				pkg := strings.TrimPrefix(e.Package, threats.Module)
				key := pkg + " " + e.Test
				switch e.Action {
				case "output":
					said[key] = append(said[key], e.Output)
				case "build-output":
					fmt.Fprint(out, e.Output)
				case "pass", "fail", "skip":
					result[key] = e.Action
					failed = failed || e.Action == "fail"
					if e.Action == "fail" || e.Test == "" {
						fmt.Fprint(out, strings.Join(said[key], ""))
					}
					delete(said, key)
				}
			}
		}
		if err != nil {
			break
		}
	}
	missing, seen := 0, 0
	for _, s := range threats.Sections() {
		for _, r := range s.Rows {
			for _, t := range r.Tests {
				if anyone && !t.Anyone {
					continue
				}
				seen++
				if got := result[t.Package+" "+t.Output()]; got != "pass" {
					if got == "" {
						got = "not run"
					}
					fmt.Fprintf(out, "threat %s (%s): %s %s: %s\n", r.ID, r.Shape, t.Package, t.Name, got)
					missing++
				}
			}
		}
	}
	if missing > 0 || failed {
		fmt.Fprintf(out, "FAIL: %d of %d tests of the table of threats did not pass\n", missing, seen)
		return 1
	}
	fmt.Fprintf(out, "all %d tests of the table of threats passed\n", seen)
	return 0
}
