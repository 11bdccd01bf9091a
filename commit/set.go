package commit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Set is what a commit changes. Changes holds only what differs from what is there.
type Set struct {
	Namespace adapters.Namespace
	Origin    adapters.Origin
	Entry     pack.Entry
	Changes   []Change // by kind in the order of adapters.Kinds, then by key
	// What the audit log and the installation keep. Plan is scrubbed.
	PlanDigest  string
	StateDigest string
	Plan        json.RawMessage
	Walls       json.RawMessage
	// PublicBaseURL is that of the run, or "".
	PublicBaseURL string

	current     Current
	removes     bool            // ends the installation
	keepsStatus adapters.Status // of the installation; "" makes it installed
	before      map[place]bool  // keys whose value of before the installation is put back
	original    map[place]bool  // keys that are touched for the first time
}

// place is a key of a kind.
type place struct {
	kind adapters.Kind
	key  string
}

// Change is one key that changes. Before and After are nil where there is no value.
type Change struct {
	Kind          adapters.Kind
	Key           string
	Before, After *adapters.Value
}

// Wanted is what the operator adds to what a run wants.
type Wanted struct {
	// Secrets are values for secrets that the plan sets; they win over what the pack
	// gave, and the pack never sees them.
	Secrets map[string][]byte
	// Answers are the operator's answers, a JSON object. Those with the name of a secret
	// that the pack announces, at the top or in the section secrets, are its value.
	Answers json.RawMessage
	// LeaveMissing lets secrets without a value wait as operations, instead of refusing
	// the plan for them.
	LeaveMissing bool
	// Grants, Keys and Own are those of capability.Config: what a plan asks for is held
	// against them like what a host call asks for.
	Grants []string
	Keys   []string
	Own    []string
}

// New makes the Set of a run that ended well: what differs between current and what
// the run wants. The diagnostics are errors that forbid to apply the plan (a secret
// without a value, a key that policy does not allow, a name that holds a secret, two
// parts that contradict one another) and the Set is nil then, or they are remarks.
func New(res *engine.Result, out engine.Outcome, current Current, want Wanted) (*Set, []plan.Diagnostic) {
	b := builder{
		want: map[place]*adapters.Value{}, out: out, current: current, wanted: want,
		entry: res.Pack.Entry,
	}
	b.config()
	b.secrets()
	b.state()
	b.operations()
	b.messages()
	b.bounds()
	b.keepHidden()
	if plan.HasErrors(b.found) {
		return nil, b.found
	}
	s := b.set(res)
	return s, b.found
}

type builder struct {
	out     engine.Outcome
	current Current
	wanted  Wanted
	entry   pack.Entry
	want    map[place]*adapters.Value // nil: no value
	found   []plan.Diagnostic
	hidden  map[string]bool // secrets that stand in values of other kinds
	unnamed int             // operations whose names cannot be keys
	order   uint64          // of the last operation that was recorded
}

func (b *builder) refuse(code, target, what, hint string) {
	target = b.out.Scrubber.Target(target)
	b.found = append(b.found, plan.Diagnostic{Severity: plan.Error, Code: code, Path: target, Message: target + " " + what, Hint: hint, Own: true})
}

// granted says whether the pack may ask for a part at all.
func (b *builder) granted(grant, target string) bool {
	grants := b.wanted.Grants
	if grants == nil {
		grants = capability.Grants()
	}
	if slices.Contains(grants, grant) {
		return true
	}
	b.refuse("NOT_GRANTED", target, "is a part of the plan that needs the capability "+grant+", which the pack is not granted", "add it to --grant, or to the pack's grants in the file of --policy")
	return false
}

// own gives a key without the name of this installation.
func (b *builder) own(target, key string) (string, bool) {
	k, ok := capability.OwnKey(b.wanted.Own, key)
	if !ok {
		b.refuse("KEY_NOT_ALLOWED", target, "names an installation that is not this one", "report it to the pack's author")
	}
	return k, ok
}

