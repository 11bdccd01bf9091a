package contract_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

// asJSON gives what an item is as JSON, through a guest that describes itself so.
func asJSON(t testing.TB, item []byte, maxOutput int) (string, error) {
	t.Helper()
	out, err := pick(t, descriptorTypes, contract.ActDescribe).Run(t.Context(), answering(item), contract.ActDescribe, []byte("{}"), maxOutput)
	if (err == nil) == (out == nil) {
		t.Fatalf("neither or both of an answer and an error: %q, %v", out, err)
	}
	return string(out), err
}

// asCBOR gives the bytes that a guest is handed for a JSON value.
func asCBOR(t testing.TB, v string) ([]byte, error) {
	t.Helper()
	var path string
	var args []component.Value
	_, err := run1(t, runtimeTypes, contract.ActInvoke, recording([]byte{0}, &path, &args), `{"op":"x","input":`+v+`}`)
	if err != nil {
		return nil, err
	}
	return args[1].([]byte), nil
}

// The examples of RFC 8949, appendix A, that have a JSON value, and others.
func TestCBORToJSON(t *testing.T) {
	for item, want := range map[string]string{
		"00": "0", "17": "23", "1818": "24", "1903e8": "1000", "1b000000e8d4a51000": "1000000000000", "1bffffffffffffffff": "18446744073709551615",
		"20": "-1", "3903e7": "-1000", "3b7fffffffffffffff": "-9223372036854775808", "3bffffffffffffffff": "-18446744073709551616",
		"f90000": "0", "f98000": "-0", "f93c00": "1", "f93e00": "1.5", "f97bff": "65504", "fa47c35000": "100000", "fb7e37e43c8800759c": "1e+300",
		"f90001": "5.960464477539063e-8", "fbc010666666666666": "-4.1",
		"f4": "false", "f5": "true", "f6": "null",
		"40": `""`, "4401020304": `"AQIDBA"`, "42fbff": `"-_8"`,
		"60": `""`, "6449455446": `"IETF"`, "62225c": `"\"\\"`, "62c3bc": `"ü"`, "64f0908591": `"𐅑"`, "6100": `"\u0000"`,
		"80": "[]", "83010203": "[1,2,3]", "8301820203820405": "[1,[2,3],[4,5]]",
		"a0": "{}", "a26161016162820203": `{"a":1,"b":[2,3]}`, "826161a161626163": `["a",{"b":"c"}]`, "a26162016161a0": `{"b":1,"a":{}}`,
		"9fff": "[]", "9f018202039f0405ffff": "[1,[2,3],[4,5]]", "bfff": "{}", "bf61610161629f0203ffff": `{"a":1,"b":[2,3]}`,
		"780161":       `"a"`, // longer than it has to be
		"1800":         "0",
		"9800":         "[]",
		"b90001616100": `{"a":0}`,
	} {
		b, err := hex.DecodeString(item)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := asJSON(t, b, 1000); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", item, got, err, want)
		}
	}
}

func TestCBORRefused(t *testing.T) {
	for item, part := range map[string]string{
		"":                         "ends early",
		"18":                       "ends early",
		"1b00000000000000":         "ends early",
		"6261":                     "ends early",
		"7bffffffffffffffff61":     "ends early",
		"5bffffffffffffffff61":     "ends early",
		"81":                       "ends early",
		"9f":                       "ends early",
		"bf6161":                   "ends early",
		"a16161":                   "ends early",
		"a1":                       "ends early",
		"9bffffffffffffffff":       "ends early",
		"bbffffffffffffffff":       "ends early",
		"a2616100616100":           "at byte 4: a map key that is there twice",
		"bf616100616100ff":         "twice",
		"a2616100780161f6":         "twice",
		"a10001":                   "at byte 1: a map key that is not text",
		"a14161f6":                 "not text",
		"bf01ff":                   "not text",
		"bf6161ff":                 "a simple value or number that JSON does not have",
		"ff":                       "at byte 0: a simple value",
		"81ff":                     "a simple value",
		"f7":                       "a simple value",
		"f0":                       "a simple value",
		"f8ff":                     "a simple value",
		"f814":                     "a simple value", /* false, as a simple value of two bytes: not well-formed */
		"f97e00":                   "a simple value or number",
		"f97c00":                   "a simple value or number",
		"fa7f800000":               "a simple value or number",
		"fbfff0000000000000":       "a simple value or number",
		"c074323031332d30332d3231": "at byte 0: a tag",
		"81c249010000000000000000": "at byte 1: a tag",
		"5f42010243030405ff":       "at byte 0: a string in pieces",
		"7f657374726561ff":         "a string in pieces",
		"1c":                       "reserved additional information 28",
		"3f":                       "a string in pieces",
		"61ff":                     "at byte 1: text that is not UTF-8",
		"a161ff00":                 "at byte 2: text that is not UTF-8",
		"0000":                     "at byte 1: 1 bytes after the end of the item",
		"7b7d":                     "ends early",
	} {
		b, err := hex.DecodeString(item)
		if err != nil {
			t.Fatal(err)
		}
		got, err := asJSON(t, b, 1000)
		var g *contract.GuestError
		if !errors.As(err, &g) || g.Code != contract.CodeOutputNotCBOR || !strings.HasPrefix(g.Message, "the description: ") || !strings.Contains(g.Message, part) {
			t.Errorf("%s: got %s, %v; want %q", item, got, err, part)
		}
	}
}

