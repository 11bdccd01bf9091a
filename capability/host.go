package capability

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The capabilities that can be granted. An operation belongs to the one before
// the dot of its name. GrantWebhooks has no operations: it is what a plan needs for its
// webhook_ops, as it needs the others for the rest of what it asks for.
const (
	GrantConfig        = "config"
	GrantSecrets       = "secrets"
	GrantSubscriptions = "subscriptions"
	GrantOAuth         = "oauth"
	GrantWebhooks      = "webhooks"
	GrantState         = "state"
	GrantMessaging     = "messaging"
	GrantHTTP          = "http"
)

// Grants lists the capabilities that are granted by default, since none of them can
// change anything before the run's plan is applied, or show the guest more than its own
// installation.
func Grants() []string {
	return []string{GrantConfig, GrantSecrets, GrantSubscriptions, GrantOAuth, GrantWebhooks, GrantState, GrantMessaging}
}

// Grantable lists every capability: the default and the network, which may be named
// and is denied all the same: no run has it.
func Grantable() []string { return append(Grants(), GrantHTTP) }

// CheckGrants reports the first name that is no capability.
func CheckGrants(names []string) error {
	for _, n := range names {
		if !slices.Contains(Grantable(), n) {
			return fmt.Errorf("unknown capability %q; there are %s", n, strings.Join(Grantable(), ", "))
		}
	}
	return nil
}

// What one run may write in all. Both count every write, also one that replaces
// an earlier one: replaced values still have to be scrubbed from output, and
// every write stays in the record. Each of the texts in a secret that is JSON
// (plan.TextsWithin) counts as a write, for it has to be scrubbed as well.
const (
	MaxRunWrites     = 10_000
	MaxRunWriteBytes = 8 << 20
)

// Config is what a Host needs to know of a run.
type Config struct {
	// Grants lists what the guest may use; nil means Grants(), an empty slice
	// nothing.
	Grants []string
	// State is what exists before the run.
	State State
	// Keys are the keys that the guest may use, as patterns: a text, or the beginning
	// of one and "*". nil means every key of the installation.
	Keys []string
	// Own has the beginnings by which a key may name the installation in full
	// ("provision:dev:acme:_:telegram:default:", "secrets://dev/acme/_/telegram/"). A
	// full name with another beginning is somebody else's and denied.
	Own []string
	// PublicBaseURL is the operator's address; a relative redirect path of a
	// consent flow is resolved against it. "" leaves the path as it is.
	PublicBaseURL string
	// Limits gives HostCallBytes; 0 there means the default.
	Limits limits.Limits
}

// Host answers the capability calls of one run from the state it was given and
// from what the run itself has written (the overlay), and records what each
// write would do. Nothing it does is visible outside of it.
//
// A write is visible to reads at once and in all later steps, whatever becomes
// of the step; the record of a step is what EndStep gives. What a step returned in
// the plan of its response is visible from Merged on.
//
// Host is safe for concurrent use, though a run has one step at a time.
type Host struct {
	granted       map[string]bool
	keys          []string
	own           []string
	publicBaseURL string
	callBytes     int

	mu      sync.Mutex
	rec     *record // nil between steps
	refused denials
	writes  int
	written int // bytes

	config        map[string]json.RawMessage
	secrets       map[string][]byte // by canonical key
	subscriptions map[string]json.RawMessage
	state         map[string][]byte // what is neither config nor a secret
	scopes        map[string]string // the scope of the last write through the state store, by place

	values    map[string]bool // every secret value seen
	valueList []string        // the same, in the order of appearance
}

// record is what a step did so far.
type record struct {
	step plan.Step

	config  map[string]json.RawMessage
	secrets map[string]secretWrite // by canonical key
	subs    []plan.SubscriptionOp
	oauth   []plan.OAuthOp

	state map[string]bool // blobs that were written or deleted

	effects  []effect
	denied   denials
	collided []collision
}

