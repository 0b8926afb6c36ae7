// What the scripts share: their arguments, and the tool that the conversation calls.
export const [url, key, format, model, prompt] = process.argv.slice(2);

export const description = "The weather of a city.";
export const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };

export function weather({ city }) {
  if (city !== "Zürich") throw new Error(`asked for ${city}`);
  return `Sunny in ${city}, mark-42.`;
}
