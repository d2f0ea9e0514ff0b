"""The anthropic client, instrumented by OpenInference; the program makes its own agent and tool spans, as its docs show."""

import messages_loop
import otel
import scenario
from anthropic import Anthropic
from openinference.instrumentation import OITracer, TraceConfig, using_attributes
from openinference.instrumentation.anthropic import AnthropicInstrumentor

provider = otel.provider()
AnthropicInstrumentor().instrument(tracer_provider=provider)
tracer = OITracer(provider.get_tracer("weather"), config=TraceConfig())


@tracer.tool
def get_weather(location: str, unit: str = "celsius") -> str:
    """Get the current weather in a given location"""
    return scenario.weather(location)


@tracer.tool
def get_time(timezone: str) -> str:
    """Get the current time in a given time zone"""
    return scenario.time(timezone)


@tracer.agent(name=scenario.AGENT)
def answer(question: str) -> tuple:
    """One run."""
    tools = {"get_weather": get_weather, "get_time": get_time}
    return messages_loop.run(Anthropic(), lambda name, arguments: tools[name](**arguments))


with using_attributes(session_id=scenario.SESSION, user_id=scenario.USER):
    text, results = answer(scenario.NEW_YORK)
provider.shutdown()
scenario.report(scenario.NEW_YORK, text, results)
