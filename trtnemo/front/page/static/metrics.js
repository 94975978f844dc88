// Prometheus' text format, and what two readings of it say. It knows nothing of the page.

/** Return the sum of each metric over its labels, by name; parts of histograms but their counts are left out. */
export function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = line.match(/^([a-zA-Z_:][\w:]*)(\{.*\})?\s+(\S+)/);
    if (!match || match[1].endsWith("_bucket") || match[1].endsWith("_created")) continue;
    const value = Number(match[3].replace("Inf", "Infinity"));
    if (!Number.isNaN(value)) found.set(match[1], (found.get(match[1]) ?? 0) + value);
  }
  return found;
}

/** The readings of the last while, and what they show. */
export class Readings {
  constructor(most = 60) {
    this.most = most;
    this.all = [];
  }

  /** Take a reading in; one whose counters fell is of a server that was started anew. */
  add(seconds, values) {
    const last = this.all.at(-1);
    const counter = "trtnemo_generated_tokens_total";
    if (last && (values.get(counter) ?? 0) < (last.values.get(counter) ?? 0)) this.all = [];
    this.all.push({ seconds, values });
    if (this.all.length > this.most) this.all.shift();
  }

  /** The value of a gauge, reading by reading. */
  levels(name) {
    return this.all.map(({ values }) => values.get(name) ?? null);
  }

  /** How fast a counter grew between each two readings, per second. */
  rates(name) {
    return this.#steps((before, after) => {
      const seconds = after.seconds - before.seconds;
      const [old, now] = [before.values.get(name), after.values.get(name)];
      return old == null || now == null || seconds <= 0 ? null : (now - old) / seconds;
    });
  }

  /** The share of counter `part` in the sum of `whole`, in percent, between each two readings. */
  shares(part, whole) {
    return this.#steps((before, after) => share(before.values, after.values, part, whole));
  }

  /** The same over all readings, or since the server began where none of them has any. */
  shareOfAll(part, whole) {
    if (!this.all.length) return null;
    const last = this.all.at(-1).values;
    return share(this.all[0].values, last, part, whole) ?? share(new Map(), last, part, whole);
  }

  #steps(step) {
    return this.all.slice(1).map((after, place) => step(this.all[place], after));
  }
}

function share(before, after, part, whole) {
  const grown = (name) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  const total = whole.reduce((sum, name) => sum + grown(name), 0);
  return total > 0 ? (100 * grown(part)) / total : null;
}
