#!/usr/bin/env python3
"""Every item of check.py can fail: `test_check.py EXCHANGES` spoils what a faultless run would be told as, bit by bit.

The events are made here, from recorded exchanges; no SDK and no gateway has a part in it.
"""

import copy
import hashlib
import json
import sys
import unittest

import cassette
import check
import roster

EXCHANGES = []
CALL, ANSWER, REFUSED, ANTHROPIC = 637, 119, 586, (262, 107)
RESULT = "It's sunny in Paris: 22 °C."
BEFORE, AFTER = ({"name": "get_weather", "description": said, "inputSchema": {}} for said in ("Asks.", "Tells."))
CLOUDS = {"name": "move_clouds", "inputSchema": {}}
MCP_CALLS = [
    {
        "name": "get_weather",
        "arguments": {"city": "Paris"},
        "definition": BEFORE,
        "result": {"text": [RESULT], "is_error": False},
    },
    {
        "name": "move_clouds",
        "arguments": {"city": "London"},
        "definition": CLOUDS,
        "result": {"text": ["no"], "is_error": True},
    },
    {"name": "no_such", "arguments": {}, "definition": None, "result": {"error": {"code": -32602, "message": "none"}}},
    {"name": "get_weather", "arguments": {}, "definition": AFTER, "result": {"text": ["grey"], "is_error": False}},
]


def content(role, kind, data, size=1):
    """A content as `chancery export` writes it."""
    form = "text" if isinstance(data, str) else "json"
    return {"role": role, "kind": kind, "size": size, form: data}


def event(kind, contents, **said):
    """A row as `chancery export` writes it."""
    common = {"trace_id": "ab" * 16, "capture_convention": "words/1", "capture_fidelity": "exact_bytes", "status": "ok"}
    return {"session_id": "s", "envelope": {"kind": kind, **common, **said}, "contents": contents}


def run(kind, lines, events, **report):
    """A run, told of by these events."""
    exchanges = [EXCHANGES[line] for line in lines]
    served = [{"line": e.line, "model": e.question.model, "tools": sorted(e.question.tools)} for e in exchanges]
    agent = roster.agent("an agent", kind=kind)
    counted = {"s": {"sessions": len(lines), "trace": len(lines)}}
    return check.Run(
        agent, {"agent": "a", "session": "s", **report}, served, exchanges, events, {"other"}, "s", counted
    )


def model_call(exchange, before, **said):
    """A model call, and the messages that stand behind it."""
    was, answer = exchange.question, exchange.answer
    calls = [
        {"id": c["id"], "function": {"name": c["name"], "arguments": json.dumps(c["arguments"])}} for c in answer.calls
    ]
    out = content("assistant", "message", {"role": "assistant", "content": answer.text, "tool_calls": calls})
    offered = content(
        "", "tool_definitions", [{"name": name, "parameters": schema} for name, schema in was.tools.items()]
    )
    body = {"size": len(exchange.body), "sha256": hashlib.sha256(exchange.body).hexdigest()}
    told_elsewhere = f'"{answer.id}"'.encode()  # in place of a message
    offset, place = exchange.body.index(told_elsewhere), len(before) + 2
    cut = {"rest": exchange.body.replace(told_elsewhere, b"").decode(), "parts": [[offset, place]]}
    wire = [content("", "raw", answer.id), content("", "http", {"status": 200, "body": {**body, "cut": cut}})]
    usage = {"usage_input_tokens": answer.input_tokens, "usage_output_tokens": answer.output_tokens}
    models = {"request_model": was.model, "response_model": answer.model, "response_id": answer.id}
    told = event(
        "llm.call", [offered, *before, out, *wire], **usage, **models, finish_reasons=["stop"], agent_name="a", **said
    )
    return told, [*before, out]


def faultless():
    """A call, a tool, an answer."""
    first, second = EXCHANGES[CALL], EXCHANGES[ANSWER]
    call = first.answer.calls[0]
    before = [content("system", "message", {"content": "Be brief."}), content("user", "message", first.question.user)]
    asked, history = model_call(first, before)
    told = content("tool", "message", {"content": RESULT, "tool_call_id": call["id"]})
    answered, _ = model_call(second, [*history, told])
    inner = [content("", "tool_arguments", call["arguments"]), content("", "tool_result", RESULT)]
    tool = event("tool.call", inner, tool_name=call["name"], tool_call_id=call["id"], agent_name="a")
    report = {"system": "Be brief.", "user": first.question.user, "answer": second.answer.text}
    results = [{"name": call["name"], "result": RESULT}]
    return run("model", (CALL, ANSWER), [asked, tool, answered], results=results, **report)


def through_header():
    """The same of a client that says its session in a header."""
    events = [model_call(EXCHANGES[line], [content("user", "message", "?")])[0] for line in ANTHROPIC]
    return run("model", ANTHROPIC, events)


