package greentic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Members of an envelope.
const (
	memberConfig     = "config"
	memberComponent  = "component_id"
	memberABI        = "abi_version"
	memberDigest     = "resolved_digest"
	memberDescribe   = "describe_hash"
	memberSchemaHash = "schema_hash"
	memberOperation  = "operation_id"
	memberUpdated    = "updated_at"
	memberOurs       = "greentic_provision" // not Greentic's, which ignores it
)

// abiVersion is what Greentic writes as abi_version.
const abiVersion = "greentic:component@0.6.0"

// ours is what an envelope holds for this program.
type ours struct {
	Namespace string   `cbor:"namespace"`
	Secret    []string `cbor:"secret,omitempty"` // keys whose values are secret, sorted
	Found     bool     `cbor:"found,omitempty"`  // somebody else made the envelope
}

// configEnvelope is the document that holds the configuration of a provider. What is
// not changed keeps its bytes.
type configEnvelope struct {
	file file
	path string      // where the file is, links followed; "" where its directory is not there
	info os.FileInfo // nil where the file is not there
	text []byte      // as it was read

	members map[string]cbor.RawMessage // without config and ours
	config  map[string]cbor.RawMessage
	ours    ours
}

var decoder = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  2 * plan.MaxDepth,
		MaxArrayElements: adapters.MaxValue,
		MaxMapPairs:      adapters.MaxValue,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
		NaN:              cbor.NaNDecodeForbidden,
		Inf:              cbor.InfDecodeForbidden,
	}.DecMode()
	if err != nil {
		panic(err) // constants out of the library's range
	}
	return mode
}()

// encoder writes Greentic's canonical form: the shortest numbers, shorter keys first. A
// member of somebody else may have an indefinite length, and stays as it is.
var encoder = func() cbor.EncMode {
	options := cbor.CanonicalEncOptions()
	options.IndefLength = cbor.IndefLengthAllowed
	mode, err := options.EncMode()
	if err != nil {
		panic(err) // constants out of the library's range
	}
	return mode
}()

// decode reads the file. What Greentic could not read is an error.
func (e *configEnvelope) decode(b []byte) error {
	if err := decoder.Unmarshal(b, &e.members); err != nil {
		return malformed("it is not a map in CBOR")
	}
	for _, name := range []string{memberComponent, memberABI, memberDigest, memberDescribe, memberOperation} {
		var text string
		if err := decoder.Unmarshal(e.members[name], &text); err != nil || !isText(e.members[name]) {
			return malformed("its %s is not a text", name)
		}
	}
	// Greentic takes anything here, also null, but only makes maps.
	if err := decoder.Unmarshal(e.members[memberConfig], &e.config); err != nil {
		return malformed("its %s is not a map", memberConfig)
	}
	e.ours = ours{}
	if raw, ok := e.members[memberOurs]; ok {
		if err := decoder.Unmarshal(raw, &e.ours); err != nil || e.ours.Namespace == "" {
			return malformed("its %s is not of this program's form", memberOurs)
		}
	}
	delete(e.members, memberConfig)
	delete(e.members, memberOurs)
	return nil
}

// isText says whether an item is a text string.
func isText(raw cbor.RawMessage) bool { return len(raw) > 0 && raw[0]>>5 == 3 }

// keys gives the keys of the configuration, sorted.
func (e *configEnvelope) keys() []string {
	keys := slices.AppendSeq([]string{}, maps.Keys(e.config))
	slices.Sort(keys)
	return keys
}

// change makes changes in the configuration and says whether there is anything to
// write: a value that is there already may be for another pack now.
func (e *configEnvelope) change(changes map[string]adapters.Change) (bool, error) {
	changed := false
	for key, c := range changes {
		_, have := e.config[key]
		if c.Delete && !have {
			continue
		}
		changed = true
		at, secret := slices.BinarySearch(e.ours.Secret, key)
		if secret && (c.Delete || !c.Value.Secret) {
			e.ours.Secret = slices.Delete(e.ours.Secret, at, at+1)
		}
		if c.Delete {
			delete(e.config, key)
			continue
		}
		raw, err := fromJSON(c.Value.Bytes)
		if err != nil {
			return false, fmt.Errorf("the value of %q is not JSON that can be kept", key) // err may quote it
		}
		if e.config == nil {
			e.config = map[string]cbor.RawMessage{}
		}
		e.config[key] = raw
		if c.Value.Secret && !secret {
			e.ours.Secret = slices.Insert(e.ours.Secret, at, key)
		}
	}
	return changed, nil
}