// Denial is an operation that policy refused: for want of the capability Grant or,
// where that is "", because of the key, which is hostile text and may be cut.
type Denial struct {
	Step  plan.Step `json:"step"`
	Op    Op        `json:"op"`
	Grant string    `json:"grant,omitempty"`
	Key   string    `json:"key,omitempty"`
	// More counts further calls of Op in Step that were refused because of keys which
	// were not kept. The last Denial of the step and the operation has it.
	More int `json:"more,omitempty"`
}

// denials are refusals, each once. There are few for want of a capability, and all are
// kept. Keys are the guest's to make up: of each step and operation, the first
// maxDeniedKeys are kept, and the calls with others counted.
type denials []Denial

const (
	maxDeniedKeys = 20
	maxDeniedKey  = 128 // bytes kept of a key
)

func (l *denials) add(d Denial) {
	d.Key = hostile.Clip(d.Key, maxDeniedKey)
	same, last := 0, 0
	for i, have := range *l {
		if have.Step != d.Step || have.Op != d.Op || have.Grant != d.Grant {
			continue
		}
		if have.Key == d.Key {
			return
		}
		same, last = same+1, i
	}
	if same == maxDeniedKeys {
		(*l)[last].More++
		return
	}
	*l = append(*l, d)
}

// secretWrite is the last word on a secret. key is its spelling in that write.
type secretWrite struct {
	key     string
	deleted bool
}

// effect is a plan.Effect that a later write to the same place may void. place
// identifies it: "" for entries of lists, which nothing overwrites.
type effect struct {
	plan.Effect
	place string
}

// NewHost makes the Host of one run. It borrows nothing: the state is copied
// where it will change.
func NewHost(cfg Config) *Host {
	if cfg.Grants == nil {
		cfg.Grants = Grants()
	}
	if cfg.Limits.HostCallBytes == 0 {
		cfg.Limits.HostCallBytes = limits.Default().HostCallBytes
	}
	h := &Host{
		granted:       map[string]bool{},
		keys:          cfg.Keys,
		own:           cfg.Own,
		publicBaseURL: cfg.PublicBaseURL,
		callBytes:     int(cfg.Limits.HostCallBytes),
		config:        map[string]json.RawMessage{},
		secrets:       map[string][]byte{},
		subscriptions: map[string]json.RawMessage{},
		state:         map[string][]byte{},
		scopes:        map[string]string{},
		values:        map[string]bool{},
	}
	for _, g := range cfg.Grants {
		h.granted[g] = true
	}
	maps.Copy(h.config, cfg.State.Config)
	maps.Copy(h.state, cfg.State.Blobs)
	for _, k := range slices.Sorted(maps.Keys(cfg.State.Secrets)) {
		if canon, why := CanonicalSecret(k); why == "" {
			h.secrets[canon] = []byte(cfg.State.Secrets[k])
		}
		h.seen(cfg.State.Secrets[k])
	}
	for _, v := range cfg.State.Hidden {
		h.seen(v)
	}
	for _, s := range cfg.State.Subscriptions {
		h.subscriptions[s.ID] = s.Metadata
	}
	return h
}

// BeginStep starts the recording of a step; what an unfinished one recorded is
// dropped.
func (h *Host) BeginStep(step plan.Step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rec = &record{step: step, config: map[string]json.RawMessage{}, secrets: map[string]secretWrite{}, state: map[string]bool{}}
}

