"""The anthropic client, instrumented by OpenLLMetry's package alone."""

import messages_loop
import otel
import scenario
from anthropic import Anthropic
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

provider = otel.provider()
AnthropicInstrumentor().instrument(tracer_provider=provider)


def call_tool(name, arguments):
    """Runs a tool."""
    return scenario.weather(arguments["location"]) if name == "get_weather" else scenario.time(arguments["timezone"])


text, results = messages_loop.run(Anthropic(), call_tool)
provider.shutdown()
scenario.report(scenario.NEW_YORK, text, results, agent=None, session=None)
