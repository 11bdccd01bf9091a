//go:build linux || darwin

package socketpair

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/ipc"
)

// The test binary is its own worker: with this in the environment it opens
// descriptor WorkerFD and answers.
const asWorker = "SOCKETPAIR_TEST_WORKER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(asWorker); mode != "" {
		os.Exit(worker(mode))
	}
	goleak.VerifyTestMain(m)
}

// worker gives back the content of the descriptors it is sent.
func worker(string) int {
	s, err := Worker()
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 3
	}
	flags, _ := unix.FcntlInt(WorkerFD, unix.F_GETFD, 0)
	fl, _ := unix.FcntlInt(WorkerFD, unix.F_GETFL, 0)
	if flags&unix.FD_CLOEXEC == 0 || fl&unix.O_NONBLOCK != 0 {
		return 4
	}
	b := make([]byte, 1)
	if _, err := s.Read(b); err != nil {
		return 5
	}
	files, err := s.TakeFiles(2)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 6
	}
	for _, f := range files {
		data, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
		if err != nil {
			return 7
		}
		s.Write(data)
	}
	return 0
}

func pairOf(t testing.TB) (supervisor, worker ipc.Stream) {
	t.Helper()
	s, f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); w.Close() })
	return s, w
}

func file(t testing.TB, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// openFDs gives the number of descriptors this process has.
func openFDs(t testing.TB) int {
	t.Helper()
	n := 0
	for fd := range 256 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

func TestAcrossProcesses(t *testing.T) {
	s, w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asWorker + "=files"}
	cmd.ExtraFiles = []*os.File{w}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := s.WriteFiles([]byte("x"), []*os.File{file(t, "one,"), file(t, "two")}); err != nil {
		t.Error(err)
	}
	got, err := io.ReadAll(s)
	if err != nil || string(got) != "one,two" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("worker: %v: %s", err, &stderr)
	}
}

