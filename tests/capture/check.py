#!/usr/bin/env python3
"""Holds what was captured of each run against what the program saw and what the model answered.

    check.py RUNS EVENTS EXCHANGES     RUNS as run.py leaves it, EVENTS the lines of `chancery export`

What arrived is read from the events alone; what ought to have arrived from the program's own report and from the recorded
exchanges that were served to it. An item that is missing fails, unless the agent's SDK is known not to tell it (roster.py);
then it fails if it arrives. It knows no attribute names: whatever the source called a thing, the event has one name for it.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import sys
from dataclasses import dataclass

import cassette
import roster


@dataclass
class Run:
    """One run of an agent."""

    agent: roster.Agent
    report: dict
    served: list  # lines of the model's log, in order
    exchanges: list  # the recorded exchanges that they name
    events: list  # captured of it, in the order of their times
    elsewhere: set  # sessions of what was captured of others
    session: str  # what a header names where the client can be told to send one
    counted: dict  # by session, the model calls that `sessions` and `trace` count

    def calls(self):
        """All tool calls that the model asked for."""
        return [call for exchange in self.exchanges for call in exchange.answer.calls]


class Missing(Exception):
    """Says what did not arrive, or not as it was."""


def need(condition, message):
    """An item's condition."""
    if not condition:
        raise Missing(message)


# What stands in a content.


def value(content):
    """The data of a content: JSON, or text, or bytes as base64."""
    for form in ("json", "text", "data_base64"):
        if form in content:
            return content[form]
    return None


def leaves(data):
    """All strings in JSON data."""
    if isinstance(data, dict):
        for inner in data.values():
            yield from leaves(inner)
    elif isinstance(data, list):
        for inner in data:
            yield from leaves(inner)
    elif isinstance(data, str):
        yield data


def objects(data):
    """All objects in JSON data, those in strings that hold JSON too."""
    if isinstance(data, dict):
        yield data
        for inner in data.values():
            yield from objects(inner)
    elif isinstance(data, list):
        for inner in data:
            yield from objects(inner)
    elif isinstance(data, str) and data[:1] in ("{", "["):
        yield from objects(parsed(data))


def parsed(data):
    """JSON that stands in a string; anything else as it is."""
    try:
        return json.loads(data) if isinstance(data, str) else data
    except ValueError:
        return data


def of(event, *roles, kind=None):
    """The contents of an event with one of these roles, or of this kind."""
    return [c for c in event["contents"] if (c["role"] in roles if roles else c["kind"] == kind)]


def says(contents, text):
    """Whether one of the contents has exactly this text."""
    return any(leaf == text for content in contents for leaf in leaves(value(content)))


def requests(contents):
    """The tool calls that contents ask for: name, arguments, ids."""
    for content in contents:
        for found in objects(value(content)):
            name = found.get("name") or found.get("toolName")
            given = next((found[key] for key in ("arguments", "args", "input") if key in found), None)
            if isinstance(name, str) and given is not None:
                yield name, parsed(given), ids_in(value(content))


def ids_in(data):
    """Every string of a message that could be the id of a call."""
    return {leaf for found in objects(data) for leaf in leaves(found)}


def answered(event):
    """The contents that came out of a model call: what the assistant says after the last thing that went in."""
    contents = event["contents"]
    last = max((at for at, c in enumerate(contents) if c["role"] in ("system", "user", "tool")), default=-1)
    return [c for c in contents[last + 1 :] if c["role"] == "assistant"]


def asked(event):
    """The contents that went in."""
    out = answered(event)
    return [content for content in event["contents"] if content not in out]


def envelopes(run, kind):
    """Events of a kind that tell of something whole."""
    return [e for e in run.events if e["envelope"]["kind"] == kind and e["envelope"].get("phase") != "start"]


def with_logs(run):
    """The model calls, each with what stands beside it: logs of a span, which name it as their parent."""
    calls = envelopes(run, "llm.call")
    spans = {call["envelope"].get("span_id") for call in calls} - {None}
    beside = [e for e in run.events if e["envelope"]["kind"] in ("llm.call", "log") and above(e) in spans]
    for call in calls:
        if above(call) not in spans:
            more = [e["contents"] for e in beside if above(e) == call["envelope"].get("span_id")]
            yield {**call, "contents": sum(more, call["contents"])}


def above(event):
    """The span that an event hangs from."""
    return event["envelope"].get("parent_span_id")


def pairs(run):
    """Each model call with what was served to it."""
    calls = list(with_logs(run))
    need(len(calls) == len(run.exchanges), f"{len(calls)} model calls, {len(run.exchanges)} were made")
    return list(zip(calls, run.exchanges, run.served, strict=True))


