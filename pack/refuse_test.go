package pack_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/fxamacker/cbor/v2"

	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// refusal is a pack that breaks one rule.
type refusal struct {
	name  string
	build func(*testing.T) []byte
	rule  pack.Rule
	entry string // "" for any
	want  string // part of the detail
}

var refusals = []refusal{
	// Form.
	{"empty", bytesOf(""), pack.RuleForm, "", "empty"},
	{"json", bytesOf(" \n{\"id\":1}"), pack.RuleForm, "", "is JSON text, not an archive"},
	{"json with BOM", bytesOf("\xef\xbb\xbf[1]"), pack.RuleForm, "", "is JSON text"},
	{"gzip", bytesOf("\x1f\x8b\x08rest"), pack.RuleForm, "", "is compressed with gzip"},
	{"tar of old", bytesOf("x" + strings.Repeat("\x00", 1023)), pack.RuleForm, "", "does not begin like a zip or tar archive"},
	{"prefixed", func(*testing.T) []byte { return append([]byte("#!/bin/sh\n"), rawZip(sound())...) }, pack.RuleForm, "", "does not begin"},

	// End record and central directory.
	{"only a signature", bytesOf("PK\x03\x04"), pack.RuleArchive, "", "truncated"},
	{"trailing byte", func(*testing.T) []byte { return append(rawZip(sound()), 0) }, pack.RuleArchive, "", "does not end with its end record"},
	{"comment", func(*testing.T) []byte { return append(rawZip(sound(), func(e *end) { e.comment = 2 }), "hi"...) }, pack.RuleArchive, "", "does not end with its end record"},
	{"split", ending(func(e *end) { e.disk = 1 }), pack.RuleArchive, "", "split over several files"},
	{"split directory", ending(func(e *end) { e.dirDisk = 1 }), pack.RuleArchive, "", "split over several files"},
	{"split count", ending(func(e *end) { e.here-- }), pack.RuleArchive, "", "split over several files"},
	{"count too small", ending(func(e *end) { e.here--; e.all-- }), pack.RuleArchive, "", "does not hold the 1 entries"},
	{"count too large", ending(func(e *end) { e.here++; e.all++ }), pack.RuleArchive, "", "does not hold the 3 entries"},
	{"directory elsewhere", ending(func(e *end) { e.offset++ }), pack.RuleArchive, "", "does not lie directly before"},
	{"directory with a gap at its end", func(*testing.T) []byte {
		whole := rawZip(sound())
		at := len(whole) - 22
		b := slices.Concat(whole[:at], []byte("PK\x01\x02"), whole[at:])
		binary.LittleEndian.PutUint32(b[len(b)-22+12:], binary.LittleEndian.Uint32(b[len(b)-22+12:])+4)
		return b
	}, pack.RuleArchive, "", "its 2 records take"},
	{"directory of which nothing is counted", ending(func(e *end) { e.here, e.all, e.offset, e.length = 0, 0, e.offset+1, e.length-1 }), pack.RuleArchive, "", "its 0 records take 0"},
	{"directory length lies", ending(func(e *end) { e.length = 0xffffffff }), pack.RuleEntries, "", "central directory is 4294967295 bytes"},
	{"zip64 locator", zip64Locator, pack.RuleArchive, "", "zip64"},
	{"zip64 values", ending(func(e *end) { e.offset = 0xffffffff }), pack.RuleArchive, "", "does not lie directly before"},
	{"4,097 entries", many(4097, 4097), pack.RuleEntries, "", "4097 entries"},
	{"100,000 entries, count honest modulo 65,536", many(100_000, 100_000%65536), pack.RuleEntries, "", "at most 4096"},
	{"100,000 entries, count lies", many(100_000, 1), pack.RuleEntries, "", "central directory is"},
	{"66,000 entries behind a count of 464", many(66_000, 66_000%65536), pack.RuleEntries, "", "66000 entries"},
	{"no local header", with(func(e *rawEntry) { e.offset = 7 }), pack.RuleArchive, "x", "no local header"},
	{"reaches into the directory", with(func(e *rawEntry) { e.csize, e.usize = 100_000, 100_000 }), pack.RuleArchive, "x", "reach into the central directory"},
	{"overlap", func(*testing.T) []byte {
		e := stored("y", packJSON)
		e.noLocal = true // the data of pack.json under a second name
		return rawZip(sound(e))
	}, pack.RuleArchive, "y", "overlaps another entry"},
	{"zip64 sizes beyond the file", with(func(e *rawEntry) {
		e.csize, e.usize = 0xffffffff, 0xffffffff
		e.extra = zip64Extra(1<<20, 1<<20)
	}), pack.RuleArchive, "x", "zip64"},
	{"zip64 sizes that wrap around", with(func(e *rawEntry) {
		e.method, e.csize, e.usize = 8, 0xffffffff, 0xffffffff
		e.extra = zip64Extra(1<<20, 1<<63)
	}), pack.RuleArchive, "x", "zip64"},
	{"not a deflate stream", func(*testing.T) []byte {
		e := stored("x", "\xff\xff\xff\xff")
		e.method = 8
		return rawZip(sound(e))
	}, pack.RuleArchive, "x", "cannot be inflated"},

	// Names.
	{"parent", named("../x"), pack.RuleName, "../x", `"." or ".."`},
	{"parent inside", named("a/../../x"), pack.RuleName, "", `"." or ".."`},
	{"parent last", named("a/.."), pack.RuleName, "", `"." or ".."`},
	{"dot", named("."), pack.RuleName, "", `"." or ".."`},
	{"dot inside", named("a/./b"), pack.RuleName, "", `"." or ".."`},
	{"absolute", named("/etc/passwd"), pack.RuleName, "", "absolute"},
	{"empty name", named(""), pack.RuleName, "", "absolute or has an empty"},
	{"empty element", named("a//b"), pack.RuleName, "", "empty"},
	{"slash only", named("/"), pack.RuleName, "", "empty"},
	{"drive", named("C:/x"), pack.RuleName, "", "drive letter"},
	{"drive without slash", named("z:x"), pack.RuleName, "", "drive letter"},
	{"backslash", named(`a\..\b`), pack.RuleName, "", "backslash"},
	{"NUL", named("a\x00.wasm"), pack.RuleName, "", "control character"},
	{"escape sequence", named("a\x1b[2Jb"), pack.RuleName, "", "control character"},
	{"C1 control", named("a\u0085b"), pack.RuleName, "", "control character"},
	{"not UTF-8", named("a\xffb"), pack.RuleName, "", "UTF-8"},
	{"513 bytes", named(strings.Repeat("a", 513)), pack.RuleName, "", "513 bytes"},
	{"65,535 bytes", named(strings.Repeat("\x01", 65535)), pack.RuleName, "", "65535 bytes"},
	{"33 elements", named(strings.Repeat("a/", 32) + "a"), pack.RuleName, "", "32 elements"},

	// Collisions.
	{"twice", func(*testing.T) []byte { return rawZip(sound(stored("pack.json", "{}"))) }, pack.RuleCollision, "pack.json", "twice"},
	{"case", func(*testing.T) []byte { return rawZip(sound(stored("PACK.json", "{}"))) }, pack.RuleCollision, "PACK.json", `"pack.json"`},
	{"case beyond ASCII", func(*testing.T) []byte { return rawZip(sound(stored("\u017fx", ""), stored("Sx", ""))) }, pack.RuleCollision, "", "one name"},
	{"normalisation", func(*testing.T) []byte { return rawZip(sound(stored("e\u0301", ""), stored("\u00e9", ""))) }, pack.RuleCollision, "", "one name"},
	{"case of a parent", func(*testing.T) []byte { return rawZip(sound(stored("a/x", ""), stored("A/y", ""))) }, pack.RuleCollision, "A", "one name"},
	{"file and directory", func(*testing.T) []byte { return rawZip(sound(stored("a", ""), stored("a/b", ""))) }, pack.RuleCollision, "a", "both a file and a directory"},
	{"directory and file", func(*testing.T) []byte { return rawZip(sound(stored("a/b", ""), stored("a", ""))) }, pack.RuleCollision, "a", "both a file and a directory"},

	// Kinds, flags, methods.
	{"symlink", with(func(e *rawEntry) { e.attrs = 0o120777 << 16 }), pack.RuleKind, "x", "symbolic link"},
	{"character device", with(func(e *rawEntry) { e.attrs = 0o020644 << 16 }), pack.RuleKind, "x", "file type 020000"},
	{"fifo", with(func(e *rawEntry) { e.attrs = 0o010644 << 16 }), pack.RuleKind, "x", "file type"},
	{"directory without slash", with(func(e *rawEntry) { e.attrs = 0o040755 << 16 }), pack.RuleKind, "x", "file type"},
	{"file with slash", with(func(e *rawEntry) { e.name = "x/" }), pack.RuleKind, "x/", "file type"},
	{"directory with content", with(func(e *rawEntry) { e.name, e.attrs = "x/", 0o040755<<16 }), pack.RuleTrueSize, "x/", "declares content"},
	{"encrypted", with(func(e *rawEntry) { e.flags = 1 }), pack.RuleEncrypted, "x", "encrypted"},
	{"strongly encrypted", with(func(e *rawEntry) { e.flags = 1 << 6 }), pack.RuleEncrypted, "x", "encrypted"},
	{"masked headers", with(func(e *rawEntry) { e.flags = 1 << 13 }), pack.RuleEncrypted, "x", "encrypted"},
	{"bzip2", with(func(e *rawEntry) { e.method = 12 }), pack.RuleMethod, "x", "method 12"},
	{"zstd", with(func(e *rawEntry) { e.method = 93 }), pack.RuleMethod, "x", "method 93"},

	// Sizes and checksums.
	{"entry of 64 MiB and a byte", func(*testing.T) []byte {
		return rawZip(sound(claims("x", pack.MaxEntry+1)))
	}, pack.RuleEntrySize, "x", "declares 67108865 bytes"},
	{"bomb that declares 1,000 bytes", func(*testing.T) []byte {
		e := deflated("x", make([]byte, 8<<20))
		e.usize = 1000
		return rawZip(sound(e))
	}, pack.RuleTrueSize, "x", "declares 1000 bytes and has more"},
	{"nine entries of 60 MiB", func(*testing.T) []byte {
		bomb := claims("x", 60<<20)
		entries := sound()
		for i := range 9 {
			bomb.name = strconv.Itoa(i)
			entries = append(entries, bomb)
		}
		return rawZip(entries)
	}, pack.RuleTotalSize, "8", "at most 536870912"},
	{"declares more than DEFLATE can give", with(func(e *rawEntry) { e.method, e.usize = 8, 60<<20 }), pack.RuleTrueSize, "x", "more than 5 compressed bytes can give"},
	{"stored, two sizes", with(func(e *rawEntry) { e.usize = 4 }), pack.RuleTrueSize, "x", "is stored and declares 5 bytes in the archive but 4"},
	{"inflates to less", func(*testing.T) []byte {
		e := deflated("x", []byte("hello"))
		e.usize++
		return rawZip(sound(e))
	}, pack.RuleTrueSize, "x", "declares 6 bytes and has 5"},
	{"inflates to more", func(*testing.T) []byte {
		e := deflated("x", []byte("hello"))
		e.usize--
		return rawZip(sound(e))
	}, pack.RuleTrueSize, "x", "declares 4 bytes and has more"},
	{"bytes after the compressed stream", func(*testing.T) []byte {
		e := deflated("x", []byte("hello"))
		e.body = append(e.body, "smuggled"...)
		e.csize += uint32(len("smuggled"))
		return rawZip(sound(e))
	}, pack.RuleTrueSize, "x", "after the end of its compressed stream"},
	{"checksum", with(func(e *rawEntry) { e.crc++ }), pack.RuleChecksum, "x", "CRC-32"},
	{"checksum 0", with(func(e *rawEntry) { e.crc = 0 }), pack.RuleChecksum, "x", "declares CRC-32 00000000"},
	{"checksum of the manifest", func(*testing.T) []byte {
		e := sound()
		e[0].crc++
		return rawZip(e)
	}, pack.RuleChecksum, "pack.json", "CRC-32"},

	// Manifests.
	{"no manifest", func(*testing.T) []byte { return rawZip([]rawEntry{stored("sub/pack.json", "{}")}) }, pack.RuleManifest, "", "none of"},
	{"no entries", func(*testing.T) []byte { return rawZip(nil) }, pack.RuleManifest, "", "none of"},
	{"JSON of 4 MiB and a byte", jsonPack(`{"id":"` + strings.Repeat("a", pack.MaxDocument) + `"}`), pack.RuleDocument, "pack.json", "at most 4194304"},
	{"JSON nested 65 deep", jsonPack(`{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`), pack.RuleDocument, "pack.json", "deeper than 64"},
	{"JSON nested a million deep", jsonPack(strings.Repeat("[", 1_000_000)), pack.RuleDocument, "pack.json", "deeper than 64"},
	{"JSON with 65,537 elements", jsonPack(`{"x":[` + strings.Repeat("0,", 65536) + `0]}`), pack.RuleDocument, "pack.json", `65536 elements in "/x"`},
	{"JSON with 65,537 members", jsonPack(manyMembers(65537)), pack.RuleDocument, "pack.json", "65536 elements"},
	{"JSON with a name twice", jsonPack(`{"id":"a","version":"1","id":"b"}`), pack.RuleSyntax, "pack.json", "duplicate"},
	{"JSON with a name twice where nobody looks", jsonPack(`{"id":"a","x":{"y":{"k":1,"k":2}}}`), pack.RuleSyntax, "pack.json", "duplicate"},
	{"JSON with an escaped name twice", jsonPack(`{"id":"a","i\u0064":"b"}`), pack.RuleSyntax, "pack.json", "duplicate"},
	{"JSON that is not UTF-8", jsonPack("{\"id\":\"\xff\"}"), pack.RuleSyntax, "pack.json", "UTF-8"},
	{"JSON with a lone surrogate", jsonPack(`{"id":"\ud800"}`), pack.RuleSyntax, "pack.json", "surrogate"},
	{"two JSON values", jsonPack(packJSON + "{}"), pack.RuleSyntax, "pack.json", "after"},
	{"JSON cut short", jsonPack(packJSON[:len(packJSON)-1]), pack.RuleSyntax, "pack.json", "EOF"},
	{"empty JSON", jsonPack(""), pack.RuleSyntax, "pack.json", "is empty"},
	{"JSON that is a list", jsonPack("[]"), pack.RuleManifest, "pack.json", "where an object is expected"},
	{"JSON null", jsonPack("null"), pack.RuleManifest, "pack.json", `no "id"`},
	{"id of a wrong type", jsonPack(`{"id":7}`), pack.RuleManifest, "pack.json", `"/id" is a number where a string is expected`},
	{"flows of a wrong type", jsonPack(`{"flows":{}}`), pack.RuleManifest, "pack.json", `"/flows" is an object where an array is expected`},
	{"flag of a wrong type", jsonPack(`{"meta":{"requires_public_base_url":"no"}}`), pack.RuleManifest, "pack.json", "is a string where true or false is expected"},
	{"list of a wrong type, under a hostile name", jsonPack(`{"meta":{"entry_flows":[{"id":{"\u202e":1}}]}}`), pack.RuleManifest, "pack.json", "no \"id\""},
	{"no id", jsonPack(`{"version":"1"}`), pack.RuleManifest, "pack.json", `no "id"`},
	{"no version", jsonPack(`{"id":"a"}`), pack.RuleManifest, "pack.json", `no "version"`},
	{"id in other case", jsonPack(`{"ID":"a","version":"1"}`), pack.RuleManifest, "pack.json", `no "id"`},
	{"two names for the id", jsonPack(`{"id":"a","packId":"a","version":"1"}`), pack.RuleManifest, "pack.json", "more than one"},
	{"entry_flows is a number", jsonPack(`{"id":"a","version":"1","meta":{"entry_flows":1}}`), pack.RuleManifest, "pack.json", "neither"},
	{"flow id is a number", jsonPack(`{"id":"a","version":"1","meta":{"entry_flows":{"setup":1}}}`), pack.RuleManifest, "pack.json", `"/setup"`},
	{"empty id", jsonPack(`{"id":"","version":"1"}`), pack.RuleIdentifier, "pack.json", "pack id is empty"},
	{"id with an escape sequence", jsonPack(`{"id":"a\u001b[2J","version":"1"}`), pack.RuleIdentifier, "pack.json", `\x1b`},
	{"version of 101 bytes", jsonPack(`{"id":"a","version":"` + strings.Repeat("1", 101) + `"}`), pack.RuleIdentifier, "pack.json", "101 bytes"},
	{"flow id is a path", jsonPack(`{"id":"a","version":"1","meta":{"entry_flows":{"setup":"../../x"}}}`), pack.RuleIdentifier, "pack.json", `"../../x"`},
	{"empty flow id", jsonPack(`{"id":"a","version":"1","meta":{"entry_flows":{"setup":""}}}`), pack.RuleIdentifier, "pack.json", `flow id of "setup" is empty`},
	{"legacy without version", jsonPack(`{"meta":{"pack_id":"a","entry_flows":["x"]},"flows":[]}`), pack.RuleManifest, "pack.json", `no "meta.version"`},
	{"legacy pack_id of a wrong type", jsonPack(`{"meta":{"pack_id":1}}`), pack.RuleManifest, "pack.json", `"/meta/pack_id" is a number`},
	{"legacy component twice", jsonPack(`{"meta":{"pack_id":"a","version":"1"},"components":[{"name":"c"},{"name":"c"}]}`), pack.RuleManifest, "pack.json", "twice"},
	{"source without name", func(*testing.T) []byte { return rawZip([]rawEntry{stored("pack.manifest.json", `{"version":"1"}`)}) }, pack.RuleManifest, "pack.manifest.json", `no "name"`},
	{"source without version", func(*testing.T) []byte { return rawZip([]rawEntry{stored("pack.manifest.json", `{"name":"a"}`)}) }, pack.RuleManifest, "pack.manifest.json", `no "version"`},
	{"entry_flows of numbers", jsonPack(`{"id":"a","version":"1","meta":{"entry_flows":[1]}}`), pack.RuleManifest, "pack.json", "is a number where an object is expected"},
	{"entrypoints of a wrong type", jsonPack(`{"id":"a","version":"1","flows":[{"id":"f","entrypoints":"setup"}]}`), pack.RuleManifest, "pack.json", "is a string where an array is expected"},
	{"entrypoints of numbers", jsonPack(`{"id":"a","version":"1","flows":[{"id":"f","entrypoints":[1]}]}`), pack.RuleManifest, "pack.json", "is a number where a string is expected"},
	{"pack-v1 in JSON without pack_id", jsonPack(`{"id":"a","version":"1","schema_version":"pack-v1"}`), pack.RuleManifest, "pack.json", `no "pack_id"`},
	{"pack-v2 in JSON", jsonPack(`{"id":"a","version":"1","schema_version":"pack-v2"}`), pack.RuleGeneration, "pack.json", `schema_version "pack-v2"`},
	{"a schema_version of a wrong type", jsonPack(`{"id":"a","version":"1","schema_version":1}`), pack.RuleGeneration, "pack.json", `schema_version "1"`},

	// CBOR.
	{"no CBOR", cborPack(""), pack.RuleSyntax, "manifest.cbor", "ends early"},
	{"CBOR string of 2^63 bytes", cborPack("7b8000000000000000"), pack.RuleSyntax, "manifest.cbor", "9223372036854775808 bytes with 0 bytes left"},
	{"CBOR bytes of 4 GiB", cborPack("5affffffff"), pack.RuleSyntax, "manifest.cbor", "4294967295 bytes"},
	{"CBOR array of 2^64-1", cborPack("9bffffffffffffffff"), pack.RuleDocument, "manifest.cbor", "18446744073709551615 elements"},
	{"CBOR map of 2^32-1", cborPack("baffffffff"), pack.RuleDocument, "manifest.cbor", "4294967295 elements"},
	{"CBOR array of 65,536 without content", cborPack("9a00010000"), pack.RuleSyntax, "manifest.cbor", "65536 elements with 0 bytes left"},
	{"CBOR map with half of its content", cborPack("a200"), pack.RuleSyntax, "manifest.cbor", "2 elements with 1 bytes left"},
	{"CBOR nested 65 deep", cborPack(strings.Repeat("81", 65) + "00"), pack.RuleDocument, "manifest.cbor", "deeper than 64"},
	{"CBOR nested a million deep", cborPack(strings.Repeat("81", 1_000_000)), pack.RuleDocument, "manifest.cbor", "deeper than 64"},
	{"CBOR key twice", cborPack("a2 6161 00 6161 01"), pack.RuleSyntax, "manifest.cbor", `"a" is there twice`},
	{"CBOR key twice where nobody looks", cborPack("a1 6178 81 a2 616b 00 616b 01"), pack.RuleSyntax, "manifest.cbor", `"k" is there twice`},
	{"CBOR key twice, two encodings", cborPack("a2 6161 00 780161 01"), pack.RuleSyntax, "manifest.cbor", `"a" is there twice`},
	{"CBOR key twice among many", cborPack("b82a" + manyKeys(41) + "613d00"), pack.RuleSyntax, "manifest.cbor", `"=" is there twice`},
	{"CBOR key that is no text", cborPack("a1 00 00"), pack.RuleSyntax, "manifest.cbor", "not text"},
	{"CBOR indefinite map without an end", cborPack("bf 6161 01"), pack.RuleSyntax, "manifest.cbor", "ends early"},
	{"CBOR break after a key", cborPack("bf 6161 ff"), pack.RuleSyntax, "manifest.cbor", "a break"},
	{"CBOR duplicate key in an indefinite map", cborPack("bf 6161 01 6161 02 ff"), pack.RuleSyntax, "manifest.cbor", "twice"},
	{"CBOR of too many values", cborPack("89" + strings.Repeat("9a00010000"+strings.Repeat("01", pack.MaxElements), 9)), pack.RuleDocument, "manifest.cbor", "more than 524288 values"},
	{"JSON of too many values", jsonPack("[" + strings.Repeat("["+strings.Repeat("0,", pack.MaxElements-1)+"0],", 8) + "0]"), pack.RuleDocument, "pack.json", "more than 524288 values"},
	{"CBOR indefinite array of too many", cborPack("81 9f" + strings.Repeat("01", pack.MaxElements+1) + "ff"), pack.RuleDocument, "manifest.cbor", "more than"},
	{"CBOR indefinite text", cborPack("7f 6161 ff"), pack.RuleSyntax, "manifest.cbor", "indefinite length"},
	{"CBOR break in a definite array", cborPack("81 ff"), pack.RuleSyntax, "manifest.cbor", "a break"},
	{"CBOR break alone", cborPack("ff"), pack.RuleSyntax, "manifest.cbor", "a break"},
	{"CBOR tag", cborPack("c0 60"), pack.RuleSyntax, "manifest.cbor", "a tag"},
	{"CBOR self-describing tag", cborPack("d9d9f7 a0"), pack.RuleSyntax, "manifest.cbor", "a tag"},
	{"CBOR reserved", cborPack("1c"), pack.RuleSyntax, "manifest.cbor", "reserved"},
	{"CBOR text that is not UTF-8", cborPack("a1 61ff 00"), pack.RuleSyntax, "manifest.cbor", "not UTF-8"},
	{"CBOR and more", cborPack("a0 00"), pack.RuleSyntax, "manifest.cbor", "1 bytes after the end"},
	{"CBOR head cut short", cborPack("1b00"), pack.RuleSyntax, "manifest.cbor", "ends early"},
	{"CBOR simple value in two bytes", cborPack("a1 6161 f810"), pack.RuleSyntax, "manifest.cbor", "simple value"},
	{"CBOR list", cborPack("80"), pack.RuleManifest, "manifest.cbor", "array"},
	{"CBOR of no generation", cborPack("a0"), pack.RuleManifest, "manifest.cbor", `no "id"`},
	{"CBOR of a later generation", v1(func(m object) { m["schema_version"] = "pack-v2" }), pack.RuleGeneration, "manifest.cbor", `"pack-v2"`},
	{"CBOR legacy without version", cborPack("a1 646d657461 a1 677061636b5f6964 6161"), pack.RuleManifest, "manifest.cbor", `no "meta.version"`},
	{"CBOR infinity", cborPack("a1 6161 f97c00"), pack.RuleSyntax, "manifest.cbor", "not finite"},
	{"CBOR NaN", cborPack("a1 6161 fb7ff8000000000000"), pack.RuleSyntax, "manifest.cbor", "not finite"},
	{"CBOR unassigned simple value", cborPack("a1 6161 e0"), pack.RuleSyntax, "manifest.cbor", "simple value 0"},
	{"CBOR without pack_id", v1(func(m object) { delete(m, "pack_id") }), pack.RuleManifest, "manifest.cbor", `no "pack_id"`},
	{"CBOR without version", v1(func(m object) { delete(m, "version") }), pack.RuleManifest, "manifest.cbor", `no "version"`},
	{"CBOR with PACK_ID", v1(func(m object) { delete(m, "pack_id"); m["PACK_ID"] = "p" }), pack.RuleManifest, "manifest.cbor", `no "pack_id"`},
	{"CBOR version is a number", v1(func(m object) { m["version"] = 1 }), pack.RuleManifest, "manifest.cbor", `"/version" is a number where a string is expected`},
	{"CBOR pack_id is a list", v1(func(m object) { m["pack_id"] = []int{} }), pack.RuleManifest, "manifest.cbor", `"/pack_id" is an array where a string or an index is expected`},
	{"component listed twice", v1(func(m object) { m["components"] = []object{{"id": 0}, {"id": 0}} }), pack.RuleManifest, "manifest.cbor", "twice"},
	{"symbol of the pack", v1(func(m object) { m["pack_id"] = 1 }), pack.RuleSymbol, "manifest.cbor", "invalid symbol index 1 in pack_ids"},
	{"symbol without tables", v1(func(m object) { delete(m, "symbols") }), pack.RuleSymbol, "manifest.cbor", "invalid symbol index 0 in pack_ids"},
	{"symbol beyond 2^63", v1(func(m object) { m["pack_id"] = uint64(1<<64 - 1) }), pack.RuleSymbol, "manifest.cbor", "invalid symbol index 18446744073709551615"},
	{"symbol of a component", v1(func(m object) { m["components"] = []object{{"id": 9}} }), pack.RuleSymbol, "manifest.cbor", "invalid symbol index 9 in component_ids"},
	{"symbol of a capability", v1(func(m object) { m["capabilities"] = []object{{"name": 0}} }), pack.RuleSymbol, "manifest.cbor", "invalid symbol index 0 in capability_names"},
	{"symbol of a node", v1(func(m object) { m["flows"] = []object{setupFlow(0, 2)} }), pack.RuleStep, "", `flow: the flow cannot be read: "manifest.cbor": invalid symbol index 2 in component_ids`},
	{"component id is a path", v1(func(m object) {
		m["components"] = []object{{"id": "../../x"}}
		m["flows"] = []object{setupFlow()}
	}), pack.RuleStep, "", "part of a path"},
	{"component version is a path", v1(func(m object) {
		m["components"] = []object{{"id": 0, "version": "1/../../x"}}
		m["flows"] = []object{setupFlow()}
	}), pack.RuleStep, "", `"components/a.wasm", "components/a/component.wasm"`},

	// Setup, steps and components.
	{"no setup", jsonPack(`{"id":"a","version":"1"}`), pack.RuleSetup, "pack.json", `no flow has that entrypoint, none has the id "setup_default", no extension names a flow or a provider for it, and the capability "provisioning:none"`},
	{"no step", func(*testing.T) []byte { return rawZip(sound()[:1]) }, pack.RuleStep, "", `"setup_default__apply" (.wasm, .wat) in "components", "wasm", "."`},
	{"only another step", func(*testing.T) []byte {
		return rawZip(append(sound()[:1], stored("wasm/setup_default__collect.wat", "(module)")))
	}, pack.RuleStep, "", `there is only "wasm/setup_default__collect.wat"`},
	{"component not bundled", v1(func(m object) {
		m["components"] = []object{{"id": 1, "version": "1.2"}}
		m["flows"] = []object{setupFlow()}
	}), pack.RuleStep, "", `"components/b.wasm", "components/b@1.2/component.wasm", "components/b/component.wasm", "components/b/b.wasm"`},
	{"many components and no provider", v1(func(m object) {
		var rows []object
		for i := range 12 {
			rows = append(rows, object{"id": strings.Repeat("é", 100) + strconv.Itoa(i)})
		}
		m["components"] = rows
		m["flows"] = []object{setupFlow()}
	}), pack.RuleStep, "", strings.Repeat("é", 60) + `"…`},
	{"flow without nodes", v1(func(m object) { m["flows"] = []object{setupFlow()} }), pack.RuleStep, "", "the flow has no nodes"},
	{"empty wasm", applyModule("wasm", ""), pack.RuleComponent, "setup_default__apply.wasm", "0 bytes long"},
	{"not wasm", applyModule("wasm", "MZ\x90\x00\x03\x00\x00\x00"), pack.RuleComponent, "", "begins with 4d 5a"},
	{"wasm of an unknown layer", applyModule("wasm", "\x00asm\x0d\x00\x02\x00"), pack.RuleComponent, "", "neither a core module nor a component"},
	{"text as wasm", applyModule("wasm", " (module)"), pack.RuleComponent, "", "under the name of a binary"},
	{"wasm as text", applyModule("wat", "\x00asm\x01\x00\x00\x00"), pack.RuleComponent, "", "not UTF-8 text"},
	{"empty text", applyModule("wat", " \n"), pack.RuleComponent, "", "not WebAssembly text"},
	{"prose", applyModule("wat", "module"), pack.RuleComponent, "", "not WebAssembly text"},
	{"text that is not UTF-8", applyModule("wat", "(module \xff)"), pack.RuleComponent, "", "not UTF-8"},
}