def refused():
    """A call that failed."""
    exchange = EXCHANGES[REFUSED]
    message = json.loads(exchange.body)["error"]["message"]
    contents = [content("user", "message", exchange.question.user), content("", "error", f"401: {message}")]
    told = event("llm.call", contents, request_model=exchange.question.model) | {}
    told["envelope"].update(status="error", error_type="AuthenticationError")
    return run("failure", (REFUSED,), [told], user=exchange.question.user, error={"message": message})


def long():
    """A call that its source cut down."""
    exchange = EXCHANGES[CALL]
    told, _ = model_call(exchange, [content("user", "message", exchange.question.user)], source_dropped=60)
    told["envelope"]["capture_fidelity"] = "truncated"
    return run("long", (CALL,), [told], user=exchange.question.user)


def mcp():
    """Calls of tools, one of which failed, one was of none that there is, and one of another than before."""
    offers = [
        event("mcp.request", [content("", "tool_definitions", offered)])
        for offered in ([BEFORE, CLOUDS], [AFTER, CLOUDS])
    ]
    change = {"target": "mcp/server/tool/get_weather", "op": "replace", "before": "d-Asks.", "after": "d-Tells."}
    changed = event("config.change", [], state_changes=[change])
    calls = []
    for made in MCP_CALLS:
        was, came = made["definition"], made["result"]
        offered = {**content("", "tool_definitions", was), "digest": f"d-{(was or {}).get('description')}"}
        said = came.get("text") or came["error"]["message"]
        inner = [content("", "tool_arguments", made["arguments"]), content("", "tool_result", said)]
        contents = [offered, *inner] if was else inner
        calls.append(event("tool.call", contents, tool_name=made["name"], protocol="mcp/2026-07-28"))
        calls[-1]["envelope"]["status"] = "error" if came.get("is_error", True) else "ok"
    events = [offers[0], *calls[:3], offers[1], changed, calls[3]]
    return run("mcp", (), events, calls=MCP_CALLS, listings=[[BEFORE, CLOUDS], [AFTER, CLOUDS]], protocol="2026-07-28")


def without(name):
    """Takes a field of the envelope away, from all events."""
    return lambda events: [e["envelope"].pop(name, None) for e in events]


def other(name, said, at=0):
    """Says something else in a field of the envelope."""
    return lambda events: events[at]["envelope"].update({name: said})


def reworded(old, new):
    """Changes a text wherever it stands."""

    def change(events):
        text = json.dumps(events, ensure_ascii=False)
        assert old in text, old
        events[:] = json.loads(text.replace(old, new))

    return change


def elsewhere(at):
    """Puts an event into another session."""
    return lambda events: events[at].update(session_id="other")


SPOILED = {
    faultless: {
        check.model_calls: [lambda e: e.pop(0), lambda e: e.append(copy.deepcopy(e[0]))],
        check.system: [reworded("Be brief.", "Be brie")],
        check.user: [reworded("What's the weather in Paris?", "What's the weather in Paris")],
        check.tools: [reworded("tool_definitions", "text"), reworded('"properties": {"city"', '"properties": {"town"')],
        check.call: [reworded('\\"Paris\\"', '\\"London\\"'), lambda e: e[0]["contents"].reverse()],
        check.call_id: [reworded('"id": "call_', '"id": "fc_')],
        check.result: [reworded('"content": "It\'s sunny', '"content": "Its sunny')],
        check.answer: [reworded("The weather in Paris is sunny.", "The weather in Paris is sunny")],
        check.usage: [other("usage_input_tokens", 44), other("usage_output_tokens", None, at=2)],
        check.request_model: [other("request_model", "gpt-4o-mini-2024-07-18")],
        check.response_model: [without("response_model")],
        check.response_id: [other("response_id", "chatcmpl-0", at=2)],
        check.finish: [other("finish_reasons", [])],
        check.tool_event: [
            lambda e: e.pop(1),
            other("tool_name", "get_news", at=1),
            lambda e: e[1]["contents"].pop(1),
        ],
        check.tool_arguments: [lambda e: e[1]["contents"].pop(0), reworded('{"city": "Paris"}', '{"city": "Rome"}')],
        check.tool_call_id: [other("tool_call_id", "fc_0", at=1)],
        check.agent: [without("agent_name"), other("agent_name", "b", at=1)],
        check.session: [elsewhere(1)],
        check.one_session: [elsewhere(2), lambda e: [one.update(session_id="other") for one in e]],
        check.trace: [without("trace_id"), elsewhere(1)],
        check.convention: [without("capture_convention")],
        check.once: [lambda e: e[0].update(repeat="same")],
        check.exact: [
            other("capture_fidelity", "structured"),
            lambda e: e[0]["contents"].pop(),
            reworded('"sha256": "', '"sha256": "0'),
            reworded('\\"total_tokens\\": 57', '\\"total_tokens\\": 58'),
            lambda e: e[0]["contents"][-2].update(text="chatcmpl-0"),
        ],
        check.secret: [lambda e: e[0]["contents"].append(content("", "http", {"headers": [["x-api-key", "sk-s"]]}))],
    },
    through_header: {check.header: [elsewhere(0)]},
    refused: {
        check.refused: [
            other("status", "ok"),
            without("error_type"),
            lambda e: e[0]["contents"].pop(),
            lambda e: e.append(copy.deepcopy(e[0])),
            other("usage_input_tokens", 1),
        ]
    },
    long: {check.dropped: [without("source_dropped"), other("capture_fidelity", "structured")]},
    mcp: {
        check.mcp_calls: [
            lambda e: e.pop(),
            lambda e: e.append(copy.deepcopy(e[1])),
            lambda e: e.insert(1, e.pop(2)),
        ],
        check.arguments: [reworded('"Paris"', '"Rome"')],
        check.mcp_result: [reworded("sunny", "fine"), reworded('"none"', '"nothing"'), reworded('["grey"]', '["blue"]')],
        check.status: [other("status", "ok", at=2), other("status", "ok", at=3), other("status", "error", at=1)],
        check.listed: [reworded("tool_definitions", "raw"), lambda e: e[4]["contents"][0]["json"].pop()],
        check.defined: [
            reworded("Tells.", "Asks."),
            lambda e: e[2]["contents"].pop(0),
            lambda e: e[3]["contents"].append(e[2]["contents"][0]),
        ],
        check.changed: [
            lambda e: e.pop(5),
            lambda e: e.append(e[5]),
            reworded('"after": "d-Tells."', '"after": "d-Asks."'),
            reworded("tool/get_weather", "tool/move_clouds"),
            reworded("d-Tells.", "d-Asks."),
        ],
        check.protocol: [other("protocol", "mcp/2025-11-25", at=1), without("protocol")],
    },
}


