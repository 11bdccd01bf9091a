//go:build !linux

package cgroup

import "syscall"

// Spawn does nothing: there are no groups here.
func (g *Group) Spawn(*syscall.SysProcAttr) {}
