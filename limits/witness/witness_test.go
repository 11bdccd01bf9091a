package witness

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const status = "Name:\tstep-worker\nUid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\n" +
	"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n" +
	"NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n"

func TestParseStatus(t *testing.T) {
	s, err := parseStatus([]byte(status))
	ids := [4]int{65534, 65534, 65534, 65534}
	if want := (Status{UID: ids, GID: ids, NoNewPrivs: true, Seccomp: 2, Filters: 2}); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	for _, tt := range []struct {
		name, text string
		ok         bool
		want       func(Status) bool
	}{
		{"a capability in the bounding set", replace(status, "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000001"), true, func(s Status) bool { return s.Capabilities }},
		{"an older kernel does not count filters", replace(status, "Seccomp_filters:\t2\n", ""), true, func(s Status) bool { return s.Filters == -1 }},
		{"a line is missing", replace(status, "NoNewPrivs:\t1\n", ""), false, nil},
		{"no number", replace(status, "Seccomp:\t2", "Seccomp:\ttwo"), false, nil},
		{"three ids", replace(status, "Uid:\t65534\t", "Uid:\t"), false, nil},
		{"nothing", "", false, nil},
	} {
		s, err := parseStatus([]byte(tt.text))
		if (err == nil) != tt.ok || tt.ok && !tt.want(s) {
			t.Errorf("%s: %+v, %v", tt.name, s, err)
		}
	}
}

func TestParseMounts(t *testing.T) {
	const root = "600 599 0:48 / / ro,nosuid,nodev,noexec,relatime - tmpfs none ro,size=4k\n"
	got, err := parseMounts([]byte(root + "601 600 8:1 / /x rw shared:1 master:2 - ext4 /dev/sda rw\n"))
	if want := []Mount{{"/", "tmpfs", true}, {"/x", "ext4", false}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"600 599 0:48 / /\n", "600 599 0:48 / / ro - \n", "x\n"} {
		if got, err := parseMounts([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestParseLimits(t *testing.T) {
	const text = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max data size             201326592            201326592            bytes     \n" +
		"Max open files            16                   16                   files     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max nice priority         0                    0                    \n"
	want := map[string]uint64{"data": 201326592, "nofile": 16, "cpu": 1<<64 - 1}
	if got := parseLimits([]byte(text)); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestParseCgroup(t *testing.T) {
	if got := parseCgroup([]byte("4:memory:/a\n0::/user.slice/x:y\n")); got != "/user.slice/x:y" {
		t.Errorf("%q", got)
	}
	if got := parseCgroup([]byte("4:memory:/a\n")); got != "" {
		t.Errorf("%q", got)
	}
}

func replace(text, old, new string) string {
	before, after, ok := strings.Cut(text, old)
	if !ok {
		panic("not in the text: " + old)
	}
	return before + new + after
}
