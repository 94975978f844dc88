// The page's wiring: the form, keys, the model list, the panel.
import { ApiError, request } from "./api.js";
import { Chat } from "./chat.js";
import { byId, el } from "./dom.js";
import { setUpGauges } from "./gauges.js";
import { setUpKey } from "./key.js";
import { setUpSettings, SettingError } from "./settings.js";

const EXAMPLES = ["What is the capital of France?", "What is 27 plus 15?", "Write a haiku about GPUs."];
const prompt = byId("prompt");
const say = (text) => (byId("status").textContent = text);

const chat = new Chat((what, detail) => {
  if (what === "fault") return showFault(detail);
  const hadFocus = [byId("send"), byId("stop")].includes(document.activeElement);
  if (what === "begun") byId("welcome").hidden = true;
  byId("send").hidden = chat.isBusy;
  byId("stop").hidden = !chat.isBusy;
  if (hadFocus) prompt.focus(); // a button that is hidden would drop the focus
  // it may have lacked the key that was given since
  if (what === "ended" && !detail.error && !byId("model").value) loadModels();
  if (what === "begun") say("Answering");
  else say(detail.error ? "" : detail.isStopped ? "Stopped" : `Done: ${detail.content.slice(0, 500)}`);
});

function showFault(error) {
  if (!(error instanceof SettingError)) throw error;
  openPanel(true);
  error.field.focus();
  say(error.message);
  if ("min" in error.field && error.field.type === "number") error.field.reportValidity();
}

function send(text) {
  try {
    if (text.trim() && chat.ask(text)) prompt.value = "";
  } catch (error) {
    showFault(error);
  }
}

function openPanel(isOpen) {
  document.body.classList.toggle("panel-open", isOpen);
  byId("panel-switch").setAttribute("aria-expanded", isOpen);
}

async function loadModels() {
  const list = byId("model");
  try {
    const { data } = await (await request("v1/models")).json();
    list.replaceChildren(...data.map(({ id, max_model_len: length }) =>
      el("option", { value: id, title: length ? `up to ${length} tokens` : null }, id)));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    list.replaceChildren(el("option", { value: "" }, "no model list"));
    say(error.message);
  }
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send(prompt.value);
});
prompt.addEventListener("keydown", (event) => {
  // an input method's Enter ends a word, not the message
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send(prompt.value);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || byId("key-dialog").open) return;
  if (chat.isBusy) chat.stop();
  else if (document.body.classList.contains("panel-open")) {
    openPanel(false);
    byId("panel-switch").focus();
  }
});
byId("stop").addEventListener("click", () => chat.stop());
byId("new").addEventListener("click", () => {
  chat.clear();
  byId("welcome").hidden = false;
  prompt.focus();
});
byId("panel-switch").addEventListener("click", () => openPanel(!document.body.classList.contains("panel-open")));
byId("examples").append(...EXAMPLES.map((text) =>
  el("button", { type: "button", onclick: () => send(text) }, text)));

setUpKey();
setUpSettings();
setUpGauges();
loadModels();
prompt.focus();
