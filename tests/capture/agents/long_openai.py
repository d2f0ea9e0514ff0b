"""One call with a long history, by the openai client and OpenInference: more attributes than a span may have (128)."""

import chat_loop
import otel
import scenario
from openai import OpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor

provider = otel.provider()
OpenAIInstrumentor().instrument(tracer_provider=provider)

messages = [{"role": "system", "content": scenario.SYSTEM}]
for number in range(40):
    messages.append({"role": "user", "content": f"What's the weather in town {number}?"})
    messages.append({"role": "assistant", "content": f"Sunny in town {number}."})
messages.append({"role": "user", "content": scenario.PARIS})
with using_attributes(session_id=scenario.SESSION, user_id=scenario.USER):
    OpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages, tools=chat_loop.TOOLS)
provider.shutdown()
scenario.report(scenario.PARIS, None, [], agent=None)
