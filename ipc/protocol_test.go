package ipc

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// table gives the rows of the first table under a heading of PROTOCOL.md whose
// header row is head.
func table(t *testing.T, heading string, head ...string) [][]string {
	t.Helper()
	doc, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(doc), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("PROTOCOL.md has no %q", heading)
	}
	want := "| " + strings.Join(head, " | ") + " |\n"
	before, body, ok := strings.Cut(section, want)
	if !ok || strings.Contains(before, "\n#") {
		t.Fatalf("%q has no table %q", heading, want)
	}
	var rows [][]string
	for i, line := range strings.Split(body, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if i == 0 {
			continue // the dashes
		}
		var row []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		if len(row) != len(head) {
			t.Fatalf("%q: row %q has %d cells, want %d", heading, line, len(row), len(head))
		}
		rows = append(rows, row)
	}
	return rows
}

func known() (all []*spec) {
	for _, s := range specs {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

func TestProtocolTypes(t *testing.T) {
	var code []string
	for _, s := range known() {
		code = append(code, fmt.Sprintf("%d %s %s %d %d", s.typ, s.name, s.typ.Sender(), s.files, s.max))
		if got := reflect.TypeOf(s.make()).Elem().Name(); got != s.name {
			t.Errorf("type %d makes a %s, is called %s", s.typ, got, s.name)
		}
	}
	var doc []string
	for _, r := range table(t, "## Types", "code", "name", "from", "files", "cap", "when") {
		doc = append(doc, strings.Join(r[:5], " "))
	}
	if !slices.Equal(code, doc) {
		t.Errorf("types\n in the code: %q\n in the doc:  %q", code, doc)
	}
}

func TestProtocolLimits(t *testing.T) {
	got := map[string]string{}
	for _, r := range table(t, "### Optional frames", "limit", "value") {
		got[r[0]] = r[1]
	}
	want := map[string]string{"MaxOptionalBody": strconv.Itoa(MaxOptionalBody), "MaxOptionalRun": strconv.Itoa(MaxOptionalRun)}
	if !maps.Equal(got, want) {
		t.Errorf("limits in the doc %v, in the code %v", got, want)
	}
}

func TestProtocolFields(t *testing.T) {
	types := []reflect.Type{reflect.TypeFor[Wall](), reflect.TypeFor[LogLine](), reflect.TypeFor[Contract]()}
	for _, s := range known() {
		types = append(types, reflect.TypeOf(s.make()).Elem())
	}
	for _, typ := range types {
		var code [][]string
		for f := range typ.Fields() {
			code = append(code, []string{f.Tag.Get("msgpack"), wireName(f.Type), f.Tag.Get("most")})
		}
		doc := table(t, "### "+typ.Name(), "field", "type", "most")
		if !reflect.DeepEqual(code, doc) {
			t.Errorf("%s\n in the code: %q\n in the doc:  %q", typ.Name(), code, doc)
		}
	}
}

func wireName(t reflect.Type) string {
	switch k := t.Kind(); {
	case k == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "bin"
	case k == reflect.Slice:
		return "list of " + wireName(t.Elem())
	case k == reflect.Struct:
		return t.Name()
	case k == reflect.String:
		return "str"
	case strings.HasPrefix(k.String(), "uint"):
		return "u" + k.String()[4:]
	case strings.HasPrefix(k.String(), "int"):
		return "i" + k.String()[3:]
	default:
		return k.String()
	}
}

// arrow is a row of the table of states.
type arrow struct{ from, by, say, to string }

func docArrows(t *testing.T) (all []arrow) {
	for _, r := range table(t, "## States", "state", "speaks", "may say", "which leads to") {
		all = append(all, arrow{r[0], r[1], r[2], r[3]})
	}
	return all
}

func TestProtocolStates(t *testing.T) {
	speaker := map[string]string{}
	var doc []arrow
	for _, a := range docArrows(t) {
		if s, ok := speaker[a.from]; ok && s != a.by {
			t.Errorf("in state %s both sides may speak", a.from)
		}
		speaker[a.from] = a.by
		doc = append(doc, a)
	}
	var code []arrow
	for from := stateNew; from <= stateOver; from++ {
		for typ, to := range transitions[from] {
			code = append(code, arrow{from.String(), typ.Sender().String(), typ.String(), to.String()})
		}
	}
	less := func(a, b arrow) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(doc, less)
	slices.SortFunc(code, less)
	if !slices.Equal(code, doc) {
		t.Errorf("states\n in the code: %v\n in the doc:  %v", code, doc)
	}
}

func TestProtocolVersions(t *testing.T) {
	rows := table(t, "## Versions", "version", "change")
	for i, r := range rows {
		if r[0] != strconv.Itoa(i+1) {
			t.Errorf("row %d is of version %s", i, r[0])
		}
	}
	if len(rows) != int(Version) {
		t.Errorf("%d versions in the doc, Version is %d", len(rows), Version)
	}
}

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		min, max, want uint16 // 0: an error
	}{
		{1, 1, 0}, {2, 2, 0}, {3, 3, 3}, {1, 9, Version}, {Version + 1, 9, 0}, {0, 0, 0}, {0, 3, 0}, {4, 3, 0}, {1, 65535, Version}, {65535, 65535, 0},
	} {
		got, err := Negotiate(tt.min, tt.max)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("Negotiate(%d, %d) = %d, %v; want %d", tt.min, tt.max, got, err, tt.want)
		}
	}
}
