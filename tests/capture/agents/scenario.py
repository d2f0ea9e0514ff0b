"""What every agent here is told, which tools it has, and how it reports what it did.

The prompts are those of recorded exchanges, so that the recorded answers fit. The report, one line of JSON on standard
output, is what the program itself saw: the checker holds against it what was captured.
"""

import json
import os
import uuid

SESSION = os.environ.get("CAPTURE_SESSION") or str(uuid.uuid4())
RUN = f"(Run {SESSION}.)"  # no two runs say the same
SYSTEM = (
    "You are a weather assistant. Use the get_weather tool when asked about weather.\n"
    "Answer in one sentence – never a guess; if a place is unknown, say “I don't know” (in German „weiß nicht“).\n"
    f"{RUN}"
)
PARIS = f"What's the weather in Paris? {RUN}"
LONDON = f"What's the weather in London? {RUN}"
SAN_FRANCISCO = f"What's the weather in San Francisco? {RUN}"
NEW_YORK_WEATHER = f"What is the weather in New York? {RUN}"
NEW_YORK = (
    "What is the weather like right now in New York? Also what time is it there? Use necessary tools simultaneously."
    f" {RUN}"
)
WORLD_CUP = "Who won the World Cup in 2022? Answer in one word."  # refused, where it was recorded
AGENT = "weather-agent"
USER = "user-7f3a"


def weather(place):
    """What the weather tool answers."""
    return f"It's sunny in {place}: 22 °C, wind 3 m/s."


def time(timezone):
    """What the clock tool answers."""
    return f"It is 14:05 in {timezone}."


def report(user, answer, results, **other):
    """Says what was asked, what the tools answered and what came out; `other` is what differs from most agents."""
    said = {"system": SYSTEM, "user": user, "results": results, "answer": answer, "agent": AGENT, "session": SESSION}
    said.update(other)
    print("REPORT " + json.dumps(said, ensure_ascii=False), flush=True)
