package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
)

// Chosen is the way in which a pack is run, and what was found out on the way to
// it.
type Chosen struct {
	Way pack.Way
	Why string // why this one, for people
	// Refused has the ways that were not taken because they are not possible.
	Refused []Refused
	// Examined has the components that were looked at, by index.
	Examined map[int]Examined
}

// Refused is a way that is not possible, and why.
type Refused struct {
	Via pack.Via `json:"via"`
	Why string   `json:"why"`
}

// Choose takes the first possible way, in the order of the blueprint: steps,
// component, qa, flow. The pack says what is in it, and the binaries say what they
// are: a way is possible when the pack has what it needs and
//
//   - steps: nothing else. What cannot be run is told when its step is;
//   - component: the component runs steps;
//   - qa: the component has questions and takes their answers, and the provider's
//     list of operations, where that decides, does not say otherwise;
//   - flow: a graph that can end. A node that cannot be run is told when it is
//     reached.
//
// When none is possible, and a component of one cannot be run at all (it speaks no
// contract, or imports what nobody offers), that way is taken all the same, so that
// this is the answer. via, when not empty, names the way to take. The error is a
// *pack.Error with every reason when there is nothing to take, and Chosen then says
// what was found out; or it is the runner's.
//
// A pack whose entry needs no way (requirements) gives a Chosen without one.
func Choose(ctx context.Context, bp *pack.Blueprint, runner StepRunner, via pack.Via, name string) (Chosen, error) {
	return choose(ctx, bp, runner, via, name, false)
}

// Survey is Choose that looks at every way, and at the components of each, also
// behind the one that is chosen.
func Survey(ctx context.Context, bp *pack.Blueprint, runner StepRunner, name string) (Chosen, error) {
	return choose(ctx, bp, runner, "", name, true)
}

func choose(ctx context.Context, bp *pack.Blueprint, runner StepRunner, via pack.Via, name string, all bool) (Chosen, error) {
	c := Chosen{Examined: map[int]Examined{}}
	var chosen, fallback *pack.Way
	for i := range bp.Ways {
		way := &bp.Ways[i]
		if via != "" && way.Via != via || chosen != nil && !all {
			continue
		}
		if way.Problem != "" {
			c.Refused = append(c.Refused, Refused{way.Via, way.Problem})
			continue
		}
		why, err := c.examine(ctx, runner, bp, *way, name, via != "")
		switch {
		case err != nil:
			return Chosen{}, err
		case why != "":
			c.Refused = append(c.Refused, Refused{way.Via, why})
			if fallback == nil && c.Examined[way.Component].Verdict == limits.ContractMismatch {
				fallback = way
			}
		case chosen == nil:
			chosen = way
		}
	}
	switch {
	case chosen != nil:
		c.Way, c.Why = *chosen, chosen.Why
		if via != "" {
			c.Why = "asked for with --via; " + c.Why
		}
		return c, nil
	case via == "" && bp.Entry == pack.EntryRequirements:
		return c, nil // answered from what the pack declares
	case fallback != nil:
		c.Way, c.Why = *fallback, "no way is possible; this one shows why"
		return c, nil
	}
	var reasons []string
	for _, r := range c.Refused {
		reasons = append(reasons, string(r.Via)+": "+r.Why)
	}
	what := "the pack cannot be run"
	if via != "" {
		what = fmt.Sprintf("the pack cannot be run in the way %q that --via asks for", via)
	}
	return c, &pack.Error{Path: bp.Manifest.ID, Rule: pack.RuleStep, Detail: what + ": " + strings.Join(reasons, "; "),
		Hint: "pack inspect shows every way and what it lacks"}
}

// examine looks at the components of a way, which was asked for or not. why says why
// the way is not possible.
func (c *Chosen) examine(ctx context.Context, runner StepRunner, bp *pack.Blueprint, way pack.Way, name string, asked bool) (why string, err error) {
	look := func(component int) (Examined, error) {
		if component < 0 {
			return Examined{}, nil
		}
		e, err := runner.Examine(ctx, component, name)
		if err == nil {
			c.Examined[component] = e
		}
		return e, err
	}
	if bp.Entry == pack.EntrySetup && (way.Via == pack.ViaSteps || way.Via == pack.ViaComponent) {
		if _, err := look(bp.Requirements.Component); err != nil {
			return "", err
		}
	}
	switch way.Via {
	case pack.ViaSteps:
		for _, ref := range way.Steps {
			if _, err := look(ref.Component); err != nil {
				return "", err
			}
		}
	case pack.ViaFlow:
		if err := flow.Check(bp.Graphs, bp.Flow.ID); err != nil {
			return err.Error(), nil
		}
		for _, id := range slices.Sorted(maps.Keys(way.Nodes)) {
			e, err := look(way.Nodes[id])
			if err != nil {
				return "", err
			}
			if bp.Entry == pack.EntryRequirements && !asked && !e.invokes() {
				return "the component " + id + " cannot be asked, and what the pack declares says the same", nil
			}
		}
	case pack.ViaComponent:
		e, err := look(way.Component)
		if err != nil {
			return "", err
		}
		return lacks(e, contract.ActStep), nil
	case pack.ViaQA:
		e, err := look(way.Component)
		if err != nil {
			return "", err
		}
		if why := lacks(e, contract.ActQASpec, contract.ActApplyAnswers); why != "" {
			return why, nil
		}
		return asksNothing(bp.Provider, e), nil
	default:
		return "", errors.New("the blueprint has the unknown way " + string(way.Via))
	}
	return "", nil
}

// schemaCore is the contract whose operations are free text: its types do not say
// whether a component has questions.
const schemaCore = "greentic:provider-schema-core/"

// asksNothing says that a provider lists its operations and none of them is to ask,
// where only they could tell. Published providers of January 2026 are like that.
func asksNothing(p *pack.Provider, e Examined) string {
	name, _ := e.Does(contract.ActQASpec)
	if p == nil || len(p.Operations) == 0 || !strings.HasPrefix(name, schemaCore) || slices.Contains(p.Operations, string(contract.ActQASpec)) {
		return ""
	}
	return "the provider has no questions: its operations are " + hostile.QuoteAll(p.Operations)
}

// lacks says what a component cannot do of what it should. One that could not be
// compiled or loaded lacks nothing: that is the answer to the run, and no reason to
// run the pack in another way when the machine is busy.
func lacks(e Examined, actions ...contract.Action) string {
	switch e.Verdict {
	case limits.OK:
	case limits.ContractMismatch:
		return fmt.Sprintf("%s: %s", e.Verdict, e.Detail)
	default:
		return ""
	}
	for _, a := range actions {
		if _, ok := e.Does(a); !ok {
			var names []string
			for _, s := range e.Contracts {
				names = append(names, s.Name)
			}
			return fmt.Sprintf("the component does not do %q; it speaks %s", a, strings.Join(names, ", "))
		}
	}
	return ""
}