// named checks a key or id that will stand in the store as it is.
func (b *builder) named(target, key string, allows func(patterns []string, key string) bool) bool {
	switch {
	case key == "" || len(key) > adapters.MaxKey || strings.ContainsFunc(key, isControl):
		b.refuse("PLAN_KEY_UNUSABLE", target, fmt.Sprintf("cannot be stored: a key is text of 1 to %d bytes without control characters", adapters.MaxKey), "report it to the pack's author")
	case b.out.Scrubber.Scrub(key) != key:
		b.refuse("PLAN_KEY_IS_SECRET", target, "holds a secret in its name, which would be stored in clear", "report it to the pack's author")
	case !allows(b.wanted.Keys, key):
		b.refuse("KEY_NOT_ALLOWED", target, "is a key that the policy of this pack does not allow", "add it to the pack's keys in the file of --policy")
	default:
		return true
	}
	return false
}

func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 || r == 0xfffd }

func (b *builder) put(kind adapters.Kind, key string, v *adapters.Value, target string) {
	if v != nil && len(v.Bytes) > adapters.MaxValue {
		b.refuse("PLAN_VALUE_TOO_LARGE", target, fmt.Sprintf("has %d bytes, over the limit of %d", len(v.Bytes), adapters.MaxValue), "")
		return
	}
	b.want[place{kind, key}] = v
}

// value is a JSON value to be stored, sealed if it holds a secret of the run.
func (b *builder) value(v json.RawMessage) *adapters.Value {
	secret := !bytes.Equal(b.out.Scrubber.ScrubJSON(v), v)
	if secret {
		b.remember(plan.Values(v)...)
	}
	return &adapters.Value{Bytes: v, Secret: secret}
}

// remember notes which secrets stand in texts that are stored elsewhere than among the
// secrets, for the runs to come.
func (b *builder) remember(texts ...string) {
	if b.hidden == nil {
		b.hidden = map[string]bool{}
	}
	for _, v := range b.out.Scrubber.Within(texts...) {
		b.hidden[v] = true
	}
}

// What is remembered at most: beyond it the oldest are forgotten.
const (
	maxHidden      = 1000
	maxHiddenBytes = 256 << 10
)

// keepHidden adds what was remembered to what was before.
func (b *builder) keepHidden() {
	if len(b.hidden) == 0 {
		return
	}
	var texts []string
	if v, ok := b.current.Values[adapters.Hidden][hiddenTexts]; ok {
		_ = json.Unmarshal(v.Bytes, &texts) // ours; one that cannot be read is none
	}
	for _, t := range slices.Sorted(maps.Keys(b.hidden)) {
		if !slices.Contains(texts, t) {
			texts = append(texts, t)
		}
	}
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	for len(texts) > maxHidden || size > maxHiddenBytes {
		size, texts = size-len(texts[0]), texts[1:]
	}
	b.want[place{adapters.Hidden, hiddenTexts}] = &adapters.Value{Bytes: encode(texts), Secret: true}
}

// config: a member of config_patch replaces the one that is there, whole, and null takes
// it away (as in RFC 7396, and as deleting through the host is written in a plan).
func (b *builder) config() {
	for _, k := range slices.Sorted(maps.Keys(b.out.Plan.ConfigPatch)) {
		target := plan.TargetConfig + k
		key, ok := b.own(target, k)
		if !ok || !b.granted(capability.GrantConfig, target) || !b.named(target, key, capability.AllowsKey) {
			continue
		}
		v, err := plan.Canonical(b.out.Plan.ConfigPatch[k])
		if err != nil {
			b.refuse("PLAN_VALUE_UNUSABLE", target, "is not JSON", "report it to the pack's author")
			continue
		}
		if string(v) == "null" {
			b.put(adapters.Config, key, nil, target)
		} else {
			b.put(adapters.Config, key, b.value(v), target)
		}
	}
}