# The items. Each raises what is missing.


def model_calls(run):
    """As many as were made: none lost, and none counted twice, though a span and a record may tell of one."""
    made = len(pairs(run))
    sessions = {event["session_id"] for event in envelopes(run, "llm.call")}
    for way in ("sessions", "trace"):
        told = sum(run.counted[session][way] for session in sessions)
        need(told == made, f"{way}: {told} model calls, {made} were made")


def system(run):
    """The system prompt stands in each call; SDKs add to it."""
    for call, *_ in pairs(run):
        texts = [leaf for content in of(call, "system") for leaf in leaves(value(content))]
        need(any(run.report["system"] in text for text in texts), "the system prompt")


def user(run):
    """The user's prompt stands in each call."""
    for call, *_ in pairs(run):
        need(says(of(call, "user"), run.report["user"]), "the user's prompt")


def tools(run):
    """The tools that were offered, with the names of their arguments."""
    for call, exchange, served in pairs(run):
        offered = [found for c in of(call, kind="tool_definitions") for found in objects(value(c))]
        names = {found["name"] for found in offered if isinstance(found.get("name"), str)}
        need(set(served["tools"]) <= names, f"definitions of {served['tools']}")
        known = {key for found in offered for key in found}
        for asked_for in exchange.answer.calls:
            need(set(asked_for["arguments"]) <= known, f"the schema of {asked_for['name']}")


def call(run):
    """What the model asked of tools, with all arguments."""
    for event, exchange, _ in pairs(run):
        found = [(name, arguments) for name, arguments, _ in requests(answered(event))]
        for wanted in exchange.answer.calls:
            need((wanted["name"], wanted["arguments"]) in found, f"the call of {wanted['name']}, in the answer")


def call_id(run):
    """The ids of those calls, as the model gave them: none, where it gave none."""
    for event, exchange, _ in pairs(run):
        found = {i for _, _, ids in requests(answered(event)) for i in ids}
        named = [o for content in answered(event) for o in objects(value(content)) if "name" in o]
        for wanted in exchange.answer.calls:
            if not wanted["id"]:
                given = [o["id"] for o in named if o["name"] == wanted["name"] and o.get("id")]
                need(not given, f"the model gave the call of {wanted['name']} no id, told is {given}")
            else:
                need(wanted["id"] in found, f"the id of the call of {wanted['name']}")


def result(run):
    """What the tools answered, among what the next call was told."""
    told = [content for event, *_ in pairs(run)[1:] for content in asked(event)]
    for wanted in run.report["results"]:
        need(says(told, wanted["result"]), f"the result of {wanted['name']}, told to the model")


def answer(run):
    """What the model said, each time it said something."""
    for event, exchange, _ in pairs(run):
        if exchange.answer.text:
            need(says(answered(event), exchange.answer.text), "the model's answer")
    need(run.exchanges[-1].answer.text == run.report["answer"], "the program saw another answer than was served")


def usage(run):
    """Tokens, call by call, as the model counted them; none where it did not."""
    for event, exchange, _ in pairs(run):
        said = [event["envelope"].get(f"usage_{side}_tokens") for side in ("input", "output")]
        counted = [exchange.answer.input_tokens, exchange.answer.output_tokens]
        need(said == counted, f"usage {said}, was {counted}")


def request_model(run):
    """The model asked for."""
    for event, _, served in pairs(run):
        told = event["envelope"].get("request_model")
        need(told == served["model"], f"request_model {told}, was {served['model']}")


def response_model(run):
    """The model that answered."""
    for event, exchange, _ in pairs(run):
        told = event["envelope"].get("response_model")
        need(told == exchange.answer.model, f"response_model {told}, was {exchange.answer.model}")


def response_id(run):
    """The provider's id of the answer."""
    for event, exchange, _ in pairs(run):
        told = event["envelope"].get("response_id")
        need(told == exchange.answer.id, f"response_id {told}, was {exchange.answer.id}")


def finish(run):
    """Why the model stopped: one word, whichever the SDK makes of it."""
    for event, *_ in pairs(run):
        told = event["envelope"].get("finish_reasons")
        need(told and len(told) == 1, f"finish_reasons {told}")


def tool_event(run):
    """An event for each tool that ran, with its result."""
    events, wanted = envelopes(run, "tool.call"), run.report["results"]
    need(len(events) == len(wanted), f"{len(events)} tool calls, {len(wanted)} were made")
    for one in wanted:
        came = of(named(events, one["name"]), kind="tool_result")
        need(says(came, one["result"]), f"the result of {one['name']}")


