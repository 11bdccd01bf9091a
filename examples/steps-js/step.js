// A provisioning step for an invented chat service. One component serves all
// four steps; the request says which one is wanted.
import * as config from "greentic:provision-host/config@1.0.0";
import * as secrets from "greentic:provision-host/secrets@1.0.0";
import { log } from "greentic:provision-host/log@1.0.0";
import { getConsentUrl } from "greentic:oauth-broker/broker-v1@1.0.0";

const REGIONS = ["eu", "us"];
const SCOPES = ["chat.read", "chat.write"];
const CALLBACK = "/oauth/callback";

const steps = { collect, validate, apply, summary };

export const step = {
  // Gives the response as JSON text. What is thrown becomes the failure of the
  // contract; the engine of this toolchain wants it in the member `payload`.
  run(text) {
    try {
      const request = JSON.parse(text);
      const wanted = steps[request.step];
      if (!wanted) throw failure("UNKNOWN_STEP", `This pack has no step ${request.step}.`);
      return JSON.stringify(wanted(request.inputs));
    } catch (error) {
      throw error.payload?.code ? asFailure(error.payload) : failure("STEP_FAILED", String(error.message));
    }
  },
};

// collect asks for what the answers do not have yet.
function collect({ answers }) {
  const inputs = [];
  if (!answers.region) {
    inputs.push({
      type: "Input.ChoiceSet",
      id: "region",
      label: "Region",
      choices: REGIONS.map((value) => ({ title: value.toUpperCase(), value })),
      isRequired: true,
      errorMessage: "A region is needed.",
    });
  }
  if (!answers.bot_token) {
    inputs.push({
      type: "Input.Text",
      id: "bot_token",
      label: "Bot token",
      style: "Password",
      isRequired: true,
      errorMessage: "The bot's token is needed.",
    });
  }
  if (inputs.length === 0) return {};
  const title = { type: "TextBlock", text: "Chat service", weight: "Bolder" };
  return { questions: { type: "AdaptiveCard", version: "1.5", body: [title, ...inputs] } };
}

function validate({ answers }) {
  const diagnostics = [];
  const error = (code, message, path, hint) => diagnostics.push({ severity: "error", code, message, path, hint });
  if (!REGIONS.includes(answers.region)) {
    error("REGION_UNKNOWN", `There is no region ${JSON.stringify(answers.region ?? null)}.`, "answers.region",
      `Choose one of ${REGIONS.join(", ")}.`);
  }
  if (!answers.bot_token) {
    error("TOKEN_MISSING", "The bot's token is missing.", "answers.bot_token", "The service shows it when a bot is made.");
  }
  return { diagnostics };
}

// apply tells the host what is to be, and returns only what no host call says.
function apply({ answers, install_id, provider_id, public_base_url }) {
  config.set("chat.region", JSON.stringify(answers.region));
  config.set("chat.endpoint", JSON.stringify(`https://${answers.region}.chat.invalid/`));
  secrets.put("CHAT_BOT_TOKEN", bytes(answers.bot_token));

  const url = getConsentUrl(provider_id, install_id, SCOPES, CALLBACK, "{}");
  if (url.startsWith("{")) throw failure("CONSENT_REFUSED", JSON.parse(url).error.message);
  log("info", "asked for a consent URL");

  const plan = { notes: [`Open ${url} to let the bot in.`] };
  if (public_base_url) {
    plan.webhook_ops = [{ op: "register", id: "chat", url: new URL("chat", public_base_url).href, metadata: {} }];
  }
  return { plan };
}

function summary({ answers }) {
  return { summary: { message: `The chat service will be set up in region ${answers.region}.` } };
}

function failure(code, message) {
  return asFailure({ code, message });
}

function asFailure({ code, message }) {
  return Object.assign(new Error(message), { payload: { code, message } });
}

function bytes(text) {
  return new TextEncoder().encode(text);
}