// secrets are told apart by their canonical names, as in Greentic's stores.
func (b *builder) secrets() {
	patch := b.out.Plan.SecretsPatch
	given := map[string][]byte{}
	for _, k := range slices.Sorted(maps.Keys(b.wanted.Secrets)) {
		if canon, why := capability.CanonicalSecret(k); why == "" {
			given[canon] = b.wanted.Secrets[k]
		}
	}
	answered := answeredSecrets(b.wanted.Answers)
	set := map[string]string{} // spelling, by canonical name
	for _, k := range slices.Sorted(maps.Keys(patch.Set)) {
		target := plan.TargetSecretSet + k
		key, own := b.own(target, k)
		if !own || !b.granted(capability.GrantSecrets, target) {
			continue
		}
		canon, why := capability.CanonicalSecret(key)
		if why != "" {
			b.refuse("PLAN_KEY_UNUSABLE", target, "cannot be stored: "+why, "report it to the pack's author")
			continue
		}
		if !b.named(target, key, capability.AllowsSecret) {
			continue
		}
		v, ok := given[canon]
		if !ok {
			v, ok = b.out.Secrets[k]
		}
		if !ok {
			v, ok = answered[canon]
		}
		if other, twice := set[canon]; twice && ok {
			b.refuse("PLAN_CONTRADICTS", target, fmt.Sprintf("names the same secret as %q", other), "report it to the pack's author")
			continue
		}
		set[canon] = k
		_, exists := b.current.Values[adapters.Secrets][canon]
		switch {
		case ok:
			b.put(adapters.Secrets, canon, &adapters.Value{Bytes: v, Secret: true}, target)
			b.dropOperation(opKey(adapters.SecretValue, canon))
		case exists: // it is set already, to what the pack only announces
			b.dropOperation(opKey(adapters.SecretValue, canon))
		case b.wanted.LeaveMissing:
			b.operation(adapters.Operation{Kind: adapters.SecretValue, Verb: "set", Target: canon}, canon, target)
		default:
			b.refuse("SECRET_VALUE_MISSING", target, "is a secret that the pack announces and nobody gave a value for",
				"give it with --secrets FILE, a JSON object of names and values that the pack does not see, or let it wait with --leave-missing-secrets")
		}
	}
	for _, k := range patch.Delete {
		target := plan.TargetSecretDelete + k
		key, own := b.own(target, k)
		if !own || !b.granted(capability.GrantSecrets, target) {
			continue
		}
		canon, why := capability.CanonicalSecret(key)
		switch {
		case why != "":
			b.refuse("PLAN_KEY_UNUSABLE", target, "cannot be deleted: "+why, "report it to the pack's author")
		case set[canon] != "":
			b.refuse("PLAN_CONTRADICTS", target, "is a secret that the plan sets as well", "report it to the pack's author")
		case b.named(target, key, capability.AllowsSecret):
			b.put(adapters.Secrets, canon, nil, target)
			b.dropOperation(opKey(adapters.SecretValue, canon))
		}
	}
	for _, canon := range slices.Sorted(maps.Keys(given)) {
		if _, used := set[canon]; !used {
			b.found = append(b.found, plan.Diagnostic{Severity: plan.Warn, Code: "SECRET_NOT_WANTED", Own: true,
				Message: "--secrets gives a value for a secret that the plan does not set", Path: canon, Hint: "the plan's secrets_patch.set lists those that it does"})
		}
	}
}

// answeredSecrets gives the texts among the answers by canonical name; the section
// secrets counts before the top.
func answeredSecrets(answers json.RawMessage) map[string][]byte {
	values := map[string][]byte{}
	doc, _ := plan.Tree(answers).(map[string]any)
	section, _ := doc["secrets"].(map[string]any)
	for _, fields := range []map[string]any{doc, section} {
		for _, k := range slices.Sorted(maps.Keys(fields)) {
			text, ok := fields[k].(string)
			if canon, why := capability.CanonicalSecret(k); ok && why == "" && text != "" {
				values[canon] = []byte(text)
			}
		}
	}
	return values
}

// state has the blobs of the state store: anything may be in them, so they are secret.
func (b *builder) state() {
	for _, k := range slices.Sorted(maps.Keys(b.out.State)) {
		target := plan.TargetState + k
		if !b.granted(capability.GrantState, target) || !b.named(target, k, capability.AllowsKey) {
			continue
		}
		if v := b.out.State[k]; v != nil {
			b.remember(string(v))
			b.put(adapters.State, k, &adapters.Value{Bytes: v, Secret: true}, target)
		} else {
			b.put(adapters.State, k, nil, target)
		}
	}
}

// messages: there is nothing that sends them, and who reads the plan must know.
func (b *builder) messages() {
	told := map[string]bool{}
	for _, e := range b.out.Effects {
		if e.Op != string(capability.MessagingSend) || told[e.Target] {
			continue
		}
		told[e.Target] = true
		target := b.out.Scrubber.Target(e.Target)
		b.found = append(b.found, plan.Diagnostic{Severity: plan.Warn, Code: "MESSAGE_NOT_SENT", Path: target, Own: true,
			Message: fmt.Sprintf("the %s step sends a message, and applying sends none", e.Step), Hint: "what the provider has to say, it says when it runs"})
	}
}

