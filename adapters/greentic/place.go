package greentic

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// adapter is what errors call this package.
const adapter = "greentic"

// What Greentic takes for a part that was not given, and its one installation.
const (
	defaultEnv      = "dev"
	defaultTenant   = "demo"
	noTeam          = "_"
	defaultProvider = "messaging"
	defaultInstall  = "default"
)

// apart stands between the parts of names that Greentic's programs do not ask for.
const apart = ".."

// environment gives what Greentic takes for the environment that was not given.
func environment() string { return cmp.Or(os.Getenv("GREENTIC_ENV"), defaultEnv) }

// place is an area of an installation in Greentic's names.
type place struct {
	env, tenant, team, provider string
	install                     string // defaultInstall is the one that Greentic knows
	area                        adapters.Area
}

// placeOf gives the place of a namespace; env is the environment of one without.
func placeOf(ns adapters.Namespace, env string) (place, error) {
	p := place{
		env:      cmp.Or(ns.Env, env),
		tenant:   cmp.Or(ns.Tenant, defaultTenant),
		team:     strings.TrimSpace(ns.Team),
		provider: cmp.Or(ns.Provider, defaultProvider),
		install:  cmp.Or(ns.Install, defaultInstall),
		area:     ns.Area,
	}
	if p.team == "" || strings.EqualFold(p.team, "default") {
		p.team = noTeam
	}
	for _, part := range []struct{ what, name string }{
		{"environment", p.env}, {"tenant", p.tenant}, {"team", p.team}, {"provider", p.provider},
		{"installation", p.install}, {"area", cmp.Or(string(p.area), "live")},
	} {
		if !isName(part.name) {
			return place{}, fmt.Errorf("the %s %q cannot be a name in Greentic, which takes a-z, 0-9, '-', '_' and single dots inside", part.what, part.name)
		}
	}
	return p, nil
}

// isName is Greentic's rule for names and, for the sake of apart, no dots in a row or
// at an end. No name is then ".." or ends in a path separator.
func isName(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, apart) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// seen says whether this is what Greentic's programs read.
func (p place) seen() bool { return p.install == defaultInstall && p.area == adapters.Live }

// in gives the same installation in another area.
func (p place) in(a adapters.Area) place {
	p.area = a
	return p
}

// name gives the provider's name where p is seen, and one of its own elsewhere.
func (p place) name() string {
	switch {
	case p.area != adapters.Live:
		return p.provider + apart + p.install + apart + string(p.area)
	case p.install != defaultInstall:
		return p.provider + apart + p.install
	}
	return p.provider
}

// prefix is what the URIs of the secrets of p begin with.
func (p place) prefix() string {
	return "secrets://" + p.env + "/" + p.tenant + "/" + p.team + "/" + p.name() + "/"
}

// String gives the namespace, with defaults in the place of absent parts.
func (p place) String() string {
	ns := adapters.Namespace{Env: p.env, Tenant: p.tenant, Team: p.team, Provider: p.provider, Install: p.install, Area: p.area}
	if p.team == noTeam {
		ns.Team = ""
	}
	return ns.String()
}

// canonicalName gives the name that Greentic's setup and runtime derive from a key.
func canonicalName(key string) string {
	b := make([]byte, 0, len(key))
	for _, r := range key {
		switch {
		case 'A' <= r && r <= 'Z':
			b = append(b, byte(r)+'a'-'A')
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b = append(b, byte(r))
		case strings.ContainsRune("_-. /", r) && len(b) > 0 && b[len(b)-1] != '_':
			b = append(b, '_')
		}
	}
	return cmp.Or(strings.TrimRight(string(b), "_"), "secret")
}

// lastOf gives for each key the change that counts, and refuses what is no key.
func lastOf(changes []adapters.Change) (map[string]adapters.Change, error) {
	last := make(map[string]adapters.Change, len(changes))
	for _, c := range changes {
		if c.Key == "" || len(c.Key) > adapters.MaxKey || !utf8.ValidString(c.Key) || strings.ContainsFunc(c.Key, isControl) {
			return nil, fmt.Errorf("%.64q is not a key: it takes 1 to %d bytes of UTF-8 without control characters", c.Key, adapters.MaxKey)
		}
		last[c.Key] = c
	}
	return last, nil
}

// isControl is true for C0, DEL and C1.
func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }
