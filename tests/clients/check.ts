// Type-checked against the types generated from openapi/openapi.json; never run.
import type { components, operations } from "./generated";

type Schemas = components["schemas"];

export const question: Schemas["GenerateIn"] = {
  prompt: "What is in this picture?",
  images: ["data:image/png;base64,…", { url: "https://images.example.com/cat.jpg" }],
};

export const conversation: Schemas["ChatIn"] = {
  model: "us.meta.llama3-2-11b-instruct-v1:0",
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Why?" }] },
  ],
};

// @ts-expect-error a message without its role is no message
export const nobody: Schemas["ChatIn"]["messages"] = [{ content: "Why?" }];

type Answer = operations["generate"]["responses"][200]["content"]["application/json"];

export function read(answer: Answer): string {
  return `${answer.generation} (${answer.stop_reason}, ${answer.total_token_count ?? "?"} tokens)`;
}

export function spoken(answer: Schemas["ChatCompletion"]): string | undefined {
  return answer.choices[0]?.message.content;
}
