// Asks the service with Vercel's AI SDK, as it comes: vision, a stream, a form. And a second turn,
// for which it must be told that nothing is stored. Prints JSON.
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, streamText } from "ai";
import { z } from "zod";

const [url, picture] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
const model = openai("us.meta.llama3-2-11b-instruct-v1:0");
const messages = [
  {
    role: "user",
    content: [
      { type: "text", text: "What is in this picture?" },
      { type: "image", image: readFileSync(picture) },
    ],
  },
];
const Picture = z.object({ description: z.string(), people: z.number().int() });

const seen = await generateText({ model, messages });
const deltas = [];
for await (const delta of streamText({ model, messages }).textStream) deltas.push(delta);
const formed = await generateText({ model, messages, output: Output.object({ schema: Picture }) });
const again = [...messages, ...seen.response.messages, { role: "user", content: "And now?" }];
const providerOptions = { openai: { store: false } };
const second = await generateText({ model, messages: again, providerOptions });
console.log(
  JSON.stringify({
    picture: seen.text,
    stream: deltas.join(""),
    deltas: deltas.length,
    formed: formed.output,
    second: second.text,
  }),
);
