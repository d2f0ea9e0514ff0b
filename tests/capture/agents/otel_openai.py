"""The openai client under OpenTelemetry's own instrumentation: run by `opentelemetry-instrument`, nothing in the code."""

import chat_loop
import scenario
from openai import OpenAI


def call_tool(_, arguments):
    """Runs the weather tool."""
    return scenario.weather(arguments["city"])


answer, results = chat_loop.run(OpenAI(), call_tool)
scenario.report(scenario.PARIS, answer, results, agent=None, session=None)
