package contract_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

var (
	qaMode = enum("default", "setup", "upgrade", "remove")

	descriptorTypes = exports("greentic:component/descriptor@0.6.1", fn("describe", function(bytesType)))
	runtimeTypes    = exports("greentic:component/runtime@0.6.1", fn("invoke", function(bytesType, str, bytesType)))
	stateTypes      = exports("greentic:component/component-runtime@0.6.0", fn("run", function(
		record(field("output", bytesType), field("new-state", bytesType)), bytesType, bytesType)))
	qaTypes = exports("greentic:component/qa@0.6.1",
		fn("qa-spec", function(bytesType, qaMode)), fn("apply-answers", function(bytesType, qaMode, bytesType)))
	oldQATypes = exports("greentic:component/component-qa@0.6.0",
		fn("qa-spec", function(bytesType, enum("default", "setup", "update", "remove"))),
		fn("apply-answers", function(bytesType, enum("default", "setup", "update", "remove"), bytesType, bytesType)))
	i18nTypes = exports("greentic:component/component-i18n@0.6.1",
		fn("i18n-keys", function(listOf(str))), fn("i18n-bundle", function(bytesType, str)))
	schemaCoreTypes = exports("greentic:provider-schema-core/schema-core-api@1.0.0",
		fn("describe", function(bytesType)), fn("invoke", function(bytesType, str, bytesType)))
)

func contracts(t *testing.T, types component.Types) []contract.Contract {
	t.Helper()
	all, err := contract.Select(types)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func contractNames(all []contract.Contract) []string {
	list := []string{}
	for _, c := range all {
		list = append(list, c.Name())
	}
	return list
}

// The order is the documented one, whatever that of the exports is, and the first
// contract for each action follows from it.
func TestSelectOrder(t *testing.T) {
	types := together(schemaCoreTypes, runtimeTypes, stateTypes, textNode("0.5.0", record()), envelopeNode(true), i18nTypes,
		exports("greentic:component/component-descriptor@0.6.0", fn("describe", function(bytesType))), descriptorTypes, oldQATypes, qaTypes,
		provisionerTypes, exports("greentic:provision-step/step@1.0.0", fn("run", run)))
	all := contracts(t, types)
	if got, want := contractNames(all), []string{
		"greentic:provision-step@1",
		"greentic:provision/provisioner@0.1",
		"greentic:component/qa@0.6",
		"greentic:component/component-qa@0.6",
		"greentic:component/descriptor@0.6",
		"greentic:component/component-descriptor@0.6",
		"greentic:component/component-i18n@0.6",
		"greentic:component/node@0.6",
		"greentic:component/node@0.5",
		"greentic:component/component-runtime@0.6",
		"greentic:component/runtime@0.6",
		"greentic:provider-schema-core/schema-core-api@1.0",
	}; !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for action, want := range map[contract.Action]string{
		contract.ActStep:         "greentic:provision-step@1",
		contract.ActInvoke:       "greentic:component/node@0.6",
		contract.ActDescribe:     "greentic:component/descriptor@0.6",
		contract.ActQASpec:       "greentic:component/qa@0.6",
		contract.ActApplyAnswers: "greentic:component/qa@0.6",
		contract.ActI18n:         "greentic:component/component-i18n@0.6",
	} {
		if got := pick(t, types, action).Name(); got != want {
			t.Errorf("%s goes through %s, want %s", action, got, want)
		}
	}
}

// No contract takes an action that it does not say it does, and an action never
// reaches the guest then.
func TestActionsAreAllThereIs(t *testing.T) {
	everything := together(schemaCoreTypes, runtimeTypes, stateTypes, textNode("0.5.0", record()), envelopeNode(false), i18nTypes,
		descriptorTypes, qaTypes, provisionerTypes, exports("greentic:provision-step/step@1.0.0", fn("run", run)))
	all := append(contracts(t, everything), contracts(t, coreTypes(pair, pair))...)
	inst := &instance{call: func(path []string, _ []component.Value) (component.Value, error) {
		t.Errorf("%q was called", path)
		return nil, nil
	}}
	for _, c := range all {
		for _, action := range []contract.Action{contract.ActStep, contract.ActInvoke, contract.ActDescribe, contract.ActQASpec,
			contract.ActApplyAnswers, contract.ActI18n, "other"} {
			if slices.Contains(c.Actions(), action) {
				continue
			}
			if out, err := c.Run(t.Context(), inst, action, []byte("{}"), 100); out != nil || !ours(err) {
				t.Errorf("%s, %s: %q, %v", c.Name(), action, out, err)
			}
		}
	}
}

func TestSelectNames(t *testing.T) {
	for version, want := range map[string]string{
		"@0.6.1": "@0.6", "@0.6.1-rc.1": "@0.6", "@1.0": "@1.0", "": "", "@": "", "@6": "", "@0.x": "", "@99999.0": "", "@0.\x1b": "", "@0.-1": "",
	} {
		types := exports("greentic:component/descriptor"+version, fn("describe", function(bytesType)))
		if got := contracts(t, types)[0].Name(); got != "greentic:component/descriptor"+want {
			t.Errorf("%q: %q", version, got)
		}
	}
}

// A near miss says what was expected and what is there; it is no matter where
// another contract is spoken.
func TestSelectNearMiss(t *testing.T) {
	for name, c := range map[string]struct {
		types component.Types
		part  string
	}{
		"mode is text": {exports("greentic:component/qa@0.6.1", fn("qa-spec", function(bytesType, str)), fn("apply-answers", function(bytesType, qaMode, bytesType))),
			"greentic:component/qa@0.6.1#qa-spec is func(string) -> list<u8>, expected func(enum) -> list<u8>"},
		"four arguments": {exports("greentic:component/qa@0.6.1", fn("qa-spec", function(bytesType, qaMode)), fn("apply-answers", function(bytesType, qaMode, bytesType, bytesType, bytesType))),
			"#apply-answers is func(enum {default, setup, upgrade, remove}, list<u8>, list<u8>, list<u8>) -> list<u8>, expected func(enum, list<u8>) -> list<u8>, or "},
		"half of it":          {exports("greentic:component/qa@0.6.1", fn("qa-spec", function(bytesType, qaMode))), "#apply-answers is absent"},
		"text instead":        {exports("greentic:component/runtime@0.6.1", fn("invoke", function(str, str, str))), "runtime@0.6.1#invoke is func(string, string) -> string"},
		"state in a tuple":    {exports("greentic:component/component-runtime@0.6.0", fn("run", function(record(field("output", bytesType)), bytesType, bytesType))), "#run is func(list<u8>, list<u8>) -> record {output: list<u8>}"},
		"context not to fill": {textNode("0.5.0", record(field("f", typ(component.Own)))), "node@0.5.0#invoke is func(record {f: own}, string, string)"},
		"empty enum":          {textNode("0.5.0", record(field("f", enum()))), "#invoke is func(record {f: enum {}}"},
		"empty variant":       {textNode("0.5.0", record(field("f", variant()))), "#invoke is func(record {f: variant {}}"},
		"node error":          {exports("greentic:component/node@0.5.0", fn("invoke", function(variant(field("ok", str), field("err", str)), record(), str, str))), "expected func(record, string, string) -> variant {ok(string), err(record {code: string"},
		"too many parts":      {textNode("0.5.0", deep(20)), "#invoke is func(tuple<"},
		"provisioner":         {exports("greentic:provision/provisioner@0.1.0", fn("plan", function(bytesType, bytesType))), "provisioner@0.1.0#plan is func(list<u8>) -> list<u8>, expected func(record {tenant: "},
		"no texts":            {exports("greentic:component/component-i18n@0.6.1", fn("i18n-bundle", function(bytesType, str))), "#i18n-keys is absent"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := contract.Select(c.types)
			var m *contract.Mismatch
			if !errors.As(err, &m) || got != nil || !strings.Contains(err.Error(), c.part) {
				t.Fatalf("got %v, %v; want a Mismatch with %q", got, err, c.part)
			}
			if got := contractNames(contracts(t, together(c.types, descriptorTypes))); !slices.Equal(got, []string{"greentic:component/descriptor@0.6"}) {
				t.Errorf("beside another: %q", got)
			}
		})
	}
}

