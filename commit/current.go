package commit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
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
	Name   string // without secrets: "plugin:/opt/vault-adapter"
	Values adapters.Values
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
			return &adapters.ConfigError{Adapter: is, Reason: fmt.Sprintf("the installation's %s are in the store", kind), Hint: "leave --adapter " + string(kind) + " out"}
		default:
			return &adapters.ConfigError{Adapter: was, Reason: fmt.Sprintf("the installation's %s are there, and the adapter was not named", kind),
				Hint: fmt.Sprintf("add --adapter %s=%s", kind, was)}
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

// Revision counts the installation's commits; 0 where there is none.
func (c Current) Revision() uint64 {
	if c.Install == nil {
		return 0
	}
	return c.Install.Revision
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
