"""LangGraph: `langgraph_agent.py plain|stream [openinference]`.

Traced by LangSmith's OpenTelemetry mode, by environment variables alone, or by OpenInference.
"""

import sys

import otel
import scenario
from langchain.agents import create_agent
from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_openai import ChatOpenAI

if sys.argv[2:] == ["openinference"]:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    provider = otel.provider()
    LangChainInstrumentor().instrument(tracer_provider=provider)
else:
    provider = None

stream = sys.argv[1] == "stream"
question = scenario.LONDON if stream else scenario.PARIS
results = []


def answer(place):
    """Runs the weather tool."""
    results.append({"name": "get_weather", "result": scenario.weather(place)})
    return results[-1]["result"]


if stream:

    def get_weather(location: str) -> str:
        """Get the weather for a location."""
        return answer(location)

else:

    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return answer(city)


agent = create_agent(
    ChatOpenAI(model="gpt-4o-mini", temperature=0.0, streaming=stream),
    tools=[get_weather],
    system_prompt=scenario.SYSTEM,
    name=scenario.AGENT,
)
said = agent.invoke(
    {"messages": [{"role": "user", "content": question}]},
    config={"configurable": {"thread_id": scenario.SESSION}, "metadata": {"session_id": scenario.SESSION}},
)
wait_for_all_tracers()
if provider:
    provider.shutdown()
scenario.report(question, said["messages"][-1].content, results)
