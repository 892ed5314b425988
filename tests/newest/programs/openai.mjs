// Asks the service with OpenAI's SDK for JavaScript: vision, a stream, a form. Prints JSON.
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [url, picture] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
const model = "us.meta.llama3-2-11b-instruct-v1:0";
const image_url = `data:image/png;base64,${readFileSync(picture).toString("base64")}`;
const text = "What is in this picture?";
const input = [
  {
    role: "user",
    content: [
      { type: "input_text", text },
      { type: "input_image", image_url },
    ],
  },
];
const messages = [
  {
    role: "user",
    content: [
      { type: "text", text },
      { type: "image_url", image_url: { url: image_url } },
    ],
  },
];
const Picture = z.object({ description: z.string(), people: z.number().int() });

const seen = await client.responses.create({ model, input });
const chatted = await client.chat.completions.create({ model, messages });
const deltas = [];
for await (const event of await client.responses.create({ model, input, stream: true })) {
  if (event.type === "response.output_text.delta") deltas.push(event.delta);
}
const chunks = [];
for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
  chunks.push(chunk.choices[0]?.delta?.content ?? "");
}
const formed = await client.responses.parse({
  model,
  input,
  text: { format: zodTextFormat(Picture, "picture") },
});
console.log(
  JSON.stringify({
    picture: seen.output_text,
    chatted: chatted.choices[0].message.content,
    stream: deltas.join(""),
    deltas: deltas.length,
    chunks: chunks.join(""),
    formed: formed.output_parsed,
  }),
);