// EndStep gives what the step would do. In the patch, only the last write to a
// key counts, and the effects name each entry of the patch once, in the order
// of the writes; Written has what was written to secrets and to the state store. A
// config key that was deleted is null in the patch, the only way the plan's form has
// to say so; the effect's Op tells it from a null that was set: config.delete, or
// state.delete through the state store.
//
// What has no member in a plan is an effect alone: "state.<key>", and
// "messaging.<route>" or, for the active session, "messaging". Diagnostics say
// which operations were refused, and whether two scopes of the state store met in
// one key.
func (h *Host) EndStep() (plan.Patch, []plan.Effect, []plan.Diagnostic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rec
	if r == nil {
		return plan.Patch{}, nil, nil
	}
	h.rec = nil

	var p plan.Patch
	if len(r.config) > 0 {
		p.ConfigPatch = r.config
	}
	if len(r.secrets) > 0 {
		p.SecretsPatch = &plan.SecretsPatch{Set: map[string]plan.Redacted{}, Delete: []string{}}
		for _, canon := range slices.Sorted(maps.Keys(r.secrets)) {
			if w := r.secrets[canon]; w.deleted {
				p.SecretsPatch.Delete = append(p.SecretsPatch.Delete, w.key)
			} else {
				p.SecretsPatch.Set[w.key] = plan.Redacted{Redacted: true}
			}
		}
	}
	if len(r.secrets) > 0 || len(r.state) > 0 {
		p.Written = h.left(r)
	}
	p.SubscriptionOps, p.OAuthOps = r.subs, r.oauth

	effects := make([]plan.Effect, 0, len(r.effects))
	last := map[string]int{}
	for i, e := range r.effects {
		last[e.place] = i
	}
	for i, e := range r.effects {
		if e.place == "" || last[e.place] == i {
			effects = append(effects, e.Effect)
		}
	}

	ds := r.denied.diagnostics()
	if len(r.collided) > 0 {
		ds = append(ds, collisionDiagnostic(r.step, r.collided))
	}
	return p, effects, ds
}

// left gives the values that a step left behind.
func (h *Host) left(r *record) *plan.Written {
	v := &plan.Written{Secrets: map[string][]byte{}, State: map[string][]byte{}}
	for canon, w := range r.secrets {
		if !w.deleted {
			v.Secrets[w.key] = h.secrets[canon]
		}
	}
	for k := range r.state {
		v.State[k] = h.state[k] // nil where it was deleted
	}
	return v
}

// Denials gives what policy refused in the run so far, each refusal once: all for want
// of a capability, and of those because of keys a few of each step and operation, with
// the number of the others (Denial.More).
func (h *Host) Denials() []Denial {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.refused)
}

// diagnostics says what was refused: once for each step, operation and capability, and
// once for each step and operation because of keys, without the keys.
func (l denials) diagnostics() []plan.Diagnostic {
	var ds []plan.Diagnostic
	for i, d := range l {
		same := func(e Denial) bool { return e.Step == d.Step && e.Op == d.Op && e.Grant == d.Grant }
		if slices.ContainsFunc(l[:i], same) {
			continue
		}
		keys, more := 0, 0
		for _, e := range l[i:] {
			if same(e) {
				keys, more = keys+1, more+e.More
			}
		}
		ds = append(ds, d.diagnostic(keys, more))
	}
	return ds
}

// diagnostic words d, one of so many keys and more calls with others.
func (d Denial) diagnostic(keys, more int) plan.Diagnostic {
	called := string(d.Op)
	if d.Grant == "" {
		with := "a key"
		if keys > 1 {
			with = fmt.Sprintf("%d keys", keys)
		}
		message := fmt.Sprintf("the %s step called %s with %s that it may not use", d.Step, called, with)
		if more > 0 {
			message += fmt.Sprintf(", and %d times more with others", more)
		}
		return plan.Diagnostic{
			Severity: plan.Warn,
			Code:     "CAPABILITY_DENIED",
			Message:  message,
			Hint:     "a pack has the keys of its own installation and, of those, what --policy allows",
			Own:      true,
		}
	}
	if d.Grant != d.Op.grant() {
		called += " on " + d.Grant
	}
	why, hint := "is not granted", "add "+d.Grant+" to --grant to allow it"
	if d.Grant == GrantHTTP {
		why, hint = "no run allows", "provisioning has no network: what is to be done elsewhere is an operation of the plan"
	}
	return plan.Diagnostic{
		Severity: plan.Warn,
		Code:     "CAPABILITY_DENIED",
		Message:  fmt.Sprintf("the %s step called %s, which %s", d.Step, called, why),
		Hint:     hint,
		Own:      true,
	}
}

