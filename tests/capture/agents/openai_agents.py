"""OpenAI's Agents SDK; `openai_agents.py openinference|traceloop` says whose instrumentation listens to its tracing."""

import sys

import otel
import scenario
from openinference.instrumentation import using_attributes

from agents import Agent, RunConfig, Runner, function_tool, set_trace_processors

provider = otel.provider()
set_trace_processors([])  # the SDK's own exporter goes to OpenAI
if sys.argv[1] == "openinference":
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
else:
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)

results = []


@function_tool
def get_weather(location: str) -> str:
    """Get the weather for a location."""
    result = scenario.weather(location)
    results.append({"name": "get_weather", "result": result})
    return result


agent = Agent(name=scenario.AGENT, instructions=scenario.SYSTEM, model="gpt-4o-mini", tools=[get_weather])
with using_attributes(session_id=scenario.SESSION, user_id=scenario.USER):
    run = Runner.run_sync(
        agent, scenario.SAN_FRANCISCO, run_config=RunConfig(workflow_name="weather", group_id=scenario.SESSION)
    )
provider.shutdown()
scenario.report(scenario.SAN_FRANCISCO, run.final_output, results)
