"""The anthropic client under OpenTelemetry's own instrumentation: run by `opentelemetry-instrument`, nothing in the code."""

import messages_loop
import scenario
from anthropic import Anthropic


def call_tool(name, arguments):
    """Runs a tool."""
    return scenario.weather(arguments["location"]) if name == "get_weather" else scenario.time(arguments["timezone"])


answer, results = messages_loop.run(Anthropic(), call_tool)
scenario.report(scenario.NEW_YORK, answer, results, agent=None, session=None)
