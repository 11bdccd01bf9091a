package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// prefix begins the name of a tree's directory.
const prefix = "greentic-provision-"

// removeTime bounds the wait for a group's last process to be gone. They have been
// killed by then; only one in uninterruptible sleep stays.
const removeTime = time.Second

// Tree is a cgroup of this process's own, in which the groups of workers are made.
// Its methods are safe for concurrent use.
type Tree struct {
	kernel kernel
	mount  mount
	dir    string
	locked *os.File // the directory; its lock says that the tree is in use
	undo   []func() error

	mu     sync.Mutex
	made   int // groups ever made
	live   int // groups not removed
	closed bool
}

// Open makes a tree in the place, after it has removed what is left there of trees
// whose process is gone. It moves this process into a leaf when the place is the
// cgroup that it is in. The error is a *limits.WallError, and nothing has changed
// then, but that a named cgroup may have been divided (cgroup.subtree_control); that
// stays, also when the tree is closed, for others may have trees there.
func (p Place) Open() (_ *Tree, err error) {
	k := p.kernel
	sweep(k, p.dir)
	t := &Tree{kernel: k, mount: p.mount}
	defer func() {
		if err != nil {
			_ = t.unwind() // the first error is the one that says why
		}
	}()
	if err := t.moveAway(p); err != nil {
		return nil, err
	}
	if err := t.handDown(p.dir); err != nil {
		return nil, err
	}
	if err := t.take(p.dir); err != nil {
		return nil, err
	}
	if err := t.handDown(t.dir); err != nil {
		return nil, err
	}
	return t, nil
}

// unwind undoes what Open did, last things first, and goes on after an error.
func (t *Tree) unwind() error {
	var errs []error
	for _, undo := range slices.Backward(t.undo) {
		errs = append(errs, undo())
	}
	t.undo = nil
	return errors.Join(errs...)
}

// moved counts the trees for which this process has left a cgroup, by the directory
// of that. Where a process is, all its trees share; the last one moves it back.
var moved = struct {
	sync.Mutex
	trees map[string]int
}{trees: map[string]int{}}

// moveAway sees to it that this process is not in the place, but in a leaf of it.
func (t *Tree) moveAway(p Place) error {
	moved.Lock()
	defer moved.Unlock()
	k, own := t.kernel, filepath.Join(p.dir, leaf)
	if moved.trees[p.dir] == 0 {
		if !p.inside {
			return nil // it never was, or somebody else has moved it
		}
		if err := k.mkdir(own); err != nil && !errors.Is(err, fs.ErrExist) {
			return wallError("make room", err, "")
		}
		// 0 is the process that writes, with all its threads.
		if err := k.write(filepath.Join(own, "cgroup.procs"), "0"); err != nil {
			_ = k.rmdir(own)
			return wallError("make room", err, "")
		}
	}
	moved.trees[p.dir]++
	t.undo = append(t.undo, func() error { return moveBack(k, p.dir) })
	return nil
}

// moveBack is called once for each moveAway.
func moveBack(k kernel, dir string) error {
	moved.Lock()
	defer moved.Unlock()
	if moved.trees[dir]--; moved.trees[dir] > 0 {
		return nil
	}
	delete(moved.trees, dir)
	// While this process was in there, nothing was handed down, so all of it is ours
	// to take back. Another process may rely on it by now, which has a tree here too:
	// then there is no way back, and the leaf stays.
	err := k.write(filepath.Join(dir, "cgroup.subtree_control"), "-"+strings.Join(controllers, " -"))
	if errors.Is(err, syscall.EBUSY) {
		return nil
	}
	if err == nil {
		err = k.write(filepath.Join(dir, "cgroup.procs"), "0")
	}
	// Processes that this one has started may be in the leaf, and then it stays.
	return errors.Join(err, ignore(k.rmdir(filepath.Join(dir, leaf)), syscall.EBUSY))
}

// ignore gives err unless it is errno.
func ignore(err error, errno syscall.Errno) error {
	if errors.Is(err, errno) {
		return nil
	}
	return err
}

// handDown lets the groups in the cgroup at dir have the controllers.
func (t *Tree) handDown(dir string) error {
	path := filepath.Join(dir, "cgroup.subtree_control")
	missing, err := lacks(t.kernel, path)
	if err != nil || len(missing) == 0 {
		return err
	}
	err = t.kernel.write(path, "+"+strings.Join(missing, " +"))
	if errors.Is(err, syscall.EBUSY) {
		return wallError("cgroup.subtree_control", err, "a cgroup that holds processes cannot be divided; name an empty one with --cgroup")
	}
	if err != nil {
		return wallError("cgroup.subtree_control", err, "")
	}
	return nil
}

// take makes the directory of the tree and locks it. It tries another name when the
// name is another's, or somebody who sweeps was in between.
func (t *Tree) take(parent string) error {
	k := t.kernel
	for n := 1; ; n++ {
		dir := filepath.Join(parent, prefix+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(n))
		err := k.mkdir(dir)
		if err == nil {
			if t.locked, err = open(k, dir); err == nil {
				t.dir = dir
				t.undo = append(t.undo, t.locked.Close, func() error { return k.rmdir(dir) })
				return nil
			}
			_ = k.rmdir(dir) // it may be gone, and the name is not used again
		}
		again := errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EWOULDBLOCK)
		if !again || n == 1000 {
			return wallError("make a cgroup", err, "")
		}
	}
}

