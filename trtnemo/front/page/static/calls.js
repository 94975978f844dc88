// Tool calls of an answer, with a place for what each tool gives back.
import { copyButton, el, pretty } from "./dom.js";

/** Shows the calls; `send(messages)` gets the results as messages of tools. */
export class CallsView {
  constructor(send) {
    this.root = el("div", { class: "calls" });
    this.send = send;
    this.drawn = [];
    this.results = [];
  }

  /** Show the calls as far as they came. */
  update(calls) {
    calls.forEach((call, place) => {
      const code = (this.drawn[place] ??= this.#add(call, place));
      code.textContent = pretty(call.arguments || "{}");
    });
  }

  #add(call, place) {
    const code = el("code", {});
    const head = el("div", { class: "code-head" }, el("span", {}, "Call of ", el("strong", {}, call.name)),
      copyButton(() => code.textContent));
    const label = `Result of ${call.name}${place ? ` (call ${place + 1})` : ""}`;
    const result = el("textarea", { rows: 1, class: "code", "aria-label": label, placeholder: "What the tool gives back" });
    this.results.push(result);
    this.root.append(el("div", { class: "call" }, head, el("pre", { tabindex: 0 }, code), result));
    return code;
  }

  /** The answer is whole: results can be sent. */
  finish(calls) {
    if (!calls.length) return;
    const button = el("button", { type: "button", class: "small" }, calls.length > 1 ? "Send the results" : "Send the result");
    button.addEventListener("click", () => {
      const messages = calls.map((call, place) => ({
        role: "tool", tool_call_id: call.id, name: call.name, content: this.results[place].value,
      }));
      if (this.send(messages)) this.close();
    });
    this.button = button;
    this.root.append(button);
  }

  /** The conversation went on: nothing more can be given. */
  close() {
    this.button?.remove();
    for (const result of this.results) {
      result.readOnly = true;
      if (!result.value) result.remove();
    }
  }
}
