// An MCP client of the JavaScript SDK: `mcp_client.mjs [--legacy] URL`.
// It does what mcp_client.py does, and names its session in a header.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const isLegacy = process.argv[2] === "--legacy";
const headers = { "x-session-id": process.env.CAPTURE_SESSION };
const transport = new StreamableHTTPClientTransport(new URL(process.argv.at(-1)), { requestInit: { headers } });
const calls = [
  [
    ["get_weather", { city: "Paris" }],
    ["get_forecast", { city: "Zürich", days: 2 }],
    ["move_clouds", { city: "London" }],
    ["no_such_tool", {}],
    ["reword", {}],
  ],
  [["get_weather", { city: "London" }]],
];
const agent = "weather-agent";
const versionNegotiation = { mode: isLegacy ? "legacy" : "auto" };
const client = new Client({ name: agent, version: "0.3.0" }, { versionNegotiation });
await client.connect(transport);

async function call(name, given, offered) {
  const definition = offered.find((tool) => tool.name === name) ?? null;
  const made = { name, arguments: given, definition };
  try {
    const result = await client.callTool({ name, arguments: given });
    const text = result.content.map((part) => part.text);
    return { ...made, result: { text, structured: result.structuredContent ?? null, is_error: Boolean(result.isError) } };
  } catch (error) {
    return { ...made, result: { error: { code: error.code, message: error.message } } };
  }
}

const report = { protocol: "", listings: [], calls: [], agent, header: true };
for (const part of calls) {
  const { tools } = await client.listTools(undefined, { cacheMode: "bypass" });
  report.listings.push(tools);
  for (const [name, given] of part) report.calls.push(await call(name, given, tools));
}
report.protocol = client.getNegotiatedProtocolVersion();
if (isLegacy) await transport.terminateSession();
await client.close();
console.log("REPORT " + JSON.stringify(report));
