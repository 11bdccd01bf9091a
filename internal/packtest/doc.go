// Package packtest makes packs for tests from sources that people can read: no
// binary file and no hash that somebody would have to update is checked in.
//
// A source is a directory or a txtar archive. Several of them are laid over each
// other: of one name, the last counts. What a file becomes is told by the end of
// its name:
//
//	NAME.cbor-json   NAME.cbor, with the CBOR of the JSON text
//	NAME.hex         NAME, with the bytes; what is behind a ';' is a comment
//	NAME.wat-answer  NAME.wat, a core module that answers every step with the text
//	NAME.absent      nothing: the sources before had NAME, this pack has not
//	NAME             NAME, as it is
//
// In all of them, before they become what they become, these words stand for what
// they say of the finished pack. A source that does without them can lie.
//
//	$guest(NAME)        the text of a guest, testdata/contracts/NAME.wat
//	$size(FILE)         the size of another file of the pack, a number
//	$sha256(FILE)       its SHA-256 in hexadecimal
//	$blake3(FILE)       its BLAKE3 in hexadecimal
//	$inventory(FILE …)  the rows of an SBOM, JSON objects with commas between them,
//	                    of every file but those named, other SBOMs and signatures/*
//	$digest()           what the signature of an archive covers, in hexadecimal
//	$sign(KEY)          the signature of it, in base64url
//	$public(KEY)        the public key in hexadecimal
//	$fingerprint(KEY)   the BLAKE3 of that key
//	$certificate(KEY ISSUER FROM TO)
//	                    a PEM block: KEY's certificate by ISSUER, another KEY, for
//	                    days like 2026-01-31; with "authority" behind them it may
//	                    sign others
//
// Keys are made of their names and are the same in every run.
package packtest