func TestCBORDepth(t *testing.T) {
	for _, head := range []string{"\x81", "\x9f", "\xa1\x61a"} {
		nested := func(n int) []byte {
			item := strings.Repeat(head, n) + "\x00"
			if head == "\x9f" {
				item += strings.Repeat("\xff", n)
			}
			return []byte(item)
		}
		if _, err := asJSON(t, nested(64), 1<<20); err != nil {
			t.Errorf("%q: %v", head, err)
		}
		for _, n := range []int{65, 1 << 20} {
			if _, err := asJSON(t, nested(n), 1<<20); !guestCode(contract.CodeOutputNotCBOR)(err) || !strings.Contains(err.Error(), "deeper than 64 levels") {
				t.Errorf("%q, %d: %v", head, n, err)
			}
		}
	}
}

// The request of a step has what the steps before it said inside, which may nest as
// deep as what a guest says.
func TestRequestsThatAreDeep(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if b, err := asCBOR(t, nested(128)); err != nil || len(b) != 128 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := asCBOR(t, nested(129)); !ours(err) {
		t.Errorf("got %v", err)
	}
}

// What goes to a guest is deterministic, and its numbers are integers wherever
// they can be.
func TestJSONToCBOR(t *testing.T) {
	for v, want := range map[string]string{
		"null": "f6", "true": "f5", "false": "f4", `"ü"`: "62c3bc", `"\u0000"`: "6100", `""`: "60", "[]": "80", "{}": "a0",
		"0": "00", "587": "19024b", "-1": "20", "18446744073709551615": "1bffffffffffffffff", "-9223372036854775808": "3b7fffffffffffffff",
		"1.0": "01", "5e2": "1901f4", "-0": "00", "9007199254740992.0": "1b0020000000000000",
		"1.5": "f93e00", "0.1": "fb3fb999999999999a", "18446744073709551616": "fa5f800000", "1e300": "fb7e37e43c8800759c",
		`[1,[2],{"a":null}]`:           "83018102a16161f6",
		`{"bb":1,"a":2,"c":3,"aaa":4}`: "a4" + "616102" + "616303" + "62626201" + "6361616104",
	} {
		got, err := asCBOR(t, v)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, %v; want %s", v, got, err, want)
		}
	}
	if _, err := asCBOR(t, strings.Repeat("[", 64)+strings.Repeat("]", 64)); err != nil {
		t.Error(err)
	}
	for _, deep := range []string{strings.Repeat("[", 129) + strings.Repeat("]", 129), strings.Repeat(`{"a":`, 129) + "1" + strings.Repeat("}", 129), "1e999"} {
		if b, err := asCBOR(t, deep); !ours(err) {
			t.Errorf("%.20s: %x, %v", deep, b, err)
		}
	}
}

// What a guest gets and gives back is what it was.
func TestCBORRoundTrip(t *testing.T) {
	for _, v := range []string{
		`{"answers":{"enabled":true,"host":"mail","none":null,"port":587,"ratio":0.25},"list":[1,-2,"x",[],{}]}`,
		`{"":"","a":"\u0007","é":"😀"}`,
	} {
		b, err := asCBOR(t, v)
		if err != nil {
			t.Fatal(err)
		}
		back, err := asJSON(t, b, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := canonical(t, back), canonical(t, v); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func canonical(t testing.TB, s string) string {
	t.Helper()
	v := jsontext.Value(s)
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return string(v)
}

// Whatever bytes a guest gives: one bounded JSON value, or an error that blames it;
// and what the cbor package refuses, too, is never taken.
func FuzzCBORToJSON(f *testing.F) {
	for _, s := range []string{"a26161016162820203", "bf61610161629f0203ffff", "fb7e37e43c8800759c", "5f42010243030405ff", "9bffffffffffffffff", "a2616100616100",
		"3bffffffffffffffff", "f814", "c074", "61ff", "8181818181818181"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 100)
	}
	f.Fuzz(func(t *testing.T, item []byte, limit int) {
		limit &= 0xfff
		out, err := asJSON(t, item, limit)
		if ours(err) {
			t.Fatalf("the guest's doing is called ours: %v", err)
		}
		if err != nil {
			return
		}
		if len(out) > limit {
			t.Fatalf("%d bytes, over the limit of %d", len(out), limit)
		}
		if !jsontext.Value(out).IsValid() {
			t.Fatalf("no JSON: %s", out)
		}
		if err := cbor.Wellformed(item); err != nil {
			t.Fatalf("taken, but not well-formed (%v): %x", err, item)
		}
		back, err := asCBOR(t, out)
		if err != nil {
			return // a number that no float64 holds
		}
		again, err := asJSON(t, back, 1<<20)
		if err != nil {
			t.Fatalf("%s becomes %x, which is not taken: %v", out, back, err)
		}
		if b, err := asCBOR(t, again); err != nil || !bytes.Equal(b, back) {
			t.Fatalf("%x and %x for the same %s, %v", back, b, again, err)
		}
	})
}

func ExampleChoose() {
	types := component.Types{Layer: component.LayerComponent, Exports: []component.Item{
		exports("greentic:component/runtime@0.6.1", fn("invoke", function(bytesType, str, bytesType))).Exports[0],
		exports("greentic:provider-schema-core/schema-core-api@1.0.0", fn("invoke", function(bytesType, str, bytesType))).Exports[0],
	}}
	all, err := contract.Select(types)
	if err != nil {
		fmt.Println(err)
		return
	}
	chosen, err := contract.Choose(all, "greentic:provider-schema-core")
	for _, c := range chosen {
		fmt.Println(c.Name(), c.Actions(), err)
	}
	// Output: greentic:provider-schema-core/schema-core-api@1.0 [invoke qa-spec apply-answers i18n] <nil>
}
