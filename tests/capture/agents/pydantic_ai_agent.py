"""Pydantic AI with `Agent.instrument_all()`; `pydantic_ai_agent.py chat|messages` says which API the model speaks."""

import sys

import otel
import scenario
from pydantic_ai import Agent

provider = otel.provider()
Agent.instrument_all()

if sys.argv[1] == "chat":
    agent = Agent("openai-chat:gpt-4o-mini", name=scenario.AGENT, instructions=scenario.SYSTEM)
    question = scenario.PARIS
else:
    agent = Agent("anthropic:claude-sonnet-4-6", name=scenario.AGENT, system_prompt=scenario.SYSTEM)
    question = scenario.NEW_YORK
results = []


def tell(name, result):
    """Keeps what a tool answered."""
    results.append({"name": name, "result": result})
    return result


if sys.argv[1] == "chat":

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return tell("get_weather", scenario.weather(city))

else:

    @agent.tool_plain
    def get_weather(location: str, unit: str = "celsius") -> str:
        """Get the current weather in a given location."""
        return tell("get_weather", scenario.weather(location))

    @agent.tool_plain
    def get_time(timezone: str) -> str:
        """Get the current time in a given time zone."""
        return tell("get_time", scenario.time(timezone))


run = agent.run_sync(question, conversation_id=scenario.SESSION)
provider.shutdown()
scenario.report(question, run.output, results)
