// OpenAI's own package for Node. OPENAI_BASE_URL and OPENAI_API_KEY are read by the package itself.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI, { toFile } from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { MODEL: model, EMBEDDING_MODEL: embeddingModel } = process.env;
const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: "Hello!" }];
const weatherQuestion = [{ role: "user", content: "What is the weather in Paris?" }];
const Weather = z.object({ location: z.string() });

test("a chat", async () => {
  const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
  assert.ok(data.choices[0].message.content);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.ok(response.headers.get("x-request-id"));
});

test("a stream", async () => {
  const stream = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  const chunks = await Array.fromAsync(stream);
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test("the stream helper", async () => {
  const stream = client.chat.completions.stream({ model, messages });
  let text = "";
  stream.on("content", (delta) => (text += delta));
  assert.equal(await stream.finalContent(), text);
  assert.ok(text);
});

test("a stream that the program leaves", async () => {
  const stream = await client.chat.completions.create({
    model, messages: [{ role: "user", content: "Count to 20" }], stream: true,
  });
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
  assert.ok(stream.controller.signal.aborted);
});

test("structured output", async () => {
  const answer = await client.chat.completions.parse({
    model,
    messages: [{ role: "user", content: "Ada is 36 years old. Who is she?" }],
    temperature: 0,
    response_format: zodResponseFormat(z.object({ name: z.string(), age: z.number().int() }), "person"),
  });
  assert.deepEqual(Object.keys(answer.choices[0].message.parsed), ["name", "age"]);
});

test("a forced tool", async () => {
  const answer = await client.chat.completions.parse({
    model,
    messages: weatherQuestion,
    temperature: 0,
    tool_choice: "required",
    tools: [zodFunction({ name: "get_weather", parameters: Weather })],
  });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.equal(typeof call.function.parsed_arguments.location, "string");
});

test("tools that the package runs", async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model,
    messages: weatherQuestion,
    temperature: 0,
    tools: [zodFunction({
      name: "get_weather",
      parameters: z.object({ city: z.string() }),
      function: ({ city }) => { asked.push(city); return { temperature: 18, condition: "sunny" }; },
    })],
  });
  assert.match(await runner.finalContent(), /18/);
  assert.deepEqual(asked, ["Paris"]);
});

// Asks for base64 unless told otherwise, and decodes it.
test("embeddings", async () => {
  const answer = await client.embeddings.create({ model: embeddingModel, input: ["one", "two"] });
  assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
  assert.equal(typeof answer.data[0].embedding[0], "number");
});

test("responses", async () => {
  const answer = await client.responses.create({ model, input: "Hello!" });
  assert.ok(answer.output_text);
  assert.equal((await client.responses.retrieve(answer.id)).id, answer.id);
});

test("responses in a stream", async () => {
  const stream = client.responses.stream({ model, input: "Hello!" });
  const numbers = [];
  for await (const event of stream) numbers.push(event.sequence_number);
  assert.deepEqual(numbers, [...numbers.keys()]);
  assert.ok((await stream.finalResponse()).output_text);
});

test("the models", async () => {
  const names = (await Array.fromAsync(client.models.list())).map((item) => item.id);
  assert.ok(names.includes(model));
});

test("an unknown model", async () => {
  const asked = client.chat.completions.create({ model: "gpt-nope", messages });
  await assert.rejects(asked, (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
});

test("a model that cannot hear", async () => {
  const file = await toFile(Buffer.from("RIFF"), "speech.wav");
  await assert.rejects(client.audio.transcriptions.create({ model, file }), OpenAI.BadRequestError);
});
