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
// the dot of its name.
const (
	GrantConfig        = "config"
	GrantSecrets       = "secrets"
	GrantSubscriptions = "subscriptions"
	GrantOAuth         = "oauth"
	GrantState         = "state"
	GrantMessaging     = "messaging"
	GrantHTTP          = "http"
)

// Grants lists the capabilities that are granted by default, since none of them can
// change anything before the run's plan is applied, or show the guest more than its own
// installation.
func Grants() []string {
	return []string{GrantConfig, GrantSecrets, GrantSubscriptions, GrantOAuth, GrantState, GrantMessaging}
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
// every write stays in the record.
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
	refused []Denial
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
	denied   []Denial
	collided []collision
}

// Denial is an operation that policy refused: for want of the capability Grant or,
// where that is "", because of the key, which is hostile text.
type Denial struct {
	Step  plan.Step `json:"step"`
	Op    Op        `json:"op"`
	Grant string    `json:"grant,omitempty"`
	Key   string    `json:"key,omitempty"`
}

// maxDenials bounds what is remembered of denials, each kind of them once a step.
const maxDenials = 100

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
// of the writes; Written has what was written to secrets and to the state store. A config key that was deleted is null in the patch, the only
// way the plan's form has to say so; the effect's Op tells it from a null that
// was set: config.delete, or state.delete through the state store.
//
// What has no member in a plan is an effect alone: "state.<key>", and
// "messaging.<route>" or, for the active session, "messaging". Diagnostics say
// which operations were refused for want of a capability, and whether two scopes
// of the state store met in one key.
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

	var ds []plan.Diagnostic
	said := map[string]bool{}
	for _, d := range r.denied {
		if d := h.deniedDiagnostic(r.step, d); !said[d.Message] { // keys are not in it
			said[d.Message] = true
			ds = append(ds, d)
		}
	}
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

// Denials gives what policy refused in the run so far.
func (h *Host) Denials() []Denial {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.refused)
}

func (h *Host) deniedDiagnostic(step plan.Step, d Denial) plan.Diagnostic {
	called := string(d.Op)
	if d.Grant == "" {
		return plan.Diagnostic{
			Severity: plan.Warn,
			Code:     "CAPABILITY_DENIED",
			Message:  fmt.Sprintf("the %s step called %s with a key that it may not use", step, called),
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
		Message:  fmt.Sprintf("the %s step called %s, which %s", step, called, why),
		Hint:     hint,
		Own:      true,
	}
}

// Merged makes visible to later reads what the response of a step asked for:
// configuration, secrets and subscriptions. Secrets are the plaintext values of
// the patch; a secret that it only announces stays as it is, for there is nothing
// to read. Of the operations on subscriptions, which are free text, those count
// whose meaning is plain.
func (h *Host) Merged(patch plan.Patch, secrets map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, v := range patch.ConfigPatch {
		if checkKey(k) == "" { // no other key can be asked for
			h.config[k] = v
		}
	}
	if p := patch.SecretsPatch; p != nil {
		for _, k := range p.Delete {
			canon, _ := CanonicalSecret(k)
			delete(h.secrets, canon)
		}
	}
	// Sorted, for two spellings may be one secret.
	for _, k := range slices.Sorted(maps.Keys(secrets)) {
		h.seen(secrets[k])
		if canon, why := CanonicalSecret(k); why == "" {
			h.secrets[canon] = []byte(secrets[k])
		}
	}
	for _, op := range patch.SubscriptionOps {
		if op.ID == nil || checkKey(*op.ID) != "" {
			continue
		}
		switch op.Op {
		case "create", "register", "update", "upsert":
			if metadata, err := plan.Canonical(op.Metadata); err == nil && op.Metadata != nil {
				h.subscriptions[*op.ID] = metadata
			}
		case "delete":
			delete(h.subscriptions, *op.ID)
		}
	}
}

// Secrets gives every secret value that was in the state, read or written, in
// the order of appearance, each once.
func (h *Host) Secrets() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.valueList)
}

// seen remembers a secret value. mu is held, or nobody else knows h yet.
func (h *Host) seen(v string) {
	if v != "" && !h.values[v] {
		h.values[v] = true
		h.valueList = append(h.valueList, v)
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
	h.deny(Denial{Step: h.rec.step, Op: op, Grant: grant})
	if grant == GrantHTTP {
		return refuse(Denied, "http client disabled by policy") // the words of Greentic's runner
	}
	return refuse(Denied, "%s is not granted", grant)
}

// deny remembers a refusal, for the step's diagnostics and for the audit log.
func (h *Host) deny(d Denial) {
	if slices.Contains(h.rec.denied, d) || len(h.refused) >= maxDenials {
		return
	}
	h.rec.denied = append(h.rec.denied, d)
	h.refused = append(h.refused, d)
}

// fullNames are how keys begin that name an installation as well.
var fullNames = []string{"provision:", "secrets://"}

// ownKey gives a key without the name of the installation, if it begins with that,
// and refuses one that names another installation or that policy does not allow.
func (h *Host) ownKey(op Op, key string) (string, error) {
	if slices.ContainsFunc(fullNames, func(p string) bool { return strings.HasPrefix(key, p) }) {
		own := ""
		for _, p := range h.own {
			if strings.HasPrefix(key, p) {
				own = p
			}
		}
		if own == "" {
			h.deny(Denial{Step: h.rec.step, Op: op, Key: hostile.Clip(key, maxDeniedKey)})
			return "", refuse(Denied, "the key names an installation that is not this one")
		}
		key = key[len(own):]
	}
	if !h.mayUse(op, key) {
		h.deny(Denial{Step: h.rec.step, Op: op, Key: hostile.Clip(key, maxDeniedKey)})
		return "", refuse(Denied, "policy does not allow the key")
	}
	return key, nil
}

// maxDeniedKey bounds what is kept of a key that was refused, in bytes.
const maxDeniedKey = 128

// mayUse says whether policy allows a key. Operations without one, and lists, which
// show no values, are not about keys.
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

// charge counts a write against what the run may write.
func (h *Host) charge(n int) error {
	if h.writes+1 > MaxRunWrites {
		return refuse(TooLarge, "the run has made %d writes, which is the limit", MaxRunWrites)
	}
	if h.written+n > MaxRunWriteBytes {
		return refuse(TooLarge, "the run would have written more than %d bytes", MaxRunWriteBytes)
	}
	h.writes++
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
