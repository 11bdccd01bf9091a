package cgroup

import "syscall"

// Spawn makes a process that is started with a be born in the group: moved later, it
// would have lived outside first. The start must come before Remove.
func (g *Group) Spawn(a *syscall.SysProcAttr) { a.UseCgroupFD, a.CgroupFD = true, int(g.dir.Fd()) }
