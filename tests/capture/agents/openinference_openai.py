"""The openai client, instrumented by OpenInference."""

import chat_loop
import otel
import scenario
from openai import OpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor

provider = otel.provider()
OpenAIInstrumentor().instrument(tracer_provider=provider)


def call_tool(_, arguments):
    """Runs the weather tool."""
    return scenario.weather(arguments["city"])


with using_attributes(session_id=scenario.SESSION, user_id=scenario.USER):
    answer, results = chat_loop.run(OpenAI(), call_tool)
provider.shutdown()
scenario.report(scenario.PARIS, answer, results, agent=None)
