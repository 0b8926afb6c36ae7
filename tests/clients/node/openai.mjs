// The OpenAI client: Chat Completions or Responses, streamed, with a tool.
import OpenAI from "openai";
import { description, format, key, model, prompt, schema, url, weather } from "./turns.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const tool = { name: "get_weather", description, parameters: schema };

async function chat(messages) {
  const stream = client.chat.completions.stream({ model, messages, tools: [{ type: "function", function: tool }] });
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
  if (finish_reason === "stop") return message.content;
  const [call] = message.tool_calls;
  const result = { role: "tool", tool_call_id: call.id, content: weather(JSON.parse(call.function.arguments)) };
  return chat([...messages, message, result]);
}

async function responses(input) {
  const stream = client.responses.stream({ model, input, tools: [{ type: "function", strict: true, ...tool }], store: false });
  const { output, output_text } = await stream.finalResponse();
  const call = output.find((item) => item.type === "function_call");
  if (!call) return output_text;
  const output_of = { type: "function_call_output", call_id: call.call_id, output: weather(JSON.parse(call.arguments)) };
  return responses([...input, ...output.map(({ parsed_arguments, ...item }) => item), output_of]);
}

console.log(await { openai: chat, responses }[format]([{ role: "user", content: prompt }]));
