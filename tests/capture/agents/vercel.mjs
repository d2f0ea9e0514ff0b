// Vercel's AI SDK with its telemetry: `vercel.mjs 7` (spans by @ai-sdk/otel) or `vercel.mjs 6` (its own attributes).
// All settings of the export come from the environment.

import { NodeSDK } from "@opentelemetry/sdk-node";
import { z } from "zod";

const latest = process.argv[2] === "7";
const { generateText, tool, stepCountIs, registerTelemetry } = await import(latest ? "ai" : "ai-v6");
const { openai } = await import(latest ? "@ai-sdk/openai" : "@ai-sdk/openai-v3");

const session = process.env.CAPTURE_SESSION ?? crypto.randomUUID();
const system =
  "You are a weather assistant. Use the get_weather tool when asked about weather.\n" +
  "Answer in one sentence – never a guess; if a place is unknown, say “I don't know” (in German „weiß nicht“).\n" +
  `(Run ${session}.)`;
const user = `What's the weather in Paris? (Run ${session}.)`;
const agent = "weather-agent";
const results = [];

const sdk = new NodeSDK();
sdk.start();

let telemetry;
if (latest) {
  const { OpenTelemetry } = await import("@ai-sdk/otel");
  registerTelemetry(new OpenTelemetry({ runtimeContext: true }));
  telemetry = {
    instructions: system,
    runtimeContext: { sessionId: session },
    telemetry: { functionId: agent, includeRuntimeContext: { sessionId: true } },
  };
} else {
  telemetry = {
    system,
    experimental_telemetry: { isEnabled: true, functionId: agent, metadata: { sessionId: session } },
  };
}

const said = await generateText({
  model: openai.chat("gpt-4o-mini"),
  prompt: user,
  temperature: 0.2,
  stopWhen: stepCountIs(4),
  tools: {
    get_weather: tool({
      description: "Get the weather in a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }, { toolCallId }) => {
        const result = `It's sunny in ${city}: 22 °C, wind 3 m/s.`;
        results.push({ id: toolCallId, name: "get_weather", result });
        return result;
      },
    }),
  },
  ...telemetry,
});

await sdk.shutdown();
console.log("REPORT " + JSON.stringify({ system, user, results, answer: said.text, agent, session }));
