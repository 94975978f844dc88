// The running numbers of the server, read every two seconds while somebody can see them.
import { number } from "./answer.js";
import { ApiError, request } from "./api.js";
import { byId, el } from "./dom.js";
import { parseMetrics, Readings } from "./metrics.js";

const EVERY = 2000;
const [WIDTH, HEIGHT] = [96, 24];
const [DRAFTED, ACCEPTED] = ["trtnemo_drafted_tokens_total", "trtnemo_accepted_tokens_total"];
const [PROMPT, CACHED] = ["trtnemo_prompt_tokens_total", "trtnemo_cached_tokens_total"];
const percent = (value) => (value == null ? "–" : `${Math.round(value)} %`);

// name, what is drawn, what is written, explanation
const GAUGES = [
  ["running", (all) => all.levels("trtnemo_running_requests"), null, "requests that generate"],
  ["waiting", (all) => all.levels("trtnemo_waiting_requests"), null, "requests that wait for a slot"],
  ["generated tokens/s", (all) => all.rates("trtnemo_generated_tokens_total"), null, "of all requests together"],
  ["prompt tokens/s", (all) => all.rates(PROMPT), null, "prompt tokens run; those a kept prefix spared not counted"],
  ["drafts accepted", (all) => all.shares(ACCEPTED, [DRAFTED]), (all) => percent(all.shareOfAll(ACCEPTED, [DRAFTED])),
    "drafted tokens accepted, in the last two minutes or since the start"],
  ["prompt from cache", (all) => all.shares(CACHED, [CACHED, PROMPT]),
    (all) => percent(all.shareOfAll(CACHED, [CACHED, PROMPT])), "prompt tokens spared, in the last two minutes or since the start"],
];

const readings = new Readings();
const drawn = GAUGES.map(([name, , , title]) => {
  const value = el("b", {}, "–");
  const line = svg("polyline", { fill: "none" });
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  chart.append(line);
  return { value, line, root: el("div", { class: "gauge", title }, el("span", {}, value, ` ${name}`), chart) };
});

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Return the points of a line through values, the newest at the right; a value that is not there is left out. */
export function linePoints(values, most) {
  const top = Math.max(...values.filter((value) => value != null), 0) || 1;
  const step = WIDTH / (most - 1);
  const start = WIDTH - step * (values.length - 1);
  return values
    .map((value, place) => value != null && `${(start + place * step).toFixed(1)},${(HEIGHT - 2 - ((HEIGHT - 4) * value) / top).toFixed(1)}`)
    .filter(Boolean)
    .join(" ");
}

function draw() {
  GAUGES.forEach(([, values, write], place) => {
    const shown = values(readings);
    const last = shown.at(-1);
    drawn[place].value.textContent = write ? write(readings) : last == null ? "–" : number(last);
    drawn[place].line.setAttribute("points", linePoints(shown, readings.most));
  });
}

async function read() {
  try {
    const response = await request("metrics", {}, { asks: false });
    readings.add(performance.now() / 1000, parseMetrics(await response.text()));
    byId("server-note").textContent = "";
    draw();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const words = { 401: "Its numbers need the API key.", 403: "Its numbers are not for this key.", 404: "It has no numbers." };
    byId("server-note").textContent = words[error.status] ?? error.message;
  }
}

/** Begin to read. */
export function setUpGauges() {
  byId("gauges").append(...drawn.map(({ root }) => root));
  const isSeen = () => !document.hidden && byId("gauges").checkVisibility();
  const tick = async () => {
    if (isSeen()) await read();
    setTimeout(tick, EVERY);
  };
  tick();
}
