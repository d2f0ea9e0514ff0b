"""Google's Agent Development Kit with its own telemetry, set up from the environment by the one line of its docs."""

import asyncio

import scenario
from google.adk.agents import Agent
from google.adk.runners import InMemoryRunner
from google.adk.telemetry.setup import maybe_set_otel_providers
from google.genai import types
from opentelemetry import _logs, metrics, trace

maybe_set_otel_providers()
results = []


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    results.append({"name": "get_weather", "result": scenario.weather(city)})
    return results[-1]["result"]


agent = Agent(name="weather_agent", model="gemini-2.0-flash", instruction=scenario.SYSTEM, tools=[get_weather])


async def run():
    """One run."""
    runner = InMemoryRunner(agent=agent, app_name="weather")
    await runner.session_service.create_session(app_name="weather", user_id=scenario.USER, session_id=scenario.SESSION)
    question = types.Content(role="user", parts=[types.Part(text=scenario.NEW_YORK_WEATHER)])
    answer = ""
    async for event in runner.run_async(user_id=scenario.USER, session_id=scenario.SESSION, new_message=question):
        if event.is_final_response() and event.content:
            answer = "".join(part.text or "" for part in event.content.parts)
    return answer


said = asyncio.run(run())
for provider in (trace.get_tracer_provider(), _logs.get_logger_provider(), metrics.get_meter_provider()):
    provider.shutdown()
scenario.report(scenario.NEW_YORK_WEATHER, said, results, agent=agent.name)
