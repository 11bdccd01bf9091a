package greentic

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// stateName is the name of the line that holds the store.
const stateName = "SECRETS_BACKEND_STATE"

// keyTag is the tag that holds the key of a secret whose name is another.
const keyTag = "greentic-provision.key"

// document is the file of a development secrets store: lines of the form NAME=value.
// What nobody asked to change is kept as it was read.
type document struct {
	before, after []byte // the lines around the one of the store
	state         state
}

// state is what the line holds, base64 without padding taken away.
type state struct {
	Secrets []entry        `json:"secrets"`
	Rest    jsontext.Value `json:",embed"`
}

// entry is a secret of a state: its URI, and all of it.
type entry struct {
	uri  string
	text jsontext.Value
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (e *entry) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	e.text = v.Clone()
	bad := errors.New("it is not a secret with a key")
	if v.Kind() != '{' {
		return bad
	}
	// Greentic writes the key first, and most of a store is what follows.
	members := jsontext.NewDecoder(bytes.NewReader(e.text))
	if _, err := members.ReadToken(); err != nil {
		return err
	}
	for members.PeekKind() == '"' {
		name, err := members.ReadToken()
		if err != nil {
			return err
		}
		if name.String() != "key" {
			if err := members.SkipValue(); err != nil {
				return err
			}
			continue
		}
		key, err := members.ReadToken()
		if err != nil || key.Kind() != '"' {
			return bad
		}
		e.uri = key.String()
		return nil
	}
	return bad
}

// secret is one of a store, with every version that it ever had, oldest first.
type secret struct {
	URI      string           `json:"key"`
	Versions []jsontext.Value `json:"versions"`
	Rest     jsontext.Value   `json:",embed"`
}

type version struct {
	Version *uint64 `json:"version"`
	Deleted *bool   `json:"deleted"`
	Record  *record `json:"record"`
}

type record struct {
	Meta     *meta     `json:"meta"`
	Value    octets    `json:"value"`
	Envelope *envelope `json:"envelope"`
}

type meta struct {
	URI         string            `json:"uri"`
	Visibility  string            `json:"visibility"`  // user, team, tenant
	ContentType string            `json:"contentType"` // opaque, json, text, binary
	Description *string           `json:"description,omitzero"`
	Tags        map[string]string `json:"tags,omitempty"`
}

type envelope struct {
	Algorithm  string `json:"algorithm"`
	Nonce      octets `json:"nonce"`
	Salt       octets `json:"hkdf_salt"`
	WrappedDEK octets `json:"wrapped_dek"`
}

// octets are bytes as an array of numbers.
type octets []byte

func (o octets) encode() []byte {
	b := append(make([]byte, 0, 2+4*len(o)), '[')
	for i, c := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(c), 10)
	}
	return append(b, ']')
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *octets) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	bad := errors.New("it is not a list of bytes")
	if v.Kind() != '[' {
		return bad
	}
	// It is JSON, so what is not an item stands between two: all that is left to find
	// out is whether each is a number of at most 255.
	*o = make(octets, 0, bytes.Count(v, []byte(","))+1)
	number := -1
	for _, c := range v[1:] {
		switch {
		case c >= '0' && c <= '9':
			if number = max(number, 0)*10 + int(c-'0'); number > 255 {
				return bad
			}
		case c == ',' || c == ']' || c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if number >= 0 {
				*o = append(*o, byte(number))
			}
			number = -1
		default:
			return bad
		}
	}
	return nil
}