// open opens and locks the directory of a tree. It fails with fs.ErrNotExist when
// the directory was removed in between.
func open(k kernel, dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := k.lock(f); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	locked, err := f.Stat()
	if err == nil {
		var there fs.FileInfo
		if there, err = os.Stat(dir); err == nil && !os.SameFile(locked, there) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the trees in dir that nobody has locked, as far as they hold no
// process: rmdir(2) refuses those. What it cannot remove it leaves to the next.
func sweep(k kernel, dir string) {
	for _, tree := range children(dir) {
		if !strings.HasPrefix(filepath.Base(tree), prefix) {
			continue
		}
		f, err := open(k, tree)
		if err != nil {
			continue // in use, somebody else's, or gone
		}
		for _, group := range children(tree) {
			_ = k.rmdir(group)
		}
		_ = k.rmdir(tree)
		f.Close()
	}
}

// children gives the directories in dir.
func children(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// Close gives the tree back, at once or when its last group is removed, and this
// process goes back to where it came from. No group can be made any more.
// Calling it again does nothing.
func (t *Tree) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.endLocked()
}

func (t *Tree) endLocked() error {
	if !t.closed || t.live > 0 {
		return nil
	}
	return t.unwind()
}

// Make makes a group with the limits l. The caller removes it. The error is a
// *limits.WallError.
func (t *Tree) Make(l Limits) (_ *Group, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, wallError("make a cgroup", fs.ErrClosed, "")
	}
	t.made++
	g := &Group{tree: t, path: filepath.Join(t.dir, "worker-"+strconv.Itoa(t.made))}
	if err := t.kernel.mkdir(g.path); err != nil {
		return nil, wallError("make a cgroup", err, "")
	}
	defer func() {
		if err != nil {
			_ = t.kernel.rmdir(g.path)
		}
	}()
	for _, s := range l.settings() {
		err := t.kernel.write(filepath.Join(g.path, s.file), s.value)
		if s.file == swapMax && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, wallError(s.file, err, "")
		}
	}
	if g.dir, err = os.Open(g.path); err != nil {
		return nil, wallError("make a cgroup", err, "")
	}
	t.live++
	return g, nil
}

// Group is the cgroup of one worker. It belongs to one goroutine.
type Group struct {
	tree *Tree
	path string
	dir  *os.File // nil when removed
}

// Dir is the group's directory.
func (g *Group) Dir() string { return g.path }

// Path is the group as this process reads it in /proc/PID/cgroup of those in it.
func (g *Group) Path() string { return g.tree.mount.cgroup(g.path) }

// Kill sends SIGKILL to every process in the group. It does not wait for them to be
// gone. On a group that was removed it does nothing.
func (g *Group) Kill() error {
	err := g.tree.kernel.write(filepath.Join(g.path, "cgroup.kill"), "1")
	if errors.Is(err, fs.ErrNotExist) {
		return g.killEach() // before Linux 5.14
	}
	return err
}

// killEach sends SIGKILL to one process after the other, until there are none but
// those that are dying. A process is opened first (os.FindProcess makes a pidfd)
// and looked for in the group again: if it is still there, the descriptor is not
// that of a stranger who got the number of one that ended.
func (g *Group) killEach() error {
	// What is frozen (Linux 5.2) starts no other, and can be killed. Without it the
	// loop would race with them.
	_ = g.tree.kernel.write(filepath.Join(g.path, "cgroup.freeze"), "1")
	killed := map[int]bool{}
	for {
		opened, err := g.processes()
		if err != nil {
			return ignore(err, syscall.ENOENT)
		}
		found := map[int]*os.Process{}
		for _, pid := range opened {
			if killed[pid] {
				continue
			}
			if p, err := os.FindProcess(pid); err == nil {
				found[pid] = p
			}
		}
		if len(found) == 0 {
			return nil
		}
		still, err := g.processes()
		for pid, p := range found {
			if err == nil && slices.Contains(still, pid) {
				_ = p.Kill() // it fails for one that is gone
				killed[pid] = true
			}
			_ = p.Release()
		}
		if err != nil {
			return ignore(err, syscall.ENOENT)
		}
	}
}

// processes gives the ids of the processes in the group. One that this pid
// namespace does not see is 0 there, and left out.
func (g *Group) processes() ([]int, error) {
	list, err := g.tree.kernel.read(filepath.Join(g.path, "cgroup.procs"))
	var pids []int
	for _, f := range strings.Fields(list) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// Events gives what the kernel counted in the group so far.
func (g *Group) Events() (Events, error) {
	var e Events
	for _, c := range []struct {
		file, key string
		to        *uint64
	}{{"memory.events", "oom_kill", &e.OOMKills}, {"pids.events", "max", &e.PidsMax}} {
		text, err := g.tree.kernel.read(filepath.Join(g.path, c.file))
		if err != nil {
			return Events{}, err
		}
		for line := range strings.Lines(text) { // "oom_kill 1"
			if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == c.key {
				if *c.to, err = strconv.ParseUint(value, 10, 64); err != nil {
					return Events{}, fmt.Errorf("%s: %w", c.file, err)
				}
			}
		}
	}
	return e, nil
}

// Remove removes the group. Its processes must be dead, or dying. Removing it again
// does nothing.
func (g *Group) Remove() error {
	if g.dir == nil {
		return nil
	}
	g.dir.Close()
	g.dir = nil
	var err error
	for wait, deadline := time.Millisecond, time.Now().Add(removeTime); ; wait *= 2 {
		err = g.tree.kernel.rmdir(g.path)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			break
		}
		time.Sleep(wait)
	}
	g.tree.mu.Lock()
	defer g.tree.mu.Unlock()
	g.tree.live--
	return errors.Join(err, g.tree.endLocked())
}
