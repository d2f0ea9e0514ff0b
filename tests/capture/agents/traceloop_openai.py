"""The openai client, instrumented by OpenLLMetry through its SDK."""

import chat_loop
import scenario
from openai import OpenAI
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool
from traceloop.sdk.tracing import set_conversation_id

Traceloop.init(app_name="weather")


@tool(name="get_weather")
def get_weather(city):
    """The weather tool."""
    return scenario.weather(city)


@agent(name=scenario.AGENT)
def answer(question):
    """One run."""
    return chat_loop.run(OpenAI(), lambda _, arguments: get_weather(**arguments))


set_conversation_id(scenario.SESSION)
Traceloop.set_association_properties({"session_id": scenario.SESSION, "user_id": scenario.USER})
text, results = answer(scenario.PARIS)
scenario.report(scenario.PARIS, text, results)
