"""A call that the model's API refuses: `failing_openai.py [openinference|traceloop]`; without either, see otel_openai.py."""

import sys

import otel
import scenario
from openai import APIStatusError, OpenAI

provider = None
if sys.argv[1:] == ["openinference"]:
    from openinference.instrumentation.openai import OpenAIInstrumentor

    provider = otel.provider()
    OpenAIInstrumentor().instrument(tracer_provider=provider)
elif sys.argv[1:] == ["traceloop"]:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    provider = otel.provider()
    OpenAIInstrumentor().instrument(tracer_provider=provider)

error = None
try:
    OpenAI().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": scenario.WORLD_CUP}])
except APIStatusError as refused:
    error = {"status": refused.status_code, "message": refused.body["message"]}
if provider:
    provider.shutdown()
scenario.report(scenario.WORLD_CUP, None, [], system=None, agent=None, session=None, error=error)
