"""A second reading of recorded exchanges with model APIs, from the APIs' documentation alone.

reading.py feed EXCHANGES    prints the exchanges as JSON lines for `cargo run --example exchanges`: as recorded, with the
                             answer compressed, and with the answer broken off
reading.py check EXCHANGES   reads that program's lines and fails where it read anything else than this script does

Not a description of how Chancery reads: only json, gzip and base64 are used, and no table is shared.
"""

import base64
import collections
import gzip
import hashlib
import json
import re
import sys
from urllib.parse import urlsplit

COMPRESSED = "gzip"
# Stand in for the answer's own when a variant is made.
VARIANTS = ("recorded", "compressed", "cut")


def exchanges(path):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            yield number, json.loads(line)


def body(exchange, side):
    text = exchange[f"{side}_body"]
    if text is None:
        return b""
    if exchange[f"{side}_body_encoding"] == "base64":
        return base64.b64decode(text)
    return text.encode()


def variants(exchange):
    """The exchange as it was, compressed where its headers say that it was, and cut in the middle of the answer."""
    headers = [[n, v] for n, v in exchange["response_headers"].items()]
    # Nearly all bodies were recorded after their encoding was undone.
    undone = exchange["response_body_encoding"] == "utf8"
    plain = [[n, v] for n, v in headers if not undone or n.lower() != "content-encoding"]
    answer = body(exchange, "response")
    yield "recorded", plain, answer
    if any(n.lower() == "content-encoding" and v == COMPRESSED for n, v in headers):
        yield "compressed", headers, gzip.compress(answer, mtime=0)
    yield "cut", plain, answer[: len(answer) // 2]


def feed(path):
    for _, exchange in exchanges(path):
        uri = urlsplit(exchange["uri"])
        target = uri.path + (f"?{uri.query}" if uri.query else "")
        request_headers = [[n, v] for n, v in exchange["request_headers"].items()]
        request_headers.append(["Authorization", "Bearer planted-credential"])
        for variant, headers, answer in variants(exchange):
            print(json.dumps({
                "method": exchange["method"], "target": target, "host": uri.hostname, "request_headers": request_headers,
                "request": body(exchange, "request").hex(), "status": exchange["status"], "response_headers": headers,
                "response": answer.hex(), "cut": variant == "cut",
            }))


# --- this script's own reading -------------------------------------------------------------------------------------------


def sse(text):
    """Frames of an event stream: `data` fields, joined, up to an empty line."""
    frames = []
    for block in re.split(r"(?:\r\n|\r|\n){2}", text):
        lines = re.split(r"\r\n|\r|\n", block)
        data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        if data:
            frames.append("\n".join(data))
    return frames


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def frames_of(answer, media_type):
    text = answer.decode("utf-8", "replace")
    if "event-stream" in media_type or text.startswith(("data:", "event:")):
        return [f for f in map(parsed, sse(text)) if f is not None]
    lines = [parsed(line) for line in text.splitlines() if line.strip()]
    whole = lines[:-1] if lines and lines[-1] is None else lines
    if len(lines) > 1 and all(isinstance(line, dict) for line in whole):
        return whole
    return None


def dig(value, *path):
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def plus(*numbers):
    known = [n for n in numbers if n is not None]
    return sum(known) if known else None


class Read:
    """What one exchange says."""

    def __init__(self):
        self.fields = {}
        self.finish = []
        self.text = ""
        self.calls = []
        self.roles = []

    def set(self, **fields):
        for name, value in fields.items():
            if value not in (None, ""):
                self.fields[name] = value

    def usage(self, read, written, reasoning, into, out):
        self.set(usage_cache_read_input_tokens=read, usage_cache_write_input_tokens=written, usage_reasoning_output_tokens=reasoning,
                 usage_input_tokens=into, usage_output_tokens=out)


def openai_chat(question, answer, frames):
    read = Read()
    read.set(request_model=question.get("model"), temperature=question.get("temperature"), top_p=question.get("top_p"),
             max_tokens=question.get("max_completion_tokens") or question.get("max_tokens"), seed=question.get("seed"))
    read.roles = [m.get("role") for m in question["messages"]]
    usage = None
    if frames is None:
        read.set(response_id=answer.get("id"), response_model=answer.get("model"))
        usage = answer.get("usage")
        for choice in answer["choices"]:
            message = choice.get("message") or {}
            read.text += message.get("content") or ""
            read.calls += [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []]
            if choice.get("finish_reason"):
                read.finish.append(choice["finish_reason"])
    else:
        texts, calls, finish = collections.defaultdict(str), collections.defaultdict(lambda: ["", "", ""]), {}
        for chunk in frames:
            read.fields.setdefault("response_id", chunk.get("id")) if chunk.get("id") else None
            read.fields.setdefault("response_model", chunk.get("model")) if chunk.get("model") else None
            usage = chunk.get("usage") or dig(chunk, "x_groq", "usage") or usage
            for choice in chunk.get("choices", []):
                at, delta = choice.get("index", 0), choice.get("delta") or {}
                content = delta.get("content")
                texts[at] += content if isinstance(content, str) else ""
                for call in delta.get("tool_calls") or []:
                    known = calls[at, call.get("index", 0)]
                    known[0] = call.get("id") or known[0]
                    known[1] = dig(call, "function", "name") or known[1]
                    known[2] += dig(call, "function", "arguments") or ""
                if choice.get("finish_reason"):
                    finish[at] = choice["finish_reason"]
        read.text = "".join(texts[at] for at in sorted(texts))
        read.calls = [tuple(calls[key]) for key in sorted(calls)]
        read.finish = [finish[at] for at in sorted(finish)]
    read.usage(dig(usage, "prompt_tokens_details", "cached_tokens"), dig(usage, "prompt_tokens_details", "cache_write_tokens"),
               dig(usage, "completion_tokens_details", "reasoning_tokens"), dig(usage, "prompt_tokens"), dig(usage, "completion_tokens"))
    return read


def openai_responses(question, answer, frames):
    read = Read()
    read.set(request_model=question.get("model"), temperature=question.get("temperature"), top_p=question.get("top_p"),
             max_tokens=question.get("max_output_tokens"))
    asked = question.get("input")
    read.roles = ["user"] if isinstance(asked, str) else [item.get("role") for item in asked or []]
    if question.get("instructions") is not None:
        read.roles.insert(0, "system")
    if frames is not None:
        answer = next((f["response"] for f in reversed(frames) if f["type"].startswith("response.") and f["type"][9:] in ("completed", "incomplete", "failed")), None)
        if answer is None:  # broken off
            first = next((f["response"] for f in frames if "response" in f), {})
            read.set(response_id=first.get("id"), response_model=first.get("model"))
            done = {f["output_index"] for f in frames if f["type"] == "response.output_item.done"}
            read.text = "".join(f["delta"] for f in frames if f["type"] == "response.output_text.delta")
            read.calls = [(f["item"]["call_id"], f["item"]["name"], f["item"]["arguments"]) for f in frames
                          if f["type"] == "response.output_item.done" and f["item"]["type"] == "function_call"]
            read.open = any(f["type"] == "response.output_item.added" and f["output_index"] not in done and f["item"]["type"] == "function_call" for f in frames)
            return read
    read.set(response_id=answer["id"], response_model=answer["model"])
    read.finish = [dig(answer, "incomplete_details", "reason") or answer["status"]]
    for item in answer["output"]:
        if item["type"] == "message":
            read.text += "".join(part.get("text", "") for part in item["content"])
        elif item["type"] == "function_call":
            read.calls.append((item["call_id"], item["name"], item["arguments"]))
    usage = answer.get("usage")
    read.usage(dig(usage, "input_tokens_details", "cached_tokens"), None, dig(usage, "output_tokens_details", "reasoning_tokens"),
               dig(usage, "input_tokens"), dig(usage, "output_tokens"))
    return read


def openai_embeddings(question, answer, _):
    read = Read()
    read.set(request_model=question["model"], response_model=answer["model"], usage_input_tokens=dig(answer, "usage", "prompt_tokens"))
    read.roles = ["user"] * (len(question["input"]) if isinstance(question["input"], list) else 1)
    return read


def anthropic(question, answer, frames):
    read = Read()
    read.set(request_model=question.get("model"), temperature=question.get("temperature"), top_p=question.get("top_p"), max_tokens=question.get("max_tokens"))
    read.roles = (["system"] if question.get("system") is not None else []) + [m["role"] for m in question["messages"]]
    for at, message in enumerate(question["messages"], len(read.roles) - len(question["messages"])):
        content = message["content"]
        if message["role"] == "user" and isinstance(content, list) and content and all(b.get("type") == "tool_result" for b in content):
            read.roles[at] = "tool"
    usage = {}
    if frames is None:
        message, blocks, reason = answer, answer["content"], answer["stop_reason"]
        usage = answer["usage"]
    else:
        message, blocks, reason = {}, [], None
        for event in frames:
            kind = event["type"]
            if kind == "message_start":
                message = event["message"]
                usage = dict(message["usage"])
            elif kind == "content_block_start":
                blocks.append(dict(event["content_block"], json=""))
            elif kind == "content_block_delta":
                delta = event["delta"]
                if delta["type"] == "text_delta":
                    blocks[event["index"]]["text"] += delta["text"]
                elif delta["type"] == "input_json_delta":
                    blocks[event["index"]]["json"] += delta["partial_json"]
            elif kind == "message_delta":
                reason = event["delta"]["stop_reason"]
                usage.update({k: v for k, v in event["usage"].items() if v is not None})
        for block in blocks:
            if block["type"].endswith("tool_use") and block["json"]:
                block["input"] = parsed(block["json"]) if parsed(block["json"]) is not None else block["json"]
    read.set(response_id=message.get("id"), response_model=message.get("model"))
    for block in blocks:
        if block["type"] == "text":
            read.text += block["text"]
        elif block["type"] == "tool_use":
            read.calls.append((block["id"], block["name"], json.dumps(block["input"], sort_keys=True)))
    read.finish = [reason] if reason else []
    cached, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    into = usage.get("input_tokens")
    read.usage(cached, written, None, None if into is None else plus(into, cached, written), usage.get("output_tokens"))
    return read


def gemini(question, answer, frames):
    read = Read()
    config = question.get("generationConfig") or {}
    read.set(temperature=config.get("temperature"), top_p=config.get("topP"), max_tokens=config.get("maxOutputTokens"), seed=config.get("seed"))
    has_system = question.get("systemInstruction") or question.get("system_instruction")
    read.roles = ["system"] if has_system else []
    for content in question["contents"]:
        answers = [part for part in content["parts"] if "functionResponse" in part]
        read.roles.append("tool" if answers == content["parts"] else content.get("role", "user"))
    for chunk in frames if frames is not None else answer if isinstance(answer, list) else [answer]:
        read.set(response_model=chunk.get("modelVersion"), response_id=chunk.get("responseId"))
        for candidate in chunk.get("candidates", []):
            for part in dig(candidate, "content", "parts") or []:
                read.text += part.get("text", "") if not part.get("thought") else ""
                if "functionCall" in part:
                    read.calls.append((None, part["functionCall"]["name"], json.dumps(part["functionCall"].get("args"), sort_keys=True)))
            if candidate.get("finishReason"):
                read.finish.append(str(candidate["finishReason"]))
        usage = chunk.get("usageMetadata")
        if usage:
            thoughts = usage.get("thoughtsTokenCount")
            for name in [n for n in read.fields if n.startswith("usage_")]:
                del read.fields[name]
            read.usage(usage.get("cachedContentTokenCount"), None, thoughts, plus(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")),
                       plus(usage.get("candidatesTokenCount"), thoughts))
    return read


def ollama(question, answer, frames):
    read = Read()
    options = question.get("options") or {}
    read.set(request_model=question["model"], temperature=options.get("temperature"), top_p=options.get("top_p"), max_tokens=options.get("num_predict"), seed=options.get("seed"))
    read.roles = [m["role"] for m in question["messages"]] if "messages" in question else (["system"] if "system" in question else []) + ["user"]
    for chunk in [answer] if frames is None else frames:
        read.set(response_model=chunk["model"], usage_input_tokens=chunk.get("prompt_eval_count"), usage_output_tokens=chunk.get("eval_count"))
        message = chunk.get("message") or {}
        read.text += message.get("content") or chunk.get("response") or ""
        read.calls += [(None, c["function"]["name"], json.dumps(c["function"]["arguments"], sort_keys=True)) for c in message.get("tool_calls") or []]
        if chunk.get("done_reason"):
            read.finish.append(chunk["done_reason"])
    return read


APIS = [
    (r"/chat/completions$", "openai.chat", openai_chat, lambda q: isinstance(q.get("messages"), list)),
    (r"/responses$", "openai.responses", openai_responses, lambda q: "input" in q),
    (r"/v1/embeddings$", "openai.embeddings", openai_embeddings, lambda q: "input" in q),
    (r"/messages$", "anthropic.messages", anthropic, lambda q: isinstance(q.get("messages"), list)),
    (r":(stream)?[gG]enerateContent$", "gemini", gemini, lambda q: isinstance(q.get("contents"), list)),
    (r"/api/(chat|generate|embed)$", "ollama", ollama, lambda q: "model" in q),
]


def api_of(method, path, question):
    if method.upper() == "POST" and isinstance(question, dict):
        for pattern, name, reader, fits in APIS:
            if re.search(pattern, path) and fits(question):
                return name, reader
    return "http", None


# --- the other reading ---------------------------------------------------------------------------------------------------


def rebuilt(contents, http):
    """A body, put together again from what the content of kind `http` says."""
    said = http["body"]
    if "cut" in said:
        rest, at, out = said["cut"]["rest"].encode(), 0, b""
        for offset, place in said["cut"]["parts"]:
            out += rest[at:offset] + contents[place]
            at = offset
        out += rest[at:]
    else:
        out = contents[said.get("content", said.get("zstd"))]
    assert said["size"] == len(out) and said["sha256"] == hashlib.sha256(out).hexdigest(), "what is said of the body is not so"
    return out


def said_by(outputs):
    """Text and calls of the messages that were read, whichever API's they are."""
    text, calls = "", []

    def message(m):
        nonlocal text
        if isinstance(m, str):
            text += m
        elif isinstance(m, list):
            for block in m:
                message(block)
        elif isinstance(m, dict):
            kind = m.get("type")
            if "role" in m and isinstance(m.get("content"), str):
                text += m["content"]
            elif kind in ("text", "output_text") or ("text" in m and kind is None and not m.get("thought")):
                text += m["text"]
            elif kind == "message" or "role" in m:
                for part in m.get("content") or m.get("parts") or []:
                    message(part)
            if kind == "tool_use":
                calls.append((m["id"], m["name"], json.dumps(m["input"], sort_keys=True)))
            elif kind == "function_call":
                calls.append((m["call_id"], m["name"], m["arguments"]))
            elif "functionCall" in m:
                calls.append((None, m["functionCall"]["name"], json.dumps(m["functionCall"].get("args"), sort_keys=True)))
            for call in m.get("tool_calls") or []:
                made = call["function"]
                arguments = made.get("arguments", "")
                calls.append((call.get("id"), made["name"], arguments) if isinstance(arguments, str) else (None, made["name"], json.dumps(arguments, sort_keys=True)))

    for output in outputs:
        message(output)
    return text, calls


FIELDS = ["request_model", "response_model", "response_id", "temperature", "top_p", "max_tokens", "seed", "usage_input_tokens", "usage_output_tokens",
          "usage_cache_read_input_tokens", "usage_cache_write_input_tokens", "usage_reasoning_output_tokens"]


def compare(exchange, variant, headers, answer, line):
    """Differences between the two readings of one exchange."""
    wrong = []

    def equal(what, here, there):
        if here != there:
            wrong.append(f"{what}: {here!r} here, {there!r} there")

    envelope, contents = line["end"]["envelope"], line["end"]["contents"]
    data = [bytes.fromhex(content["data"]) for content in contents]
    https = [json.loads(d) for c, d in zip(contents, data) if c["kind"] == "http"]
    equal("exchanges told", 2, len(https))
    equal("request body", body(exchange, "request"), rebuilt(data, https[0]))
    equal("response body", answer, rebuilt(data, https[1]))
    equal("the start's contents", line["start"]["contents"], contents[: len(line["start"]["contents"])])
    equal("a credential", False, any(b"planted-credential" in d for d in data) or "planted-credential" in json.dumps(envelope))
    equal("names dropped", True, "authorization" in https[0]["headers_dropped"])
    plain = gzip.decompress(answer) if variant == "compressed" else answer

    question = parsed(body(exchange, "request").decode("utf-8", "replace"))
    path = urlsplit(exchange["uri"]).path
    name, reader = api_of(exchange["method"], path, question)
    equal("kind", "http.exchange" if name == "http" else "llm.call", envelope["kind"])
    media_type = next((v for n, v in headers if n.lower() == "content-type"), "")
    frames, whole = frames_of(plain, media_type), parsed(plain.decode("utf-8", "replace"))
    is_read = reader is None or exchange["status"] >= 400 or bool(frames) or (isinstance(whole, (dict, list)) and not dig(whole, "error"))
    equal("convention", name if is_read else f"{name}+http", envelope["capture_convention"])
    if name == "http":
        return name, wrong
    if not is_read:
        if dig(whole, "error"):
            equal("error", ("error", whole["error"]["code"]), (envelope["status"], envelope["error_type"]))
        return name + " unread", wrong
    if exchange["status"] >= 400:
        error = parsed(plain.decode("utf-8", "replace"))
        named = dig(error, "error", "type") or dig(error, "error", "status") or dig(error, "error", "code") or str(exchange["status"])
        if variant != "cut":
            equal("error", ("error", named), (envelope["status"], envelope["error_type"]))
        return name + " refused", wrong
    if variant == "cut":
        equal("status", "error", envelope["status"])
    read = reader(question, whole, frames)
    if name == "gemini":
        read.set(request_model=path.rsplit("/", 1)[1].split(":")[0])
    for field in FIELDS:
        here, there = read.fields.get(field), envelope.get(field)
        equal(field, None if here is None else float(here) if field in ("temperature", "top_p") else here, there)
    equal("finish reasons", read.finish, envelope.get("finish_reasons", []))
    asked = [c["role"] for c in line["start"]["contents"] if c["kind"] in ("message", "system_instructions")]
    same = {"developer": "system", "model": "assistant", "function": "tool"}
    if None not in read.roles:
        equal("roles", [same.get(role, role) for role in read.roles], asked)
    outputs = [json.loads(d) for c, d in zip(contents, data) if c["kind"] == "message"][len([c for c in line["start"]["contents"] if c["kind"] == "message"]):]
    text, calls = said_by(outputs)
    equal("text", read.text, text)
    if not getattr(read, "open", False):
        equal("calls of tools", read.calls, calls)
    if variant != "cut":
        equal("whole", "ok", envelope["status"])
    return name + (" stream" if frames is not None else ""), wrong


def thread(messages):
    """Who said what in Chat Completions, systems aside."""
    said = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        ids = [message["tool_call_id"]] if "tool_call_id" in message else [c["id"] for c in message.get("tool_calls") or []]
        if message.get("role") not in ("system", "developer"):
            said.append((message.get("role"), (content or "").strip(), ids))
    return said


class Histories:
    """Which request goes on where which exchange ended: by their messages here, by their digests there."""

    def __init__(self):
        self.known = []

    def add(self, number, exchange, line):
        question, answer = parsed(exchange["request_body"] or ""), parsed(exchange["response_body"])
        if exchange["uri"].split("?")[0].endswith("/chat/completions") and dig(answer, "choices"):
            message = answer["choices"][0].get("message")
            if message and not any("function_call" in m for m in [*question["messages"], message]):
                before = thread(question["messages"])
                self.known.append((number, before, before + thread([message]), line))

    def compare(self):
        """The pairs that both found, and what only one did."""
        here, there = set(), set()
        for later, asked, _, line in self.known:
            for earlier, before, after, ended in self.known:
                spoke = after[-1][1] or after[-1][2]
                is_turn = (not before or before[-1][0] != "assistant") and (asked[len(after):] or [("", "", "")])[0][0] != "assistant"
                if spoke and is_turn and asked[: len(after)] == after:
                    here.add((earlier, later))
                if ended["continuation"] and ended["continuation"] in line["prefixes"]:
                    there.add((earlier, later))
        return here & there, here ^ there


def check(path):
    lines, seen, failed, histories = iter(sys.stdin), collections.Counter(), 0, Histories()
    for number, exchange in exchanges(path):
        for variant, headers, answer in variants(exchange):
            line = json.loads(next(lines))
            name, wrong = compare(exchange, variant, headers, answer, line)
            seen[variant, name] += 1
            if variant == "recorded":
                histories.add(number, exchange, line)
            failed += bool(wrong)
            for what in wrong:
                print(f"exchange {number} ({variant}, {name}, {exchange['uri']}): {what[:600]}", file=sys.stderr)
    assert next(lines, None) is None, "more was read than there is"
    for variant in VARIANTS:
        counted = sorted((name, n) for (v, name), n in seen.items() if v == variant)
        print(f"{variant}: {sum(n for _, n in counted)}: " + ", ".join(f"{n} {name}" for name, n in counted))
    print(f"{sum(seen.values()) - failed} equal, {failed} differ")
    found, wrong = histories.compare()
    print(f"{len(found)} requests that continue an exchange, {len(wrong)} told otherwise {sorted(wrong)[:10]}")
    return failed == 0 and not wrong and len(found) > 0


if __name__ == "__main__":
    command, path = sys.argv[1:]
    sys.exit(0 if {"feed": lambda: feed(path) or True, "check": lambda: check(path)}[command]() else 1)