// MaxVisible bounds the configuration and subscriptions of an installation, in bytes:
// every later run is given them, in a request of limited size.
const MaxVisible = 512 << 10

// bounds looks at the installation as it would be.
func (b *builder) bounds() {
	after := func(kind adapters.Kind) (n, size int) {
		for k, v := range b.current.Values[kind] {
			if _, changes := b.want[place{kind, k}]; !changes {
				n, size = n+1, size+len(k)+len(v.Bytes)
			}
		}
		for p, v := range b.want {
			if p.kind == kind && v != nil {
				n, size = n+1, size+len(p.key)+len(v.Bytes)
			}
		}
		return n, size
	}
	_, config := after(adapters.Config)
	_, subscriptions := after(adapters.Subscriptions)
	operations, _ := after(adapters.Operations)
	if size := config + subscriptions; size > MaxVisible {
		b.found = append(b.found, plan.Diagnostic{Severity: plan.Error, Code: "PLAN_TOO_LARGE", Own: true,
			Message: fmt.Sprintf("the installation would have %d bytes of configuration and subscriptions, over the limit of %d", size, MaxVisible), Hint: "report it to the pack's author"})
	}
	if operations > MaxOperations {
		b.found = append(b.found, plan.Diagnostic{Severity: plan.Error, Code: "PLAN_TOO_LARGE", Own: true,
			Message: fmt.Sprintf("the installation would have %d operations, over the limit of %d", operations, MaxOperations), Hint: "report it to the pack's author"})
	}
}

// set compares what is wanted with what is there.
func (b *builder) set(res *engine.Result) *Set {
	s := &Set{Namespace: b.current.Namespace, Entry: b.entry, current: b.current, PlanDigest: res.Digest, StateDigest: res.Inputs.State.Digest,
		Plan: encode(res.Plan), Walls: encode(res.Walls), Origin: origin(res), PublicBaseURL: text(res.Inputs.PublicBaseURL), original: map[place]bool{}}
	s.take(b.want)
	return s
}

// take makes the changes of what is wanted, and finds those that are an installation's
// first of a key.
func (s *Set) take(want map[place]*adapters.Value) {
	for p, v := range want {
		s.change(p, v)
	}
	s.sort()
	touched := map[place]bool{}
	if s.current.Install != nil {
		for _, t := range s.current.Install.Touched {
			touched[place{t.Kind, t.Key}] = true
		}
	}
	for _, c := range s.Changes {
		if p := (place{c.Kind, c.Key}); c.Kind != adapters.Operations && c.Kind != adapters.Hidden && !touched[p] {
			s.original[p] = true
		}
	}
}

// change adds a change if v is not what is there.
func (s *Set) change(p place, v *adapters.Value) {
	var before *adapters.Value
	if old, ok := s.current.Values[p.kind][p.key]; ok {
		before = &old
	}
	switch {
	case before == nil && v == nil:
	case before != nil && v != nil && bytes.Equal(before.Bytes, v.Bytes) && (before.Secret || !v.Secret || secretAnyway(p.kind)):
	default:
		s.Changes = append(s.Changes, Change{Kind: p.kind, Key: p.key, Before: before, After: v})
	}
}

// secretAnyway says that a kind's values are sealed whatever they say of themselves.
func secretAnyway(kind adapters.Kind) bool {
	return kind == adapters.Secrets || kind == adapters.State || kind == adapters.Hidden
}

func (s *Set) sort() {
	slices.SortFunc(s.Changes, func(a, b Change) int {
		if a.Kind != b.Kind {
			return slices.Index(adapters.Kinds, a.Kind) - slices.Index(adapters.Kinds, b.Kind)
		}
		return strings.Compare(a.Key, b.Key)
	})
}

func origin(res *engine.Result) adapters.Origin {
	o := adapters.Origin{Entry: string(res.Pack.Entry), PackID: res.Pack.ID, PackVersion: res.Pack.Version, PackDigest: res.Pack.Digest, Unverified: res.Pack.Unverified}
	for _, s := range res.StepResults {
		if s.Step == plan.Apply && s.Component.SHA256 != "" {
			o.Component, o.ComponentDigest = s.Component.Path, "sha256:"+s.Component.SHA256
		}
	}
	return o
}

// encode gives canonical JSON of a value of our own.
func encode(v any) json.RawMessage {
	b, err := plan.Canonical(v)
	if err != nil {
		panic("commit: " + err.Error()) // v is built of plain types
	}
	return b
}
