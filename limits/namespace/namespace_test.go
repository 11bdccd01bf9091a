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
		all    = "mount,id=65534,caps,nnp,nodump,landlock"
		most   = "mount,id=65534,caps,nnp,nodump,landlock?"
		may    = "mount?,id=65534?,caps?,nnp?,nodump?,landlock?"
		bare   = "caps?,nnp?,nodump?,landlock?"
		six    = "user,pid,net,mount,ipc,uts"
		shared = "pid,net,mount,ipc,uts"
	)
	root, user := caller{maps: true}, caller{uid: 1000, gid: 1000, maps: true}
	type want struct{ name, words, namespaces string }
	for _, tt := range []struct {
		name string
		who  caller
		o    Options
		want []want
	}{
		{"root, strict", root, Options{Isolation: limits.Strict}, []want{{"root", all, six}}},
		{"root", root, Options{Isolation: limits.Standard}, []want{{"root", most, six}, {"shared", most, shared}}},
		{"root, none", root, Options{Isolation: limits.None},
			[]want{{"root", may, six}, {"shared", may, shared}, {"bare", "id=65534?," + bare, ""}}},
		{"user, strict", user, Options{Isolation: limits.Strict}, []want{{"single", all, six}}},
		{"user", user, Options{Isolation: limits.Standard}, []want{{"single", most, six}}},
		{"user, none", user, Options{Isolation: limits.None}, []want{{"single", may, six}, {"bare", bare, ""}}},
		{"root of a container with one id, strict", caller{}, Options{Isolation: limits.Strict}, []want{{"single", all, six}}},
		{"root of a container with one id", caller{}, Options{Isolation: limits.Standard}, []want{{"single", most, six}}},
		{"user in a container with one id", caller{uid: 5}, Options{Isolation: limits.Standard}, []want{{"single", most, six}}},
		{"thread stack", caller{uid: 5}, Options{Isolation: limits.None, ThreadStack: 2 * limits.MiB},
			[]want{{"single", may + ",stack=2097152", six}, {"bare", bare + ",stack=2097152", ""}}},
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
// better has been tried; what is optional is the isolation's to say.
func TestWhatIsolationAllows(t *testing.T) {
	for _, who := range []caller{{}, {maps: true}, {uid: 1}, {uid: 1, maps: true}} {
		for isolation, optional := range map[limits.Isolation]int{limits.Strict: 0, limits.Standard: 1, limits.None: -1} {
			got := plans(Options{Isolation: isolation}, who)
			for i, p := range got {
				if p.Name == "bare" && (isolation != limits.None || i != len(got)-1) {
					t.Errorf("%+v, %s: bare at %d of %d", who, isolation, i, len(got))
				}
				if isolation == limits.Strict && !p.OwnUsers {
					t.Errorf("%+v, %s: plan %s has no user namespace", who, isolation, p.Name)
				}
				words := p.Args()[1]
				if n := strings.Count(words, "?"); n != optional && !(optional < 0 && n == strings.Count(words, ",")+1) {
					t.Errorf("%+v, %s: %d walls may fail: %q", who, isolation, n, words)
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
	if got := Refused(first, second, second).Error(); !strings.Contains(got, "at clone: first; second") || strings.Contains(got, "second; second") {
		t.Error(got)
	}
}
