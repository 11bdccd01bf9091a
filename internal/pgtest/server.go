package pgtest

import (
	"bufio"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

//go:embed server.sh
var script string

// server is a running server.sh, which outlives us to clean up when we are killed.
type server struct {
	dir, password string
	port          int

	mu      sync.Mutex // guards the conversation with the script
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stopped bool
}

// debian is where Debian puts what is not in PATH.
var debian = "/usr/lib/postgresql"

// programs gives the directory that has initdb, pg_ctl and postgres.
func programs() (string, error) {
	if path, err := exec.LookPath("pg_ctl"); err == nil {
		// Distributions link single programs of a version into PATH.
		if path, err = filepath.EvalSymlinks(path); err == nil && complete(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	versions, _ := filepath.Glob(debian + "/*/bin")
	slices.SortFunc(versions, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range versions {
		if complete(dir) {
			return dir, nil
		}
	}
	return "", errors.New("no initdb, pg_ctl and postgres in PATH or below " + debian)
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// version reads …/VERSION/bin; 0 when it is no number.
func version(bin string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return v
}

// create makes a new server and starts it.
func create(bin string) (*server, error) {
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, password: rand.Text(), stopped: true}
	if err := s.run(bin); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) run(bin string) error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", script, "pgtest", bin, s.dir)
	cmd.Dir = s.dir // the programs want one that they can read
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	// A session of its own: what interrupts the tests from the terminal must not keep
	// the script from cleaning up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 { // as whom the programs refuse to run
		uid, gid, err := unprivileged()
		if err != nil {
			return err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
		for _, path := range []string{password, s.dir} {
			if err := os.Chown(path, int(uid), int(gid)); err != nil {
				return err
			}
		}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.in, s.out = cmd, in, bufio.NewReader(out)
	if err := s.ask("init"); err != nil {
		return err
	}
	// Somebody may take the port between here and there.
	for range 5 {
		if s.port, err = freePort(); err == nil {
			if err = s.start(); err == nil {
				return nil
			}
		}
	}
	return err
}

func unprivileged() (uid, gid uint32, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return 0, 0, err
		}
		group, err := strconv.ParseUint(u.Gid, 10, 32)
		return uint32(id), uint32(group), err
	}
	return 0, 0, errors.New("pgtest: neither postgres nor nobody is a user; PostgreSQL does not run as root")
}

// freePort gives a port that systems do not give to those who ask for any (Linux from
// 32768, macOS from 49152), so that nobody gets it while the server is stopped.
func freePort() (int, error) {
	port := 20000 + mathrand.IntN(10000)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	return port, l.Close()
}

func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		return nil
	}
	err := s.ask("start " + strconv.Itoa(s.port))
	s.stopped = err != nil
	return err
}

func (s *server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	err := s.ask("stop")
	s.stopped = err == nil
	return err
}

// ask gives the script a command and waits for the answer.
func (s *server) ask(command string) error {
	if _, err := fmt.Fprintln(s.in, command); err != nil {
		return fmt.Errorf("pgtest: %s: %w", command, err)
	}
	answer, err := s.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("pgtest: %s: %w", command, err)
	}
	if answer != "0\n" {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("pgtest: %s: exit code %s\n%s", command, strings.TrimSpace(answer), log)
	}
	return nil
}

// close stops the server and removes what there is of it.
func (s *server) close() {
	if s.cmd != nil {
		s.in.Close()
		s.cmd.Wait()
	}
	os.RemoveAll(s.dir) // the script may do so only where its user may
}

func (s *server) url(role, password, database string) *url.URL {
	return &url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database,
	}
}
