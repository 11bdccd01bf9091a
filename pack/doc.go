// Package pack reads Greentic packs (.gtpack) and says what a setup run would
// execute. It is the specification of the packs that this program accepts: what
// is not allowed here is refused, with an [Error] that names the [Rule].
//
// A pack is hostile. Nothing of it is ever written to disk, nothing is
// extracted, every buffer is bounded before it is made, and what is read is read
// once.
//
// # Forms
//
// A pack is a zip archive, or a directory with the same content. The path of
// its manifest means the directory it lies in. The form is told by content, not
// by name: an archive begins with a zip signature. JSON texts and tar archives
// that carry the name .gtpack exist; they are refused with their own words
// ("pack form").
//
// # Archives
//
// The file has at most 256 MiB ("archive size"). It ends with the end record:
// no comment, no trailing bytes, no zip64, one disk; the central directory lies
// directly before it ("zip structure"). There are at most 4,096 entries, and at
// most 4 MiB of central directory ("entry count"). Each entry
//
//   - has a name of at most 512 bytes and 32 elements that is valid UTF-8,
//     relative, separated by '/', without empty, "." and ".." elements, without
//     backslash, control characters (NUL among them) and drive letter
//     ("entry name");
//   - is the only one of that name, also when case and Unicode normalisation do
//     not count, and no file where another entry needs a directory
//     ("name collision");
//   - is a regular file or an empty directory, never a link or device
//     ("regular files only");
//   - is not encrypted ("no encryption") and is stored or deflated
//     ("stored or deflate");
//   - inflates to at most 64 MiB ("entry size"), all entries together to at
//     most 512 MiB ("total size"), and to exactly the size that it declares,
//     using all of its compressed bytes ("declared size");
//   - has the CRC-32 that it declares, even if that is 0 ("checksum");
//   - shares no byte with another entry or the central directory
//     ("zip structure").
//
// Every entry is inflated and checked, needed or not: an accepted archive is
// sound to its last byte. An archive within the archive is one entry like any
// other and is not opened. Local headers are used only to find the data;
// directory order, dates and extra fields mean nothing.
//
// # Directories
//
// Only the files that a run needs are looked at and read, so a source tree may
// hold anything beside them. The limits per entry and in total hold for what is
// read. Symbolic links are not followed: a link in the place of a wanted file is
// refused ("regular files only"), as is a device; a directory of the search path
// that is a link counts as absent, with the finding SYMLINK_NOT_FOLLOWED. The
// path given to [Open] may itself be a link.
//
// # Documents
//
// A manifest has at most 4 MiB, 64 levels of nesting and 65,536 elements in one
// array or map ("document bounds"). It is strict JSON (RFC 8259, one value,
// UTF-8, no member name twice in an object) or strict CBOR (RFC 8949, one item,
// no strings in pieces, no tags, text keys, no key twice in a map)
// ("document syntax"). Fields that are not mentioned below are ignored.
//
// # Manifest
//
// The manifest is the first that exists of pack.json, manifest.json and
// manifest.cbor at the top of the pack ("manifest"); several of them are the
// finding MANIFEST_SEVERAL. Two generations are read:
//
//   - "provisioning", in JSON: id (or pack_id, packId), version (or
//     pack_version, packVersion), meta.entry_flows (an object from entry to flow
//     id, or a list of {entry|name, id|flow_id|name}),
//     meta.requires_public_base_url, meta.capabilities, and flows, a list of
//     {entry|name, id|name, entrypoints};
//   - "pack-v1", in CBOR, with schema_version "pack-v1": pack_id, version,
//     capabilities[].name, components[].{id, version}, flows[].{id, entrypoints,
//     flow.nodes[].component.id}. pack_id, capability names and component ids are
//     strings or indexes into the tables of symbols ("symbol index" when out of
//     range). The nodes are looked at in the setup flow only.
//
// Others, the legacy build manifest of 2025 among them, are refused
// ("manifest generation"). Ids of packs, flows and components, and versions, are
// 1 to 100 bytes of showable characters without '/' and '\' wherever they are
// used ("identifier").
//
// # Discovery
//
// The flow of an entry (setup, requirements, subscriptions, update, remove) is,
// in this order,
//
//  1. the one that meta.entry_flows names, whether flows lists it or not;
//  2. the flow that declares the entry, by entry, name or entrypoints. If there
//     are several, the finding is DISCOVERY_AMBIGUOUS and the one with the id of
//     point 3 wins, else the first;
//  3. the flow with the id setup_default for setup, with the entry's name for
//     the others.
//
// Without a setup flow, a pack that declares the capability provisioning:none
// has nothing to provision, which is success ([PatternNone]); any other has "no
// setup entry".
//
// # Steps
//
// For the flow F, a step S has the module F__S, else setup_default__S (the
// literal name, which real packs use whatever their flow is called). A module
// named N is the first that exists of
//
//	components/N.wasm  components/N.wat  wasm/N.wasm  wasm/N.wat  N.wasm  N.wat
//
// All of these come before the same places below assets/. Others that exist are
// the finding MODULE_SHADOWED. The whole flow has one component if a module F
// or, failing that, setup_default exists or, in pack-v1, if all nodes of the flow
// name one component ID and one of these exists:
//
//	components/ID.wasm  components/ID@VERSION/component.wasm
//	components/ID/component.wasm  components/ID/ID.wasm
//
// If the step apply has a module, steps run their own modules and those without
// are left out ([PatternSteps]). Otherwise the component of the whole flow runs
// every step ([PatternComponent]). Otherwise the rule broken is "step not
// resolvable": this version does not run flow graphs.
//
// # Components
//
// A .wasm file begins with the preamble of a core module or of a component. A
// .wat file is UTF-8 text without NUL that begins with '(' or a comment. Nothing
// else of it is looked at here: parsing WebAssembly is left to a process that
// has walls around it ("component bytes").
//
// # Digest rule
//
// The digest of a pack covers what decides a run: the manifest file and each
// resolved component. It is "sha256:" and the hex SHA-256 of the line
// "greentic-pack-digest-v1" and one line per file, in byte order of the paths:
// SHA-256 in hex, size in decimal, path, separated by single spaces; each line
// ends with a line feed, which no path can contain. An archive and a directory
// of the same content have the same digest.
package pack
