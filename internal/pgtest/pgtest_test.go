package pgtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func scan[T any](t *testing.T, c *pgx.Conn, sql string) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func exec1(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

const attributes = `SELECT concat_ws(' ',
	CASE WHEN rolsuper THEN 'super' END, CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolcreaterole THEN 'createrole' END,
	CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolbypassrls THEN 'bypassrls' END)
	FROM pg_roles WHERE rolname = current_user`

func TestADatabaseIsEmptyAndOfAnOrdinaryRole(t *testing.T) {
	c := connect(t, Open(t))
	if got := scan[string](t, c, attributes); got != "" {
		t.Errorf("the role has %s", got)
	}
	if !scan[bool](t, c, "SELECT datdba = current_user::regrole FROM pg_database WHERE datname = current_database()") {
		t.Error("the role does not own the database")
	}
	if n := scan[int](t, c, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); n != 0 {
		t.Errorf("there are %d relations", n)
	}
	exec1(t, c, "CREATE TABLE t (x int)")
	exec1(t, c, "CREATE SCHEMA s")
}

func TestDatabasesAreSeparate(t *testing.T) {
	a, b := Open(t), Open(t)
	exec1(t, connect(t, a), "CREATE TABLE t (x int)")
	exec1(t, connect(t, b), "CREATE TABLE t (x int)")

	mixed, err := url.Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	mixed.Path = "/" + databaseOf(t, b)
	if c, err := pgx.Connect(t.Context(), mixed.String()); err == nil {
		c.Close(t.Context())
		t.Error("the role of one database connects to the other")
	}
}

func TestAPasswordIsNeeded(t *testing.T) {
	u, err := url.Parse(Open(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "another")
	if c, err := pgx.Connect(t.Context(), u.String()); err == nil {
		c.Close(t.Context())
		t.Error("any password will do")
	}
}

func TestADatabaseIsGoneAfterItsTest(t *testing.T) {
	var database string
	t.Run("inner", func(t *testing.T) {
		database = Open(t)
		c, err := pgx.Connect(t.Context(), database) // and nobody closes it in time
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.PgConn().Conn().Close() })
	})
	if c, err := pgx.Connect(t.Context(), database); err == nil {
		c.Close(t.Context())
		t.Error("the database is still there")
	}
}

func TestURLAsGivesOtherRoles(t *testing.T) {
	database := Open(t)
	exec1(t, connect(t, database), "CREATE TABLE t (x int)")
	for _, want := range []string{"", "super", "bypassrls"} {
		c := connect(t, URLAs(t, database, strings.ReplaceAll(want, "super", "superuser")))
		if got := scan[string](t, c, attributes); got != want {
			t.Errorf("asked for %q, got %q", want, got)
		}
		if got := scan[string](t, c, "SELECT current_database()"); got != databaseOf(t, database) {
			t.Errorf("the database is %s", got)
		}
	}
	if _, err := connect(t, URLAs(t, database, "")).Exec(t.Context(), "SELECT * FROM t"); err == nil {
		t.Error("a role without attributes reads what is the owner's")
	}
}

func TestTerminateBreaksConnectionsOfOneDatabase(t *testing.T) {
	database := Open(t)
	broken, other := connect(t, database), connect(t, Open(t))
	exec1(t, broken, "CREATE TABLE t (x int)")
	exec1(t, broken, "BEGIN")
	exec1(t, broken, "INSERT INTO t VALUES (1)")
	if n := Terminate(t, database); n != 1 {
		t.Errorf("ended %d connections, want 1", n)
	}
	if _, err := broken.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the connection lives")
	}
	exec1(t, other, "SELECT 1")
	if n := scan[int](t, connect(t, database), "SELECT count(*) FROM t"); n != 0 {
		t.Error("the transaction was committed")
	}
}

func TestStopLosesConnectionsAndNothingCommitted(t *testing.T) {
	database := Open(t)
	c := connect(t, database)
	exec1(t, c, "CREATE TABLE t (x int)")
	exec1(t, c, "INSERT INTO t VALUES (1)")
	Stop(t)
	Stop(t) // a second one does nothing
	if err := c.Ping(t.Context()); err == nil {
		t.Error("the connection lives")
	}
	if _, err := pgx.Connect(t.Context(), database); err == nil {
		t.Error("a stopped server takes connections")
	}
	Start(t)
	Start(t)
	if n := scan[int](t, connect(t, database), "SELECT count(*) FROM t"); n != 1 {
		t.Errorf("there are %d rows, want 1", n)
	}
}