// decodeDocument reads a file. As for Greentic, empty lines, those that begin with '#'
// and those of other names mean nothing, and a file without the store is an empty one.
func decodeDocument(b []byte) (*document, error) {
	if !utf8.Valid(b) {
		return nil, malformed("it is not UTF-8")
	}
	d := &document{before: b}
	found := false
	for at := 0; at < len(b); {
		line, _, _ := bytes.Cut(b[at:], []byte("\n"))
		end := min(at+len(line)+1, len(b))
		name, value, ok := strings.Cut(string(line), "=")
		if ok && !strings.HasPrefix(name, "#") && strings.TrimSpace(name) == stateName {
			if found {
				return nil, malformed("it has two lines %s", stateName)
			}
			found = true
			d.before, d.after = b[:at], b[end:]
			if err := d.state.decode(strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		}
		at = end
	}
	return d, nil
}

func (s *state) decode(text string) error {
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return malformed("%s is not base64 without padding", stateName)
	}
	if err := json.Unmarshal(b, s); err != nil {
		return notOfForm("%s is not the JSON of a store", stateName, err)
	}
	if s.Secrets == nil {
		return malformed("%s has no list of secrets", stateName)
	}
	slices.SortStableFunc(s.Secrets, func(a, b entry) int { return strings.Compare(a.uri, b.uri) }) // Greentic's order
	for i := 1; i < len(s.Secrets); i++ {
		if s.Secrets[i].uri == s.Secrets[i-1].uri {
			return malformed("%s has %q twice", stateName, s.Secrets[i].uri)
		}
	}
	return nil
}

// at gives where the secret at a URI is, or is to be.
func (s *state) at(uri string) (int, bool) {
	return slices.BinarySearchFunc(s.Secrets, uri, func(e entry, uri string) int { return strings.Compare(e.uri, uri) })
}

// encode gives the JSON. What it is made of was checked when it was read.
func (s *state) encode() []byte {
	texts := make([]jsontext.Value, len(s.Secrets))
	for i, e := range s.Secrets {
		texts[i] = e.text
	}
	return object(s.Rest, member{"secrets", list(texts)})
}

// member is a member of an object.
type member struct {
	name  string
	value []byte
}

// object gives an object of members, and those of another object.
func object(rest jsontext.Value, members ...member) []byte {
	b := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `"`+m.name+`":`...)
		b = append(b, m.value...)
	}
	if more := bytes.TrimSpace(rest); len(more) > 2 {
		b = append(append(b, ','), more[1:len(more)-1]...)
	}
	return append(b, '}')
}

