// What the panel says, as fields of a request.
import { byId } from "./dom.js";

const NUMBERS = { temperature: "Temperature", top_p: "Top p", max_tokens: "Max tokens", seed: "Seed" };
const TOOLS = [
  tool("get_weather", "Current weather in a city."),
  tool("get_time", "Local time in a city."),
];
const SCHEMA = {
  type: "object",
  properties: {
    city: { type: "string", maxLength: 24 },
    is_capital: { type: "boolean" },
    continent: { enum: ["Africa", "America", "Asia", "Europe", "Oceania"] },
  },
  required: ["city", "is_capital", "continent"],
  additionalProperties: false,
};

function tool(name, description) {
  const city = { type: "string", description: "Name of the city" };
  const parameters = { type: "object", properties: { city }, required: ["city"] };
  return { type: "function", function: { name, description, parameters } };
}

/** A setting that cannot be sent; `field` is its element. */
export class SettingError extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** Return the system prompt as a list of messages. */
export function systemMessages() {
  const text = byId("system").value.trim();
  return text ? [{ role: "system", content: text }] : [];
}

/** Return the request's fields; raises SettingError. */
export function readSettings() {
  const fields = { model: byId("model").value || undefined };
  for (const [name, label] of Object.entries(NUMBERS)) {
    const input = byId(name);
    if (!input.validity.valid) throw new SettingError(input, `${label}: ${input.validationMessage}`);
    if (input.value !== "") fields[name] = Number(input.value);
  }
  if (byId("thinking").value) fields.reasoning_effort = byId("thinking").value;
  if (byId("use-tools").checked) fields.tools = readJson("tools", Array.isArray, "a list of tools");
  if (byId("use-schema").checked) {
    const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
    const schema = readJson("schema", isObject, "an object");
    fields.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  return fields;
}

function readJson(id, fits, what) {
  const field = byId(id);
  let value;
  try {
    value = JSON.parse(field.value);
  } catch (error) {
    throw fault(field, field.value.trim() ? `This is not JSON: ${error.message}` : `Write ${what} here, as JSON.`);
  }
  if (!fits(value)) throw fault(field, `This is JSON, but not ${what}.`);
  fault(field, "");
  return value;
}

function fault(field, message) {
  byId(`${field.id}-fault`).textContent = message;
  field.setAttribute("aria-invalid", message !== "");
  return new SettingError(field, message);
}

/** Wire the examples, and the boxes that are read as JSON while somebody writes. */
export function setUpSettings() {
  for (const [id, example] of [["tools", TOOLS], ["schema", SCHEMA]]) {
    const [field, use] = [byId(id), byId(`use-${id}`)];
    const check = () => {
      fault(field, "");
      if (!use.checked || !field.value.trim()) return;
      try {
        readSettings();
      } catch (error) {
        if (!(error instanceof SettingError)) throw error; // its message stands below the box
      }
    };
    byId(`${id}-example`).addEventListener("click", () => {
      field.value = JSON.stringify(example, null, 2);
      use.checked = true;
      check();
    });
    field.addEventListener("input", () => {
      if (field.value.trim()) use.checked = true;
      check();
    });
    use.addEventListener("change", check);
  }
}