func bytesOf(s string) func(*testing.T) []byte {
	return func(*testing.T) []byte { return []byte(s) }
}

func jsonPack(manifest string) func(*testing.T) []byte {
	return func(*testing.T) []byte { return rawZip([]rawEntry{stored("pack.json", manifest)}) }
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// manyKeys are n keys of one byte, from '!' on, each with the value 0.
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "61%02x00", '!'+i)
	}
	return b.String()
}

func cborPack(hexText string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(hexText, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return rawZip([]rawEntry{stored("manifest.cbor", string(b))})
	}
}

type object = map[string]any

// v1 is a pack-v1 pack with the component ids a and b, whose manifest edit
// changes.
func v1(edit func(object)) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		m := object{
			"schema_version": "pack-v1",
			"pack_id":        0,
			"version":        "1.0.0",
			"symbols": object{"pack_ids": []string{"p"}, "component_ids": []string{"a", "b"},
				"node_ids": []string{"n0", "n1", "n2"}},
		}
		edit(m)
		b, err := cbor.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return rawZip([]rawEntry{stored("manifest.cbor", string(b))})
	}
}

// setupFlow is a flow setup_default with one node per component.
func setupFlow(components ...any) object {
	nodes := []object{}
	for i, c := range components {
		nodes = append(nodes, object{"id": i, "component": object{"id": c}})
	}
	return object{"id": "setup_default", "entrypoints": []string{"setup"}, "flow": object{"nodes": nodes}}
}

