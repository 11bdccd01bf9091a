// Package leakcheck fails a test binary that leaves something behind: a
// goroutine, a file descriptor, or a child process that was not waited for.
//
// A package whose tests start any of these has
//
//	func TestMain(m *testing.M) { leakcheck.Main(m) }
//
// The check runs once, after all tests, so tests may run in parallel; each test
// must have ended what it started when it returns. Things that are just being
// torn down get a second to finish.
package leakcheck

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/goleak"
)

// patience is how long teardown that is under way may take. A leak never goes
// away, so waiting costs time only when the check is about to fail.
const patience = time.Second

// Tests is what is checked; *testing.M is one.
type Tests interface{ Run() int }

// Main runs the tests, checks for leaks and exits.
func Main(m Tests) { os.Exit(Checked(m).Run()) }

// Checked wraps m so that Run reports failure when tests that passed left
// something behind. It is for a TestMain that must hand m to somebody else,
// such as testscript.Main.
func Checked(m Tests) Tests { return checked{m} }

type checked struct{ m Tests }

func (c checked) Run() int {
	before, err := openFiles()
	if err != nil {
		fmt.Fprintln(os.Stderr, "leakcheck:", err)
		return 1
	}
	code := c.m.Run()
	if code != 0 {
		return code // a failed test may have stopped half-way; its leaks only distract
	}
	leaks := find(before)
	for _, l := range leaks {
		fmt.Fprintln(os.Stderr, "leakcheck:", l)
	}
	if len(leaks) > 0 {
		return 1
	}
	return 0
}

// find gives what has been left behind since openFiles gave before.
func find(before map[string]string) []string {
	var leaks []string
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		leaks = leaks[:0]
		after, err := openFiles()
		if err != nil {
			return []string{err.Error()}
		}
		for fd, target := range after {
			if before[fd] != target {
				leaks = append(leaks, fmt.Sprintf("descriptor %s is still open: %s", fd, target))
			}
		}
		leaks = append(leaks, children()...)
		if len(leaks) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if err := goleak.Find(); err != nil { // has a patience of its own
		leaks = append(leaks, err.Error())
	}
	return leaks
}
