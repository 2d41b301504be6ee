// An agent with a tool, streamed, on the Vercel AI SDK. It knows nothing of Sessiontap.
import { createOpenAI } from "@ai-sdk/openai";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
import { EnvHttpProxyAgent, fetch } from "undici";

const dispatcher = new EnvHttpProxyAgent();
const openai = createOpenAI({ fetch: (url, options) => fetch(url, { ...options, dispatcher }) });
const lookup = tool({
  description: "Look something up.",
  inputSchema: jsonSchema({ type: "object", properties: { key: { type: "string" } } }),
  execute: async ({ key }) => `${key} is 7`,
});
const reply = streamText({
  model: openai("gpt-4o"),
  system: "You answer.",
  prompt: 'call lookup with {"key": "bees"}',
  tools: { lookup },
  stopWhen: stepCountIs(4),
});
for await (const text of reply.textStream) process.stdout.write(text);
console.log();
