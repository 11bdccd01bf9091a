package flow

import (
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Check says what of the flows of a pack can be known to be wrong without running
// them: the flow to start does not exist (FLOW_NOT_FOUND) or has no start
// (FLOW_NO_START), a route leads to a node that is not there
// (FLOW_NODE_NOT_FOUND), or routes without a choice go round (FLOW_STEP_CAP). The
// error is an *Error, or nil. A flow that passes may still not finish.
func Check(graphs map[string]*Graph, start string) error {
	if graphs[start] == nil {
		return &Error{Flow: start, Code: CodeNotFound, Detail: "the pack has no such flow"}
	}
	if len(graphs[start].Nodes) == 0 {
		return &Error{Flow: start, Code: CodeNoStart, Detail: "the flow has no nodes"}
	}
	for _, id := range slices.Sorted(maps.Keys(graphs)) {
		if e := graphs[id].check(); e != nil {
			e.Flow = id
			return e
		}
	}
	return nil
}

func (g *Graph) check() *Error {
	next := make(map[string]string, len(g.Nodes))
	for _, n := range g.Nodes {
		next[n.ID] = ""
		if n.Routing.Kind == RouteNext {
			next[n.ID] = n.Routing.Next
		}
	}
	for _, n := range g.Nodes {
		targets := []string{n.Routing.Default}
		if n.Routing.Kind == RouteNext {
			targets = []string{n.Routing.Next}
		}
		for _, status := range slices.Sorted(maps.Keys(n.Routing.OnStatus)) {
			targets = append(targets, n.Routing.OnStatus[status])
		}
		for _, to := range targets {
			if _, ok := next[to]; to != "" && !ok {
				return &Error{Node: n.ID, Component: n.Component, Operation: n.Operation, Code: CodeNodeNotFound,
					Detail: "its route leads to the node " + hostile.Quote(to) + ", which the flow does not have"}
			}
		}
	}
	// Each node has at most one way on without a choice, so following them from
	// every node that was not met before meets each node once.
	met := make(map[string]int, len(g.Nodes)) // by which walk
	for i, n := range g.Nodes {
		var walk []string
		for at := n.ID; at != "" && met[at] == 0; at = next[at] {
			met[at] = i + 1
			walk = append(walk, at)
			if to := next[at]; met[to] == i+1 {
				round := append(walk[slices.Index(walk, to):], to)
				return &Error{Node: to, Code: CodeStepCap, Detail: "its routes go round and never end: " + hostile.QuoteAll(round)}
			}
		}
	}
	return nil
}
