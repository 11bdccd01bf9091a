package adapters

import (
	"fmt"
	"net/url"
	"strings"
)

// Namespace names one installation: the only place that a run of a pack may read
// and write. An empty part means that the operator gave none.
type Namespace struct {
	Env, Tenant, Team, Provider, Install string
	// Area tells what is in force from what a commit keeps beside it.
	Area Area
}

// Area is a part of a namespace. Values of one area are never seen in another.
type Area string

// The areas. A commit that changes values outside of the Store first writes them to
// an area of its own (Staged), so that it can be finished or forgotten after a crash.
const (
	Live   Area = ""       // what is in force
	Before Area = "before" // what stood in keys before an installation first touched them
)

// Staged is the area of one commit's values that are not in force yet.
func Staged(journalID string) Area { return Area("staged-" + journalID) }

// Kept is the area of the values that a commit will keep in Before, when it happens.
func Kept(journalID string) Area { return Area("kept-" + journalID) }

// none stands for a part that was not given, as in Greentic's own names.
const none = "_"

// String gives provision:{env}:{tenant}:{team}:{provider}:{install}, and "#" and the
// area where that is not Live. Parts are escaped as in URL paths, ":" and "#" too, so
// that no two namespaces have one name.
func (n Namespace) String() string {
	var b strings.Builder
	b.WriteString("provision")
	for _, part := range []string{n.Env, n.Tenant, n.Team, n.Provider, n.Install} {
		b.WriteByte(':')
		b.WriteString(escape(part))
	}
	if n.Area != Live {
		b.WriteByte('#')
		b.WriteString(escape(string(n.Area)))
	}
	return b.String()
}

// Scope gives {env}:{tenant}, escaped as in String: what separates customers from
// one another.
func (n Namespace) Scope() Scope { return Scope(escape(n.Env) + ":" + escape(n.Tenant)) }

// Scope is an environment's tenant. AllScopes is every one.
type Scope string

// AllScopes is what an operator of the whole store asks for.
const AllScopes Scope = "*"

// In gives the same installation in another area.
func (n Namespace) In(a Area) Namespace {
	n.Area = a
	return n
}

// marks are what PathEscape leaves alone and names of ours are made with.
var marks = strings.NewReplacer(":", "%3A", "*", "%2A")

func escape(part string) string {
	if part == "" {
		return none
	}
	s := marks.Replace(url.PathEscape(part))
	if s == none {
		return "%5F" // somebody's name, and not the absence of one
	}
	return s
}

// ParseNamespace reads what String gives.
func ParseNamespace(s string) (Namespace, error) {
	name, area, hasArea := strings.Cut(s, "#")
	parts := strings.Split(name, ":")
	if len(parts) != 6 || parts[0] != "provision" || hasArea && area == "" {
		return Namespace{}, fmt.Errorf("%q is not a namespace: it takes provision:env:tenant:team:provider:install", s)
	}
	var n Namespace
	for i, to := range []*string{&n.Env, &n.Tenant, &n.Team, &n.Provider, &n.Install} {
		part := parts[i+1]
		if part == none {
			continue
		}
		v, err := url.PathUnescape(part)
		if err != nil || escape(v) != part {
			return Namespace{}, fmt.Errorf("%q is not a namespace: part %d is not escaped as it should be", s, i+1)
		}
		*to = v
	}
	if hasArea {
		v, err := url.PathUnescape(area)
		if err != nil || escape(v) != area {
			return Namespace{}, fmt.Errorf("%q is not a namespace: the area is not escaped as it should be", s)
		}
		n.Area = Area(v)
	}
	return n, nil
}
