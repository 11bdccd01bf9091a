package pack_test

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/greentic-ai/greentic-provision/pack"
)

// The examples of RFC 8949, appendix A, that a pack may hold.
func TestCBORToJSON(t *testing.T) {
	for text, want := range map[string]string{
		"00": "0", "17": "23", "1818": "24", "1a000f4240": "1000000", "1bffffffffffffffff": "18446744073709551615",
		"20": "-1", "3903e7": "-1000", "3bffffffffffffffff": "-18446744073709551616", "3b7fffffffffffffff": "-9223372036854775808",
		"f90000": "0", "f98000": "-0", "f93c00": "1", "fb3ff199999999999a": "1.1", "f93e00": "1.5", "f97bff": "65504",
		"fa47c35000": "100000", "fb7e37e43c8800759c": "1e+300", "f90001": "5.960464477539063e-08", "f90400": "6.103515625e-05", "f9c400": "-4",
		"f4": "false", "f5": "true", "f6": "null", "f7": "null",
		"40": "[]", "4401020304": "[1,2,3,4]", "60": `""`, "6449455446": `"IETF"`, "62225c": `"\"\\"`, "6100": `"\u0000"`, "62c3bc": `"ü"`,
		"80": "[]", "8301820203820405": "[1,[2,3],[4,5]]", "a0": "{}", "a26161016162820203": `{"a":1,"b":[2,3]}`,
		"9fff": "[]", "9f018202039f0405ffff": "[1,[2,3],[4,5]]", "bf61610161629f0203ffff": `{"a":1,"b":[2,3]}`, "826161bf61626163ff": `["a",{"b":"c"}]`,
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pack.CBORToJSON(b); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzCBOR holds the conversion against the CBOR library and the JSON reader.
func FuzzCBOR(f *testing.F) {
	for _, text := range []string{"a0", "bf616101ff", "9bffffffffffffffff", "a2616100616101", "c060", "f97e00", "1bffffffffffffffff", "43010203", "fb3ff199999999999a", "82f6a16178f5", strings.Repeat("81", 64) + "00"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: pack.MaxNesting, MaxArrayElements: pack.MaxElements, MaxMapPairs: pack.MaxElements,
		TagsMd: cbor.TagsForbidden, IntDec: cbor.IntDecConvertNone, BigIntDec: cbor.BigIntDecodeValue, DefaultMapType: reflect.TypeFor[map[string]any](),
	}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := pack.CBORToJSON(b)
		if err != nil {
			return
		}
		var theirs, ours any
		if err := mode.Unmarshal(b, &theirs); err != nil {
			t.Fatalf("%x: accepted; the library: %v", b, err)
		}
		if err := json.Unmarshal(got, &ours); err != nil {
			t.Fatalf("%x: %s: %v", b, got, err)
		}
		if want := plain(theirs); !reflect.DeepEqual(ours, want) {
			t.Errorf("%x: %s; the library: %v", b, got, want)
		}
	})
}

// plain makes what encoding/json decodes out of what the CBOR library decodes.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case []byte:
		out := []any{}
		for _, c := range v {
			out = append(out, float64(c))
		}
		return out
	case nil, string, bool:
		return v
	case big.Int: // beyond 64 bits
		f, _ := new(big.Float).SetInt(&v).Float64()
		return f
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return float64(r.Int())
	case r.CanUint():
		return float64(r.Uint())
	case r.CanFloat():
		return r.Float()
	}
	return math.NaN() // equal to nothing
}
