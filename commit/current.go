package commit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Stores is where state is kept.
type Stores struct {
	Record adapters.Store
	// Elsewhere has the kinds that live outside of the record, and how they were asked
	// for. Operations are always in the record.
	Elsewhere map[adapters.Kind]Place
	// Executors carry out operations; one that has none waits.
	Executors map[adapters.OperationKind]adapters.Executor
}

// Place is an adapter for one kind.
type Place struct {
	Name   string // without secrets: "plugin:vault-adapter". An installation keeps to it
	Values adapters.Values
	Clear  bool // values lie in clear there, so that none may hold a secret
}

// values gives the adapter of a kind.
func (s Stores) values(kind adapters.Kind) adapters.Values {
	if p, ok := s.Elsewhere[kind]; ok {
		return p.Values
	}
	return s.Record.Values(kind)
}

// elsewhere gives the kinds outside of the record, in order.
func (s Stores) elsewhere() []adapters.Kind {
	var kinds []adapters.Kind
	for _, k := range adapters.Kinds {
		if _, ok := s.Elsewhere[k]; ok {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Current is an installation as it is.
type Current struct {
	Namespace adapters.Namespace
	Install   *adapters.Install // nil where there never was one
	Values    map[adapters.Kind]map[string]adapters.Value
}

// Load reads an installation. It refuses adapters other than those that the
// installation was made with (*adapters.ConfigError).
func (s Stores) Load(ctx context.Context, ns adapters.Namespace) (Current, error) {
	c := Current{Namespace: ns, Values: map[adapters.Kind]map[string]adapters.Value{}}
	var err error
	if c.Install, err = s.Record.Install(ctx, ns); err != nil {
		return c, err
	}
	if err := s.sameAdapters(c.Install); err != nil {
		return c, err
	}
	for _, kind := range adapters.Kinds {
		if c.Values[kind], err = s.values(kind).Load(ctx, ns); err != nil {
			return c, err
		}
		if c.Values[kind] == nil {
			c.Values[kind] = map[string]adapters.Value{}
		}
	}
	return c, nil
}

func (s Stores) sameAdapters(install *adapters.Install) error {
	if install == nil || install.Status == adapters.Removed {
		return nil
	}
	for _, kind := range adapters.Kinds {
		was, is := install.Elsewhere[kind], s.Elsewhere[kind].Name
		switch {
		case was == is:
		case was == "":
			return &adapters.ConfigError{Adapter: is, Reason: fmt.Sprintf("the installation's %s are in the store, and not there", kind), Hint: "leave --adapter " + string(kind) + "=… out"}
		default:
			return &adapters.ConfigError{Adapter: cmp.Or(is, "store"), Reason: fmt.Sprintf("the installation's %s are not here, they are in %s", kind, was),
				Hint: fmt.Sprintf("name that adapter: --adapter %s=…", kind)}
		}
	}
	return nil
}

// Installed says that the installation exists.
func (c Current) Installed() bool {
	return c.Install != nil && c.Install.Status == adapters.Installed
}

// PublicBaseURL is what a run that is given none has: that of the last one.
func (c Current) PublicBaseURL() string {
	if !c.Installed() {
		return ""
	}
	return c.Install.PublicBaseURL
}

// Revision is that of the installation; 0 where nothing is installed.
func (c Current) Revision() uint64 {
	if !c.Installed() {
		return 0
	}
	return c.Install.Revision
}

// hiddenTexts is the key, of the kind Hidden, under which an installation remembers the
// secrets that stand in its configuration, subscriptions and state: a JSON array of texts.
const hiddenTexts = "texts"

// textsOf gives what must not be shown of a value that holds a secret: every text in it,
// and the passwords of addresses among them.
func textsOf(b []byte) []string {
	doc, err := plan.Read(b)
	if err != nil {
		return []string{string(b)}
	}
	texts := plan.Values(doc)
	for _, t := range slices.Clone(texts) {
		if u, err := url.Parse(t); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				texts = append(texts, password)
			}
		}
	}
	return texts
}

// State is what exists, as a run sees it; the zero State where nothing does.
func (c Current) State() (capability.State, error) {
	var s capability.State
	for _, kind := range []adapters.Kind{adapters.Config, adapters.Secrets, adapters.Subscriptions, adapters.State} {
		if len(c.Values[kind]) > 0 {
			s = capability.State{Config: map[string]json.RawMessage{}, Secrets: map[string]string{}, Subscriptions: []capability.StateSubscription{}, Blobs: map[string][]byte{}}
		}
	}
	for k, v := range c.Values[adapters.Config] {
		if !json.Valid(v.Bytes) {
			return s, errors.New("the stored configuration " + fmt.Sprintf("%q", k) + " is not JSON")
		}
		s.Config[k] = v.Bytes
	}
	var remembered []string
	if v, ok := c.Values[adapters.Hidden][hiddenTexts]; ok && json.Unmarshal(v.Bytes, &remembered) == nil {
		s.Hidden = append(s.Hidden, remembered...)
	}
	for _, kind := range []adapters.Kind{adapters.Config, adapters.Subscriptions, adapters.State} {
		for _, k := range slices.Sorted(maps.Keys(c.Values[kind])) {
			if v := c.Values[kind][k]; v.Secret || kind == adapters.State {
				s.Hidden = append(s.Hidden, textsOf(v.Bytes)...)
			}
		}
	}
	for k, v := range c.Values[adapters.Secrets] {
		s.Secrets[k] = string(v.Bytes)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Values[adapters.Subscriptions])) {
		v := c.Values[adapters.Subscriptions][id]
		if !json.Valid(v.Bytes) {
			return s, errors.New("the stored subscription " + fmt.Sprintf("%q", id) + " is not JSON")
		}
		s.Subscriptions = append(s.Subscriptions, capability.StateSubscription{ID: id, Metadata: v.Bytes})
	}
	for k, v := range c.Values[adapters.State] {
		s.Blobs[k] = v.Bytes
	}
	return s, nil
}
