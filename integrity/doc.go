// Package integrity checks what a pack says about its own bytes: the inventory
// (SBOM), the locks, the hashes inside the manifest, and the signatures.
//
// It is told by whoever opened the pack what there is ([Input]) and answers with
// everything that does not add up, not only the first ([Report]). Only trouble
// with the machine is an error; a pack that lies, however, has problems. Whatever
// a pack says is hostile: documents are bounded before they are read and counted
// before they are kept, and what a problem repeats of them is escaped and cut.
//
// # Inventory
//
// sbom.cbor and sbom.json hold {format: "greentic-sbom-v1", files: [{path, size,
// hash_blake3, media_type}]}; where both are there, both are checked. Each file is
// there, once, with the size and BLAKE3 that are listed. Each file of the pack is
// listed, but for the two inventories and signatures/*. One that is not is an
// error if it can be run or decides what is ([Input].Used, *.wasm, *.wat, *.ygtc,
// manifest*, pack.json, pack.manifest.json, flows/, pack.lock*, also below
// assets/), else a warning: the program would look at what the inventory's author
// never saw. An empty inventory (real packs hold a CBOR map of one byte) is a
// warning, and so is none, except in a directory, where it is for information
// only.
//
// # Locks
//
// pack.lock.cbor, pack.lock.json and pack.lock, each also below assets/, are CBOR
// or JSON in one of two shapes: {version: 1, components: {ID: {component_id,
// resolved_digest}}} or {schema_version: 1, components: [{name, component_id,
// bundled_path|path, wasm_sha256|sha256, resolved_digest|digest}]}. A digest is
// the SHA-256 of the component's file: of the bundled path and of the one of
// [Input].Components, as far as the pack has them. A component without a file is
// for information (real locks name components that the host has built in). Nothing
// reads the locks below assets/, and real ones are out of date: what is wrong
// there is a warning. Of two digests the one called after the file counts: the
// other may be that of a registry's manifest. describe_hash and schema_hash are
// not checked, as that needs running the component.
//
// # Manifests
//
// content_hash of the extension greentic.pack.component_manifests@v1 is
// "sha256:" and the hash of the named file. The legacy build manifest of 2025
// has hash_blake3 for each component and flow. The caller decodes both.
//
// # Signature of an archive
//
// signatures/pack.sig is JSON {alg: "ed25519", sig, digest, signed_at_utc,
// key_fingerprint?}, signatures/chain.pem has 1 to 8 certificates, the signer's
// first. The digest is the BLAKE3 of manifest.cbor, the inventory (sbom.cbor,
// else sbom.json), and for each file of the inventory in byte order of the paths
// the path, a line feed and the hash as it is written there, with nothing behind
// it. The signature is Ed25519 over the 32 bytes of the digest, in base64url
// without padding. It is valid if
//
//   - it verifies with the key of the first certificate, and the digest is the
//     one that the envelope names;
//   - the inventory is without errors and lists every file but the inventories
//     and the two files of the signature: what is not listed is not signed;
//   - key_fingerprint, if there, is the BLAKE3 of the key in hexadecimal;
//   - every certificate is valid at [Policy].Now and the first one also at
//     signed_at_utc, which is a claim: the signature does not cover it;
//   - every certificate is signed by the next, which is an authority (basic
//     constraints and path length, key usage), one that names itself as issuer is
//     signed by itself, and none has a critical extension that is not known here.
//     An extended key usage counts only where it is critical, and is unknown then:
//     trust a CA only if whatever it certifies may sign packs.
//
// Upstream checks none but the first of these. Only Ed25519 is read.
//
// # Signature of a source directory
//
// Old builders signed source trees: pack.toml, or greentic-pack.toml, has a table
// [greentic.signature] with alg "ed25519", key_id, created_at, digest and sig. The
// signed bytes are, for each file in byte order of the paths, "PATH", NUL, path,
// LF, "LEN", NUL, length in decimal, LF and the content; files below .git and
// target and those named .DS_Store do not count, so what the pack uses must not be
// among them. The digest is "sha256:" and their SHA-256; the signature is Ed25519
// over the bytes themselves. key_id is the first 16 bytes of the SHA-256 of the
// key in hexadecimal; the key itself comes from the list of trusted keys.
//
// The manifest counts as the Rust crate toml writes it without that table. The
// builder rewrote the file when it signed it, so what is there differs from that
// in the layout of arrays only. A manifest that was laid out anew later does not
// verify here. Not checked, with a warning, are trees with a .packignore, with a
// second file of the manifest's name, or of more than 64 MiB.
//
// # Signature of a manifest
//
// Current builders can put signatures into manifest.cbor itself. They cover that
// file and no code, so they are reported and not checked.
//
// # Trust
//
// A signature is trusted if it is valid and the key that made it is in the list
// of trusted keys ([ParseTrust]); for an archive also if that of a certificate
// above it is, or the one that signed the last certificate. The builder's
// certificate for development (common name greentic-dev-local, signed by itself)
// is reported as such and is like any other here. A valid signature by a key that
// is not listed is a warning, an invalid one always an error, and so is none by a
// trusted key if the policy asks for one.
package integrity
