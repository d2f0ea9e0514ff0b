"""An MCP server with three tools, one of which fails: `mcp_server.py stdio` or `mcp_server.py http [PORT]` (prints its URL)."""

import signal
import socket
import sys

import otel
import scenario
from mcp.server.mcpserver import MCPServer

otel.provider()
server = MCPServer("weather", version="1.4.2", instructions="Asks no one; the weather is always sunny.")


@server.tool()
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return scenario.weather(city)


@server.tool()
def get_forecast(city: str, days: int) -> dict:
    """Get the weather of the coming days, as data."""
    return {"city": city, "days": [{"day": day, "sky": "sunny", "celsius": 22.5} for day in range(days)]}


@server.tool()
def move_clouds(city: str) -> str:
    """Always fails."""
    raise ValueError(f"the clouds over {city} don't move — “nein”")


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the last spans go out
    port = int(sys.argv[2]) if len(sys.argv) > 2 else free_port()
    print(f"http://127.0.0.1:{port}/mcp", flush=True)
    server.run("streamable-http", host="127.0.0.1", port=port)
