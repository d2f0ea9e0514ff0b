"""An MCP client: lists the tools, calls three, of which one fails and one does not exist.

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
]


def told(result):
    """What a call gave, as plain data."""
    text = [part.text for part in result.content]
    return {"text": text, "structured": result.structured_content, "is_error": bool(result.is_error)}


async def run():
    """One session."""
    info = Implementation(name="weather-agent", version="0.3.0")
    async with Client(target, mode=mode, client_info=info) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        calls = []
        for name, given in CALLS:
            try:
                result = told(await client.call_tool(name, given))
            except MCPError as error:
                result = {"error": {"code": error.error.code, "message": error.error.message}}
            calls.append({"name": name, "arguments": given, "result": result})
        return {"protocol": client.protocol_version, "tools": tools, "calls": calls, "agent": info.name}


report = asyncio.run(run())
provider.shutdown()
print("REPORT " + json.dumps(report, ensure_ascii=False), flush=True)