func applyModule(ext, content string) func(*testing.T) []byte {
	return func(*testing.T) []byte {
		return rawZip(append(sound()[:1], stored("setup_default__apply."+ext, content)))
	}
}

// many is an archive of n empty entries whose end record counts count.
func many(n, count int) func(*testing.T) []byte {
	return func(*testing.T) []byte {
		entries := make([]rawEntry, n)
		for i := range entries {
			entries[i].name = strconv.FormatInt(int64(i), 36)
		}
		return rawZip(entries, func(e *end) { e.here, e.all = uint16(count), uint16(count) })
	}
}

// zip64Locator puts a locator where archive/zip would look for one when the
// central directory is 65,535 bytes long.
func zip64Locator(*testing.T) []byte {
	e := stored("x", "")
	locator := append([]byte("PK\x06\x07"), make([]byte, 16)...)
	e.extra = append([]byte{0xfe, 0xca, byte(len(locator)), 0}, locator...)
	return rawZip(sound(e))
}

func zip64Extra(usize, csize uint64) []byte {
	b := []byte{1, 0, 16, 0}
	b = binary.LittleEndian.AppendUint64(b, usize)
	return binary.LittleEndian.AppendUint64(b, csize)
}

// others are refused when asked for another entry than setup, or on other terms.
var others = []struct {
	options pack.Options
	refusal
}{
	{pack.Options{Entry: pack.EntrySubscriptions}, refusal{"no subscriptions", jsonPack(packJSON), pack.RuleSubscriptions, "pack.json", `names no "subscriptions"`}},
	{pack.Options{Entry: pack.EntryUpdate}, refusal{"no update", jsonPack(packJSON), pack.RuleUpdate, "pack.json", `the id "update"`}},
	{pack.Options{Entry: pack.EntryRemove}, refusal{"no remove", jsonPack(packJSON), pack.RuleRemove, "pack.json", `no flow has that entrypoint`}},
	{pack.Options{Entry: pack.EntryUpdate}, refusal{"modules of setup serve no update", func(*testing.T) []byte {
		return rawZip([]rawEntry{stored("pack.json", `{"id":"p","version":"1","meta":{"entry_flows":{"update":"change"}}}`), sound()[1]})
	}, pack.RuleStep, "", `looked for "change__apply" and "update_default__apply" and "update__apply"`}},
	{pack.Options{Entry: pack.EntrySubscriptions}, refusal{"no module for subscriptions", func(*testing.T) []byte {
		return rawZip([]rawEntry{stored("pack.json", `{"id":"p","version":"1","meta":{"entry_flows":{"subscriptions":"sync"}}}`), sound()[1]})
	}, pack.RuleStep, "", `no module for the step "subscriptions"`}},
	{pack.Options{Provider: "b"}, refusal{"another provider", jsonPack(`{"id":"p","version":"1","extensions":{"greentic.ext.provider":{"inline":{"providers":[{"provider_type":"a","runtime":{"component_ref":"c"}}]}}}}`),
		pack.RuleStep, "", `the pack declares no provider "b"; it has "a"`}},
	{pack.Options{}, refusal{"one of two providers", jsonPack(`{"id":"p","version":"1","extensions":{"greentic.provider-extension.v1":{"inline":{"providers":[{"provider_type":"a"},{"provider_type":"b"}]}}}}`),
		pack.RuleStep, "", `the pack declares the providers "a", "b": say which one is meant`}},
	{pack.Options{}, refusal{"a provider without a component", jsonPack(`{"id":"p","version":"1","extensions":{"greentic.provider-extension.v1":{"inline":{"providers":[{"provider_type":"a"}]}}}}`),
		pack.RuleStep, "", `the provider "a" names no component`}},
	{pack.Options{}, refusal{"inventory", func(*testing.T) []byte {
		return rawZip(sound(stored("sbom.json", `{"format":"greentic-sbom-v1","files":[{"path":"gone","size":1,"hash_blake3":"`+strings.Repeat("0", 64)+`","media_type":"x"}]}`)))
	}, pack.RuleIntegrity, "gone", "listed but absent"}},
	{pack.Options{Integrity: integrity.Policy{RequireSignature: true}}, refusal{"no signature", func(*testing.T) []byte { return rawZip(sound()) }, pack.RuleIntegrity, "", "signature required"}},
}