// Merged makes visible to later reads what the response of a step asked for:
// configuration, secrets and subscriptions. Secrets are the plaintext values of
// the patch; a secret that it only announces stays as it is, for there is nothing
// to read. Of the operations on subscriptions, which are free text, those count
// whose meaning is plain. A full name of this installation is read as OwnKey does, and
// what has that of another is not there to read: no commit will make it so.
func (h *Host) Merged(patch plan.Patch, secrets map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Sorted, here and below, for two spellings may be one key.
	for _, name := range slices.Sorted(maps.Keys(patch.ConfigPatch)) {
		if k, ok := OwnKey(h.own, name); ok && checkKey(k) == "" { // no other key can be asked for
			h.config[k] = patch.ConfigPatch[name]
		}
	}
	if p := patch.SecretsPatch; p != nil {
		for _, name := range p.Delete {
			if k, ok := OwnKey(h.own, name); ok {
				canon, _ := CanonicalSecret(k)
				delete(h.secrets, canon)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		h.seen(secrets[name])
		if k, ok := OwnKey(h.own, name); ok {
			if canon, why := CanonicalSecret(k); why == "" {
				h.secrets[canon] = []byte(secrets[name])
			}
		}
	}
	for _, op := range patch.SubscriptionOps {
		if op.ID == nil {
			continue
		}
		id, ok := OwnKey(h.own, *op.ID)
		if !ok || checkKey(id) != "" {
			continue
		}
		switch op.Op {
		case "create", "register", "update", "upsert":
			if metadata, err := plan.Canonical(op.Metadata); err == nil && op.Metadata != nil {
				h.subscriptions[id] = metadata
			}
		case "delete":
			delete(h.subscriptions, id)
		}
	}
}

// Secrets gives every secret value that was in the state, read or written, and the
// texts in those that are JSON (plan.TextsWithin), in the order of appearance, each once.
func (h *Host) Secrets() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.valueList)
}

// seen remembers a secret value, and the texts in it, which would turn up elsewhere
// without the rest. mu is held, or nobody else knows h yet.
func (h *Host) seen(v string) {
	if v == "" || h.values[v] {
		return
	}
	for _, t := range append([]string{v}, plan.TextsWithin(v)...) {
		if !h.values[t] {
			h.values[t] = true
			h.valueList = append(h.valueList, t)
		}
	}
}

// Call answers one operation. The error, if any, is a refusal for the guest
// (*Error), also for what no honest worker sends (an unknown operation,
// malformed arguments): the guest's run is all that a bad worker can spoil by it.
// The reply is at most Limits.HostCallBytes long.
//
// Calls answer from memory, so ctx is not asked; stores that can block will.
func (h *Host) Call(ctx context.Context, op string, args []byte) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := operations[Op(op)]
	if !ok {
		return nil, refuse(Invalid, "there is no such operation")
	}
	if h.rec == nil {
		return nil, refuse(Denied, "no step is running")
	}
	if len(args) > h.callBytes {
		return nil, refuse(TooLarge, "the arguments have %d bytes, over the limit of %d", len(args), h.callBytes)
	}
	if err := h.allow(Op(op), Op(op).grant()); err != nil {
		return nil, err
	}
	a, err := decodeArgs(args)
	if err != nil {
		return nil, err
	}
	if err := o.takes(a); err != nil {
		return nil, err
	}
	if a.Key, err = h.ownKey(Op(op), a.Key); err != nil {
		return nil, err
	}
	reply, err := o.run(h, a)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(reply)
	if err != nil {
		return nil, refuse(Internal, "the reply cannot be encoded")
	}
	if len(b) > h.callBytes {
		return nil, refuse(TooLarge, "the reply has %d bytes, over the limit of %d", len(b), h.callBytes)
	}
	return b, nil
}

// allow refuses an operation for want of a capability, and remembers it for the
// step's diagnostics.
func (h *Host) allow(op Op, grant string) error {
	if h.granted[grant] && grant != GrantHTTP {
		return nil
	}
	h.deny(Denial{Op: op, Grant: grant})
	if grant == GrantHTTP {
		return refuse(Denied, "http client disabled by policy") // the words of Greentic's runner
	}
	return refuse(Denied, "%s is not granted", grant)
}

// deny remembers a refusal, for the step's diagnostics and for the audit log.
func (h *Host) deny(d Denial) {
	d.Step = h.rec.step
	h.rec.denied.add(d)
	h.refused.add(d)
}

