package integrity_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/integrity"
)

func TestEveryFormOfAKeyIsRead(t *testing.T) {
	k := public(key(2)) // its base64 has both characters in which the alphabets differ, or the test says so
	std := base64.StdEncoding.EncodeToString(k)
	if !strings.Contains(std, "+") || !strings.Contains(std, "/") {
		t.Fatalf("choose another key: %s", std)
	}
	certified := chainPEM(certificate(t, "from a certificate", key(2), "x", key(9), nil))
	for name, text := range map[string]string{
		"hexadecimal": hex.EncodeToString(k),
		"capitals":    strings.ToUpper(hex.EncodeToString(k)),
		"base64":      std,
		"unpadded":    strings.TrimRight(std, "="),
		"base64url":   base64.RawURLEncoding.EncodeToString(k),
		"public PEM":  publicPEM(t, k),
		"certificate": certified,
	} {
		list := trust(t, marshalJSON(t, map[string]any{"keys": []any{map[string]any{"name": "n", "algorithm": "ed25519", "public_key": text}}}))
		if keys := list.Keys(); len(keys) != 1 || !keys[0].Public.Equal(k) || keys[0].Name != "n" || !keys[0].NotAfter.IsZero() {
			t.Errorf("%s: %+v", name, keys)
		}
	}
	list := trust(t, "# releases\n\n"+certified+"# by hand\n"+publicPEM(t, public(key(1)))+"\n# end")
	var got []string
	for _, k := range list.Keys() {
		got = append(got, fmt.Sprintf("%s %s %s %t", k.Name, k.Fingerprint()[:8], k.ID(), k.NotBefore.IsZero()))
	}
	if d := cmp.Diff([]string{
		"from a certificate " + blake3Hex(string(k))[:8] + " " + sha256Hex(string(k))[:32] + " false",
		"key 2 " + blake3Hex(string(public(key(1))))[:8] + " " + sha256Hex(string(public(key(1))))[:32] + " true",
	}, got); d != "" {
		t.Error(d)
	}
}

func TestListsOfKeysAreStrict(t *testing.T) {
	k := hex.EncodeToString(public(key(1)))
	one := func(change func(map[string]any)) string {
		m := map[string]any{"name": "n", "algorithm": "ed25519", "public_key": k}
		change(m)
		return marshalJSON(t, map[string]any{"keys": []any{m}})
	}
	set := func(field string, v any) string { return one(func(m map[string]any) { m[field] = v }) }
	private, err := x509.MarshalPKCS8PrivateKey(key(1))
	if err != nil {
		t.Fatal(err)
	}
	privatePEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	many := strings.Builder{}
	for i := range integrity.MaxKeys + 1 {
		var raw [ed25519.PublicKeySize]byte
		raw[0], raw[1] = byte(i), byte(i>>8)
		many.WriteString(publicPEM(t, ed25519.PublicKey(raw[:])))
	}
	for name, tc := range map[string]struct{ list, want string }{
		"empty file":         {"", `trusted keys: the list is empty`},
		"empty list":         {`{"keys":[]}`, `trusted keys: the list is empty`},
		"no list":            {`{}`, `trusted keys: the list is empty`},
		"too large":          {strings.Repeat(" ", integrity.MaxTrust+1), `trusted keys: the list has 1048577 bytes; at most 1048576 are read`},
		"unknown member":     {set("expires", ""), `trusted keys: "/keys/0/expires" is not a known member`},
		"member twice":       {`{"keys":[],"keys":[]}`, `trusted keys: JSON at /keys: is a duplicate name`},
		"two values":         {`{"keys":[]} {}`, `trusted keys: JSON: has more than one value`},
		"name missing":       {one(func(m map[string]any) { delete(m, "name") }), `trusted keys: keys[0].name: is missing or empty`},
		"name long":          {set("name", strings.Repeat("n", 101)), `trusted keys: keys[0].name: has 101 bytes; at most 100 are read`},
		"name with controls": {set("name", "\x1b[2J"), `trusted keys: keys[0].name: has a character that cannot be shown`},
		"algorithm":          {set("algorithm", "rsa"), `trusted keys: keys[0].algorithm: is not "ed25519", the only one that is read`},
		"algorithm missing":  {one(func(m map[string]any) { delete(m, "algorithm") }), `trusted keys: keys[0].algorithm: is not "ed25519", the only one that is read`},
		"key missing":        {one(func(m map[string]any) { delete(m, "public_key") }), `trusted keys: keys[0].public_key: is missing`},
		"key short":          {set("public_key", k[:62]), `trusted keys: keys[0].public_key: is neither 32 bytes in hexadecimal or base64 nor a PEM block`},
		"key of two lines":   {set("public_key", "AAAA\n"+strings.Repeat("A", 39)), `trusted keys: keys[0].public_key: is neither 32 bytes in hexadecimal or base64 nor a PEM block`},
		"key is private":     {set("public_key", privatePEM), `trusted keys: keys[0].public_key: is a private key: keep it to yourself and list the public one`},
		"two blocks":         {set("public_key", publicPEM(t, public(key(1)))+publicPEM(t, public(key(2)))), `trusted keys: keys[0].public_key: is not one PEM block`},
		"date":               {set("not_before", "2026-01-01"), `trusted keys: keys[0].not_before: is not a time as RFC 3339 writes it`},
		"dates": {one(func(m map[string]any) {
			m["not_before"], m["not_after"] = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
		}), `trusted keys: keys[0]: not_after is before not_before`},
		"key twice":     {publicPEM(t, public(key(1))) + publicPEM(t, public(key(1))), `trusted keys: block 2: is the same key as "key 1"`},
		"private block": {privatePEM, `trusted keys: block 1: is a private key: keep it to yourself and list the public one`},
		"other block":   {string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")})), `trusted keys: block 1: is neither a PUBLIC KEY nor a CERTIFICATE`},
		"text":          {"hello", `trusted keys: block 1: is not a PEM block; the list is JSON with "keys", or PEM`},
		"another curve": {chainPEM(curve(t)), `trusted keys: block 1: has a key of the kind 1.2.840.10045.2.1; only Ed25519 is read`},
		"no DER":        {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})), `trusted keys: block 1: is not DER of the expected shape`},
		"too many":      {many.String(), `trusted keys: block 1001: the list has more than 1000 keys`},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := integrity.ParseTrust([]byte(tc.list))
			if err == nil {
				t.Fatalf("accepted: %+v", list.Keys())
			}
			if !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v\nwant %s", err, tc.want)
			}
			if _, ok := errors.AsType[*integrity.TrustError](err); !ok {
				t.Errorf("%T", err)
			}
			if strings.Contains(err.Error(), k[:16]) {
				t.Error("the message has a part of the key")
			}
		})
	}
}
