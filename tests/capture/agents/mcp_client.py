"""An MCP client: lists the tools, calls some, one of which fails, one does not exist and one changes another; lists them again.

`mcp_client.py [--legacy] URL` or `mcp_client.py [--legacy] COMMAND ARGUMENT…` (spoken to over its standard streams).
`--legacy` asks for the protocol from before 2026-07-28, with its handshake.
"""

import asyncio
import json
import os
import sys

import otel
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import Implementation

provider = otel.provider()
arguments = sys.argv[1:]
mode = "legacy" if arguments[0] == "--legacy" else "auto"
arguments = arguments[1:] if mode == "legacy" else arguments
if arguments[0].startswith("http"):
    target = arguments[0]
else:
    target = StdioServerParameters(command=arguments[0], args=arguments[1:], env=dict(os.environ))
CALLS = [
    ("get_weather", {"city": "Paris"}),
    ("get_forecast", {"city": "Zürich", "days": 2}),
    ("move_clouds", {"city": "London"}),
    ("no_such_tool", {}),
    ("reword", {}),
]
AFTER = [("get_weather", {"city": "London"})]


def told(result):
    """What a call gave, as plain data."""
    text = [part.text for part in result.content]
    return {"text": text, "structured": result.structured_content, "is_error": bool(result.is_error)}


async def call(client, name, given, offered):
    """Calls a tool; what it was said to be, and what came of it."""
    try:
        result = told(await client.call_tool(name, given))
    except MCPError as error:
        result = {"error": {"code": error.error.code, "message": error.error.message}}
    definition = next((tool for tool in offered if tool["name"] == name), None)
    return {"name": name, "arguments": given, "definition": definition, "result": result}


async def run():
    """One session."""
    info = Implementation(name="weather-agent", version="0.3.0")
    listings, calls = [], []
    async with Client(target, mode=mode, client_info=info) as client:
        for part in (CALLS, AFTER):
            tools = (await client.list_tools(cache_mode="bypass")).tools
            listings.append([tool.model_dump(mode="json", by_alias=True, exclude_unset=True) for tool in tools])
            for name, given in part:
                calls.append(await call(client, name, given, listings[-1]))
        return {"protocol": client.protocol_version, "listings": listings, "calls": calls, "agent": info.name}


# The agent's own span: what it asks of servers is one trace.
told_as = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather-agent"}
with provider.get_tracer("agent").start_as_current_span("invoke_agent weather-agent", attributes=told_as):
    report = asyncio.run(run())
provider.shutdown()
print("REPORT " + json.dumps(report, ensure_ascii=False), flush=True)