func TestRefusals(t *testing.T) {
	seen := map[pack.Rule]bool{pack.RuleArchiveSize: true, pack.RuleFlow: true} // TestLargeFiles, TestFlowIsUnreadable
	check := func(r refusal, o pack.Options) {
		seen[r.rule] = true
		t.Run(r.name, func(t *testing.T) {
			b, err := pack.OpenBytes(r.build(t), "some.gtpack", o)
			if b != nil || err == nil {
				t.Fatalf("accepted: %+v", b)
			}
			e, ok := errors.AsType[*pack.Error](err)
			if !ok {
				t.Fatalf("%T: %v; want *pack.Error", err, err)
			}
			if e.Rule != r.rule || !strings.Contains(e.Detail, r.want) {
				t.Errorf("got  %s: %s\nwant %s: …%s…", e.Rule, e.Detail, r.rule, r.want)
			}
			if r.entry != "" && e.Entry != r.entry {
				t.Errorf("entry %q; want %q", e.Entry, r.entry)
			}
			if e.Path != "some.gtpack" {
				t.Errorf("path %q", e.Path)
			}
			checkMessage(t, err)
		})
	}
	for _, r := range slices.Concat(refusals, tarRefusals) {
		check(r, pack.Options{})
	}
	for _, r := range others {
		check(r.refusal, r.options)
	}
	for _, rule := range rules(t) {
		if !seen[rule] {
			t.Errorf("no pack breaks the rule %q", rule)
		}
	}
}

