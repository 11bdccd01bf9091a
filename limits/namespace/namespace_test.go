package namespace

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
)

// The choice of plans, for every kind of caller, without asking the kernel.
func TestPlans(t *testing.T) {
	const (
		must = "mount,id=65534,caps,nnp,nodump"
		may  = "mount?,id=65534?,caps?,nnp?,nodump?"
	)
	type want struct{ name, words, namespaces string }
	all, shared := "user,pid,net,mount,ipc,uts", "pid,net,mount,ipc,uts"
	for _, tt := range []struct {
		name string
		who  caller
		o    Options
		want []want
	}{
		{"root", caller{maps: true}, Options{Isolation: limits.Standard},
			[]want{{"root", must, all}, {"shared", must, shared}}},
		{"root, none", caller{maps: true}, Options{Isolation: limits.None},
			[]want{{"root", may, all}, {"shared", may, shared}, {"bare", "id=65534?,caps?,nnp?,nodump?", ""}}},
		{"user", caller{uid: 1000, gid: 1000, maps: true}, Options{Isolation: limits.Standard},
			[]want{{"single", must, all}}},
		{"user, none", caller{uid: 1000, gid: 1000, maps: true}, Options{Isolation: limits.None},
			[]want{{"single", may, all}, {"bare", "caps?,nnp?,nodump?", ""}}},
		{"root of a container with one id", caller{}, Options{Isolation: limits.Standard},
			[]want{{"single", must, all}}},
		{"user in a container with one id", caller{uid: 5}, Options{Isolation: limits.Standard},
			[]want{{"single", must, all}}},
		{"thread stack", caller{uid: 5}, Options{Isolation: limits.None, ThreadStack: 2 * limits.MiB},
			[]want{{"single", may + ",stack=2097152", all}, {"bare", "caps?,nnp?,nodump?,stack=2097152", ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := plans(tt.o, tt.who)
			if len(got) != len(tt.want) {
				t.Fatalf("%d plans, want %d", len(got), len(tt.want))
			}
			for i, p := range got {
				w := tt.want[i]
				if p.Name != w.name || !slices.Equal(p.Args(), []string{"serve", w.words}) {
					t.Errorf("%s %q, want %s %q", p.Name, p.Args(), w.name, w.words)
				}
				wall := p.Wall()
				if wall != (limits.Wall{Name: "namespaces", Raised: w.namespaces != "", Detail: w.namespaces}) {
					t.Errorf("%s: wall %+v", p.Name, wall)
				}
				if p.OwnUsers != strings.HasPrefix(w.namespaces, "user") {
					t.Errorf("%s: OwnUsers %t", p.Name, p.OwnUsers)
				}
			}
		})
	}
}

// Only isolation none may go on without namespaces, and only when everything
// better has been tried.
func TestBareIsTheLastResort(t *testing.T) {
	for _, who := range []caller{{}, {maps: true}, {uid: 1}, {uid: 1, maps: true}} {
		for _, isolation := range []limits.Isolation{limits.Standard, limits.None} {
			got := plans(Options{Isolation: isolation}, who)
			for i, p := range got {
				if p.Name == "bare" && (isolation != limits.None || i != len(got)-1) {
					t.Errorf("%+v, %s: bare at %d of %d", who, isolation, i, len(got))
				}
				if isolation == limits.Standard && strings.Contains(p.Args()[1], "?") {
					t.Errorf("%+v: a wall may fail: %q", who, p.Args()[1])
				}
			}
		}
	}
}

func TestRefused(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	err := Refused(first, second)
	w, ok := errors.AsType[*limits.WallError](err)
	if !ok || w.Wall != "namespaces" || !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("%#v", err)
	}
}
