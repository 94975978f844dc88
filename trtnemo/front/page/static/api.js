// Requests to the server that gave the page, and what went wrong with them in words.
import { askKey, currentKey, keyHeader } from "./key.js";

/** What a server, or the network, said instead of an answer. */
export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * Fetch a path relative to the page; raises ApiError, also for every status that is an error.
 * `asks`: whether a missing key is asked for; `began` is called whenever the request is sent.
 */
export async function request(path, options = {}, { asks = true, began = () => {} } = {}) {
  for (;;) {
    const used = currentKey();
    began();
    const response = await send(path, options);
    if (response.ok) return response;
    const wantsKey = response.status === 401 && asks && !options.signal?.aborted;
    // a key that was given meanwhile, for another request, is tried first
    if (wantsKey && (used !== currentKey() || (await askKey()))) continue;
    throw new ApiError(await reason(response), response.status);
  }
}

async function send(path, options) {
  try {
    return await fetch(path, { ...options, headers: { ...options.headers, ...keyHeader() }, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. It may have stopped, or the network is down.");
  }
}

async function reason(response) {
  const text = await response.text().catch(() => "");
  let said = text;
  try {
    said = messageOf(JSON.parse(text)) || text;
  } catch {
    // not JSON: a proxy's page, perhaps
  }
  return `${response.status} ${response.statusText}${said ? `: ${said.slice(0, 2000)}` : ""}`;
}

/** Return the message of an error body, "" where there is none. */
export function messageOf(body) {
  const error = body?.error ?? body?.detail;
  if (!error) return "";
  return typeof error === "string" ? error : error.message || JSON.stringify(error);
}

/** Yield the data of each server-sent event of a response. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (done ? "\n\n" : value)).split(/\r\n|\n|\r(?!$)/);
    rest = done ? "" : lines.pop();
    for (const line of lines) {
      if (line === "" && data.length) {
        yield data.join("\n");
        data = [];
      } else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
    if (done) return;
  }
}
