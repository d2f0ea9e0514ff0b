"""An agent by hand on Anthropic's messages: ask, run the tools, ask again."""

import scenario

TOOLS = [
    {
        "name": "get_weather",
        "description": "Get the current weather in a given location",
        "input_schema": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
    {
        "name": "get_time",
        "description": "Get the current time in a given time zone",
        "input_schema": {
            "type": "object",
            "properties": {"timezone": {"type": "string"}},
            "required": ["timezone"],
        },
    },
]


def run(client, call_tool):
    """One run; `call_tool(name, arguments)` executes a tool."""
    messages = [{"role": "user", "content": scenario.NEW_YORK}]
    results = []
    while True:
        answer = client.messages.create(
            model="claude-sonnet-4-6", max_tokens=1024, system=scenario.SYSTEM, messages=messages, tools=TOOLS
        )
        messages.append(
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}
        )
        calls = [block for block in answer.content if block.type == "tool_use"]
        if not calls:
            return "".join(block.text for block in answer.content if block.type == "text"), results
        told = []
        for call in calls:
            result = call_tool(call.name, call.input)
            results.append({"id": call.id, "name": call.name, "result": result})
            told.append({"type": "tool_result", "tool_use_id": call.id, "content": result})
        messages.append({"role": "user", "content": told})