// A worker that was started with something else as descriptor 3 must say so.
func TestWorkerChecksWhatItGets(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	socket := func(domain, typ int) *os.File {
		fd, err := unix.Socket(domain, typ, 0)
		if err != nil {
			t.Skip(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, tt := range []struct {
		name  string
		extra []*os.File
		want  string
	}{
		{"nothing", nil, "not a socket"},
		{"a pipe", []*os.File{r}, "not a socket"},
		{"a datagram socket", []*os.File{socket(unix.AF_UNIX, unix.SOCK_DGRAM)}, "not a stream socket"},
		{"a network socket", []*os.File{socket(unix.AF_INET, unix.SOCK_STREAM)}, "not a unix socket"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{asWorker + "=files"}
		cmd.ExtraFiles = tt.extra
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), "descriptor 3: "+tt.want) {
			t.Errorf("%s: %v: %s", tt.name, err, out)
		}
	}
}

func TestCloseOnExec(t *testing.T) {
	s, f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer f.Close()
	w, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteFiles([]byte("x"), []*os.File{file(t, "")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	files, err := w.TakeFiles(1)
	if err != nil {
		t.Fatal(err)
	}
	defer files[0].Close()
	for _, f := range []*os.File{s.(*supervisorEnd).f, f, files[0]} {
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s survives exec: %v", f.Name(), err)
		}
	}
}

// A frame far over the socket buffer: writes are short, descriptors ride with
// the first byte, and both ends wait for each other.
func TestLargeWriteWithFiles(t *testing.T) {
	s, w := pairOf(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 512<<10)
	errs := make(chan error, 1)
	go func() {
		n, err := s.WriteFiles(data, []*os.File{file(t, "x")})
		if err == nil && n != len(data) {
			err = io.ErrShortWrite
		}
		errs <- err
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(w, got[:1]); err != nil {
		t.Fatal(err)
	}
	files, err := w.TakeFiles(1)
	if err != nil {
		t.Fatalf("with the first byte: %v", err)
	}
	files[0].Close()
	if _, err := io.ReadFull(w, got[1:]); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err != nil || !bytes.Equal(got, data) {
		t.Errorf("%v, equal: %v", err, bytes.Equal(got, data))
	}
	if _, err := w.TakeFiles(0); err != nil {
		t.Error(err)
	}
}

func TestFlood(t *testing.T) {
	for _, n := range []int{ipc.MaxFiles + 1, 5, 8, 9, 50, 253} {
		s, w := pairOf(t)
		f := file(t, "")
		before := openFDs(t)
		fds := make([]int, n)
		for i := range fds {
			fds[i] = int(f.Fd())
		}
		if err := unix.Sendmsg(int(s.(*supervisorEnd).f.Fd()), []byte("x"), unix.UnixRights(fds...), nil, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Read(make([]byte, 10)); !errors.Is(err, ipc.ErrFiles) || got != 0 {
			t.Errorf("%d descriptors: read %d bytes, %v", n, got, err)
		}
		if after := openFDs(t); after != before {
			t.Errorf("%d descriptors: %d stayed open", n, after-before)
		}
	}
	// Few at a time, never taken.
	s, w := pairOf(t)
	f := file(t, "")
	before := openFDs(t)
	var err error
	for range ipc.MaxFiles + 1 {
		if _, err := s.WriteFiles([]byte("x"), []*os.File{f}); err != nil {
			t.Fatal(err)
		}
		_, err = w.Read(make([]byte, 1))
	}
	if !errors.Is(err, ipc.ErrFiles) || openFDs(t) != before {
		t.Errorf("%v, %d stayed open", err, openFDs(t)-before)
	}
}

func TestTakeFilesWantsTheNumber(t *testing.T) {
	for _, n := range []int{0, 2} {
		s, w := pairOf(t)
		before := openFDs(t)
		f := file(t, "")
		if _, err := s.WriteFiles([]byte("x"), []*os.File{f}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if files, err := w.TakeFiles(n); !errors.Is(err, ipc.ErrFiles) || files != nil {
			t.Errorf("TakeFiles(%d) of 1: %v, %v", n, files, err)
		}
		f.Close()
		if after := openFDs(t); after != before {
			t.Errorf("TakeFiles(%d) of 1: %d stayed open", n, after-before)
		}
	}
}

// A worker that attaches descriptors gives the supervisor nothing.
func TestSupervisorTakesNone(t *testing.T) {
	s, w := pairOf(t)
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := openFDs(t)
	fd := int(w.(*workerEnd).f.Fd())
	if err := unix.Sendmsg(fd, []byte("x"), unix.UnixRights(int(wr.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	if n, err := s.Read(make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if after := openFDs(t); after != before-1 {
		t.Errorf("%d descriptors more than before", after-before+1)
	}
	// Gone, and not merely hidden: the pipe has no writer left.
	r.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the pipe still has a writer: %v", err)
	}
	if _, err := s.TakeFiles(1); !errors.Is(err, ipc.ErrFiles) {
		t.Errorf("TakeFiles(1): %v", err)
	}
	if _, err := s.TakeFiles(0); err != nil {
		t.Errorf("TakeFiles(0): %v", err)
	}
}

func TestWriteFilesRefuses(t *testing.T) {
	s, w := pairOf(t)
	f := file(t, "")
	for name, try := range map[string]func() (int, error){
		"from the worker": func() (int, error) { return w.WriteFiles([]byte("x"), []*os.File{f}) },
		"too many":        func() (int, error) { return s.WriteFiles([]byte("x"), []*os.File{f, f, f}) },
		"without a byte":  func() (int, error) { return s.WriteFiles(nil, []*os.File{f}) },
	} {
		if n, err := try(); n != 0 || !errors.Is(err, ipc.ErrFiles) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	gone := file(t, "")
	gone.Close()
	if _, err := s.WriteFiles([]byte("x"), []*os.File{gone}); err == nil {
		t.Error("a closed file was sent")
	}
}

func TestDeadlinesAndClosing(t *testing.T) {
	s, w := pairOf(t)
	ends := map[string]ipc.Stream{"supervisor": s, "worker": w}
	for name, stream := range ends {
		stream.SetDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
	for name, stream := range ends {
		stream.SetDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := stream.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: write: %v", name, err)
		}
	}
	// On a busy machine the deadline may have passed before the buffer was full.
	for n := 1; n > 0; {
		s.SetDeadline(time.Now().Add(300 * time.Millisecond))
		n, _ = s.Write(make([]byte, 1<<20))
	}
	s.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := s.WriteFiles(make([]byte, 100), []*os.File{file(t, "")}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write with files: %v", err)
	}

	for _, closing := range []string{"supervisor", "worker"} {
		s, w = pairOf(t)
		mine, other := s, w
		if closing == "worker" {
			mine, other = w, s
		}
		read := func(s ipc.Stream) <-chan error {
			c := make(chan error, 1)
			go func() {
				_, err := s.Read(make([]byte, 1))
				c <- err
			}()
			return c
		}
		a, b := read(mine), read(other)
		mine.Close()
		if err := <-a; !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: read of what is closed: %v", closing, err)
		}
		if err := <-b; err != io.EOF {
			t.Errorf("%s: read from what is closed: %v", closing, err)
		}
		if _, err := other.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("%s: write to what is closed: %v", closing, err)
		}
		if _, err := mine.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: write of what is closed: %v", closing, err)
		}
		if err := mine.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: second Close: %v", closing, err)
		}
	}
	s, _ = pairOf(t)
	s.Close()
	if _, err := s.WriteFiles([]byte("x"), []*os.File{file(t, "")}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write with files after Close: %v", err)
	}
}

// A closed worker end keeps nothing that it was sent.
func TestCloseDropsFiles(t *testing.T) {
	before := openFDs(t)
	s, f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	x := file(t, "")
	if _, err := s.WriteFiles([]byte("x"), []*os.File{x}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	x.Close()
	w.Close()
	s.Close()
	if after := openFDs(t); after != before {
		t.Errorf("%d stayed open", after-before)
	}
}

// connected gives two connections past Seal.
func connected(t testing.TB) (supervisor, worker *ipc.Conn) {
	t.Helper()
	a, b := pairOf(t)
	s, w := ipc.NewConn(a, ipc.SupervisorSide), ipc.NewConn(b, ipc.WorkerSide)
	pass := func(from, to *ipc.Conn, m ipc.Message, files ...*os.File) {
		t.Helper()
		if err := from.Send(0, m, files...); err != nil {
			t.Fatal(err)
		}
		e, err := to.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Files) != len(files) {
			t.Fatalf("%T came with %d descriptors", m, len(e.Files))
		}
		for _, f := range e.Files {
			f.Close()
		}
	}
	pass(w, s, &ipc.Hello{Min: 1, Max: ipc.Version})
	pass(s, w, &ipc.Welcome{Version: ipc.Version, Role: ipc.RoleStep})
	pass(w, s, &ipc.Ready{Walls: []ipc.Wall{{Name: "seccomp", Raised: true}}})
	pass(s, w, &ipc.Load{Size: 1}, file(t, "x"))
	pass(w, s, &ipc.Loaded{Verdict: "ok"})
	pass(s, w, &ipc.Seal{})
	pass(w, s, &ipc.Sealed{})
	return s, w
}

// Descriptors that ride with a frame that follows another at once: the kernel
// glues the bytes, the connection still knows whose they are.
func TestDescriptorsOfTheNextFrame(t *testing.T) {
	a, b := pairOf(t)
	w := ipc.NewConn(b, ipc.WorkerSide)
	peer := ipc.NewConn(a, ipc.SupervisorSide)
	if err := w.Send(0, &ipc.Hello{Min: 1, Max: ipc.Version}); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := peer.Send(0, &ipc.Welcome{Version: ipc.Version, Role: ipc.RoleStep}); err != nil {
		t.Fatal(err)
	}
	// A Load out of turn, right behind Welcome.
	load := append([]byte{0, 0, 0, 23, byte(ipc.TypeLoad), 0, 0, 0, 0, 0, 0, 0}, "\x84\xa9component\x00\xa5layer\xa0\xa4size\x01\xa8contract\xa0"...)
	load[3] = byte(len(load) - 12)
	if _, err := a.WriteFiles(load, []*os.File{file(t, "")}); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Recv(); err != nil || len(e.Files) != 0 {
		t.Fatalf("Welcome came with %d descriptors: %v", len(e.Files), err)
	}
	if err := w.Send(0, &ipc.Ready{}); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Recv(); err != nil || len(e.Files) != 1 {
		t.Errorf("Load came with %d descriptors: %v", len(e.Files), err)
	} else {
		e.Files[0].Close()
	}
}

func TestConversation(t *testing.T) {
	s, w := connected(t)
	if err := s.Send(1, &ipc.Invoke{Action: "step", Request: bytes.Repeat([]byte("x"), 8<<10)}); err != nil {
		t.Fatal(err)
	}
	e, err := w.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Send(1, &ipc.Result{Verdict: "ok", Output: e.Message.(*ipc.Invoke).Request}); err != nil {
		t.Fatal(err)
	}
	if e, err = s.Recv(); err != nil || len(e.Message.(*ipc.Result).Output) != 8<<10 {
		t.Fatalf("%v", err)
	}
	if err := s.Send(0, &ipc.Bye{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("after the worker is gone: %v", err)
	}
}

// The price of a step, and of a host call within it, without the guest.
func BenchmarkInvoke(b *testing.B) {
	for name, size := range map[string]int{"256B": 256, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			s, w := connected(b)
			go func() {
				for {
					e, err := w.Recv()
					if err != nil {
						return
					}
					w.Send(e.ID, &ipc.Result{Verdict: "ok", Output: e.Message.(*ipc.Invoke).Request})
				}
			}()
			invoke := &ipc.Invoke{Component: 1, Action: "step", Request: make([]byte, size), Budget: 5e9, Seed: make([]byte, 32), Now: 1}
			b.SetBytes(2 * int64(size))
			b.ReportAllocs()
			id := uint32(0)
			for b.Loop() {
				id++
				if err := s.Send(id, invoke); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Recv(); err != nil {
					b.Fatal(err)
				}
			}
			s.Close()
		})
	}
}

// With no descriptor left, the kernel drops what was sent and says only that
// the control message was cut.
func TestNoDescriptorLeft(t *testing.T) {
	s, w := pairOf(t)
	f := file(t, "")
	if _, err := s.WriteFiles([]byte("x"), []*os.File{f}); err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := w.Read(make([]byte, 1))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, ipc.ErrFiles) {
		t.Errorf("got %v", err)
	}
}