// checkMessage holds for every error: one line, nothing a terminal would obey,
// and of bounded length.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	s := err.Error()
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("message has %q at %d", s[i], i)
	}
	if len(s) > 3000 {
		t.Errorf("message is %d bytes long: %s", len(s), s)
	}
}

// rules reads the constants of type Rule from the source.
func rules(t *testing.T) []pack.Rule {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []pack.Rule
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Rule" {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pack.Rule(s))
		}
		return true
	})
	if len(out) < 20 {
		t.Fatalf("found only %d rules", len(out))
	}
	return out
}

// The package comment is the specification: it names each rule.
func TestEveryRuleIsSpecified(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(f.Doc.Text()), " ")
	for _, rule := range rules(t) {
		if !strings.Contains(text, `"`+string(rule)+`"`) {
			t.Errorf("the package comment does not say what %q asks", rule)
		}
	}
}

// Just inside each limit a pack opens.
func TestLimitsAreReached(t *testing.T) {
	for name, more := range map[string][]rawEntry{
		"name of 512 bytes":   {stored(strings.Repeat("a", 512), "")},
		"32 elements":         {stored(strings.Repeat("a/", 31)+"a", "")},
		"entry of 64 MiB":     {deflated("x", make([]byte, pack.MaxEntry))},
		"archive in archive":  {stored("inner.zip", string(rawZip(sound())))},
		"directory entry":     {{name: "d/", attrs: 0o040755 << 16}, stored("d/x", "x")},
		"no mode":             {{name: "x"}},
		"colon":               {stored("components/setup_default::collect.wasm", "")},
		"empty deflate entry": {deflated("x", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pack.OpenBytes(rawZip(sound(more...)), "x", pack.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("4,096 entries", func(t *testing.T) {
		entries := sound()
		for i := len(entries); i < pack.MaxEntries; i++ {
			entries = append(entries, stored("f"+strconv.Itoa(i), ""))
		}
		if _, err := pack.OpenBytes(rawZip(entries), "x", pack.Options{}); err != nil {
			t.Error(err)
		}
	})
	for name, manifest := range map[string]string{
		"nesting 64":      `{"id":"p","version":"1","meta":{"entry_flows":{"setup":"setup_default"}},"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
		"65,536 elements": `{"id":"p","version":"1","meta":{"entry_flows":{"setup":"setup_default"}},"x":[` + strings.Repeat("0,", 65535) + `0]}`,
		"4 MiB":           packJSON + strings.Repeat(" ", pack.MaxDocument-len(packJSON)),
		"id of 100 bytes": `{"id":"` + strings.Repeat("a", 100) + `","version":"1","meta":{"entry_flows":{"setup":"setup_default"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pack.OpenBytes(rawZip([]rawEntry{stored("pack.json", manifest), sound()[1]}), "x", pack.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A pack cut anywhere is refused, and one with any byte changed is refused or
// means the same.
func TestDamage(t *testing.T) {
	whole := rawZip(append(sound()[:1], deflated("setup_default__apply.wat", []byte("(module (; "+strings.Repeat("x", 200)+" ;))"))))
	want, err := pack.OpenBytes(whole, "x", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := pack.OpenBytes(whole[:n], "x", pack.Options{}); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", n, len(whole))
		}
	}
	refused := 0
	for i := range whole {
		for _, mask := range []byte{0x01, 0x20, 0xff} {
			b := bytes.Clone(whole)
			b[i] ^= mask
			got, err := pack.OpenBytes(b, "x", pack.Options{})
			if err != nil {
				refused++
				checkMessage(t, err)
			} else if got.Digest != want.Digest {
				t.Errorf("byte %d ^ %#x: accepted with other content", i, mask)
			}
		}
	}
	if refused < len(whole) { // most bytes must matter
		t.Errorf("only %d of %d damages were noticed", refused, 3*len(whole))
	}
}

// What the machine refuses is not the pack's fault.
func TestMachineErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.gtpack")
	for name, open := range map[string]func() error{
		"open":    func() error { _, err := pack.Open(missing, pack.Options{}); return err },
		"inspect": func() error { _, err := pack.Inspect(missing, pack.Options{}); return err },
	} {
		err := open()
		if _, ours := errors.AsType[*pack.Error](err); ours || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %T %v; want fs.ErrNotExist", name, err, err)
		}
		if _, ok := errors.AsType[*fs.PathError](err); !ok {
			t.Errorf("%s: %T; want *fs.PathError", name, err)
		}
	}
	t.Run("permission", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may read everything")
		}
		locked := filepath.Join(t.TempDir(), "locked.gtpack")
		if err := os.WriteFile(locked, nil, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := pack.Open(locked, pack.Options{}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v; want fs.ErrPermission", err)
		}
	})
}

// Files that are too large are refused before they are read: these are holes.
func TestLargeFiles(t *testing.T) {
	hole := func(t *testing.T, name string, size int64) {
		t.Helper()
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	wantRule := func(t *testing.T, err error, rule pack.Rule) {
		t.Helper()
		if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != rule {
			t.Errorf("got %v; want rule %q", err, rule)
		}
	}
	t.Run("archive", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "x.gtpack")
		hole(t, name, pack.MaxArchive+1)
		_, err := pack.Open(name, pack.Options{})
		wantRule(t, err, pack.RuleArchiveSize)
	})
	t.Run("manifest", func(t *testing.T) {
		dir := t.TempDir()
		hole(t, filepath.Join(dir, "pack.json"), pack.MaxDocument+1)
		_, err := pack.Open(dir, pack.Options{})
		wantRule(t, err, pack.RuleDocument)
	})
	t.Run("module", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pack.json"), []byte(packJSON), 0o644); err != nil {
			t.Fatal(err)
		}
		hole(t, filepath.Join(dir, "setup_default__apply.wasm"), pack.MaxEntry+1)
		_, err := pack.Open(dir, pack.Options{})
		wantRule(t, err, pack.RuleEntrySize)
	})
	t.Run("beside the pack", func(t *testing.T) {
		dir := t.TempDir()
		for name, text := range map[string]string{"pack.json": packJSON, "setup_default__apply.wat": "(module)"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		hole(t, filepath.Join(dir, "target.bin"), 1<<40)
		if _, err := pack.Open(dir, pack.Options{}); err != nil {
			t.Errorf("a file that no run needs counts: %v", err)
		}
	})
}

// The package comment names each finding, and a test has each.
func TestEveryFindingIsSpecified(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`"([A-Z]+(_[A-Z]+)+)"`)
	fixtures, err := filepath.Glob("testdata/packs/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var had strings.Builder
	for _, name := range slices.Concat(sources, fixtures) {
		if b, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		} else if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".txtar") {
			had.Write(b)
		}
	}
	seen := map[string]bool{}
	for _, name := range sources {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(string(b), -1) {
			seen[m[1]] = true
			if !strings.Contains(f.Doc.Text(), m[1]) {
				t.Errorf("%s is not in the package comment", m[1])
			}
			if !strings.Contains(had.String(), m[1]) {
				t.Errorf("no test has %s", m[1])
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d findings", len(seen))
	}
}

// Findings are bounded: a manifest names as many components as it likes.
func TestFindingsAreBounded(t *testing.T) {
	nodes := make([]any, 1000)
	for i := range nodes {
		nodes[i] = "c" + strconv.Itoa(i)
	}
	b, err := pack.OpenBytes(v1(func(m object) {
		ids := make([]string, len(nodes))
		for i := range ids {
			ids[i] = "n" + strconv.Itoa(i)
		}
		m["symbols"].(object)["node_ids"] = ids
		m["flows"] = []object{setupFlow(nodes...)}
	})(t), "x", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := b.Findings[len(b.Findings)-1]
	if len(b.Findings) != 201 || last.Code != "FINDINGS_OMITTED" || last.Message != "800 more findings are not shown" {
		t.Errorf("%d findings, the last %+v", len(b.Findings), last)
	}
}

// A flow that cannot be read is named with the file that it is in.
func TestFlowIsUnreadable(t *testing.T) {
	_, err := pack.OpenBytes(rawZip([]rawEntry{stored("pack.json", packJSON), stored("flows/setup_default/flow.json", "{")}), "x", pack.Options{})
	e, ok := errors.AsType[*pack.Error](err)
	if !ok || e.Rule != pack.RuleStep || !strings.Contains(e.Detail, `the flow cannot be read: "flows/setup_default/flow.json": `) {
		t.Errorf("got %v", err)
	}
}

// Source trees have a pack.lock in YAML that names no binary.
func TestLockIsUnreadable(t *testing.T) {
	for name, lock := range map[string]string{"YAML": "components:\n  - id: a", "a number": `{"components":7}`, "rows of numbers": `{"components":[7]}`, "a map of numbers": `{"components":{"a":7}}`} {
		archive := fstest.MapFS{"pack.lock": {Data: []byte(lock)}, "manifest.json": {Data: []byte(`{"schema_version":"pack-v1","pack_id":"p","version":"1","flows":[{"id":"setup_default","flow":{"nodes":[{"id":"n","component":{"id":"a"}}]}}]}`)}}
		b, err := pack.OpenBytes(zipOf(t, archive), "x", pack.Options{AllowUnverified: true})
		if err != nil {
			t.Fatal(err)
		}
		if c := codes(b); !strings.Contains(c, "LOCK_UNREADABLE pack.lock") {
			t.Errorf("%s: findings %s", name, c)
		}
	}
}

// All documents together are bounded, too: here the ninth is one too many.
func TestDocumentsAreBounded(t *testing.T) {
	full := func(text string) []byte {
		return []byte(text + strings.Repeat(" ", pack.MaxDocument-100-len(text)))
	}
	i, err := pack.Inspect(lay(t, fstest.MapFS{
		"manifest.json": {Data: full(`{"schema_version":"pack-v1","pack_id":"p","version":"1","components":[{"id":"c"}],"extensions":{"greentic.ext.provider":{"inline":{"providers":[
			{"provider_type":"t","config_schema_ref":"schema.json","runtime":{"component_ref":"c"}}]}}}}`)},
		"assets/pack.json":                     {Data: full(`{"meta":{"entry_flows":{"setup":"s"}}}`)},
		"flows/s.json":                         {Data: full(`{"id":"s","nodes":{"n":{"component":"c"}}}`)},
		"setup.yaml":                           {Data: full("")},
		"secret-requirements.json":             {Data: full("[]")},
		"requirements.json":                    {Data: full("{}")},
		"schema.json":                          {Data: full("{}")},
		"pack.lock.json":                       {Data: full(`{"schema_version":1,"components":[]}`)},
		"components/c/component.manifest.json": {Data: full(`{"id":"c"}`)},
	}), pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := slices.IndexFunc(i.Findings, func(f plan.Diagnostic) bool { return f.Code == "COMPONENT_MANIFEST_UNREADABLE" })
	if n < 0 || !strings.Contains(i.Findings[n].Message, "more than the 33554432 bytes") {
		t.Errorf("findings %+v", i.Findings)
	}
}

// One file can serve for any number of flows and components. What is made of it is
// bounded, not only what is read.
func TestAFileThatServesOftenIsBounded(t *testing.T) {
	const times = 3000
	var flows, calls, components, manifests []string
	for i := range times {
		flows = append(flows, fmt.Sprintf(`{"id":"f%d","file":"one.json"}`, i))
		calls = append(calls, fmt.Sprintf(`"n%d":{"component":"flow.call","input":{"mapping":{"flow":"f%d"}}}`, i, i))
		components = append(components, fmt.Sprintf(`{"id":"c%d"}`, i))
		manifests = append(manifests, fmt.Sprintf(`{"component_id":"c%d","manifest_file":"one.json"}`, i))
	}
	one := `{"id":"one","nodes":{"x":{"component":"c"}},"operations":[` + strings.Repeat("{},", 65000) + `{}]}`
	dir := lay(t, fstest.MapFS{
		"pack.manifest.json": {Data: []byte(`{"name":"p","version":"1","flows":[{"id":"setup_default","file":"main.json"},` + strings.Join(flows, ",") + `],"component_sources":[` + strings.Join(components, ",") +
			`],"extensions":{"greentic.pack.component_manifests@v1":{"inline":{"entries":[` + strings.Join(manifests, ",") + `]}}}}`)},
		"main.json": {Data: []byte(`{"id":"main","nodes":{` + strings.Join(calls, ",") + `}}`)},
		"one.json":  {Data: []byte(one)},
	})
	i, err := pack.Inspect(dir, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	most := pack.MaxDocument / len(one)
	if n := len(i.Nodes) - times; n < 1 || n > most {
		t.Errorf("%d flows were made of one file; at most %d fit into %d bytes", n, most, pack.MaxDocument)
	}
	described := 0
	for _, c := range i.Components {
		if c.Own != nil {
			described++
		}
	}
	if described < 1 || described > most {
		t.Errorf("%d manifests were made of one file; at most %d fit into %d bytes", described, most, pack.MaxDocument)
	}
}

// A flow that many nodes call is looked at once, also when it cannot be read.
func TestAFlowIsMetOnce(t *testing.T) {
	var calls []string
	for i := range 1000 {
		calls = append(calls, fmt.Sprintf(`"n%d":{"component":"flow.call","input":{"mapping":{"flow":%q}}}`, i, []string{"absent", "broken"}[i%2]))
	}
	b, err := pack.Open(lay(t, fstest.MapFS{
		"pack.json":                     {Data: []byte(`{"id":"p","version":"1","flows":[{"id":"setup_default"}]}`)},
		"flows/setup_default/flow.json": {Data: []byte(`{"id":"setup_default","nodes":{` + strings.Join(calls, ",") + `}}`)},
		"flows/broken.json":             {Data: []byte("{")},
	}), pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := codes(b)
	if strings.Count(got, "FLOW_ABSENT") != 1 || strings.Count(got, "FLOW_UNREADABLE") != 1 {
		t.Errorf("findings %s", got)
	}
}

// All flows of a run have together no more nodes than one may have.
func TestNodesOfAllFlowsAreBounded(t *testing.T) {
	graph := func(next string) []byte {
		nodes := []string{fmt.Sprintf(`"call":{"component":"flow.call","input":{"mapping":{"flow":%q}}}`, next)}
		for i := range flow.MaxNodes/2 - 1 {
			nodes = append(nodes, fmt.Sprintf(`"n%d":{"component":"questions"}`, i))
		}
		return []byte(`{"id":"any","nodes":{` + strings.Join(nodes, ",") + `}}`)
	}
	b, err := pack.OpenBytes(zipOf(t, fstest.MapFS{
		"pack.json":                {Data: []byte(`{"id":"p","version":"1","flows":[{"id":"setup_default"}]}`)},
		"flows/setup_default.json": {Data: graph("second")},
		"flows/second.json":        {Data: graph("third")},
		"flows/third.json":         {Data: graph("")},
	}), "x", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Graphs) != 2 || !strings.Contains(codes(b), "FLOW_UNREADABLE") {
		t.Errorf("%d flows, findings %s", len(b.Graphs), codes(b))
	}
}

// What is named after its content has that content.
func TestABlobHasTheDigestOfItsName(t *testing.T) {
	const other = "blobs/sha256/abababababababababababababababababababababababababababababababab.wasm"
	archive := zipOf(t, fstest.MapFS{
		"manifest.json": {Data: []byte(`{"schema_version":"pack-v1","pack_id":"p","version":"1","flows":[{"id":"setup_default","flow":{"nodes":[{"id":"n","component":{"id":"c"}}]}}],"extensions":
			{"greentic.pack.component_sources@v1":{"inline":{"components":[{"name":"c","resolved":{"digest":"sha256:` + other[len("blobs/sha256/"):len(other)-len(".wasm")] + `"}}]}}}}`)},
		other: {Data: []byte("\x00asm\x0d\x00\x01\x00")},
	})
	b, err := pack.OpenBytes(archive, "x", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Components) != 0 || !strings.Contains(codes(b), "COMPONENT_UNREADABLE "+other) {
		t.Errorf("binaries %v, findings %s", b.Components, codes(b))
	}
}

// The questions are those of the first offer, which is also whose component is
// asked.
func TestOnlyTheFirstOfferAsks(t *testing.T) {
	b, err := pack.OpenBytes(zipOf(t, fstest.MapFS{
		"pack.json": {Data: []byte(`{"id":"p","version":"1","meta":{"entry_flows":{"setup":"s"}},"extensions":{"greentic.ext.capabilities.v1":{"inline":{"offers":[
			{"offer_id":"a","requires_setup":true,"setup":{"qa_ref":"absent.yaml"}},{"offer_id":"b","requires_setup":true,"setup":{"qa_ref":"other.yaml"}}]}}}}`)},
		"other.yaml":               {Data: []byte("title: of the other\n")},
		"setup.yaml":               {Data: []byte("title: of the pack\n")},
		"setup_default__apply.wat": {Data: []byte("(module)")},
	}), "x", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Setup == nil || b.Setup.Path != "setup.yaml" {
		t.Errorf("questions %+v", b.Setup)
	}
}

// Nothing says that a lock below assets/ is right, so it finds no binary.
func TestALockBelowAssetsFindsNothing(t *testing.T) {
	b, err := pack.OpenBytes(zipOf(t, fstest.MapFS{
		"manifest.json":         {Data: []byte(`{"schema_version":"pack-v1","pack_id":"p","version":"1","flows":[{"id":"setup_default","flow":{"nodes":[{"id":"n","component":{"id":"c"}}]}}]}`)},
		"assets/pack.lock.json": {Data: []byte(`{"schema_version":1,"components":[{"name":"c","path":"x.wasm","sha256":"` + strings.Repeat("ab", 32) + `"}]}`)},
		"x.wasm":                {Data: []byte("\x00asm\x0d\x00\x01\x00")},
	}), "x", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Components) != 0 {
		t.Errorf("runs %s", b.Components[0].Path)
	}
}

// A file that the manifest names decides what is run, whatever it is called: one
// that the inventory does not list is an error.
func TestWhatIsUsedIsInTheInventory(t *testing.T) {
	for name, c := range map[string]struct{ files fstest.MapFS }{
		"binary": {fstest.MapFS{"bin/c": {Data: []byte("\x00asm\x0d\x00\x01\x00")}}},
		"graph":  {fstest.MapFS{"graphs/s.json": {Data: []byte(`{"id":"s","nodes":{"n":{"component":"c"}}}`)}}},
	} {
		c.files["pack.manifest.json"] = &fstest.MapFile{Data: []byte(`{"name":"p","version":"1","flows":[{"id":"setup_default","file":"graphs/s.json"}],"component_sources":[{"id":"c","wasm":"bin/c"}]}`)}
		c.files["setup_default__apply.wat"] = &fstest.MapFile{Data: []byte("(module)")}
		inventory := sbomOf(c.files, "pack.manifest.json", "setup_default__apply.wat")
		c.files["sbom.json"] = &fstest.MapFile{Data: inventory}
		_, err := pack.OpenBytes(zipOf(t, c.files), "x", pack.Options{})
		e, ok := errors.AsType[*pack.Error](err)
		if !ok || e.Rule != pack.RuleIntegrity || !strings.Contains(e.Detail, "not in inventory") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func sbomOf(files fstest.MapFS, names ...string) []byte {
	var rows []string
	for _, n := range names {
		h := integrity.NewHash()
		h.Write(files[n].Data)
		rows = append(rows, fmt.Sprintf(`{"path":%q,"size":%d,"hash_blake3":%q}`, n, h.Sum().Size, h.Sum().BLAKE3))
	}
	return []byte(`{"format":"greentic-sbom-v1","files":[` + strings.Join(rows, ",") + `]}`)
}
