// The Google Gen AI client: generateContentStream with a function.
import { GoogleGenAI } from "@google/genai";
import { description, key, model, prompt, schema, url, weather } from "./turns.mjs";

const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
const config = { tools: [{ functionDeclarations: [{ name: "get_weather", description, parametersJsonSchema: schema }] }] };

async function turn(contents) {
  const parts = [];
  for await (const chunk of await client.models.generateContentStream({ model, contents, config })) {
    parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
  }
  const call = parts.find((part) => part.functionCall)?.functionCall;
  if (!call) return parts.map((part) => part.text ?? "").join("");
  const functionResponse = { id: call.id, name: call.name, response: { output: weather(call.args) } };
  return turn([...contents, { role: "model", parts }, { role: "user", parts: [{ functionResponse }] }]);
}

console.log(await turn([{ role: "user", parts: [{ text: prompt }] }]));
