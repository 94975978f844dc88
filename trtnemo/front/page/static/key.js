// The API key: asked for when a server wants one, kept for this tab, sent as a header, never in an address.
import { byId } from "./dom.js";

const KEPT = "trtnemo-key";
let key = "";
try {
  key = sessionStorage.getItem(KEPT) || "";
} catch {
  // storage is switched off: the key lives as long as the page
}

/** Return the header that carries the key, none without one. */
export const keyHeader = () => (key ? { Authorization: `Bearer ${key}` } : {});

/** Return the key that is in use. */
export const currentKey = () => key;

let asking = null;

/** Ask for the key; resolves to whether one was given. Who asks meanwhile waits for the same answer. */
export function askKey() {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

function ask() {
  const dialog = byId("key-dialog");
  byId("key-reason").textContent = key ? "The server refused the key." : "This server asks for a key.";
  byId("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

/** Wire the dialog. */
export function setUpKey() {
  const dialog = byId("key-dialog");
  byId("key-cancel").addEventListener("click", () => dialog.close(""));
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    key = byId("key").value.trim();
    byId("key").value = "";
    try {
      sessionStorage.setItem(KEPT, key);
    } catch {
      // see above
    }
    dialog.close("given");
  });
}
