// Package pack reads Greentic packs (.gtpack) and says what a run of one of
// their entries would execute. It is the specification of the packs that this
// program accepts: what is not allowed here is refused, with an [Error] that names
// the [Rule].
//
// A pack is hostile. Nothing of it is ever written to disk, nothing is
// extracted, every buffer is bounded before it is made, and what is read is read
// once.
//
// # Forms
//
// A pack is a zip archive, a tar archive, or a directory with the same content.
// The path of its manifest means the directory it lies in. The form is told by
// content, not by name: a zip archive begins with a signature, a tar archive has
// "ustar" at byte 257. JSON texts that carry the name .gtpack exist; they are
// refused with their own words ("pack form"), as are compressed tar archives.
//
// # Archives
//
// The file has at most 256 MiB ("archive size"). There are at most 4,096 entries
// ("entry count"). Each entry
//
//   - has a name of at most 512 bytes and 32 elements that is valid UTF-8,
//     relative, separated by '/', without empty, "." and ".." elements, without
//     backslash, control characters (NUL among them) and drive letter
//     ("entry name");
//   - is the only one of that name, also when case and Unicode normalisation do
//     not count, and no file where another entry needs a directory
//     ("name collision");
//   - is a regular file or an empty directory, never a link, device or sparse
//     file ("regular files only");
//   - has at most 64 MiB of content ("entry size"), all entries together at most
//     512 MiB ("total size"), and exactly the size that it declares
//     ("declared size").
//
// An archive within the archive is one entry like any other and is not opened.
// Entry order, dates, owners and modes mean nothing.
//
// # Zip archives
//
// The file ends with the end record: no comment, no trailing bytes, no zip64, one
// disk; the central directory lies directly before it and consists of the records of
// its entries ("zip structure"), and has at most 4 MiB ("entry count"). Each entry
// moreover
//
//   - is not encrypted ("no encryption") and is stored or deflated
//     ("stored or deflate"), using all of its compressed bytes
//     ("declared size");
//   - has its sizes and place in the record itself, not in zip64 ("zip structure");
//   - has the CRC-32 that it declares, even if that is 0 ("checksum");
//   - shares no byte of its data with another entry's, nor any with the central
//     directory ("zip structure").
//
// Every entry is inflated and checked, needed or not: an accepted archive is
// sound to its last byte. Local headers are used only to find the data; other extra
// fields than zip64's mean nothing.
//
// # Tar archives
//
// Each header is one of POSIX (ustar) or GNU with a right checksum and an octal
// size. An entry may have one extended header of pax, of which the records path
// and size count, and one long name of GNU's, of at most 64 KiB each, but not two
// names. Headers that speak for the whole archive or of links are refused. The
// archive ends with two blocks of zeros, behind which there are only more of them,
// and its size is a multiple of 512 ("tar structure"). Content is not looked at
// before it is wanted; tar has no checksum for it.
//
// # Directories
//
// Only the files that a run needs are read, so a source tree may hold anything
// beside them. The limits per entry and in total hold for what is read; what is
// read twice, for a signature, must not have changed ("declared size"). Symbolic
// links are not followed: a link in the place of a wanted file is refused
// ("regular files only"), as is a device; a directory of the search path that is a
// link counts as absent, with the finding SYMLINK_NOT_FOLLOWED. The path given to
// [Open] may itself be a link. A directory that says what belongs to it (an
// inventory, a signature) has at most 4,096 files ("entry count").
//
// # Documents
//
// A document has at most 4 MiB, all that are read together at most 32 MiB. One
// that is structured has 64 levels of nesting, 65,536 elements in one array or map
// and 524,288 values in all ("document bounds"). It is strict JSON (RFC 8259, one
// value, UTF-8, no member name twice in an object) or strict CBOR (RFC 8949, one
// item, no strings in pieces, no tags, text keys, no key twice in a map, finite
// numbers, no simple values but the usual ones) ("document syntax"). CBOR means
// the JSON that has the same value; bytes are an array of numbers. Fields that are
// not mentioned below are ignored.
//
// # Manifest
//
// The manifest is the first that exists of pack.json, manifest.json, manifest.cbor
// and pack.manifest.json at the top of the pack ("manifest"); several of them are
// the finding MANIFEST_SEVERAL. The generation is told by content:
//
//   - "pack-v1" has schema_version "pack-v1": pack_id, version, name, kind,
//     publisher, capabilities[].name, components[].{id, version, world, supports,
//     capabilities, operations[].name}, flows[].{id, kind, entrypoints, flow},
//     secret_requirements, extensions. pack_id, names of capabilities, ids of
//     components and nodes, and the nodes in routings are strings or indexes into
//     the tables of symbols ("symbol index" when out of range). Another
//     schema_version is refused ("manifest generation").
//   - "legacy" has meta.pack_id and no id: meta.version, meta.name,
//     meta.entry_flows, flows[].{id, file_json, file_yaml}, components[].{name,
//     version, world, capabilities, file_wasm, manifest_file}.
//   - "source" is a pack.manifest.json without id: name, version, kind, publisher,
//     flows[].{id, file, entrypoints}, component_sources[].{id, version, world,
//     supports, capabilities, operations, wasm}, secret_requirements, extensions.
//   - "provisioning" is everything else: id (or pack_id, packId), version (or
//     pack_version, packVersion), name, flows[].{entry|name, id|name,
//     entrypoints}, secret_requirements, extensions.
//
// All may have meta.entry_flows (an object from entry to flow id, a list of
// {entry|name, id|flow_id|name}, or a list of flow ids, each of which serves the
// entry of its name and setup_default the entry setup), and meta with
// requires_public_base_url and capabilities. A component is listed once, but for
// source trees, where the first counts (COMPONENT_TWICE). Ids of packs, flows and
// components, and versions, are 1 to 100 bytes of showable characters without '/'
// and '\' ("identifier"); a component with another id or version has no binary of
// that name. A version may be the literal "__PACK_VERSION__", which source trees
// have.
//
// Packers put the pack.json of a source tree below assets/. With a manifest of
// another generation than "provisioning", the meta of assets/pack.json adds its
// entry flows behind those of the manifest, the capability provisioning:none, and
// whether a public base URL is required (PROVISIONING_IN_ASSETS); nothing else of it
// counts.
//
// # Extensions
//
// Of extensions the inline payload counts. One that is not what its key says does
// not count, which is the finding EXTENSION_UNREADABLE.
//
//   - greentic.provider-extension.v1, or greentic.ext.provider: providers[].{
//     provider_type, ops, capabilities, config_schema_ref, state_schema_ref,
//     docs_ref, runtime.{component_ref, export, world}};
//   - greentic.ext.capabilities.v1: offers[].{offer_id, requires_setup,
//     setup.qa_ref, provider.component_ref}; one that requires setup without
//     qa_ref is the finding OFFER_WITHOUT_QUESTIONS;
//   - messaging.provider_flow_hints: flow ids by role and provider type;
//   - greentic.pack.component_sources@v1 and greentic.pack.component_manifests@v1:
//     where binaries and the components' own manifests are;
//   - messaging.provider_ingress.v1, messaging.subscriptions.v1 and
//     messaging.oauth.v1 are passed on as they are.
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
//     the others;
//  4. the listed flow that the extension with hints names for the chosen provider,
//     else for any: the role setup_default or setup for setup, subscriptions or
//     sync_subscriptions for subscriptions, the entry's name for the others.
//
// Without a flow, setup, update and remove can still be done by asking a provider:
// if an offer requires setup; failing that, a pack that declares the capability
// provisioning:none has nothing to provision, which is success; failing that, if
// the pack declares a provider. A pack with none of these has "no setup entry",
// "no subscriptions entry", "no update entry" or "no remove entry". Requirements
// without a flow break no rule: documents may state them. provisioning:none beside
// a flow is the finding CAPABILITY_CONTRADICTED.
//
// # Documents of a run
//
// A path P that a pack names, and each file name below, is looked for at P, then
// at assets/P. The questions are the qa_ref of the first offer that requires
// setup, else setup.yaml, else the first JSON file in qa that has setup in its
// name, else the first one there (QUESTIONS_SEVERAL). Secret requirements are
// secret-requirements.json, secret_requirements.json or
// .secret_requirements.json, else those of the manifest. Then there are
// requirements.json and the provider's config_schema_ref (SCHEMA_ABSENT).
//
// # Flows
//
// The graph of the flow F is the one in the manifest, else in the file that the
// manifest names, else in flows/F/flow.json, flows/F/flow.ygtc, flows/F/flow.yaml,
// flows/F.json or flows/F.ygtc. Nodes of a source (.ygtc, .yaml) that are
// component.exec have the component_id that FILE.resolve.summary.json gives them.
// A node of another pack (pack_alias) has the component ALIAS/ID. With a flow come
// those that its nodes name in flow.call, and theirs, together at most 4 MiB of text
// and 10,000 nodes. One that cannot be read ("flow graph", "document bounds") or is
// not there is the finding FLOW_UNREADABLE or FLOW_ABSENT.
//
// # Ways
//
// An entry can be run in up to four ways. Each of them is looked at; where none is
// possible, the rule broken is "step not resolvable".
//
// Steps: for the flow F, a step S has the module F__S. For setup and for what
// belongs to it, setup_default__S serves whatever its flow is called, and for
// requirements and subscriptions the setup flow's id before that; for update
// update_default__S and update__S, for remove remove_default__S and remove__S. The
// steps are collect, validate, apply and summary, of which apply must be there
// (STEP_MODULE_NOT_USED if it is the only one that is not), but requirements and
// subscriptions have one step, of their own name. A module named N is the first
// that exists of
//
//	components/N.wasm  components/N.wat  wasm/N.wasm  wasm/N.wat  N.wasm  N.wat
//
// All of these come before the same places below assets/. Others that exist are
// the finding MODULE_SHADOWED. With setup comes the module of the step
// requirements, found in the same way, the name of the requirements flow first.
//
// Component: the module F or, failing that, setup_default (update_default and
// update, remove_default and remove) serves every step; failing that, the one
// component that all nodes of the flow name.
//
// QA: the component of the chosen provider, else of the offer that requires setup,
// else the only component with provider in its id, else the only component. Of
// several providers the caller chooses. It is no way for subscriptions; for
// requirements it is none either, but the component is named.
//
// Flow: the graph has nodes. Each component that they name, by id or in the
// mapping of component.exec and provider.invoke, is found or is the finding
// COMPONENT_ABSENT. The kinds of nodes that upstream's runners have built in need
// no binary.
//
// # Components
//
// The binary of the component ID is the first that exists of
//
//   - the path that the manifest gives (file_wasm, wasm);
//   - the path that component_sources gives, whose absence is the finding
//     COMPONENT_SOURCE_ABSENT;
//   - components/ID.wasm, components/ID@VERSION/component.wasm,
//     components/ID/component.wasm, components/ID/ID.wasm;
//   - blobs/sha256/HEX.wasm for the digest that component_sources gives, which its
//     content must have ("component bytes");
//   - the path, then the blob of the digest, that the lock gives: the first of
//     pack.lock.cbor, pack.lock.json and pack.lock, at the top of the pack only, in
//     the two shapes that package integrity describes. It is read when nothing before
//     was there; another shape is the finding LOCK_UNREADABLE.
//
// A .wasm file begins with the preamble of a core module or of a component. A
// .wat file is UTF-8 text without NUL that begins with '(' or a comment. Nothing
// else of it is looked at here: parsing WebAssembly is left to a process that
// has walls around it ("component bytes"). A binary that breaks the rule is the
// finding COMPONENT_UNREADABLE while another way is possible.
//
// # Integrity
//
// What a pack says of its own bytes is checked by package integrity, on every
// opening. What that calls an error breaks the rule "integrity", unless the caller
// allows it; then it is the finding PACK_UNVERIFIED.
//
// # Findings
//
// Findings are warnings and notes, at most 200 of them and FINDINGS_OMITTED. A
// description of a pack also looks at the manifests that components bring
// themselves: the manifest_file that the pack's manifest or component_manifests
// gives, components/ID.manifest.cbor, components/ID/component.manifest.json,
// together at most 4 MiB, a file that serves twice counted twice. One that cannot
// be read is the finding COMPONENT_MANIFEST_UNREADABLE. MANIFEST_NOT_USED
// says that a path named another manifest than the one that counts.
//
// # Digest rule
//
// The digest of a pack covers what decides the run of an entry: the manifest, each
// binary that a way refers to, the documents of a run, files with graphs and what
// binds them, and the lock if it was read. It is "sha256:" and the hex SHA-256 of
// the line "greentic-pack-digest-v2" and one line per file, in byte order of the
// paths: SHA-256 in hex, size in decimal, path, separated by single spaces; each
// line ends with a line feed, which no path can contain. Archives and a directory
// of the same content have the same digest.
package pack