// deep is a record of tuples of tuples…, with more parts than anybody looks at.
func deep(depth int) *component.Type {
	t := str
	for range depth {
		t = &component.Type{Kind: component.Tuple, Fields: []component.Field{{Type: t}, {Type: t}}}
	}
	return t
}

// What Select gives is bounded, however many versions of one interface there are.
func TestSelectIsBounded(t *testing.T) {
	types := component.Types{Layer: component.LayerComponent}
	for i := range 1000 {
		types = together(types, exports(fmt.Sprintf("greentic:component/descriptor@0.%d.0", i), fn("describe", function(bytesType))))
	}
	if n := len(contracts(t, types)); n != 32 {
		t.Errorf("%d contracts", n)
	}
}

func TestChoose(t *testing.T) {
	all := contracts(t, together(schemaCoreTypes, runtimeTypes, qaTypes, i18nTypes, descriptorTypes))
	const (
		qa, descriptor, i18n = "greentic:component/qa@0.6", "greentic:component/descriptor@0.6", "greentic:component/component-i18n@0.6"
		runtime, schema      = "greentic:component/runtime@0.6", "greentic:provider-schema-core/schema-core-api@1.0"
	)
	for name, want := range map[string][]string{
		qa:                              {qa, descriptor, i18n},
		"greentic:component/qa":         {qa, descriptor, i18n},
		"greentic:component/runtime":    {runtime, descriptor, i18n},
		"greentic:provider-schema-core": {schema, descriptor, i18n},
		"greentic:component":            {qa, descriptor, i18n, runtime},
		"greentic":                      {qa, descriptor, i18n, runtime, schema},
		descriptor:                      {descriptor, i18n},
	} {
		got, err := contract.Choose(all, name)
		if err != nil || !slices.Equal(contractNames(got), want) {
			t.Errorf("%s: %q, %v; want %q", name, contractNames(got), err, want)
		}
	}
	for _, name := range []string{"", "qa", "greentic:comp", "greentic:component/q", qa + ".1", "greentic:component/qa@0.5", "core-step", "\x1b[2J"} {
		got, err := contract.Choose(all, name)
		var m *contract.Mismatch
		if !errors.As(err, &m) || got != nil || !slices.Equal(m.Offered, contractNames(all)) ||
			!strings.Contains(err.Error(), "; it speaks: "+qa+", ") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}