// fullNames are how keys begin that name an installation as well.
var fullNames = []string{"provision:", "secrets://"}

// OwnKey gives a key without the name of the installation, if it begins with one of
// those in own (Config.Own). It is false for a key that names another installation.
// The keys in a plan are read the same way.
func OwnKey(own []string, key string) (string, bool) {
	for _, p := range own {
		if rest, ok := strings.CutPrefix(key, p); ok {
			return rest, true
		}
	}
	if slices.ContainsFunc(fullNames, func(p string) bool { return strings.HasPrefix(key, p) }) {
		return "", false
	}
	return key, true
}

// ownKey is OwnKey for a call. It refuses as well what policy does not allow.
func (h *Host) ownKey(op Op, name string) (string, error) {
	key, ok := OwnKey(h.own, name)
	if !ok {
		h.deny(Denial{Op: op, Key: name})
		return "", refuse(Denied, "the key names an installation that is not this one")
	}
	if !h.mayUse(op, key) {
		h.deny(Denial{Op: op, Key: key})
		return "", refuse(Denied, "policy does not allow the key")
	}
	return key, nil
}

// mayUse says whether policy allows a key. Operations without one are not about keys,
// nor are lists, which leave out what policy does not allow.
func (h *Host) mayUse(op Op, key string) bool {
	if h.keys == nil || !operations[op].key || op == ConfigList || op == MessagingSend {
		return true
	}
	kind := op.grant()
	if kind == GrantState {
		if area, rest, ok := strings.Cut(key, "/"); ok && (area == GrantConfig || area == GrantSecrets) {
			if _, name, ok := strings.Cut(rest, "/"); ok {
				kind, key = area, name
			}
		}
	}
	if kind == GrantSecrets {
		return AllowsSecret(h.keys, key)
	}
	return AllowsKey(h.keys, key)
}

// AllowsKey says whether one of the patterns (Config.Keys) allows a key; nil allows
// every one.
func AllowsKey(patterns []string, key string) bool {
	return patterns == nil || slices.ContainsFunc(patterns, func(p string) bool {
		begin, open := strings.CutSuffix(p, "*")
		return key == p || open && strings.HasPrefix(key, begin)
	})
}

// AllowsSecret is AllowsKey for secrets, whose spellings do not tell them apart.
func AllowsSecret(patterns []string, key string) bool {
	canon, why := CanonicalSecret(key)
	return patterns == nil || why == "" && slices.ContainsFunc(patterns, func(p string) bool {
		begin, open := strings.CutSuffix(p, "*")
		c, why := CanonicalSecret(begin)
		return open && begin == "" || why == "" && (canon == c || open && strings.HasPrefix(canon, c))
	})
}

// grant is the capability that an operation belongs to.
func (op Op) grant() string {
	g, _, _ := strings.Cut(string(op), ".")
	return g
}

// refuse makes the error of a refusal.
func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// charge counts a write of n bytes against what the run may write.
func (h *Host) charge(n int) error { return h.chargeWrites(1, n) }

// chargeSecret is charge for a secret, with the texts in it.
func (h *Host) chargeSecret(key string, v []byte) error {
	return h.chargeWrites(1+len(plan.TextsWithin(string(v))), len(key)+len(v))
}

func (h *Host) chargeWrites(writes, n int) error {
	if h.writes+writes > MaxRunWrites {
		return refuse(TooLarge, "the run would have made more than %d writes, which is the limit", MaxRunWrites)
	}
	if h.written+n > MaxRunWriteBytes {
		return refuse(TooLarge, "the run would have written more than %d bytes", MaxRunWriteBytes)
	}
	h.writes += writes
	h.written += n
	return nil
}

// did records an effect. place identifies what a later write to it voids.
func (h *Host) did(op Op, target, place string) {
	h.rec.effects = append(h.rec.effects, effect{
		Effect: plan.Effect{Step: h.rec.step, Via: plan.ViaHostCall, Op: string(op), Target: target},
		place:  place,
	})
}