def tool_arguments(run):
    """With its arguments, by their names."""
    for one in run.calls():
        given = [parsed(value(c)) for c in of(named(envelopes(run, "tool.call"), one["name"]), kind="tool_arguments")]
        need(any(includes(data, one["arguments"]) for data in given), f"the arguments of {one['name']}")


def named(events, name):
    """The event of the tool of this name."""
    found = [event for event in events if event["envelope"].get("tool_name") == name]
    need(len(found) == 1, f"{len(found)} events of {name}")
    return found[0]


def includes(data, wanted):
    """Whether an object of the data has all these entries; a tool's own defaults may be beside them."""
    return any(wanted.items() <= found.items() for found in objects(data) if hashable(found))


def hashable(found):
    """Whether the entries of an object can be compared as a set."""
    return all(not isinstance(inner, (dict, list)) for inner in found.values())


def tool_call_id(run):
    """The tool's event names the model's call."""
    for one in run.calls():
        told = named(envelopes(run, "tool.call"), one["name"])["envelope"].get("tool_call_id")
        need(told and told == one["id"], f"tool_call_id {told}, was {one['id'] or 'not given'}")


def agent(run):
    """The agent's name."""
    names = {event["envelope"].get("agent_name") for event in run.events} - {None, ""}
    need(names == {run.report["agent"]}, f"agent_name {sorted(names)}")


def session(run):
    """All events stand in the session that the program named."""
    sessions = {event["session_id"] for event in run.events}
    need(sessions == {run.report["session"]}, f"{len(sessions)} sessions, not the program's")


def one_session(run):
    """The calls of a run stand in one session, in which there are no others: each continues the one before."""
    sessions = {event["session_id"] for event in run.events}
    need(len(sessions) == 1, f"{len(sessions)} sessions")
    need(not sessions & run.elsewhere, "a session of another run")


def trace(run):
    """A trace is in one session, and each event is in a trace."""
    sessions = {}
    for event in run.events:
        name = event["envelope"].get("trace_id")
        need(name, f"a {event['envelope']['kind']} without trace_id")
        sessions.setdefault(name, set()).add(event["session_id"])
    need(all(len(found) == 1 for found in sessions.values()), "a trace in several sessions")


def convention(run):
    """Each event says in which words its source spoke."""
    for event in run.events:
        need(event["envelope"].get("capture_convention"), "capture_convention")


def once(run):
    """No event stands there twice."""
    need(not any("repeat" in event for event in run.events), "an event that is a repeat")


MODEL = (
    model_calls, system, user, tools, call, call_id, result, answer, usage, request_model, response_model, response_id,
    finish, tool_event, tool_arguments, tool_call_id, agent, session, trace, convention, once,
)  # fmt: skip


def refused(run):
    """The one call, as failed, with what the API said of it."""
    calls = list(with_logs(run))
    need(len(calls) == 1, f"{len(calls)} model calls, one was made")
    envelope = calls[0]["envelope"]
    need(envelope.get("status") == "error", f"status {envelope.get('status')}")
    need(envelope.get("error_type"), "error_type")
    need(envelope.get("usage_input_tokens") is None, "usage of a call that was refused")
    texts = [leaf for content in calls[0]["contents"] for leaf in leaves(value(content))]
    need(any(run.report["error"]["message"] in text for text in texts), "the error's message")


def dropped(run):
    """The one call says that its source has dropped parts of it."""
    for event, *_ in pairs(run):
        told = event["envelope"]
        need((told.get("source_dropped") or 0) > 0, "source_dropped")
        need(told.get("capture_fidelity") == "truncated", f"capture_fidelity {told.get('capture_fidelity')}")


LONG = (model_calls, dropped, user, call, usage, finish, trace, convention, once)
FAILURE = (model_calls, refused, user, request_model, trace, convention, once)


def mcp_calls(run):
    """An event for each call that the client made, in their order."""
    mcp_pairs(run)


def mcp_pairs(run):
    """Each call of a tool with what the client made of it."""
    events, made = envelopes(run, "tool.call"), run.report["calls"]
    told, wanted = [e["envelope"].get("tool_name") for e in events], [call["name"] for call in made]
    need(told == wanted, f"calls of {told}, made were {wanted}")
    return list(zip(events, made, strict=True))


def arguments(run):
    """With all arguments."""
    for event, made in mcp_pairs(run):
        given = of(event, kind="tool_arguments")
        need(any(parsed(value(c)) == made["arguments"] for c in given), f"the arguments of {made['name']}")


