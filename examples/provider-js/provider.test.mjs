// Drives the built component, transpiled to JavaScript, as a host does.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { transpile } from "@bytecodealliance/jco";
import { decode, encode } from "./cbor.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const ANSWERS = { public_base_url: "https://bot.example.com", bot_token: "example-token" };

let descriptor, runtime, qa, componentI18n;

before(async () => {
  const wasm = await readFile(here("dist/pack/components/messaging-provider-chat.wasm"));
  const { files } = await transpile(wasm, { name: "provider", instantiation: "sync", noTypescript: true });
  const source = `data:text/javascript;base64,${Buffer.from(files["provider.js"]).toString("base64")}`;
  const { instantiate } = await import(source);
  ({ descriptor, runtime, qa, componentI18n } = instantiate((core) => new WebAssembly.Module(files[core]), {}));
});

// plain makes values comparable: maps of decode have no prototype.
const plain = (bytes) => JSON.parse(JSON.stringify(decode(bytes)));
const apply = (mode, answers) => plain(qa.applyAnswers(mode, encode(answers)));
const invoke = (op, input) => plain(runtime.invoke(op, encode(input)));
const spec = (mode) => plain(qa.qaSpec(mode));

test("each mode asks its own questions", () => {
  const asked = (mode) => spec(mode).questions.map(({ id, required }) => id + (required ? "*" : ""));
  assert.deepEqual(asked("default"), ["public_base_url*", "bot_token*"]);
  assert.deepEqual(asked("setup"), ["public_base_url*", "bot_token*", "default_chat_id", "enabled", "max_retries"]);
  assert.deepEqual(asked("upgrade"), ["public_base_url", "bot_token", "default_chat_id", "enabled", "max_retries"]);
  assert.deepEqual(asked("remove"), []);
  assert.deepEqual(spec("setup").defaults, { enabled: true, max_retries: 3 });
  assert.deepEqual(spec("upgrade").defaults, {});
});

test("answers become a configuration with defaults", () => {
  assert.deepEqual(apply("setup", { ...ANSWERS, default_chat_id: " 42 ", somewhere: "else" }), {
    ok: true, config: { ...ANSWERS, default_chat_id: "42", enabled: true, max_retries: 3 }, remove: null, diagnostics: [], error: null,
  });
});

for (const [what, answers, error] of [
  ["none", {}, "public_base_url cannot be empty"],
  ["no token", { public_base_url: "https://bot.example.com" }, "bot_token cannot be empty"],
  ["another scheme", { ...ANSWERS, public_base_url: "http://bot.example.com" }, "public_base_url must be an absolute https URL"],
  ["a relative URL", { ...ANSWERS, public_base_url: "https:bot.example.com" }, "public_base_url must be an absolute https URL"],
  ["a URL with a password", { ...ANSWERS, public_base_url: "https://a:b@bot.example.com" }, "public_base_url must be an absolute https URL"],
  ["too many retries", { ...ANSWERS, max_retries: 11 }, "max_retries must be a whole number from 0 to 10"],
  ["no map", [], "the answers are no map"],
]) {
  test(`wrong answers are refused: ${what}`, () => {
    assert.deepEqual(apply("setup", answers), { ok: false, config: null, remove: null, diagnostics: [], error: `invalid config: ${error}` });
  });
}

test("bytes that are no CBOR are refused", () => {
  assert.deepEqual(plain(qa.applyAnswers("setup", new Uint8Array([0xa1]))), {
    ok: false, config: null, remove: null, diagnostics: [], error: "CBOR: the end at byte 1",
  });
});

test("numbers are read in every form", () => {
  const retries = (...item) => {
    const head = encode({ ...ANSWERS, max_retries: 0 }); // 0 is the only such byte
    const at = head.lastIndexOf(0);
    return plain(qa.applyAnswers("setup", Uint8Array.from([...head.slice(0, at), ...item, ...head.slice(at + 1)])));
  };
  assert.equal(retries(0x04).config.max_retries, 4);
  assert.equal(retries(0x18, 0x04).config.max_retries, 4);
  assert.equal(retries(0xf9, 0x44, 0x00).config.max_retries, 4); // 4.0 in half precision
  assert.equal(retries(0xf9, 0x41, 0x00).ok, false); // 2.5
  assert.equal(retries(0x1b, ...Array(8).fill(0xff)).ok, false);
});

