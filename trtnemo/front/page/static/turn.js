// One turn on the page: what was said, and the answer to it as it grows.
import { CallsView } from "./calls.js";
import { copyButton, el, oncePerFrame } from "./dom.js";
import { codeBlock, Markdown } from "./markdown.js";

/** Shows an answer; `again()` asks once more after an error, `sendResults(messages)` answers tool calls. */
export class TurnView {
  constructor(said, { again, sendResults }) {
    this.again = again;
    this.asked = el("article", { class: "asked" }, el("span", { class: "hidden" }, "You: "), said);
    this.thought = el("div", { class: "thought" });
    this.isThinkingTouched = false;
    const summary = el("summary", { onclick: () => (this.isThinkingTouched = true) }, "Thinking");
    this.thinking = el("details", { class: "thinking", hidden: true, open: true }, summary, this.thought);
    this.thinkingName = summary;
    this.text = el("div", { class: "text" });
    this.markdown = new Markdown(this.text);
    this.calls = new CallsView(sendResults);
    this.foot = el("footer", {});
    this.wait = el("p", { class: "wait" }, "Waiting for the first token…");
    this.answer = el("article", { class: "answer", "aria-busy": "true" },
      el("span", { class: "hidden" }, "Answer: "), this.wait, this.thinking, this.text, this.calls.root, this.foot);
    this.root = el("div", { class: "turn" }, this.asked, this.answer);
    this.draw = oncePerFrame(() => this.#draw());
    this.drawnThought = 0;
  }

  /** Show the answer as far as it came, in the next frame. */
  update(answer, drawn = () => {}) {
    this.state = answer;
    this.drawn = drawn;
    this.draw();
  }

  #draw() {
    const answer = this.state;
    this.wait.hidden = !answer.isEmpty || answer.isDone;
    if (answer.reasoning.length > this.drawnThought) {
      this.thinking.hidden = false;
      // appended, not written anew: a long thought stays quick
      this.thought.append(answer.reasoning.slice(this.drawnThought));
      this.drawnThought = answer.reasoning.length;
    }
    const goesOn = answer.content || answer.calls.length || answer.isDone;
    this.thinkingName.textContent = goesOn ? "Thinking" : "Thinking…";
    if (goesOn && !this.isThinkingTouched) this.thinking.open = false;
    if (!this.schema) this.markdown.update(answer.content);
    else if (!answer.isDone) this.text.textContent = answer.content;
    this.calls.update(answer.calls);
    if (answer.isDone) this.#finish(answer);
    else this.#numbers(answer, []);
    this.drawn();
  }

  #finish(answer) {
    if (this.isFinished) return;
    this.isFinished = true;
    this.answer.setAttribute("aria-busy", "false");
    if (this.schema && answer.content) this.#showJson(answer.content);
    if (answer.isEmpty && !answer.error) this.text.append(el("p", { class: "note" }, "The answer is empty."));
    if (!answer.error) this.calls.finish(answer.calls);
    this.#numbers(answer, answer.content ? [copyButton(() => answer.content, "Copy answer")] : []);
    if (answer.error) {
      const again = el("button", { type: "button", class: "small" }, "Try again");
      again.addEventListener("click", () => this.again());
      this.foot.before(el("div", { class: "error", role: "alert" }, el("p", {}, answer.error), again));
    }
    this.foot.after(this.#raw(answer));
  }

  #showJson(content) {
    let verdict;
    try {
      const shown = JSON.stringify(JSON.parse(content), null, 2);
      this.text.replaceChildren(codeBlock(shown, "json"));
      verdict = el("p", { class: "verdict good" }, "Valid JSON");
    } catch (error) {
      this.text.replaceChildren(codeBlock(content));
      verdict = el("p", { class: "verdict bad" }, `Not valid JSON: ${error.message}`);
    }
    this.text.append(verdict);
  }

  #numbers(answer, buttons) {
    const shown = answer.numbers.map(([name, value, title]) =>
      el("span", { class: "number", title }, el("b", {}, value), ` ${name}`));
    if (answer.end) shown.push(el("span", { class: "end" }, answer.end));
    this.foot.replaceChildren(...shown, ...buttons);
  }

  /** Return the fold of what went over the wire, filled when it is first opened: it can be long. */
  #raw(answer) {
    const fold = el("details", { class: "raw" }, el("summary", {}, "Request and response"));
    fold.addEventListener("toggle", () => {
      const request = JSON.stringify(this.body, null, 2);
      fold.append(codeBlock(request, "request"), codeBlock(answer.events.join("\n"), `${answer.events.length} events`));
    }, { once: true });
    return fold;
  }
}
