package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/greentic-ai/greentic-provision/capsule"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/probe"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/supervisor"
)

// artifacts is where capsules go: a directory, "" for nowhere.
type artifacts string

// check reports a directory that cannot take them, before anything is run. It is
// made if it is not there.
func (dir artifacts) check(packPath string) error {
	const flag = "--artifacts"
	if dir == "" {
		return nil
	}
	wrong := func(rule string) error { return &usageError{what: flag, where: quote(string(dir)), rule: rule} }
	if st, err := os.Stat(packPath); err == nil && st.IsDir() && inside(filepath.Join(string(dir), "x"), st) {
		return wrong("is in the directory of --pack, whose files are the pack")
	}
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return wrong(pathReason(err))
	}
	f, err := tempBeside(filepath.Join(string(dir), "capsule"))
	if err != nil {
		return wrong(pathReason(err))
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return wrong(pathReason(err))
	}
	return nil
}

// keep saves the crash of a run as a capsule and says where. What cannot be saved is
// a warning: the run's own result says what happened.
func (a *app) keep(box *box, s sandbox, b *pack.Blueprint, scrub *plan.Scrubber) {
	if s.artifacts == "" || box.lease == nil || box.lease.Crash() == nil {
		return
	}
	c := newCapsule(box.lease.Crash(), b, s.limits, box.lease.Receipt())
	c.Scrub(scrub)
	path, err := s.artifacts.save(c)
	if err != nil {
		a.warn("the crash is not kept", err)
		return
	}
	fmt.Fprintf(a.stderr, "%s: the worker's crash is kept in %s; %s replay makes it happen again\n", program, hostile.Escape(path, maxErrorLine), program)
}

// save writes a capsule under a name made of its verdict and content: whole or not at
// all, and readable by its owner only.
func (dir artifacts) save(c *capsule.Capsule) (string, error) {
	data, err := c.Encode()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	path := filepath.Join(string(dir), fmt.Sprintf("%s-%s.capsule", c.Verdict, hex.EncodeToString(sum[:6])))
	f, err := tempBeside(path)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, ignoreMissing(os.Remove(f.Name())))
	}
	return path, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// newCapsule puts a crash into a capsule. Nothing is scrubbed yet.
func newCapsule(crash *supervisor.Crash, b *pack.Blueprint, l limits.Limits, r limits.Receipt) *capsule.Capsule {
	c := &capsule.Capsule{
		Program: buildinfo.Version, Kernel: probe.Kernel(),
		Phase: string(crash.Phase), Verdict: crash.Reply.Verdict, Observer: crash.Reply.Observer, Signal: crash.Reply.Signal,
		Detail: crash.Reply.Detail, Facts: append([]limits.Fact{}, crash.Reply.Facts...),
		Pack:      capsule.Pack{ID: hostile.Clip(b.Manifest.ID, 256), Version: hostile.Clip(b.Manifest.Version, 256), Digest: b.Digest},
		Component: crash.Component, Contract: crash.Contract, Cut: crash.Cut,
		Components: []capsule.Component{}, HostCalls: []capsule.HostCall{}, Frames: []capsule.Frame{},
		Limits: l, Receipt: r, Sighting: r.Seen, LastWords: crash.Words,
	}
	for _, p := range b.Components {
		c.Components = append(c.Components, capsule.Component{Path: p.Path, SHA256: p.SHA256, Text: p.Text})
	}
	if c.Component >= 0 {
		c.Code = b.Components[c.Component].Bytes
	}
	if call := crash.Call; call != nil {
		c.Step = &capsule.Step{Name: string(call.Step), Action: string(call.Action), Request: string(call.Request), Seed: hex.EncodeToString(call.Seed[:])}
	}
	for _, h := range crash.HostCalls {
		c.HostCalls = append(c.HostCalls, capsule.HostCall{Op: h.Op, Args: string(h.Args), Value: string(h.Value), Code: h.Code, Message: h.Message})
	}
	for _, f := range crash.Frames {
		c.Frames = append(c.Frames, capsule.Frame(f))
	}
	return c
}
