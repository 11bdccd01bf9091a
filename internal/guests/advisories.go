package guests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/greentic-ai/greentic-provision/testdata/guests"
)

// List is what was published about the engine's flaws, as of a date.
type List struct {
	Date       string     `json:"date"`        // when the sources were read, YYYY-MM-DD
	Sources    []string   `json:"sources"`     // where
	CheckedFor Version    `json:"checked_for"` // which engine each entry was held against
	Advisories []Advisory `json:"advisories"`
}

// Version is a build of the engine: its own version, and that of the Go module that
// carries it.
type Version struct {
	Engine string `json:"engine"`
	Module string `json:"module"`
}

// Advisory is one flaw, and our answer to it: the guests that show what comes of it,
// or why none can.
type Advisory struct {
	ID       string     `json:"id"`             // the CVE's if there is one, else as GHSA, else the fix
	GHSA     string     `json:"ghsa,omitempty"` // GitHub's, where the two differ
	About    string     `json:"about"`          // one line
	Affected []string   `json:"affected"`       // ranges of versions, as ">=25.0.0 <36.0.7"
	Guests   []string   `json:"guests,omitempty"`
	Excluded *Exclusion `json:"excluded,omitempty"`
}

// Exclusion says why no guest can reach a flaw, and which test holds that.
type Exclusion struct {
	Why  string `json:"why"`
	Test string `json:"test"` // folder and name, as "component/wasmtime TestLeftOut"
}

// Advisories reads the list that is built into the program.
func Advisories() (List, error) {
	text, err := fs.ReadFile(guests.Files, "advisories.json")
	if err != nil {
		return List{}, err
	}
	list, err := readAdvisories(text)
	if err != nil {
		return List{}, fmt.Errorf("advisories.json: %w", err)
	}
	return list, nil
}

func readAdvisories(text []byte) (List, error) {
	var list List
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return List{}, err
	}
	var errs []error
	seen := map[string]bool{}
	for _, a := range list.Advisories {
		if seen[a.ID] || a.ID == "" || a.About == "" || len(a.Affected) == 0 {
			errs = append(errs, fmt.Errorf("%q: the id is there twice, or id, about or affected is missing", a.ID))
		}
		seen[a.ID] = true
		if _, err := a.Affects("0.0.0"); err != nil {
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

// Affects says whether the flaw is in a version of the engine.
func (a Advisory) Affects(version string) (bool, error) {
	v, err := parseVersion(version)
	if err != nil {
		return false, err
	}
	affected := false
	for _, span := range a.Affected {
		in := true
		for bound := range strings.FieldsSeq(span) {
			number, low := strings.CutPrefix(bound, ">=")
			number, high := strings.CutPrefix(number, "<")
			limit, err := parseVersion(number)
			if err != nil || low == high {
				return false, fmt.Errorf("%s: %q is no range of versions", a.ID, span)
			}
			in = in && v.less(limit) == high
		}
		affected = affected || in
	}
	return affected, nil
}

type version [3]uint64

func parseVersion(s string) (version, error) {
	parts := strings.Split(s, ".")
	var v version
	if len(parts) != len(v) {
		return v, fmt.Errorf("%q is no version", s)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return v, fmt.Errorf("%q is no version", s)
		}
		v[i] = n
	}
	return v, nil
}

func (v version) less(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}
