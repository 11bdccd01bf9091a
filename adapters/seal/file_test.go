package seal

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"filippo.io/age"
)

// write makes a file in a fresh directory and gives its path.
func write(t testing.TB, content string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity.txt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func ofFile(path string) *Keys { return New(Config{Source: Source{Kind: File, Path: path}}) }

func creating(path string) *Keys {
	return New(Config{Source: Source{Kind: File, Path: path}, Create: true})
}

func TestAnIdentityIsReadAsAgeKeygenWritesIt(t *testing.T) {
	id := newIdentity(t)
	for _, content := range []string{
		"# created: 2026-01-02T03:04:05Z\n# public key: " + id.Recipient().String() + "\n" + id.String() + "\n",
		id.String(),
		"\r\n" + id.String() + "\r\n\r\n",
	} {
		for _, mode := range []fs.FileMode{0o600, 0o400} {
			got, err := ofFile(write(t, content, mode)).Recipient(t.Context())
			if err != nil || got != id.Recipient().String() {
				t.Errorf("%o: got %s, %v", mode, got, err)
			}
		}
	}
}

func TestAMissingFileSaysHowToPointToOne(t *testing.T) {
	id := newIdentity(t)
	to := id.Recipient().String()
	path := filepath.Join(t.TempDir(), "a", "identity.txt")
	_, err := ofFile(path).Recipient(t.Context())
	wantConfigError(t, err, path+" is missing", "--identity", "file:PATH", "passphrase:PATH", "command:ARGV")
	_, err = creating(path).Open(t.Context(), to, "a", mustSeal(t, to, "a", nil))
	wantConfigError(t, err, path+" is missing")
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("Open has made a directory")
	}
}

func TestFilesThatOthersCanReadAreRefused(t *testing.T) {
	id := newIdentity(t)
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o604, 0o660, 0o601, 0o700, 0o666} {
		_, err := ofFile(write(t, id.String(), mode)).Recipient(t.Context())
		wantConfigError(t, err, "has mode 0"+string([]byte{'0' + byte(mode>>6&7), '0' + byte(mode>>3&7), '0' + byte(mode&7)}), "0600", "chmod")
	}
}

func TestFilesOfOthersAreRefused(t *testing.T) {
	info, err := os.Stat(write(t, "", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if reason, _ := objection(info, os.Geteuid()); reason != "" {
		t.Errorf("our own file %s", reason)
	}
	if reason, hint := objection(info, os.Geteuid()+1); !strings.Contains(reason, "belongs to user") || hint == "" {
		t.Errorf("another's file: %q", reason)
	}
}

func TestWhatIsNoReadableFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop\x1b[2J")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                         "is not a regular file",
		pipe:                        "command:ARGV",
		loop:                        "cannot be read: too many levels of symbolic links",
		write(t, "", 0o600) + "/in": "cannot be read: not a directory",
	} {
		_, err := ofFile(path).Recipient(t.Context())
		wantConfigError(t, err, want)
	}
}

func TestTextsThatAreNoIdentityAreNotRepeated(t *testing.T) {
	id := newIdentity(t)
	other := secret("this is not meant for anybody")
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	secret(strings.TrimPrefix(pq.String(), "AGE-SECRET-KEY-PQ-1"))
	flipped := []byte(id.String())
	flipped[40] ^= 1
	for content, want := range map[string]string{
		"":                               "is not an identity of age",
		"# nothing\n":                    "is not an identity of age",
		other:                            "is not an identity of age",
		other + "\n" + id.String():       "is not an identity of age",
		"\xff\xfe":                       "is not an identity of age",
		" " + id.String():                "is not an identity of age",
		strings.ToLower(id.String()):     "is not an identity of age",
		id.String()[:50]:                 "is not an identity of age",
		string(flipped):                  "is not an identity of age",
		id.String() + "\n" + id.String(): "has 2 identities",
		pq.String():                      "another type",
		string(mustLock(t, id, "pass")):  "is encrypted",
		id.String() + strings.Repeat("\n", 64<<10): "more than 65536 bytes",
	} {
		_, err := ofFile(write(t, content, 0o600)).Recipient(t.Context())
		wantConfigError(t, err, want)
	}
}

func TestANewIdentityIsMadeForANewStoreOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "identity.txt")
	k := creating(path)
	to, err := k.Recipient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700, filepath.Dir(filepath.Dir(path)): fs.ModeDir | 0o700,
	} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside the file there are %v, %v", names, err)
	}
	for what, later := range map[string]*Keys{"the same": k, "a reader": ofFile(path), "one that could make it": creating(path)} {
		if got, err := later.Recipient(t.Context()); err != nil || got != to {
			t.Errorf("%s: got %s, %v; want %s", what, got, err, to)
		}
	}
	if got, err := k.Open(t.Context(), to, "a", mustSeal(t, to, "a", []byte("x"))); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := age.ParseIdentities(strings.NewReader(string(text))); err != nil || len(ids) != 1 {
		t.Errorf("age reads %d identities, %v", len(ids), err)
	}
	if !strings.Contains(string(text), "# public key: "+to+"\n") {
		t.Error("the file does not name the recipient")
	}
}

func TestAFileThatIsThereIsNeverReplaced(t *testing.T) {
	const content = "not an identity"
	path := write(t, content, 0o600)
	_, err := creating(path).Recipient(t.Context())
	wantConfigError(t, err, "is not an identity of age")
	dangling := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(filepath.Dir(dangling), "gone"), dangling); err != nil {
		t.Fatal(err)
	}
	_, err = creating(dangling).Recipient(t.Context())
	wantConfigError(t, err, "is missing")
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("the file is %q, %v", got, err)
	}
}

func TestThoseWhoMakeOneAtOnceAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "identity.txt")
	const n = 16
	got := make([]string, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			var err error
			if got[i], err = creating(path).Recipient(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Errorf("got %q", got)
			break
		}
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside the file there are %v, %v", names, err)
	}
}

func TestPlaceKeepsTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.txt")
	for i, content := range []string{"first", "second"} {
		if placed, err := place(path, []byte(content)); err != nil || placed != (i == 0) {
			t.Errorf("the %s: %t, %v", content, placed, err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWhereNoFileCanBeMadeItSaysWhy(t *testing.T) {
	path := filepath.Join(write(t, "", 0o600), "a", "identity.txt") // below a file
	_, err := creating(path).Recipient(t.Context())
	wantConfigError(t, err, "not a directory")
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 256))
	_, err = creating(long).Recipient(t.Context())
	wantConfigError(t, err, "file name too long")
}
