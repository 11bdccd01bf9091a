package rlimit_test

import (
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
)

var spec = rlimit.Spec{Data: 192 * limits.MiB, CPU: 121, Stack: 512 * limits.KiB, OwnUsers: true}

func TestWall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		table rlimit.Table
		want  string
	}{
		{"step", rlimit.Step(spec),
			"data=201326592 as=137438953472 cpu=121 nofile=16 fsize=0 core=0 stack=8912896 memlock=0 msgqueue=0 rtprio=0 nproc=64"},
		{"compile", rlimit.Compile(spec, 64*limits.MiB),
			"data=201326592 as=2348810240 cpu=121 nofile=16 fsize=67108864 core=0 stack=8912896 memlock=0 msgqueue=0 rtprio=0 nproc=64"},
		{"shared users", rlimit.Step(rlimit.Spec{Data: limits.MiB, CPU: 1}),
			"data=1048576 as=137438953472 cpu=1 nofile=16 fsize=0 core=0 stack=8388608 memlock=0 msgqueue=0 rtprio=0"},
	} {
		if got := tt.table.Wall(true); got != (limits.Wall{Name: "rlimits", Raised: true, Detail: tt.want}) {
			t.Errorf("%s: %+v\nwant %s", tt.name, got, tt.want)
		}
		for _, r := range tt.table {
			if r.Why == "" {
				t.Errorf("%s: %s has no reason", tt.name, r.Name)
			}
		}
	}
}

func TestCPUSeconds(t *testing.T) {
	for _, tt := range []struct {
		budget time.Duration
		procs  int
		want   uint64
	}{
		{0, 1, 1},
		{-time.Second, 1, 1},
		{time.Nanosecond, 1, 2},
		{time.Second, 1, 2},
		{time.Second + 1, 1, 3},
		{60 * time.Second, 2, 121},
		{60 * time.Second, 0, 61},
	} {
		if got := rlimit.CPUSeconds(tt.budget, tt.procs); got != tt.want {
			t.Errorf("%s on %d: %d, want %d", tt.budget, tt.procs, got, tt.want)
		}
	}
}
