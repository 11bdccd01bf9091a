package capability

import (
	"errors"
	"fmt"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Policy says what each pack may do. The file is a JSON object:
//
//	{"packs":   {"greentic.telegram": {"grants": ["config", "secrets"], "keys": ["telegram_*", "bot_token"]}},
//	 "default": {"grants": ["config"]}}
//
// grants are capabilities (Grantable), keys patterns (Config.Keys). A member that is
// missing allows what is allowed without a policy; an empty list allows nothing. A pack
// that is not named has the default, and without one it has no permission to run.
type Policy struct {
	packs     map[string]Permission
	otherwise *Permission
}

// Permission is what one pack may do; nil lists are those of Config.
type Permission struct {
	Grants []string `json:"grants"`
	Keys   []string `json:"keys"`
}

// MaxPolicy is the largest policy file, in bytes.
const MaxPolicy = 1 << 20

// ParsePolicy reads a policy strictly; an error is a *plan.JSONError.
func ParsePolicy(b []byte) (Policy, error) {
	if len(b) > MaxPolicy {
		return Policy{}, &plan.JSONError{Reason: fmt.Sprintf("has %d bytes, over the limit of %d", len(b), MaxPolicy)}
	}
	doc, err := plan.ReadObject(b)
	if err != nil {
		return Policy{}, err
	}
	var file struct {
		Packs   map[string]*Permission `json:"packs"`
		Default *Permission            `json:"default"`
	}
	if err := jsonv2.Unmarshal(doc, &file, jsonv2.RejectUnknownMembers(true)); err != nil {
		e := &plan.JSONError{Reason: "is not what belongs into a policy"}
		if sem, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
			e.Path = string(sem.JSONPointer)
			if errors.Is(sem.Err, jsonv2.ErrUnknownName) {
				e.Reason = "is not a member of a policy"
			}
		}
		return Policy{}, e
	}
	p := Policy{packs: map[string]Permission{}, otherwise: file.Default}
	for id, perm := range file.Packs {
		if perm == nil {
			return Policy{}, &plan.JSONError{Path: pointer("packs", id), Reason: "must be an object, found null"}
		}
		if err := CheckGrants(perm.Grants); err != nil {
			return Policy{}, &plan.JSONError{Path: pointer("packs", id, "grants"), Reason: err.Error()}
		}
		p.packs[id] = *perm
	}
	if file.Default != nil {
		if err := CheckGrants(file.Default.Grants); err != nil {
			return Policy{}, &plan.JSONError{Path: "/default/grants", Reason: err.Error()}
		}
	}
	return p, nil
}

// For gives the permission of a pack; false where it has none.
func (p Policy) For(packID string) (Permission, bool) {
	if perm, ok := p.packs[packID]; ok {
		return Permission{slices.Clone(perm.Grants), slices.Clone(perm.Keys)}, true
	}
	if p.otherwise != nil {
		return Permission{slices.Clone(p.otherwise.Grants), slices.Clone(p.otherwise.Keys)}, true
	}
	return Permission{}, false
}
