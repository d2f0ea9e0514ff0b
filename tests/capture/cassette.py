"""Recorded exchanges with model APIs: what was asked, what was answered.

Reads `exchanges.jsonl` (one recorded HTTP exchange a line) and tells of each the few things that matter for serving
it again and for checking what was captured of it. It serves nothing and knows nothing of how events look.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

APIS = (
    ("chat", r"/chat/completions$"),
    ("responses", r"/responses$"),
    ("embeddings", r"/embeddings$"),
    ("completions", r"/v1/completions$"),
    ("messages", r"/v1/messages$"),
    ("gemini", r":(generateContent|streamGenerateContent)$"),
    ("converse", r"/converse(-stream)?$"),
)
HOME = {"chat": "api.openai.com", "responses": "api.openai.com", "completions": "api.openai.com"}


def api_of(path):
    """The name of the API that a path belongs to; of an API that is told apart by nothing else, the path itself."""
    return next((name for name, pattern in APIS if re.search(pattern, path)), path)


@dataclass
class Question:
    """What a request asks for, in whichever API it is written."""

    model: str = ""
    system: str = ""
    user: str = ""
    stream: bool = False
    tools: dict = field(default_factory=dict)  # name -> JSON schema of the arguments
    results: list = field(default_factory=list)  # the ids of all calls whose results are told
    after_tool: bool = False  # the last message is a tool's result


@dataclass
class Answer:
    """What a response says."""

    text: str = ""
    calls: list = field(default_factory=list)  # {"id", "name", "arguments": dict}
    model: str = ""
    id: str = ""
    finish: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


def question_of(path, body):
    """Reads a request's body, already parsed."""
    api = api_of(path)
    asked = Question(model=str(body.get("model", "")), stream=bool(body.get("stream")))
    if api in ("gemini", "converse") or path.endswith("-stream"):
        asked.stream = asked.stream or "stream" in path.rsplit("/", 1)[-1]
        named = re.search(r"/models?/([^/:]+)", path)
        asked.model = asked.model or (named.group(1) if named else "")
    for tool in body.get("tools") or []:
        for name, schema in _tools(tool):
            asked.tools[name] = schema
    asked.system = _text(body.get("system") or body.get("instructions") or body.get("systemInstruction"))
    turns = body.get("messages") or body.get("input") or body.get("contents") or []
    for turn in [{"role": "user", "content": turns}] if isinstance(turns, str) else turns:
        if not isinstance(turn, dict):
            continue
        ids = list(_results(turn))
        asked.results += ids
        asked.after_tool = bool(ids)
        said = _text(turn.get("content", turn.get("parts")))
        if turn.get("role") in ("system", "developer"):
            asked.system = asked.system or said
        elif turn.get("role") == "user" and said:
            asked.user = said
    return asked


def _tools(tool):
    if "functionDeclarations" in tool:
        for declared in tool["functionDeclarations"]:
            schemas = (declared.get(key) for key in ("parametersJsonSchema", "parameters_json_schema", "parameters"))
            yield declared["name"], next(filter(None, schemas), {})
        return
    inner = tool.get("function", tool)
    if inner.get("name"):
        yield inner["name"], inner.get("parameters") or inner.get("input_schema") or {}


def _results(turn):
    if turn.get("role") == "tool":
        yield turn.get("tool_call_id", "")
    if turn.get("type") == "function_call_output":
        yield turn.get("call_id", "")
    parts = turn.get("content", turn.get("parts"))
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and part.get("type") == "tool_result":
            yield part.get("tool_use_id", "")
        if isinstance(part, dict) and "functionResponse" in part:
            yield part["functionResponse"].get("id", part["functionResponse"].get("name", ""))


