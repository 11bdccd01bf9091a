package guests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAdvisories holds the list against the guests, both ways, and its reasons
// against the tests that they name. component/wasmtime holds it against the engine.
func TestAdvisories(t *testing.T) {
	list, err := Advisories()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.DateOnly, list.Date); err != nil || len(list.Sources) == 0 {
		t.Errorf("the list is of %q, from %v", list.Date, list.Sources)
	}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	about := map[string][]string{} // guests by advisory
	for _, g := range all {
		for _, id := range g.Advisories {
			about[id] = append(about[id], g.Name)
		}
	}
	form := regexp.MustCompile(`^(CVE-20\d\d-\d{4,}|GHSA(-[0-9a-z]{4}){3}|wasmtime#\d+)$`)
	for _, a := range list.Advisories {
		if !form.MatchString(a.ID) || a.GHSA != "" && !form.MatchString(a.GHSA) {
			t.Errorf("%q, %q: no ids", a.ID, a.GHSA)
		}
		if (len(a.Guests) == 0) == (a.Excluded == nil) {
			t.Errorf("%s: it needs guests or a reason, and not both", a.ID)
		}
		slices.Sort(about[a.ID])
		if want := slices.Sorted(slices.Values(a.Guests)); !slices.Equal(about[a.ID], want) {
			t.Errorf("%s names the guests %v; those that name it are %v", a.ID, want, about[a.ID])
		}
		delete(about, a.ID)
		if a.Excluded != nil {
			checkTestExists(t, a)
		}
	}
	for id, names := range about {
		t.Errorf("%v name %s, which is not in advisories.json", names, id)
	}
}

func checkTestExists(t *testing.T, a Advisory) {
	folder, name, ok := strings.Cut(a.Excluded.Test, " ")
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if ok && a.Excluded.Why != "" && strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return
		}
	}
	t.Errorf("%s: there is no reason, or no test %q", a.ID, a.Excluded.Test)
}

func TestAffects(t *testing.T) {
	a := Advisory{ID: "x", Affected: []string{"<1.2.3", ">=2.0.0 <2.10.1", ">=4.0.0"}}
	for version, want := range map[string]bool{"0.0.0": true, "1.2.2": true, "1.2.3": false, "1.10.0": false,
		"2.0.0": true, "2.9.9": true, "2.10.0": true, "2.10.1": false, "3.9.9": false, "4.0.0": true, "39.0.0": true} {
		if got, err := a.Affects(version); err != nil || got != want {
			t.Errorf("%s: %t, %v, want %t", version, got, err, want)
		}
	}
	for _, version := range []string{"", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x"} {
		if _, err := a.Affects(version); err == nil {
			t.Errorf("%q is taken for a version", version)
		}
	}
}

func TestAdvisoriesRefuse(t *testing.T) {
	const entry = `{"id": "CVE-1", "about": "a flaw", "affected": ["<1.0.0"], "guests": ["g"]}`
	read := func(entries string) error {
		_, err := readAdvisories([]byte(`{"date": "2026-01-02", "advisories": [` + entries + `]}`))
		return err
	}
	if err := read(entry); err != nil {
		t.Fatal(err)
	}
	for name, entries := range map[string]string{
		"unknown member": strings.Replace(entry, "guests", "gests", 1),
		"twice":          entry + "," + entry,
		"no id":          strings.Replace(entry, "CVE-1", "", 1),
		"no versions":    strings.Replace(entry, `"<1.0.0"`, "", 1),
		"no range":       strings.Replace(entry, "<1.0.0", "1.0.0", 1),
		"two bounds":     strings.Replace(entry, "<1.0.0", ">=<1.0.0", 1),
		"no version":     strings.Replace(entry, "<1.0.0", "<1.0", 1),
	} {
		if read(entries) == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
