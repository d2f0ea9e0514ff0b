"""An agent by hand on OpenAI's chat completions: ask, run the tools, ask again."""

import json

import scenario

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]


def run(client, call_tool):
    """One run; `call_tool(name, arguments)` executes a tool."""
    messages = [{"role": "system", "content": scenario.SYSTEM}, {"role": "user", "content": scenario.PARIS}]
    results = []
    while True:
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=messages, tools=TOOLS, temperature=0.2, max_tokens=300
        )
        turn = answer.choices[0].message
        messages.append(turn.model_dump(exclude_none=True))
        if not turn.tool_calls:
            return turn.content, results
        for call in turn.tool_calls:
            result = call_tool(call.function.name, json.loads(call.function.arguments))
            results.append({"id": call.id, "name": call.function.name, "result": result})
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
