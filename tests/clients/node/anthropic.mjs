// The Anthropic client: Messages, streamed, with a tool.
import Anthropic from "@anthropic-ai/sdk";
import { description, key, model, prompt, schema, url, weather } from "./turns.mjs";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });

async function turn(messages) {
  const tools = [{ name: "get_weather", description, input_schema: schema }];
  const message = await client.messages.stream({ model, max_tokens: 500, messages, tools }).finalMessage();
  const call = message.content.find((block) => block.type === "tool_use");
  if (!call) return message.content.map((block) => block.text).join("");
  const result = { type: "tool_result", tool_use_id: call.id, content: weather(call.input) };
  return turn([...messages, { role: "assistant", content: message.content }, { role: "user", content: [result] }]);
}

console.log(await turn([{ role: "user", content: prompt }]));
