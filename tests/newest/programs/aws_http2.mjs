// Asks with the AWS SDK for JavaScript as it comes, which speaks HTTP/2. Prints JSON.
import { readFileSync } from "node:fs";
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
} from "@aws-sdk/client-bedrock-runtime";

const [endpoint, picture] = process.argv.slice(2);
const client = new BedrockRuntimeClient({ region: "us-west-2", endpoint });
const modelId = "us.meta.llama3-2-11b-instruct-v1:0";
const text = { text: "What is in this picture?" };
const image = { image: { format: "png", source: { bytes: readFileSync(picture) } } };
const asked = { modelId, messages: [{ role: "user", content: [image, text] }] };

const seen = await client.send(new ConverseCommand(asked));
const { stream } = await client.send(new ConverseStreamCommand(asked));
const deltas = [];
for await (const event of stream) {
  const delta = event.contentBlockDelta?.delta?.text;
  if (delta) deltas.push(delta);
}
const body = JSON.stringify({ prompt: "Why?" });
const native = await client.send(new InvokeModelCommand({ modelId, body }));
const refused = await client
  .send(new ConverseCommand({ ...asked, messages: [] }))
  .catch((error) => error.name);
console.log(
  JSON.stringify({
    handler: client.config.requestHandler.constructor.name,
    picture: seen.output.message.content[0].text,
    stream: deltas.join(""),
    deltas: deltas.length,
    native: JSON.parse(new TextDecoder().decode(native.body)).generation,
    refused,
  }),
);
client.destroy();