def mcp_result(run):
    """With what the tool answered, errors too."""
    for event, made in mcp_pairs(run):
        for text in made["result"].get("text", [made["result"].get("error", {}).get("message")]):
            need(says(of(event, kind="tool_result") + of(event, kind="error"), text), f"the result of {made['name']}")


def status(run):
    """What failed says so, and nothing else does."""
    for event, made in mcp_pairs(run):
        failed = bool(made["result"].get("is_error") or "error" in made["result"])
        told = event["envelope"].get("status")
        need((told == "error") == failed, f"status {told} of {made['name']}")


def listed(run):
    """The tools that the server offered, each time it was asked, whole."""
    offered = [of(event, kind="tool_definitions") for event in envelopes(run, "mcp.request")]
    told = [value(content) for contents in offered for content in contents]
    need(told == run.report["listings"], f"{len(told)} lists of tools, {len(run.report['listings'])} were given")


def defined(run):
    """With each call what its tool was said to be by then; nothing, where it was not."""
    for event, made in mcp_pairs(run):
        told = [value(content) for content in of(event, kind="tool_definitions")]
        need(told == [made["definition"]] * (made["definition"] is not None), f"the definition of {made['name']}")


def changed(run):
    """Each tool that became another between two calls, by the digests of what it was said to be; no other."""
    last, wanted = {}, []
    for event, made in mcp_pairs(run):
        digest = next((content["digest"] for content in of(event, kind="tool_definitions")), None)
        before, last[made["name"]] = last.get(made["name"]), digest
        if before and before != digest:
            wanted.append((made["name"], "replace", before, digest))
    need(wanted, "no tool was called that had changed")
    changes = [change for e in envelopes(run, "config.change") for change in e["envelope"]["state_changes"]]
    told = [(c["target"].rpartition("/tool/")[2], c["op"], c["before"], c["after"]) for c in changes]
    need(told == wanted, f"changes {told}, were {wanted}")


def protocol(run):
    """The revision of the protocol that the two agreed on."""
    told = {event["envelope"].get("protocol") for event in envelopes(run, "tool.call")}
    need(told == {f"mcp/{run.report['protocol']}"}, f"protocol {sorted(map(str, told))}")


mcp_result.__name__ = "result"
MCP = (mcp_calls, arguments, mcp_result, status, trace, convention, once)


def exact(run):
    """The answers' bytes, as they went over the wire."""
    for event, exchange, _ in pairs(run):
        need(event["envelope"].get("capture_fidelity") == "exact_bytes", "capture_fidelity")
        wire = [value(content)["body"] for content in of(event, kind="http") if "status" in value(content)]
        need(len(wire) == 1, "what is told of the answer's body")
        digest = hashlib.sha256(exchange.body).hexdigest()
        need((wire[0]["size"], wire[0]["sha256"]) == (len(exchange.body), digest), "the answer's size and digest")
        need(rebuilt(event, wire[0], exchange.body), "the answer's bytes")


def rebuilt(event, told, body):
    """Whether the answer can be had from the event: whole and compressed, or as JSON whose messages stand by themselves."""
    if "cut" not in told:
        packed = [c for c in of(event, kind="raw") if c["media_type"].endswith("+zstd")]
        return any(unpacked(value(content)) == body for content in packed)
    text, start, rest = "", 0, told["cut"]["rest"].encode()
    for offset, place in told["cut"]["parts"]:
        text += rest[start:offset].decode() + json.dumps(value(event["contents"][place]))
        start = offset
    return json.loads(text + rest[start:].decode()) == json.loads(body)


def unpacked(text):
    """What was compressed, and written as base64."""
    import zstandard  # not of the standard library; only needed where answers were streamed

    return zstandard.ZstdDecompressor().decompressobj().decompress(base64.b64decode(text))


def secret(run):
    """The key that the client showed is nowhere."""
    need(f"sk-{run.session}" not in json.dumps(run.events), "the client's key is in the record")


def header(run):
    """The session is what the client's header named."""
    sessions = {event["session_id"] for event in run.events}
    need(sessions == {run.session}, "the session of the header")


