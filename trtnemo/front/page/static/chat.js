// The conversation: its turns, what is sent of them, one answer at a time.
import { Answer } from "./answer.js";
import { readEvents, request } from "./api.js";
import { byId } from "./dom.js";
import { readSettings, systemMessages } from "./settings.js";
import { TurnView } from "./turn.js";

const NEAR = 80; // pixels from the end at which the page follows the answer

export class Chat {
  constructor(changed) {
    this.turns = [];
    this.changed = changed;
    this.abort = null;
    this.box = byId("conversation");
  }

  get isBusy() {
    return this.abort !== null;
  }

  /** Ask with a text; returns whether it was sent. Raises SettingError. */
  ask(text) {
    return this.#begin([{ role: "user", content: text }], text);
  }

  #answerCalls(messages) {
    return this.#begin(messages, messages.map(({ name, content }) => `${name}: ${content}`).join("\n"));
  }

  #begin(messages, said) {
    if (this.isBusy) return false;
    const settings = readSettings();
    const kept = this.turns.filter((turn) => !turn.answer.error && !turn.answer.isEmpty);
    const history = kept.flatMap((turn) => [...turn.messages, turn.answer.message]);
    const body = {
      ...settings,
      messages: [...systemMessages(), ...history, ...messages],
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    };
    const turn = { messages, answer: new Answer() };
    turn.view = new TurnView(said, {
      again: () => this.#again(turn, said),
      sendResults: (results) => this.#guarded(() => this.#answerCalls(results)),
    });
    turn.view.body = body;
    turn.view.schema = settings.response_format;
    this.turns.at(-1)?.view.calls.close();
    this.turns.push(turn);
    this.box.append(turn.view.root);
    this.box.scrollTop = this.box.scrollHeight;
    this.#run(turn, body);
    return true;
  }

  #guarded(act) {
    try {
      return act();
    } catch (error) {
      this.changed("fault", error);
      return false;
    }
  }

  #again(turn, said) {
    if (this.isBusy) return;
    const place = this.turns.indexOf(turn);
    this.turns.splice(place, 1);
    turn.view.root.remove();
    if (!this.#guarded(() => this.#begin(turn.messages, said))) {
      this.turns.splice(place, 0, turn); // a setting is wrong: nothing was sent, nothing is lost
      this.box.append(turn.view.root);
    }
  }

  async #run(turn, body) {
    const { answer, view } = turn;
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.changed("begun");
    const show = () => {
      const follows = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR;
      view.update(answer, () => follows && (this.box.scrollTop = this.box.scrollHeight));
    };
    show();
    try {
      const headers = { "Content-Type": "application/json" };
      const options = { method: "POST", headers, body: JSON.stringify(body), signal };
      const began = () => (answer.sent = performance.now());
      const response = await request("v1/chat/completions", options, { began });
      for await (const data of readEvents(response)) {
        answer.add(data);
        show();
      }
    } catch (error) {
      if (signal.aborted) answer.isStopped = true;
      else answer.error = error.status === undefined ? `The answer broke off: ${error.message}` : error.message;
    }
    answer.isDone = true;
    this.abort = null;
    show();
    this.changed("ended", answer);
  }

  /** Stop the answer that runs; what came of it stays. */
  stop() {
    this.abort?.abort();
  }

  /** Forget the conversation. */
  clear() {
    this.stop();
    for (const turn of this.turns) turn.view.root.remove();
    this.turns = [];
  }
}
