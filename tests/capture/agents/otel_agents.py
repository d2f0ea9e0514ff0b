"""OpenAI's Agents SDK under OpenTelemetry's own instrumentation: run by `opentelemetry-instrument`, nothing in the code."""

import os

import scenario

from agents import Agent, RunConfig, Runner, function_tool, set_default_openai_key

# The SDK's own exporter goes to OpenAI; it has no key then, and stays silent.
set_default_openai_key(os.environ.pop("OPENAI_API_KEY"), use_for_tracing=False)

results = []


@function_tool
def get_weather(location: str) -> str:
    """Get the weather for a location."""
    result = scenario.weather(location)
    results.append({"name": "get_weather", "result": result})
    return result


agent = Agent(name=scenario.AGENT, instructions=scenario.SYSTEM, model="gpt-4o-mini", tools=[get_weather])
run = Runner.run_sync(
    agent, scenario.SAN_FRANCISCO, run_config=RunConfig(workflow_name="weather", group_id=scenario.SESSION)
)
scenario.report(scenario.SAN_FRANCISCO, run.final_output, results)