# What a proxy sees: the wire, and no program behind it.
PROXY = tuple(
    item for item in MODEL if item not in (tool_event, tool_arguments, tool_call_id, agent, session, trace)
) + (
    exact,
    one_session,
)
ITEMS = {
    ("model", "otlp"): MODEL,
    ("model", "llm_proxy"): PROXY,
    ("long", "otlp"): LONG,
    ("long", "llm_proxy"): tuple(item for item in LONG if item not in (dropped, trace)) + (exact, secret),
    ("failure", "otlp"): FAILURE,
    ("failure", "llm_proxy"): tuple(item for item in FAILURE if item is not trace) + (secret,),
    ("mcp", "otlp"): MCP,
    ("mcp", "mcp_proxy"): (
        mcp_calls, arguments, mcp_result, status, listed, defined, changed, protocol, agent, one_session, once,
    ),
}


def read(runs, events, exchanges):
    """The runs of a folder, each with the events that came in while it ran."""
    counted = {line.pop("session"): line for line in map(json.loads, open(runs / "counted.jsonl", encoding="utf-8"))}
    known = {agent.name: agent for agent in roster.AGENTS}
    for folder in sorted(path.parent for path in runs.glob("*/run.json")):
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        served = [json.loads(line) for line in (folder / "served.jsonl").read_text(encoding="utf-8").splitlines()]
        inside = [e for e in events if run["begin_us"] <= micros(e["admission"]["observed_at"]) <= run["end_us"]]
        inside.sort(key=lambda event: micros(event["envelope"]["occurred_at"]))
        ours = {id(event) for event in inside}
        others = {event["session_id"] for event in events if id(event) not in ours}
        for door in run["doors"]:
            through = [event for event in inside if event["envelope"]["capture_source"] == door]
            answers = [exchanges[line["line"]] for line in served]
            agent, report, session = known[folder.name], run["report"], run["session"]
            yield door, Run(agent, report, served, answers, through, others, session, counted)


def unfold(events):
    """Puts back the beginnings of contexts: an event may say that it begins as an earlier one of its session did."""
    known = {}
    for event in events:
        prefix = event["envelope"].get("context_prefix")
        if prefix:
            event["contents"] = known[prefix["event_digest"]][: prefix["count"]] + event["contents"]
        known[event["event_digest"]] = event["contents"]


def micros(text):
    """A time of an event, in microseconds since 1970."""
    since = datetime.datetime.fromisoformat(text) - datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    return since // datetime.timedelta(microseconds=1)


def outcomes(door, run):
    """Each item's mark, and the failures."""
    lacks = run.agent.lacks if door == "otlp" else frozenset()
    marks, failures = {}, []
    items = ITEMS[run.agent.kind, door]
    if is_named_by_header(door, run):
        items += (header,)
    for item in items:
        name, why = item.__name__, None
        try:
            item(run)
        except Missing as missing:
            why = str(missing)
        if (why is None) == (name in lacks):
            failures.append(
                f"{run.agent.name} by {door}: {name}: {why or 'arrives, though the SDK is said to lack it'}"
            )
        marks[name] = ("!" if name in lacks else "✓") if why is None else ("–" if name in lacks else "✗")
    return marks, failures


def is_named_by_header(door, run):
    """Whether the client sent the header that names a session: the environment tells one to, and another says that it did."""
    if door == "llm_proxy":
        return run.exchanges[0].api == "messages"
    return door == "mcp_proxy" and run.report.get("header", False)


def table(title, rows):
    """Lines with a row for each run; the heads of the columns stand on end."""
    heads = list(dict.fromkeys(name for _, marks in rows for name in marks))
    wide = max([len(label) for label, _ in rows] + [len(title)])
    tall = max(map(len, heads))
    for level in range(tall):
        label = title if level == tall - 1 else ""
        yield f"{label:{wide}}  " + " ".join(head.rjust(tall)[level] for head in heads)
    for label, marks in rows:
        yield f"{label:{wide}}  " + " ".join(marks.get(head, " ") for head in heads)


def main():
    """Prints a table for each door, then what failed."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    runs, events, data = map(pathlib.Path, sys.argv[1:])
    lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    events = [line for line in lines if "envelope" in line]
    unfold(events)
    tables, failures = {}, [f"a row that is no event: {line['raw']}" for line in lines if "raw" in line]
    for door, run in read(runs, events, cassette.load(data)):
        marks, failed = outcomes(door, run)
        tables.setdefault((run.agent.kind, door), []).append((run.agent.name, marks))
        failures += failed
    for (_, door), rows in tables.items():
        print("\n".join(table(door, rows)) + "\n")
    print("✓ arrives   – the SDK does not tell it   ✗ missing   ! arrives, though said to be lacking")
    passed = sum(mark in "✓–" for rows in tables.values() for _, marks in rows for mark in marks.values())
    print("\n".join(failures))
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures or not passed else 0)


if __name__ == "__main__":
    main()
