package plugin

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/greentic-ai/greentic-provision/adapters"
	pb "github.com/greentic-ai/greentic-provision/adapters/plugin/proto"
)

// A page is sent when it has this many bytes of keys and values. One that holds a single
// value may have more.
const (
	pageSize = 1 << 20
	perEntry = 32 // around a key and a value, at most
)

func toNamespace(ns adapters.Namespace) *pb.Namespace {
	return &pb.Namespace{
		Text: ns.String(),
		Env:  ns.Env, Tenant: ns.Tenant, Team: ns.Team, Provider: ns.Provider, Install: ns.Install,
		Area: string(ns.Area),
	}
}

func fromNamespace(m *pb.Namespace) (adapters.Namespace, error) {
	ns := adapters.Namespace{
		Env: m.GetEnv(), Tenant: m.GetTenant(), Team: m.GetTeam(), Provider: m.GetProvider(), Install: m.GetInstall(),
		Area: adapters.Area(m.GetArea()),
	}
	if ns.String() != m.GetText() {
		return adapters.Namespace{}, fmt.Errorf("the namespace's parts are %s, and its text says %s", ns, m.GetText())
	}
	return ns, nil
}

func toOrigin(o adapters.Origin) *pb.Origin {
	return &pb.Origin{
		Entry: o.Entry, PackId: o.PackID, PackVersion: o.PackVersion, PackDigest: o.PackDigest, Unverified: o.Unverified,
		Component: o.Component, ComponentDigest: o.ComponentDigest,
	}
}

func fromOrigin(m *pb.Origin) adapters.Origin {
	return adapters.Origin{
		Entry: m.GetEntry(), PackID: m.GetPackId(), PackVersion: m.GetPackVersion(), PackDigest: m.GetPackDigest(), Unverified: m.GetUnverified(),
		Component: m.GetComponent(), ComponentDigest: m.GetComponentDigest(),
	}
}

func toChange(c adapters.Change) *pb.Change {
	if c.Delete {
		return &pb.Change{Key: c.Key, To: &pb.Change_Delete{Delete: &pb.Delete{}}}
	}
	return &pb.Change{Key: c.Key, To: &pb.Change_Set{Set: &pb.Value{Bytes: c.Value.Bytes, Secret: c.Value.Secret}}}
}

func fromChange(m *pb.Change) (adapters.Change, error) {
	switch to := m.GetTo().(type) {
	case *pb.Change_Set:
		return adapters.Change{Key: m.GetKey(), Value: adapters.Value{Bytes: to.Set.GetBytes(), Secret: to.Set.GetSecret()}}, nil
	case *pb.Change_Delete:
		return adapters.Change{Key: m.GetKey(), Delete: true}, nil
	}
	return adapters.Change{}, fmt.Errorf("a change of %q neither sets nor deletes", m.GetKey())
}

func toOperation(op adapters.Operation) *pb.Operation {
	m := &pb.Operation{
		Id: op.ID, Kind: string(op.Kind), Verb: op.Verb, Target: op.Target, Url: op.URL, Scopes: op.Scopes,
		Metadata: map[string][]byte{}, Status: string(op.Status), Attempts: uint32(op.Attempts), Detail: op.Detail, Order: op.Order,
	}
	for k, v := range op.Metadata {
		m.Metadata[k] = v
	}
	if op.AttemptedAt != nil {
		m.AttemptedAt = timestamppb.New(*op.AttemptedAt)
	}
	return m
}

func fromOperation(m *pb.Operation) adapters.Operation {
	op := adapters.Operation{
		ID: m.GetId(), Kind: adapters.OperationKind(m.GetKind()), Verb: m.GetVerb(), Target: m.GetTarget(), URL: m.GetUrl(),
		Scopes: m.GetScopes(), Status: adapters.OperationStatus(m.GetStatus()), Attempts: int(m.GetAttempts()), Detail: m.GetDetail(), Order: m.GetOrder(),
	}
	for k, v := range m.GetMetadata() {
		if op.Metadata == nil {
			op.Metadata = map[string]json.RawMessage{}
		}
		op.Metadata[k] = v
	}
	if m.GetAttemptedAt() != nil {
		t := m.GetAttemptedAt().AsTime()
		op.AttemptedAt = &t
	}
	return op
}
