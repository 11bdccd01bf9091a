package plugin

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/greentic-ai/greentic-provision/adapters"
	pb "github.com/greentic-ai/greentic-provision/adapters/plugin/proto"
)

// fill sets every field of a struct to something of its own, so that a field that a
// mapping forgets shows.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case **time.Time:
		t := time.Date(2026, 1, 2, 3, 4, 5, *n, time.UTC)
		*x = &t
		return
	case *map[string]json.RawMessage:
		*x = map[string]json.RawMessage{"a": json.RawMessage(`{"b":1}`)}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("é", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("no value for a " + v.Type().String())
	}
}

func filled[T any]() T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

// sent gives m as it comes out at the other end.
func sent[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryFieldArrives(t *testing.T) {
	same := func(got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-sent +received\n%s", diff)
		}
	}
	for _, ns := range []adapters.Namespace{filled[adapters.Namespace](), {}, {Env: "_", Install: "a:b"}} {
		got, err := fromNamespace(sent(t, toNamespace(ns)))
		if err != nil {
			t.Error(err)
		}
		same(got, ns)
	}
	same(fromOrigin(sent(t, toOrigin(filled[adapters.Origin]()))), filled[adapters.Origin]())
	for _, op := range []adapters.Operation{filled[adapters.Operation](), {}} {
		same(fromOperation(sent(t, toOperation(op))), op)
	}
	set := filled[adapters.Change]()
	set.Delete = false
	for _, c := range []adapters.Change{set, {Key: "k", Delete: true}, {Key: "k"}} {
		got, err := fromChange(sent(t, toChange(c)))
		if err != nil {
			t.Error(err)
		}
		same(got, c)
	}
}

func TestWhatDoesNotFitTogetherIsRefused(t *testing.T) {
	for _, m := range []*pb.Namespace{nil, {}, {Text: "provision:a:_:_:_:_", Env: "b"}} {
		if _, err := fromNamespace(m); err == nil {
			t.Errorf("%v was taken for a namespace", m)
		}
	}
	if _, err := fromChange(&pb.Change{Key: "k"}); err == nil {
		t.Error("a change that changes nothing was taken")
	}
}

func TestKeys(t *testing.T) {
	for _, key := range []string{"a", "schlüssel", "🔑", "a b", strings.Repeat("k", adapters.MaxKey)} {
		if err := checkKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", "\xff", "a\n", "a\x7f", "a\u0085", strings.Repeat("k", adapters.MaxKey+1)} {
		if checkKey(key) == nil {
			t.Errorf("%q was taken", key)
		}
	}
}

func TestRepeats(t *testing.T) {
	long := []byte(strings.Repeat("0123456789", 100))
	for text, want := range map[string]bool{
		"": false, "no": false, "it is hunter2": true, "it is hunter": false, "0123456789012345… was cut": true, "1234567890123456": false,
	} {
		if got := repeats(text, [][]byte{nil, []byte("no"), []byte("hunter2"), long}); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestPlumbing: go-plugin forgets a connection, and what belongs to it, when its stream
// fails in another way than this.
func TestPlumbing(t *testing.T) {
	fails := func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, status.Error(codes.Canceled, "the process is gone")
	}
	for method, want := range map[string]codes.Code{
		"/plugin.GRPCStdio/StreamStdio": codes.Unavailable, "/plugin.GRPCBroker/StartStream": codes.Unimplemented, pb.Values_Load_FullMethodName: codes.Canceled,
	} {
		if _, err := plumbing(t.Context(), nil, nil, method, fails); status.Code(err) != want {
			t.Errorf("%s: %v, want %s", method, err, want)
		}
	}
}