func TestTheServerRunsAfterATestThatStoppedIt(t *testing.T) {
	t.Run("inner", func(t *testing.T) {
		Open(t)
		Stop(t)
	})
	exec1(t, connect(t, Open(t)), "SELECT 1")
}

// endEnv makes a process of this binary a test that ends in the way that it names.
const endEnv = "PGTEST_END"

// TestEnd is not a test but what TestNothingIsLeft runs.
func TestEnd(t *testing.T) {
	how := os.Getenv(endEnv)
	if how == "" {
		t.Skip("only as another process")
	}
	Open(t)
	if err := json.NewEncoder(os.Stdout).Encode([]any{running.dir, running.port}); err != nil {
		t.Fatal(err)
	}
	switch how {
	case "passes":
	case "fails":
		t.Fatal("as it should")
	case "panics":
		panic("as it should")
	case "is killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	default:
		t.Fatalf("no way to end is called %q", how)
	}
}

func TestNothingIsLeft(t *testing.T) {
	Open(t) // skips where there is no server
	for _, how := range []string{"passes", "fails", "panics", "is killed"} {
		t.Run("when a test "+how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestEnd$")
			cmd.Env = append(os.Environ(), endEnv+"="+how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, readErr := bufio.NewReader(out).ReadString('\n')
			waitErr := cmd.Wait()
			if readErr != nil {
				t.Fatal(readErr)
			}
			if (waitErr == nil) != (how == "passes") {
				t.Errorf("the process ended with %v", waitErr)
			}
			var dir string
			var port int
			if err := json.Unmarshal([]byte(line), &[]any{&dir, &port}); err != nil {
				t.Fatal(err)
			}
			gone := func() error {
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s is still there (%v)", dir, err)
				}
				if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
					c.Close()
					return fmt.Errorf("port %d is still served", port)
				}
				return nil
			}
			// The script cleans up on its own when the process was killed.
			for deadline := time.Now().Add(patience); gone() != nil && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			if err := gone(); err != nil {
				t.Error(err)
			}
		})
	}
}

// told is a test that notes what it is told to do.
type told struct {
	testing.TB
	what string
}

func (n *told) Skipf(format string, args ...any)  { n.note("skip: "+format, args) }
func (n *told) Fatalf(format string, args ...any) { n.note("fail: "+format, args) }
func (n *told) Fatal(args ...any)                 { n.note("fail: %s", args) }

func (n *told) note(format string, args []any) {
	n.what = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func openTold(t *testing.T) string {
	n := &told{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Open(n)
	}()
	<-done
	return n.what
}

func TestWithoutPostgresTestsAreSkippedOrFail(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	defer func(old string) { debian = old }(debian)
	debian = t.TempDir()
	for must, want := range map[string]string{"": "skip: ", "strace": "skip: ", "strace,postgres": "fail: ", "all": "fail: "} {
		t.Setenv("GREENTIC_CI_MUST_RUN", must)
		if got := openTold(t); !strings.HasPrefix(got, want) {
			t.Errorf("with %q: %q, want %s", must, got, want)
		}
	}
}

func TestOpenNeedsMain(t *testing.T) {
	Open(t) // skips where there is no server
	wrapped = false
	defer func() { wrapped = true }()
	if got := openTold(t); !strings.Contains(got, "pgtest.Main") {
		t.Errorf("got %q", got)
	}
}

func TestProgramsAreThoseOfTheNewestVersion(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	defer func(old string) { debian = old }(debian)
	debian = t.TempDir()
	install := func(version string, names ...string) string {
		dir := filepath.Join(debian, version, "bin")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	install("9", "initdb", "pg_ctl", "postgres")
	want := install("15", "initdb", "pg_ctl", "postgres")
	install("17", "pg_ctl") // only the client
	if got, err := programs(); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}

	// A link in PATH leads to where the others are.
	path := t.TempDir()
	if err := os.Symlink(filepath.Join(debian, "9", "bin", "pg_ctl"), filepath.Join(path, "pg_ctl")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	if got, err := programs(); err != nil || got != filepath.Join(debian, "9", "bin") {
		t.Errorf("got %s, %v; want version 9's", got, err)
	}
}
