"""Which agents there are, how each is started, and what its SDK is known not to tell.

`lacks` names items of check.py. An item that is listed and arrives all the same fails, so that the lists stay true.
"""

from dataclasses import dataclass, field

ZERO_CODE = ("opentelemetry-instrument", "python")
CLIENT = {
    "agent",
    "tool_event",
    "tool_arguments",
    "tool_call_id",
}  # an instrumented client knows calls to the model, and no more

MCP_SILENT = {"mcp_calls", "arguments", "result", "status"}


@dataclass(frozen=True)
class Agent:
    """A program under agents/, and what to expect of it."""

    name: str
    command: tuple
    environment: str = "MAIN"
    settings: dict = field(default_factory=dict)
    lacks: frozenset = frozenset()
    kind: str = "model"  # or "failure": one call, refused; "long": one call, of which the SDK drops parts; "mcp"


def agent(name, *command, environment="MAIN", lacks=(), kind="model", **settings):
    """Shorter to write."""
    return Agent(name, command, environment, settings, frozenset(lacks), kind)


CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
LANGSMITH = {"LANGSMITH_TRACING": "true", "LANGSMITH_TRACING_MODE": "otel"}
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
LOGS = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none"}

AGENTS = (
    agent("openinference_openai", "python", "openinference_openai.py", lacks=CLIENT),
    agent(
        "openinference_openai_gzip",
        "python",
        "openinference_openai.py",
        lacks=CLIENT,
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    ),
    agent(
        "openinference_openai_grpc",
        "python",
        "openinference_openai.py",
        lacks=CLIENT,
        **GRPC,
    ),
    agent("openinference_anthropic", "python", "openinference_anthropic.py", lacks={"tool_call_id"}),
    # The instructions are read from the answer, and the recorded one does not repeat them.
    agent(
        "openai_agents_openinference",
        "python",
        "openai_agents.py",
        "openinference",
        lacks={"system", "tool_call_id", "request_model"},
    ),
    agent(
        "openai_agents_traceloop",
        "python",
        "openai_agents.py",
        "traceloop",
        lacks={"system", "session", "tool_call_id", "request_model"},
    ),
    agent("traceloop_openai", "python", "traceloop_openai.py", lacks={"tool_call_id"}),
    agent("traceloop_anthropic", "python", "traceloop_anthropic.py", lacks=CLIENT | {"session"}),
    agent("pydantic_ai_chat", "python", "pydantic_ai_agent.py", "chat"),
    agent("pydantic_ai_messages", "python", "pydantic_ai_agent.py", "messages"),
    agent("langgraph_plain", "python", "langgraph_agent.py", "plain", **LANGSMITH),
    agent("langgraph_stream", "python", "langgraph_agent.py", "stream", lacks={"response_id"}, **LANGSMITH),
    agent(
        "langgraph_openinference", "python", "langgraph_agent.py", "plain", "openinference", lacks={"tool_arguments"}
    ),
    agent(
        "otel_openai",
        *ZERO_CODE,
        "otel_openai.py",
        environment="OTEL",
        lacks=CLIENT | {"session"},
        **LOGS,
        **{CONTENT: "span_and_event"},
    ),
    agent(
        "otel_anthropic",
        *ZERO_CODE,
        "otel_anthropic.py",
        environment="OTEL",
        lacks=CLIENT | {"session"},
        **LOGS,
        **{CONTENT: "event_only"},
    ),
    agent(
        "otel_agents",
        *ZERO_CODE,
        "otel_agents.py",
        environment="OTEL",
        lacks={"tool_call_id"},
        **LOGS,
        **{CONTENT: "span_only"},
    ),
    agent(
        "otel_openai_v2",
        *ZERO_CODE,
        "otel_openai.py",
        environment="OTEL_V2",
        lacks=CLIENT | {"session", "tools"},
        **LOGS,
        **{CONTENT: "true"},
    ),
    agent(
        "otel_openai_v2_latest",
        *ZERO_CODE,
        "otel_openai.py",
        environment="OTEL_V2",
        lacks=CLIENT | {"session", "tools"},
        **LOGS,
        **LATEST,
        **{CONTENT: "span_and_event"},
    ),
    agent(
        "adk",
        "python",
        "adk_agent.py",
        environment="ADK",
        lacks={"call_id", "tool_call_id", "response_id", "response_model"},
        **LATEST,
        **{CONTENT: "span_and_event"},
    ),
    agent("vercel_6", "node", "vercel.mjs", "6", environment="NODE"),
    agent("vercel_6_json", "node", "vercel.mjs", "6", environment="NODE", OTEL_EXPORTER_OTLP_PROTOCOL="http/json"),
    agent("vercel_7", "node", "vercel.mjs", "7", environment="NODE"),
    agent("long_openinference", "python", "long_openai.py", kind="long"),
    agent("failing_openinference", "python", "failing_openai.py", "openinference", kind="failure"),
    agent("failing_traceloop", "python", "failing_openai.py", "traceloop", kind="failure"),
    agent(
        "failing_otel",
        *ZERO_CODE,
        "failing_openai.py",
        environment="OTEL",
        kind="failure",
        **LOGS,
        **{CONTENT: "span_and_event"},
    ),
    agent("mcp_stdio", "python", "mcp_client.py", "stdio", kind="mcp", lacks={"arguments", "result", "session"}),
    agent(
        "mcp_stdio_legacy",
        "python",
        "mcp_client.py",
        "--legacy",
        "stdio",
        kind="mcp",
        lacks={"arguments", "result", "session"},
    ),
    agent("mcp_http", "python", "mcp_client.py", "http", kind="mcp", lacks={"arguments", "result", "session"}),
    agent(
        "mcp_http_legacy",
        "python",
        "mcp_client.py",
        "--legacy",
        "http",
        kind="mcp",
        lacks={"arguments", "result", "session"},
    ),
    # This SDK has no spans.
    agent("mcp_http_js", "node", "mcp_client.mjs", "http", environment="NODE", kind="mcp", lacks=MCP_SILENT),
    agent(
        "mcp_http_js_legacy",
        "node",
        "mcp_client.mjs",
        "--legacy",
        "http",
        environment="NODE",
        kind="mcp",
        lacks=MCP_SILENT,
    ),
)