test("a boolean counts only as a boolean", () => {
  assert.equal(apply("setup", { ...ANSWERS, enabled: false }).config.enabled, false);
  const { config, diagnostics } = apply("setup", { ...ANSWERS, enabled: "false" });
  assert.equal(config.enabled, true);
  assert.deepEqual(diagnostics, [{ severity: "warn", code: "ANSWER_IGNORED", message: "chat.note.not_boolean", path: "enabled" }]);
});

test("an upgrade merges what exists", () => {
  const existing_config = { ...ANSWERS, default_chat_id: "1", enabled: false, max_retries: 5 };
  assert.deepEqual(apply("upgrade", { existing_config, default_chat_id: "9" }).config, { ...existing_config, default_chat_id: "9" });
  assert.equal("default_chat_id" in apply("upgrade", { existing_config, default_chat_id: "" }).config, false);
  assert.equal(apply("upgrade", { default_chat_id: "9" }).ok, false);
  assert.equal(apply("setup", { existing_config }).ok, false);
});

test("a removal says what to remove", () => {
  const { ok, config, remove } = apply("remove", {});
  assert.deepEqual([ok, config, remove.remove_all], [true, null, true]);
  assert.ok(remove.cleanup.includes("best_effort_delete_provider_owned_secrets"));
});

test("operations speak of the same", () => {
  assert.deepEqual(invoke("qa-spec", { mode: "setup" }), spec("setup"));
  assert.deepEqual(invoke("apply-answers", { mode: "setup", answers: ANSWERS }), apply("setup", ANSWERS));
  assert.deepEqual(invoke("plan", { mode: "setup", answers: ANSWERS }).plan, {
    config_patch: { public_base_url: ANSWERS.public_base_url, enabled: true, max_retries: 3 },
    secrets_patch: { set: { bot_token: { redacted: false, value: ANSWERS.bot_token } }, delete: [] },
  });
  assert.deepEqual(invoke("handle-webhook", { body: '{"chat_id": "42", "text": "hello"}' }).messages, [{ chat_id: "42", text: "hello" }]);
  assert.deepEqual(invoke("handle-webhook", { body: "hello" }), { ok: false, error: "the body is no {chat_id, text}" });
  assert.deepEqual(invoke("qa-spec", { mode: "install" }), { ok: false, error: 'there is no mode "install"' });
  assert.deepEqual(invoke("apply-answers", { mode: "toString", answers: {} }), { ok: false, error: 'there is no mode "toString"' });
  assert.deepEqual(invoke("plan", { mode: "remove" }), { ok: false, error: "a removal has no plan" });
  assert.deepEqual(invoke("toString", {}), { ok: false, error: "unsupported op: toString" });
});

test("the description holds", () => {
  const { provider, redactions, config_schema, input_schema, output_schema, schema_hash } = plain(descriptor.describe());
  assert.equal(provider, "messaging-provider-chat");
  assert.deepEqual(redactions, [{ path: "$.bot_token", strategy: "replace" }]);
  assert.equal(config_schema.fields.bot_token.schema.secret, true);
  assert.equal(schema_hash, createHash("sha256").update(encode({ input: input_schema, output: output_schema, config: config_schema })).digest("hex"));
});

test("every key has a text in every language", () => {
  const used = new Set();
  JSON.stringify([plain(descriptor.describe()), ...["default", "setup", "upgrade", "remove"].map(spec)], (name, value) => {
    if (name === "key") used.add(value);
    return value;
  });
  const keys = componentI18n.i18nKeys();
  assert.deepEqual([...used].filter((key) => !keys.includes(key)), []);
  const bundle = (locale) => plain(componentI18n.i18nBundle(locale));
  const [english, german] = [bundle("en"), bundle("de-AT")];
  assert.deepEqual(Object.keys(german.messages), Object.keys(english.messages));
  assert.deepEqual(keys.toSorted(), Object.keys(english.messages).sort());
  assert.equal(german.messages["chat.qa.enabled"], "Eingeschaltet");
  assert.deepEqual(bundle("xx"), { locale: "xx", messages: english.messages });
});

test("the schema in the pack has the fields that are no secrets", async () => {
  const { properties, required } = JSON.parse(await readFile(here("pack/assets/schemas/messaging/chat/public.config.schema.json"), "utf8"));
  const fields = Object.entries(plain(descriptor.describe()).config_schema.fields).filter(([, field]) => !field.schema.secret);
  assert.deepEqual(Object.keys(properties).sort(), fields.map(([id]) => id).sort());
  assert.deepEqual(required.toSorted(), fields.filter(([, field]) => field.required).map(([id]) => id).sort());
});
