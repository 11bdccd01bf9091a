// A provider of an invented chat service: what it is, what it asks, and what it
// makes of the answers. It needs nothing of its host.
import { sha256 } from "./node_modules/@noble/hashes/sha2.js";
import { bytesToHex } from "./node_modules/@noble/hashes/utils.js";
import { decode, encode } from "./cbor.js";
import { keys, messages } from "./texts.js";

export const PROVIDER = "messaging-provider-chat";
export const WORLD = "component-v0-v6-v0";
const MAX_RETRIES = 10;

// Refusal is what somebody is told who sent the wrong thing.
class Refusal extends Error {}

const key = (name) => ({ key: `chat.${name}` });

// The fields of the configuration. kind is that of the schema, type that of the
// question; parse gives the value that an answer stands for, or undefined where it
// is of the wrong type, or throws.
const FIELDS = {
  public_base_url: { kind: "string", format: "uri", type: "text", required: true, help: true, parse: address },
  bot_token: { kind: "string", secret: true, type: "text", required: true, help: true, parse: text },
  default_chat_id: { kind: "string", type: "text", help: true, parse: text },
  enabled: { kind: "bool", type: "bool", standard: true, parse: (v) => (typeof v === "boolean" ? v : undefined) },
  max_retries: { kind: "u64", type: "number", standard: 3, help: true, parse: retries },
};

const EXPECTED = { string: "chat.note.not_text", bool: "chat.note.not_boolean", u64: "chat.note.not_number" };

function text(value) {
  return typeof value === "string" ? value.trim() : undefined;
}

function address(value) {
  const url = text(value);
  if (!url) return url;
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    parsed = null;
  }
  if (!/^https:\/\/[^/]/i.test(url) || !parsed || parsed.username || parsed.password) {
    throw new Refusal("public_base_url must be an absolute https URL");
  }
  return url;
}

function retries(value) {
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  if (!Number.isInteger(value) || value < 0 || value > MAX_RETRIES) {
    throw new Refusal(`max_retries must be a whole number from 0 to ${MAX_RETRIES}`);
  }
  return value;
}

// The fields that each mode asks for.
const MODES = {
  default: Object.keys(FIELDS).filter((id) => FIELDS[id].required),
  setup: Object.keys(FIELDS),
  upgrade: Object.keys(FIELDS),
  remove: [],
};

// asked is what a mode asks for, if there is such a mode.
function asked(mode) {
  if (!Object.hasOwn(MODES, mode)) throw new Refusal(`there is no mode ${JSON.stringify(mode)}`);
  return MODES[mode];
}

// spec has the questions of a mode. An upgrade requires nothing and has no
// defaults: what is not answered stays as it is.
function spec(mode) {
  const defaults = {};
  const questions = asked(mode).map((id) => {
    const { type, required, standard, help } = FIELDS[id];
    if (mode === "setup" && standard !== undefined) defaults[id] = standard;
    return {
      id,
      label: key(`qa.${id}`),
      help: help && key(`qa.${id}.help`),
      kind: { type },
      required: Boolean(required) && mode !== "upgrade",
    };
  });
  return { mode, title: key(`qa.${mode}.title`), description: null, questions, defaults };
}

const CLEANUP = [
  "delete_config_key",
  "delete_provenance_key",
  "delete_provider_state_namespace",
  "best_effort_revoke_webhooks",
  "best_effort_revoke_tokens",
  "best_effort_delete_provider_owned_secrets",
];

// apply makes a configuration of answers, or says what is wrong with them; a
// removal needs none. Diagnostics are about answers of the wrong type, which do
// not count.
function apply(mode, answers) {
  asked(mode);
  const diagnostics = [];
  const result = (part) => ({ ok: true, config: null, remove: null, diagnostics, error: null, ...part });
  if (mode === "remove") return result({ remove: { remove_all: true, cleanup: CLEANUP } });
  try {
    return result({ config: configure(mode, answers, diagnostics) });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return result({ ok: false, error: `invalid config: ${error.message}` });
  }
}