class EveryItem(unittest.TestCase):
    """Holds of a run without fault, and fails where that is spoiled."""

    def test_holds_of_a_faultless_run(self):
        for make, items in SPOILED.items():
            for item in items:
                with self.subTest(item=item.__name__):
                    item(make())

    def test_fails_where_something_is_spoiled(self):
        for make, items in SPOILED.items():
            for item, ways in items.items():
                for number, spoil in enumerate(ways):
                    with self.subTest(item=item.__name__, way=number):
                        spoiled = make()
                        spoil(spoiled.events)
                        self.assertRaises(check.Missing, item, spoiled)

    def test_logs_of_a_call_belong_to_it(self):
        made = faultless()
        asked = made.events[0]
        asked["envelope"]["span_id"] = "01"
        log = event("log", asked["contents"][1:], parent_span_id="01")
        asked["contents"] = asked["contents"][:1]
        self.assertRaises(check.Missing, check.system, made)
        made.events.append(log)
        for item in (check.model_calls, check.system, check.user, check.call, check.result):
            item(made)
        log["envelope"]["kind"] = "llm.call"
        check.model_calls(made)
        check.call(made)

    def test_a_call_that_two_tell_of_is_counted_once(self):
        for way in ("sessions", "trace"):
            made = faultless()
            check.model_calls(made)
            made.counted["s"][way] += 1
            self.assertRaises(check.Missing, check.model_calls, made)

    def test_a_call_without_an_id_is_told_without_one(self):
        made = faultless()
        first = copy.deepcopy(made.exchanges[0])
        made.exchanges[0], said = first, made.events[0]["contents"][3]["json"]["tool_calls"][0]
        for call in first.answer.calls:
            call["id"] = ""
        said["name"] = said["function"]["name"]
        self.assertRaises(check.Missing, check.call_id, made)
        said["id"] = None
        check.call_id(made)

    def test_a_context_that_begins_as_another_is_whole(self):
        events = [{"envelope": {}, "event_digest": "a", "contents": [1, 2, 3]}]
        folded = {"context_prefix": {"event_digest": "a", "count": 2}}
        events.append({"envelope": folded, "event_digest": "b", "contents": [4]})
        check.unfold(events)
        self.assertEqual(events[1]["contents"], [1, 2, 4])

    def test_none_is_forgotten(self):
        items = {item for items in check.ITEMS.values() for item in items} | {check.header}
        self.assertEqual(items, {item for items in SPOILED.values() for item in items})

    def test_what_is_said_to_be_lacking_must_lack(self):
        faultless_run = faultless()
        lacking = roster.agent("an agent", lacks={"usage"})
        faultless_run.agent = lacking
        marks, failures = check.outcomes("otlp", faultless_run)
        self.assertEqual((marks["usage"], len(failures)), ("!", 1))
        reworded('"usage_input_tokens": 43', '"usage_input_tokens": null')(faultless_run.events)
        marks, failures = check.outcomes("otlp", faultless_run)
        self.assertEqual((marks["usage"], failures), ("–", []))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    EXCHANGES += cassette.load(sys.argv.pop(1))
    unittest.main()
