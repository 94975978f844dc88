// One answer as it comes: text, thinking, tool calls, counts and times. It knows nothing of the page.
import { messageOf } from "./api.js";

// Milliseconds from the first token to the last below which their rate says nothing: a busy browser reads them at once.
const SHORTEST = 100;

export class Answer {
  constructor() {
    this.content = "";
    this.reasoning = "";
    this.calls = [];
    this.usage = null;
    this.finish = null;
    this.error = null;
    this.isStopped = false;
    this.isDone = false;
    this.events = [];
    this.sent = performance.now();
    this.first = null;
    this.last = null;
  }

  /** Take the data of one event in. */
  add(data) {
    this.events.push(data);
    if (data === "[DONE]") return;
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      this.error = `The server sent an event that is not JSON: ${data.slice(0, 200)}`;
      return;
    }
    const said = messageOf(chunk);
    if (said) this.error = said;
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    if (choice.finish_reason) this.finish = choice.finish_reason;
    this.#addDelta(choice.delta ?? {});
  }

  #addDelta(delta) {
    const thought = delta.reasoning_content ?? delta.reasoning ?? "";
    if (!thought && !delta.content && !delta.tool_calls) return;
    this.last = performance.now();
    this.first ??= this.last;
    this.reasoning += thought;
    this.content += delta.content ?? "";
    for (const part of delta.tool_calls ?? []) {
      const call = (this.calls[part.index ?? this.calls.length] ??= { id: "", name: "", arguments: "" });
      call.id ||= part.id ?? "";
      call.name += part.function?.name ?? "";
      call.arguments += part.function?.arguments ?? "";
    }
  }

  /** Whether nothing came of it. */
  get isEmpty() {
    return !this.content && !this.reasoning && !this.calls.length;
  }

  /** The answer as a message of the next request. */
  get message() {
    const message = { role: "assistant", content: this.content };
    if (this.reasoning) message.reasoning_content = this.reasoning;
    if (this.calls.length) {
      message.tool_calls = this.calls.map(({ id, name, arguments: text }) => ({
        id, type: "function", function: { name, arguments: text },
      }));
    }
    return message;
  }

  /** What was measured: [name, value, explanation] of each number that there is. */
  get numbers() {
    const { usage, first, last, sent } = this;
    const found = [];
    const tokens = usage?.completion_tokens;
    if (tokens > 1 && last - first >= SHORTEST) {
      found.push(["tokens/s", number(((tokens - 1) * 1000) / (last - first)), "tokens after the first, by their time"]);
    } else if (tokens && last > sent) {
      found.push(["tokens/s", number((tokens * 1000) / (last - sent)), "all tokens, by the time since sending"]);
    }
    if (first) found.push(["to first token", milliseconds(first - sent), "from sending to the first text"]);
    if (tokens != null) found.push(["tokens", number(tokens), `and ${usage.prompt_tokens} of the prompt`]);
    const { accepted_prediction_tokens: yes = 0, rejected_prediction_tokens: no = 0 } =
      usage?.completion_tokens_details ?? {};
    if (yes + no) found.push(["drafts accepted", share(yes, yes + no), `${yes} of ${yes + no} drafted tokens (MTP)`]);
    const cached = usage?.prompt_tokens_details?.cached_tokens;
    if (cached) found.push(["cached", `${cached} of ${usage.prompt_tokens}`, "prompt tokens that a kept prefix spared"]);
    return found;
  }

  /** How it ended, in words; "" for an ordinary end. */
  get end() {
    if (this.isStopped) return "stopped";
    if (this.finish === "length") return "cut off: the token limit was reached";
    return this.isDone && !this.error && !this.finish ? "the stream broke off" : "";
  }
}

/** Return a number as people read it. */
export function number(value) {
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

const milliseconds = (value) => (value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);

/** Return a part of a whole in percent. */
export const share = (part, whole) => `${Math.round((100 * part) / whole)} %`;
