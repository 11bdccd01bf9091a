package flow_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/flow"
)

func TestCheckFindsWhatCannotEnd(t *testing.T) {
	node := func(id, to string) flow.Node {
		n := flow.Node{ID: id, Component: "c"}
		if to != "" {
			n.Routing = flow.Routing{Kind: flow.RouteNext, Next: to}
		}
		return n
	}
	branch := flow.Node{ID: "a", Component: "c", Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"ok": "a"}, Default: "b"}}
	for name, c := range map[string]struct {
		nodes  []flow.Node
		code   flow.Code // "" for sound
		detail string
	}{
		"a line":                         {nodes: []flow.Node{node("a", "b"), node("b", "")}},
		"two ways to one node":           {nodes: []flow.Node{node("a", "c"), node("b", "c"), node("c", "")}},
		"a loop that a status can leave": {nodes: []flow.Node{branch, node("b", "")}},
		"no nodes":                       {code: flow.CodeNoStart},
		"a node that is not there":       {nodes: []flow.Node{node("a", "x")}, code: flow.CodeNodeNotFound, detail: `"x"`},
		"a node that routes to itself":   {nodes: []flow.Node{node("a", "a")}, code: flow.CodeStepCap, detail: `"a", "a"`},
		"a ring behind a tail":           {nodes: []flow.Node{node("t", "a"), node("a", "b"), node("b", "a")}, code: flow.CodeStepCap, detail: `"a", "b", "a"`},
		"a status that leads nowhere": {nodes: []flow.Node{{ID: "a", Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"ok": "x"}}}},
			code: flow.CodeNodeNotFound, detail: `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := flow.Check(map[string]*flow.Graph{"f": {ID: "f", Nodes: c.nodes}}, "f")
			var e *flow.Error
			switch {
			case c.code == "" && err != nil:
				t.Errorf("got %v", err)
			case c.code != "" && (!errors.As(err, &e) || e.Code != c.code || e.Flow != "f" || !strings.Contains(e.Detail, c.detail)):
				t.Errorf("got %v, want %s with %s", err, c.code, c.detail)
			}
		})
	}
	if err := flow.Check(nil, "f"); err == nil {
		t.Error("a flow that is not there is sound")
	}
}

func TestCheckTakesLongChains(t *testing.T) {
	nodes := make([]flow.Node, 10_000)
	for i := range nodes {
		nodes[i] = flow.Node{ID: strings.Repeat("n", 1+i%7) + string(rune('a'+i%26)) + strings.Repeat("x", i/182)}
	}
	for i := range nodes[:len(nodes)-1] {
		nodes[i].Routing = flow.Routing{Kind: flow.RouteNext, Next: nodes[i+1].ID}
	}
	if err := flow.Check(map[string]*flow.Graph{"f": {ID: "f", Nodes: nodes}}, "f"); err != nil {
		t.Error(err)
	}
}
