// Builds dist/pack: the component and, around it, what Greentic's packer writes: a
// manifest of the generation pack-v1, the component's own manifest, the lock and
// the inventory. dist/pack is made new each time.
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";
import { blake3 } from "@noble/hashes/blake3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { decode, encode } from "./cbor.js";
import { descriptor, PROVIDER, WORLD } from "./provider.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const VERSION = JSON.parse(await readFile(here("package.json"), "utf8")).version;
const PACK = "messaging-chat";
const TYPE = "messaging.chat.bot";
const FLOW = "setup_default";
const MANIFEST = `components/${PROVIDER}.manifest.cbor`;

const { component, imports } = await componentize({
  sourcePath: here("provider.js"),
  witPath: here("wit"),
  worldName: WORLD,
  // The component computes and does nothing else.
  disableFeatures: ["http", "fetch-event", "clocks", "random", "stdio"],
});
if (imports.length > 0) throw new Error(`the component imports ${imports}`);

const description = descriptor.describe();
const { operations, config_schema, schema_hash } = decode(description);
const secretRequirements = JSON.parse(await readFile(here("pack/assets/secret-requirements.json"), "utf8"));

const declared = {
  id: PROVIDER,
  version: VERSION,
  supports: ["messaging"],
  world: `greentic:component/${WORLD}@0.6.1`,
  profiles: { supported: [] },
  capabilities: {
    wasi: { random: false, clocks: false },
    host: { messaging: { inbound: true, outbound: false } },
  },
  operations: operations.map(({ name }) => ({ name, input_schema: {}, output_schema: {} })),
  config_schema,
  resources: {},
  dev_flows: {},
};
const componentManifest = encode(declared);

// Of these tables the manifest has indexes.
const symbols = {
  component_ids: [PROVIDER],
  node_ids: [`${FLOW}__apply`, `${FLOW}__emit_questions`],
  capability_names: ["messaging"],
  pack_ids: [PACK],
};
const index = (table, name) => {
  const at = symbols[table].indexOf(name);
  if (at < 0) throw new Error(`${name} is not among ${table}`);
  return at;
};

const node = (name, operation, mapping, next) => ({
  id: index("node_ids", `${FLOW}__${name}`),
  component: { id: index("component_ids", PROVIDER), pack_alias: null, operation },
  input: { mapping },
  output: { mapping: {} },
  routing: next ? { Next: { node_id: index("node_ids", `${FLOW}__${next}`) } } : "End",
  telemetry: { attributes: {} },
});

const extension = (kind, inline) => ({ kind, version: "1.0.0", inline });

const manifest = encode({
  schema_version: "pack-v1",
  pack_id: index("pack_ids", PACK),
  name: "Chat",
  version: VERSION,
  kind: "provider",
  publisher: "example",
  symbols,
  components: [{ ...declared, id: index("component_ids", PROVIDER) }],
  // Update and remove have no flow: the provider is asked for them directly, as it
  // is for the setup unless somebody wants the flow.
  flows: [{
    id: FLOW,
    kind: "component-config",
    flow: {
      schema_version: "flow-v1",
      id: FLOW,
      kind: "component-config",
      entrypoints: { default: `${FLOW}__emit_questions` },
      nodes: [
        node("emit_questions", "qa-spec", { mode: "setup" }, "apply"),
        node("apply", "plan", { mode: "setup", answers: "{{in.setup_answers}}" }),
      ],
      metadata: { tags: [], extra: {} },
    },
    tags: [],
    entrypoints: ["setup"],
  }],
  dependencies: [],
  capabilities: [{ name: index("capability_names", "messaging") }],
  secret_requirements: secretRequirements,
  signatures: { signatures: [] },
  extensions: {
    "greentic.provider-extension.v1": extension("greentic.provider-extension.v1", {
      providers: [{
        provider_type: TYPE,
        capabilities: ["messaging"],
        ops: operations.map(({ name }) => name),
        config_schema_ref: "schemas/messaging/chat/public.config.schema.json",
        runtime: { component_ref: PROVIDER, export: "qa", world: `greentic:component/${WORLD}@0.6.1` },
      }],
    }),
    "messaging.provider_ingress.v1": extension("messaging.provider_ingress.v1", {
      component_ref: PROVIDER,
      export: "handle-webhook",
      world: `greentic:component/${WORLD}@0.6.1`,
      capabilities: { content_types: ["application/json"], supports_webhook_validation: false },
    }),
    "greentic.pack.component_manifests@v1": extension("greentic.pack.component_manifests@v1", {
      schema_version: 1,
      entries: [{
        component_id: PROVIDER, manifest_file: MANIFEST, encoding: "cbor", content_hash: `sha256:${sha256(componentManifest)}`,
      }],
    }),
  },
});

const lock = encode({
  version: 1,
  components: {
    [PROVIDER]: {
      component_id: PROVIDER,
      abi_version: "0.6.0",
      resolved_digest: `sha256:${sha256(component)}`,
      describe_hash: sha256(description),
      operations: operations.map(({ name }) => ({ operation_id: name, schema_hash })),
      world: `greentic:component/${WORLD}@0.6.1`,
      component_version: VERSION,
    },
  },
});

await rm(here("dist/pack"), { recursive: true, force: true });
await cp(here("pack"), here("dist/pack"), { recursive: true });
const put = async (name, bytes) => {
  const file = here(`dist/pack/${name}`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
};
await put(`components/${PROVIDER}.wasm`, component);
await put(MANIFEST, componentManifest);
await put("manifest.cbor", manifest);
await put("pack.lock.cbor", lock);
await put("sbom.cbor", encode({ format: "greentic-sbom-v1", files: await inventory(here("dist/pack")) }));

console.log(`${PROVIDER}.wasm: ${component.length} bytes, no imports`);

// inventory lists the files of a directory, in byte order of their names.
async function inventory(dir) {
  const types = { ".wasm": "application/wasm", ".cbor": "application/cbor", ".json": "application/json", ".yaml": "application/yaml" };
  const names = (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(dir.length + 1).replaceAll("\\", "/"))
    .sort();
  return Promise.all(names.map(async (path) => {
    const bytes = await readFile(`${dir}/${path}`);
    return { path, size: bytes.length, hash_blake3: bytesToHex(blake3(bytes)), media_type: types[extname(path)] };
  }));
}
