// Vercel's AI SDK, by both of its providers: the one for OpenAI itself speaks Responses, the other chat completions.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey, MODEL, EMBEDDING_MODEL } = process.env;
const compatible = createOpenAICompatible({
  name: "flotilla", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true,
});
const official = createOpenAI({ baseURL, apiKey });
const models = { "chat completions": compatible(MODEL), "OpenAI's chat": official.chat(MODEL), Responses: official(MODEL) };
const maxRetries = 0;

for (const [dialect, model] of Object.entries(models)) {
  test(`a text by ${dialect}`, async () => {
    const { text, usage, finishReason } = await generateText({ model, maxRetries, prompt: "Hello!" });
    assert.ok(text);
    assert.equal(finishReason, "stop");
    assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
  });

  test(`a stream by ${dialect}`, async () => {
    const result = streamText({ model, maxRetries, prompt: "Hello!" });
    const pieces = await Array.fromAsync(result.textStream);
    assert.equal(pieces.join(""), await result.text);
    assert.ok((await result.usage).outputTokens > 0);
  });

  test(`an object by ${dialect}`, async () => {
    const schema = z.object({ name: z.string(), age: z.number().int() });
    const prompt = "Ada is 36 years old. Who is she?";
    const { output } = await generateText({ model, maxRetries, temperature: 0, prompt, output: Output.object({ schema }) });
    assert.deepEqual(Object.keys(output), ["name", "age"]);
  });

  test(`a tool and its result by ${dialect}`, async () => {
    const asked = [];
    const getWeather = tool({
      description: "The weather in a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => { asked.push(city); return { temperature: 18, condition: "sunny" }; },
    });
    const prompt = "What is the weather in Paris?";
    const tools = { get_weather: getWeather };
    const { text } = await generateText({ model, maxRetries, temperature: 0, prompt, tools, stopWhen: stepCountIs(3) });
    assert.match(text, /18/);
    assert.deepEqual(asked, ["Paris"]);
  });
}

test("embeddings", async () => {
  const model = compatible.embeddingModel(EMBEDDING_MODEL);
  const { embeddings } = await embedMany({ model, maxRetries, values: ["one", "two"] });
  assert.equal(embeddings.length, 2);
});

test("an unknown model says so", async () => {
  const asked = generateText({ model: compatible("gpt-nope"), maxRetries, prompt: "Hello!" });
  await assert.rejects(asked, (error) => error.statusCode === 404 && /gpt-nope/.test(error.message));
});
