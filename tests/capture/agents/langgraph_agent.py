"""LangGraph through LangSmith's OpenTelemetry mode: environment variables alone."""

import scenario
from langchain.agents import create_agent
from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_openai import ChatOpenAI
from langsmith import Client

results = []


def get_weather(location: str) -> str:
    """Get the weather for a location."""
    result = scenario.weather(location)
    results.append({"name": "get_weather", "result": result})
    return result


agent = create_agent(
    ChatOpenAI(model="gpt-4o-mini", temperature=0.0, streaming=True),
    tools=[get_weather],
    system_prompt=scenario.SYSTEM,
    name=scenario.AGENT,
)
said = agent.invoke(
    {"messages": [{"role": "user", "content": scenario.LONDON}]},
    config={"configurable": {"thread_id": scenario.SESSION}, "metadata": {"session_id": scenario.SESSION}},
)
wait_for_all_tracers()
scenario.report(scenario.LONDON, said["messages"][-1].content, results)