// list gives a list of values.
func list(values []jsontext.Value) []byte {
	size := 2
	for _, v := range values {
		size += len(v) + 1
	}
	b := append(make([]byte, 0, size), '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

// encode gives the file.
func (d *document) encode() []byte {
	text := d.state.encode()
	size := len(d.before) + len(stateName) + base64.RawStdEncoding.EncodedLen(len(text)) + len(d.after) + len("\n=\n")
	b := append(make([]byte, 0, size), d.before...)
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	b = append(b, stateName+"="...)
	b = base64.RawStdEncoding.AppendEncode(b, text)
	b = append(b, '\n')
	return append(b, d.after...)
}

// names gives what is behind the prefix in URIs where it is a canonical name. Others
// cannot be had by a key, in Greentic neither.
func (s *state) names(prefix string) (names []string) {
	at, _ := s.at(prefix)
	for _, e := range s.Secrets[at:] {
		name, ok := strings.CutPrefix(e.uri, prefix)
		if !ok {
			break
		}
		if canonicalName(name) == name {
			names = append(names, name)
		}
	}
	return names
}

// secret gives the secret at a URI; nil where there is none.
func (s *state) secret(uri string) (*secret, error) {
	at, ok := s.at(uri)
	if !ok {
		return nil, nil
	}
	var v secret
	if err := json.Unmarshal(s.Secrets[at].text, &v); err != nil {
		return nil, notOfForm("the secret %s is not of Greentic's form", uri, err)
	}
	return &v, nil
}

// newest gives the secret at a URI and the record of its last version, nil where there
// is no secret or it is deleted.
func (s *state) newest(uri string) (*secret, *record, error) {
	v, err := s.secret(uri)
	if err != nil || v == nil {
		return nil, nil, err
	}
	_, r, err := v.last()
	return v, r, err
}

// newestOwn is newest, and takes a mirror for no secret.
func (s *state) newestOwn(uri string) (*secret, *record, error) {
	v, r, err := s.newest(uri)
	if r != nil && r.isMirror() {
		r = nil
	}
	return v, r, err
}

// live calls f with the live secrets of a place.
func (s *state) live(p place, f func(key string, r *record) error) error {
	for _, name := range s.names(p.prefix()) {
		_, r, err := s.newestOwn(p.prefix() + name)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		if err := f(r.key(name), r); err != nil {
			return err
		}
	}
	return nil
}

// set makes r the newest version of v, nil for a new secret. Only Live has older ones.
func (s *state) set(p place, v *secret, r *record) error {
	if v == nil || p.area != adapters.Live {
		v = &secret{URI: r.Meta.URI}
	}
	return s.put(v, r)
}

// drop deletes v: with one more version in Live, whole in the other areas.
func (s *state) drop(p place, v *secret) error {
	if p.area == adapters.Live {
		return s.put(v, nil)
	}
	at, _ := s.at(v.URI)
	s.Secrets = slices.Delete(s.Secrets, at, at+1)
	return nil
}

// put puts a secret with one more version into its place, a deleted one where r is nil.
func (s *state) put(v *secret, r *record) error {
	number, _, err := v.last()
	if err != nil {
		return err
	}
	deleted, content := "true", []byte("null")
	if r != nil {
		deleted, content = "false", r.encode()
	}
	v.Versions = append(v.Versions, object(nil,
		member{"version", strconv.AppendUint(nil, number+1, 10)}, member{"deleted", []byte(deleted)}, member{"record", content}))
	e := entry{v.URI, object(v.Rest, member{"key", encode(v.URI)}, member{"versions", list(v.Versions)})}
	at, ok := s.at(v.URI)
	if ok {
		s.Secrets[at] = e
		return nil
	}
	s.Secrets = slices.Insert(s.Secrets, at, e)
	return nil
}

// last gives the newest version: its number, 0 for none, and its record, nil where it
// is deleted.
func (v *secret) last() (uint64, *record, error) {
	if len(v.Versions) == 0 {
		return 0, nil, nil
	}
	var last version
	if err := json.Unmarshal(v.Versions[len(v.Versions)-1], &last); err != nil {
		return 0, nil, notOfForm("the secret %s has a version that is not of Greentic's form", v.URI, err)
	}
	if last.Version == nil || last.Deleted == nil {
		return 0, nil, malformed("the secret %s has a version without number or state", v.URI)
	}
	if *last.Deleted || last.Record == nil {
		return *last.Version, nil, nil
	}
	r := last.Record
	if r.Meta == nil || r.Meta.URI != v.URI || r.Envelope == nil {
		return 0, nil, malformed("the secret %s has a record that is not its own", v.URI)
	}
	return *last.Version, r, nil
}

// encode gives the JSON of a record.
func (r *record) encode() []byte {
	return object(nil, member{"meta", encode(r.Meta)}, member{"value", r.Value.encode()}, member{"envelope", object(nil,
		member{"algorithm", encode(r.Envelope.Algorithm)}, member{"nonce", r.Envelope.Nonce.encode()},
		member{"hkdf_salt", r.Envelope.Salt.encode()}, member{"wrapped_dek", r.Envelope.WrappedDEK.encode()})})
}

// encode gives the JSON of texts of ours.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a text that is not UTF-8: keys are checked, and URIs made of names
	}
	return b
}

// keyTags gives the tags of a secret that is set under a key.
func keyTags(key, name string) map[string]string {
	if key == name {
		return nil
	}
	return map[string]string{keyTag: key}
}

// key gives the key under which a record was set.
func (r *record) key(name string) string {
	if key := r.Meta.Tags[keyTag]; key != "" && canonicalName(key) == name {
		return key
	}
	return name
}

// notOfForm says where a JSON text is not what it should be, and quotes nothing of it:
// what it says may be part of a secret.
func notOfForm(format, what string, err error) error {
	if e, ok := errors.AsType[*json.SemanticError](err); ok && e.JSONPointer != "" {
		return malformed(format+" (%s)", what, e.JSONPointer)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformed(format+" (byte %d)", what, e.ByteOffset)
	}
	return malformed(format, what)
}
