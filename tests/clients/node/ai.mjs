// The Vercel AI SDK: streamText with a tool, through each of its providers.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
import { description, format, key, model, prompt, schema, url, weather } from "./turns.mjs";

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const models = {
  openai: () => openai.chat(model),
  responses: () => openai.responses(model),
  anthropic: () => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model),
  gemini: () => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })(model),
};

const answer = streamText({
  model: models[format](),
  prompt,
  maxRetries: 0,
  // Else its Responses provider sends only the ids of earlier answers, which a provider of another format never had.
  providerOptions: { openai: { store: false } },
  tools: { get_weather: tool({ description, inputSchema: jsonSchema(schema), execute: weather }) },
  stopWhen: stepCountIs(3),
  onError: ({ error }) => {
    throw error;
  },
});
for await (const piece of answer.textStream) process.stdout.write(piece);