// empty says that there is no reason for the file to be there.
func (e *configEnvelope) empty() bool { return len(e.config) == 0 && !e.ours.Found && !e.more() }

// more says whether the envelope has members that neither Greentic nor this program
// knows.
func (e *configEnvelope) more() bool {
	known := []string{memberComponent, memberABI, memberDigest, memberDescribe, memberSchemaHash, memberOperation, memberUpdated}
	for name := range e.members {
		if !slices.Contains(known, name) {
			return true
		}
	}
	return false
}

// encode gives the file.
func (e *configEnvelope) encode() ([]byte, error) {
	all := make(map[string]any, len(e.members)+2)
	for name, raw := range e.members {
		all[name] = raw
	}
	config := e.config
	if config == nil {
		config = map[string]cbor.RawMessage{}
	}
	all[memberConfig] = config
	if e.ours.Namespace != "" {
		all[memberOurs] = e.ours
	}
	return encoder.Marshal(all)
}

// memberText gives a member that is a text, "" where it is none.
func (e *configEnvelope) memberText(name string) string {
	var text string
	if err := decoder.Unmarshal(e.members[name], &text); err != nil {
		return ""
	}
	return text
}

func (e *configEnvelope) setText(name, text string) {
	if e.members == nil {
		e.members = map[string]cbor.RawMessage{}
	}
	e.members[name] = canonical(text)
}

// canonical gives the CBOR of a tree of ours.
func canonical(tree any) []byte {
	b, err := encoder.Marshal(tree)
	if err != nil {
		panic(err) // a tree of something else than texts, numbers, lists and maps
	}
	return b
}

// fromJSON gives the CBOR of a JSON value.
func fromJSON(b []byte) (cbor.RawMessage, error) {
	if !json.Valid(b) { // Canonical does not look behind the value
		return nil, errors.New("it is not JSON")
	}
	b, err := plan.Canonical(json.RawMessage(b))
	if err != nil {
		return nil, err
	}
	tree, err := treeOf(jsontext.NewDecoder(bytes.NewReader(b)), plan.MaxDepth)
	if err != nil {
		return nil, err
	}
	return encoder.Marshal(tree)
}

// treeOf is not a JSON decoder's own tree because every number is a float there.
func treeOf(d *jsontext.Decoder, depth int) (any, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	kind := token.Kind()
	if depth == 0 && (kind == '{' || kind == '[') {
		return nil, errors.New("it nests too deep") // for Greentic's readers, which take 128 levels
	}
	switch kind {
	case '{':
		members := map[string]any{}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String() // the token is only good until the next one
			if members[key], err = treeOf(d, depth-1); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return members, err
	case '[':
		items := []any{}
		for d.PeekKind() != ']' {
			it, err := treeOf(d, depth-1)
			if err != nil {
				return nil, err
			}
			items = append(items, it)
		}
		_, err = d.ReadToken()
		return items, err
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String())
	case 't', 'f':
		return kind == 't', nil
	}
	return nil, nil // null
}

// number gives an integer where 64 bits hold it, as canonical JSON keeps its digits.
func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n, nil
	}
	return strconv.ParseFloat(s, 64)
}

// toJSON gives the canonical JSON of a value that Greentic can read: no byte strings,
// no integers of more than 64 bits.
func toJSON(raw cbor.RawMessage) ([]byte, error) {
	var tree any
	if err := decoder.Unmarshal(raw, &tree); err != nil {
		return nil, malformed("it cannot be said in JSON")
	}
	if !isJSON(tree) {
		return nil, malformed("it cannot be said in JSON")
	}
	b, err := plan.Canonical(tree)
	if err != nil {
		return nil, malformed("it cannot be said in JSON")
	}
	return b, nil
}

func isJSON(tree any) bool {
	switch v := tree.(type) {
	case nil, bool, string, int64, uint64:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case []any:
		return !slices.ContainsFunc(v, func(it any) bool { return !isJSON(it) })
	case map[string]any:
		for _, it := range v {
			if !isJSON(it) {
				return false
			}
		}
		return true
	}
	return false
}