function configure(mode, answers, diagnostics) {
  if (!isMap(answers)) throw new Refusal("the answers are no map");
  const existing = (mode === "upgrade" && answers.existing_config) || {};
  if (!isMap(existing)) throw new Refusal("existing_config is no map");
  const config = {};
  for (const [id, { kind, standard, required, parse }] of Object.entries(FIELDS)) {
    let value = parse(answers[id]);
    if (value === undefined) {
      if (answers[id] !== undefined && answers[id] !== null) {
        diagnostics.push({ severity: "warn", code: "ANSWER_IGNORED", message: EXPECTED[kind], path: id });
      }
      value = parse(existing[id]) ?? standard;
    }
    if (required && !value) throw new Refusal(`${id} cannot be empty`);
    if (value !== undefined && value !== "") config[id] = value;
  }
  return config;
}

function isMap(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

// plan is apply as a step of a provisioning flow: secrets apart from the rest.
function plan(mode, answers) {
  const { ok, config, diagnostics, error } = apply(mode, answers);
  if (!ok) return { ok, error };
  if (!config) throw new Refusal("a removal has no plan");
  const config_patch = {};
  const set = {};
  for (const [id, value] of Object.entries(config)) {
    if (FIELDS[id].secret) set[id] = { redacted: false, value };
    else config_patch[id] = value;
  }
  return { ok, diagnostics, plan: { config_patch, secrets_patch: { set, delete: [] } } };
}

// receive reads what the chat service sends to the webhook.
function receive({ body }) {
  let update;
  try {
    update = JSON.parse(body);
  } catch {
    update = null;
  }
  if (!isMap(update) || typeof update.chat_id !== "string" || typeof update.text !== "string") {
    throw new Refusal("the body is no {chat_id, text}");
  }
  return { ok: true, messages: [{ chat_id: update.chat_id, text: update.text }] };
}

const OPERATIONS = {
  "qa-spec": ({ mode }) => spec(mode),
  "apply-answers": ({ mode, answers }) => apply(mode, answers),
  plan: ({ mode, answers }) => plan(mode, answers),
  "handle-webhook": receive,
  "i18n-keys": () => keys,
};

function schema(title, description, fields, additional) {
  return { kind: "object", title: key(title), description: key(description), fields, additional_properties: additional };
}

const INPUT = schema("input.title", "input.description", {}, true);
const OUTPUT = schema("output.title", "output.description", {
  ok: { required: true, schema: { kind: "bool", title: key("output.ok"), description: key("output.ok") } },
  error: { required: false, schema: { kind: "string", title: key("output.error"), description: key("output.error") } },
}, true);
const CONFIG = schema("config.title", "config.description", Object.fromEntries(
  Object.entries(FIELDS).map(([id, { kind, format, secret, required, standard }]) => [id, {
    required: Boolean(required) || standard !== undefined,
    schema: { kind, format, secret, title: key(`qa.${id}`), description: key(`qa.${id}`) },
  }]),
), false);

const DESCRIPTION = {
  provider: PROVIDER,
  world: WORLD,
  operations: Object.keys(OPERATIONS).map((name) => ({
    name,
    title: key(`op.${name.replace("-", "_")}.title`),
    description: key(`op.${name.replace("-", "_")}.description`),
  })),
  input_schema: INPUT,
  output_schema: OUTPUT,
  config_schema: CONFIG,
  redactions: Object.keys(FIELDS).filter((id) => FIELDS[id].secret).map((id) => ({ path: `$.${id}`, strategy: "replace" })),
  schema_hash: bytesToHex(sha256(encode({ input: INPUT, output: OUTPUT, config: CONFIG }))),
};

export const descriptor = {
  describe: () => encode(DESCRIPTION),
};

export const runtime = {
  invoke(op, input) {
    if (!Object.hasOwn(OPERATIONS, op)) return encode({ ok: false, error: `unsupported op: ${op}` });
    return encode(attempt(input, (given) => {
      if (!isMap(given)) throw new Refusal("the input is no map");
      return OPERATIONS[op](given);
    }));
  },
};

export const qa = {
  qaSpec: (mode) => encode(spec(mode)),
  applyAnswers: (mode, answers) => encode({
    config: null, remove: null, diagnostics: [],
    ...attempt(answers, (given) => apply(mode, given)),
  }),
};

export const componentI18n = {
  i18nKeys: () => keys,
  i18nBundle: (locale) => encode({ locale, messages: messages(locale) }),
};

// attempt decodes what a caller sent and does something with it. What is wrong
// with it is an answer; anything else is a trap.
function attempt(bytes, act) {
  try {
    return act(decode(bytes));
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof SyntaxError)) throw error;
    return { ok: false, error: error.message };
  }
}
