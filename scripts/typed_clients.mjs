// Checks of the AI SDK against a server of `tiny`: one JSON line [what, text, is right] each.
// usage: node typed_clients.mjs http://127.0.0.1:8123/v1
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.argv[2];
const compatible = createOpenAICompatible({ name: "local", baseURL, supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL, apiKey: "EMPTY" });
const prompt = "What is the capital of Japan?";
const schema = z.object({ city: z.enum(["Tokyo", "Paris"]), continent: z.enum(["Asia", "Europe"]) });
const get_weather = tool({
  description: "Get the current weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => ({ temperature: 21, sky: "sunny" }),
});

function told(what, text, isRight) {
  console.log(JSON.stringify([what, String(text), Boolean(isRight)]));
}

for (const [name, model] of [
  ["openai-compatible", compatible("tiny")],
  ["openai, responses", openai("tiny")],
  ["openai, chat", openai.chat("tiny")],
]) {
  const whole = await generateText({ model, prompt, temperature: 0 });
  told(`ai, ${name}: generateText`, whole.text, whole.text.includes("Tokyo"));
  const streamed = streamText({ model, prompt, temperature: 0 });
  told(`ai, ${name}: streamText`, await streamed.text, (await streamed.text).includes("Tokyo"));
  const loop = await generateText({
    model, temperature: 0, prompt: "What is the weather in Seattle?", tools: { get_weather }, stopWhen: stepCountIs(3),
  });
  told(`ai, ${name}: a tool loop`, loop.text, loop.text.includes("21"));
  const forced = await generateText({ model, temperature: 0, prompt, tools: { get_weather }, toolChoice: "required" });
  told(`ai, ${name}: toolChoice required`, JSON.stringify(forced.toolCalls.map((call) => call.toolName)),
    forced.toolCalls.length > 0);
  const typed = await generateObject({ model, schema, prompt, temperature: 0 });
  told(`ai, ${name}: generateObject`, JSON.stringify(typed.object), typed.object.city);
}