def _text(content):
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("parts") or content.get("text") or "")
    parts = [part.get("text") for part in content or [] if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def frames(body):
    """The JSON values of a stream of server-sent events (or of lines of JSON)."""
    for line in body.splitlines():
        line = line.removeprefix(b"data:").strip()
        if line.startswith(b"{"):
            yield json.loads(line)


def answer_of(api, stream, body):
    """Reads a response's body."""
    readers = {"chat": _chat, "responses": _responses, "messages": _messages, "gemini": _gemini}
    said = Answer()
    if api not in readers:
        return said
    if stream:
        values = list(frames(body))
    else:
        whole = json.loads(body)
        values = whole if isinstance(whole, list) else [whole]
    readers[api](said, values)
    return said


def _arguments(text):
    return text if isinstance(text, dict) else json.loads(text or "{}")


def _chat(said, values):
    calls = {}
    for value in values:
        said.model, said.id = value.get("model") or said.model, value.get("id") or said.id
        usage = value.get("usage") or {}
        said.input_tokens = usage.get("prompt_tokens", said.input_tokens)
        said.output_tokens = usage.get("completion_tokens", said.output_tokens)
        for choice in (value.get("choices") or [])[:1]:
            turn = choice.get("message") or choice.get("delta") or {}
            said.text += turn.get("content") or ""
            said.finish = choice.get("finish_reason") or said.finish
            for at, call in enumerate(turn.get("tool_calls") or []):
                kept = calls.setdefault(call.get("index", at), {"id": "", "name": "", "arguments": ""})
                kept["id"] = call.get("id") or kept["id"]
                kept["name"] += call["function"].get("name") or ""
                kept["arguments"] += call["function"].get("arguments") or ""
    said.calls = [{**call, "arguments": _arguments(call["arguments"])} for call in calls.values()]


def _responses(said, values):
    whole = next((v["response"] for v in reversed(values) if v.get("type") == "response.completed"), values[-1])
    said.model, said.id, said.finish = whole.get("model", ""), whole.get("id", ""), whole.get("status", "")
    usage = whole.get("usage") or {}
    said.input_tokens, said.output_tokens = usage.get("input_tokens"), usage.get("output_tokens")
    for item in whole.get("output") or []:
        if item["type"] == "function_call":
            call = {"id": item["call_id"], "name": item["name"], "arguments": _arguments(item["arguments"])}
            said.calls.append(call)
        elif item["type"] == "message":
            said.text += _text(item["content"])


def _messages(said, values):
    blocks = {}
    for value in values:
        turn = value.get("message", value)
        said.model, said.id = turn.get("model") or said.model, turn.get("id") or said.id
        usage = {**(turn.get("usage") or {}), **(value.get("usage") or {})}
        said.input_tokens = usage.get("input_tokens", said.input_tokens)
        said.output_tokens = usage.get("output_tokens", said.output_tokens)
        delta = value.get("delta") or {}
        said.finish = turn.get("stop_reason") or delta.get("stop_reason") or said.finish
        for at, block in enumerate(value.get("content") or []):
            blocks[at] = {**block, "json": ""}
        if value.get("type") == "content_block_start":
            blocks[value["index"]] = {**value["content_block"], "json": ""}
        if value.get("type") == "content_block_delta":
            block = blocks[value["index"]]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["json"] += delta.get("partial_json", "")
    for block in blocks.values():
        if block["type"] == "tool_use":
            arguments = _arguments(block["json"] or block["input"])
            said.calls.append({"id": block["id"], "name": block["name"], "arguments": arguments})
        elif block["type"] == "text":
            said.text += block["text"]


def _gemini(said, values):
    for value in values:
        said.model, said.id = value.get("modelVersion", ""), value.get("responseId", "")
        usage = value.get("usageMetadata") or {}
        said.input_tokens = usage.get("promptTokenCount", said.input_tokens)
        said.output_tokens = usage.get("candidatesTokenCount", said.output_tokens)
        for candidate in (value.get("candidates") or [])[:1]:
            said.finish = candidate.get("finishReason") or said.finish
            for part in (candidate.get("content") or {}).get("parts") or []:
                said.text += part.get("text", "")
                if "functionCall" in part:
                    call = part["functionCall"]
                    said.calls.append(
                        {"id": call.get("id", ""), "name": call["name"], "arguments": call.get("args") or {}}
                    )


@dataclass
class Exchange:
    """One recorded exchange; `line` names it (the line of the file, from 0)."""

    line: int
    record: dict

    @cached_property
    def url(self):
        """The address it was made with."""
        return urlsplit(self.record["uri"])

    @property
    def api(self):
        """Which API it belongs to."""
        return api_of(self.url.path)

    @cached_property
    def body(self):
        """The response's bytes, without any content encoding."""
        return _bytes(self.record["response_body"], self.record.get("response_body_encoding"))

    @cached_property
    def question(self):
        """What was asked, or none where the request is not JSON."""
        try:
            body = json.loads(_bytes(self.record["request_body"], self.record.get("request_body_encoding")))
        except ValueError:
            return None
        return question_of(self.url.path, body) if isinstance(body, dict) else None

    @cached_property
    def answer(self):
        """What was answered, or none where it can't be read."""
        try:
            return answer_of(self.api, self.question.stream, self.body)
        except (ValueError, KeyError, AttributeError, IndexError, TypeError):
            return None


def _bytes(text, encoding):
    if text is None:
        return b""
    return base64.b64decode(text) if encoding == "base64" else text.encode()


def load(path):
    """All exchanges of a file, in order."""
    with open(path, encoding="utf-8") as lines:
        return [Exchange(number, json.loads(line)) for number, line in enumerate(lines)]
