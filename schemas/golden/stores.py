"""Two small stores, laid out as in production, and proofs over the segments of the first."""

import chancery_spec as spec
from chancery_spec import Event
from messages import HEADERS, Source, content, inline, message

PARTITIONS = 3
WRITER = "golden/1"


class Partition:
    """Writes the chain of one partition into `files`, a dictionary from object key to bytes."""

    def __init__(self, files, topic, partition, cluster, topic_id):
        self.files, self.topic, self.partition = files, topic, partition
        self.names = {"cluster": cluster, "topic_id": topic_id, "topic": topic, "partition": partition,
                      "partitions": PARTITIONS, "framing": "single_object"}
        self.epoch, self.next, self.total, self.prev = -1, 0, 0, "-"
        self.segments = []
        self.links = []  # texts of openings and enrolled records

    def open_epoch(self, start, reason, opened_at, missing=(), abandoned=()):
        self.epoch, self.next = self.epoch + 1, start
        opening = spec.epoch_opening(missing, abandoned, **self.names, epoch=self.epoch, start=start, total=self.total,
                                     reason=reason, opened_at=opened_at, prev=self.prev)
        self.files[spec.opening_key(self.topic, self.partition, self.epoch)] = opening.encode()
        self.enrol(opening)

    def enrol(self, link):
        self.links.append(link)
        self.prev = spec.record_leaf(link).hex()

    def seal(self, sent, after, claimed=(), leader_epochs="-", locked=True, salt=None, **layout):
        """One segment over [self.next, after); `sent` holds (message, its Event or reason)."""
        start, self.next = self.next, after
        rows = sorted((spec.row(*pair) for pair in sent), key=lambda row: (row["session_key"], row["offset"]))
        gaps = spec.gaps_text(holes(start, after, [row["offset"] for row in rows]))
        claims = spec.claims_text(claimed, salt)
        times = [row["columns"]["timestamp"] for row in rows if row["columns"]["timestamp"] is not None]
        self.total += len(rows)
        record = spec.segment_record(
            **self.names, epoch=self.epoch, start=start, next=after, rows=len(rows), gaps=spec.counted("gaps", gaps),
            claims=spec.counted("claims", claims), leader_epochs=leader_epochs, time_min=min(times, default="-"),
            time_max=max(times, default="-"), retention_class="standard", lock="compliance" if locked else "-",
            retain_until="2033-01-01T00:00:00Z" if locked else "-",
            root=spec.merkle_root([row["leaf"] for row in rows]).hex(), total=self.total, writer=WRITER, prev=self.prev)
        footer = {"chancery.record": record} | ({"chancery.gaps": gaps} if gaps else {})
        footer |= {"chancery.claims": claims} if claims else {}
        if any(row["columns"].get("schema") for row in rows):
            footer["chancery.schema." + spec.SCHEMA_DIGEST.hex()] = spec.AVSC.decode()
        where = (self.topic, self.partition, self.epoch, start)
        key, data = spec.segment_key(*where), spec.segment_object([row["columns"] for row in rows], footer, **layout)
        enrolled = spec.enrolled_record(record, key, data)
        self.files |= {key: data, spec.record_key(*where): enrolled.encode()}
        self.enrol(enrolled)
        self.segments.append((key, rows))

    def terminate(self):
        text = spec.terminal(self.topic, self.partition, self.epoch, self.next, self.prev)
        self.files[spec.segment_key(self.topic, self.partition, self.epoch, self.next)] = text.encode()


def holes(start, after, offsets):
    """The offset ranges of [start, after) without a row."""
    found, at = [], start
    for offset in sorted(offsets) + [after]:
        if at < offset:
            found.append((at, offset))
        at = offset + 1
    return found


def session_in(partition, prefix):
    """A session id of tenant acme whose key falls into the partition."""
    return next(name for name in (f"{prefix}-{n}" for n in range(100))
                if spec.partition_of(f"acme/{name}".encode(), PARTITIONS) == partition)


def event(source, offset, session_id, bodies=(), contents=None, headers=(), signed=False, **more):
    """A message and its Event; it names the bodies it carries unless `contents` says otherwise."""
    named = [inline(body) for body in bodies] if contents is None else contents
    made = Event(source.envelope(named, session_id=session_id, **more), source.signature() if signed else None,
                 source.admission(), bodies)
    return message(source, offset, f"acme/{session_id}".encode(), made.value, headers), made


def store():
    """(files, segments): three segments of one partition; the second has no rows."""
    source, files = Source("store"), {}
    chain = Partition(files, "events", 0, "MkU3OEVBNTcwNTJENDM2Qg", "q1Y0c3hPTWuYxJZkN2b4Kw")
    chain.open_epoch(0, "genesis", "2026-09-21T14:13:20Z")
    alpha, beta, gamma = (session_in(0, name) for name in ("alpha", "beta", "gamma"))

    prompt, answer = source.body("You are a travel agent."), source.body("Paris is sunny.")
    call = source.body('{"city":"Paris"}')
    document, secret = "Sunny. " * 300, source.encrypted("the traveller's diagnosis")
    claim = source.claim(document)
    session = spec.session_key("acme", beta)
    files[spec.body_key(session, claim["digest"])] = document.encode()

    def raw(offset, key, value, reason, headers=()):
        return message(source, offset, key, value, headers), reason

    base = event(source, 1, alpha, [prompt], kind="llm.call", agent_name="planner-7", usage_input_tokens=12, signed=True)
    following = event(source, 3, alpha, [answer], [inline(answer, role="assistant")], kind="llm.call", agent_name="planner-7",
                      context_prefix={"event_digest": base[1].digest, "count": 1},
                      context_digest=spec.context_digest([prompt["digest"], answer["digest"]]))
    chain.seal([
        event(source, 0, alpha, kind="session.start", headers=HEADERS), base, following,
        event(source, 4, beta, [claim], [content(claim, len(document), kind="document")], kind="retrieval"),
        event(source, 5, alpha, [call], [inline(prompt), inline(call, kind="tool_arguments", role="")], kind="tool.call",
              tool_name="weather", tool_call_id="call-1", tool_effect="read", session_seq=3),
        event(source, 8, beta, [secret], [content(secret, 25)], error_type="Timeout", status="error", duration_us=1500),
        raw(9, None, b"not ours", "frame"), raw(10, f"acme/{alpha}".encode(), None, "tombstone", HEADERS[:1]),
        raw(11, None, b"", "empty"), raw(12, f"acme/{beta}".encode(), spec.FRAME + b"\0", "encoding"),
        raw(13, b"no slash", following[1].value, "key"), event(source, 16, gamma, trace_id=source.fresh(16), cost_nanos=25),
    ], 18, [(session, claim["digest"], document.encode())], "0:4,9:5", row_group_rows=5)
    chain.seal([], 21)

    late, sealed = source.claim("late"), source.encrypted("late too", inline=False)
    objects = [(spec.session_key("acme", alpha), late["digest"], b"late"),
               (spec.session_key("acme", alpha), sealed["digest"], source.fresh(40))]
    files |= {spec.body_key(owner, digest): data for owner, digest, data in objects}
    timeless = event(source, 24, gamma, [source.body("no time")])
    timeless[0].update(timestamp=None, timestamp_type=0)
    chain.seal([
        event(source, 21, alpha, [late, sealed], [content(late, 4), content(sealed, 8)], agent_name="planner-8"),
        event(source, 22, beta, [source.body("é\U0001F989")], kind="agent.message", policy_decision="allow"),
        event(source, 23, gamma, contents=[], kind="session.end", session_event_count=3), timeless,
        raw(25, f"acme/{gamma}".encode(), following[1].value, "mismatch"),
        event(source, 26, alpha, [], [inline(prompt)], kind="session.end"),
    ], 27, objects, "21:5", compression="none")
    return files, chain.segments


def store_epochs():
    """Three epochs of an embedded log: the first ends in a terminal object, the second where junk took the key."""
    source, files = Source("store-epochs"), {}
    chain = Partition(files, "events", 1, "-", "-")
    session = session_in(1, "delta")
    chain.open_epoch(0, "genesis", "2026-09-21T14:13:20Z")
    chain.seal([event(source, offset, session, [source.body(f"body {offset}")]) for offset in range(3)], 3, locked=False)
    chain.terminate()
    chain.open_epoch(7, "truncated", "2026-09-22T08:00:00Z", missing=[(3, 7)])
    chain.seal([event(source, offset, session) for offset in (7, 9)], 10, locked=False)
    junk = b"PAR1 this is nobody's segment PAR1"
    key = spec.segment_key("events", 1, 1, 10)
    files[key] = junk
    chain.open_epoch(10, "operator", "2026-09-22T09:00:00Z", abandoned=[(key, "-", spec.sha256(junk).hex())])
    chain.seal([event(source, 10, session)], 11, locked=False)
    return files


def proofs(segments):
    """Contents of proofs.json: completeness of every session that has rows, and absence at every place it can have."""
    listed = []
    for key, rows in segments:
        sessions = list(dict.fromkeys(row["session_key"] for row in rows))
        listed += [proof(key, rows, "completeness", session) for session in sessions]
        places = {}
        for n in range(1000):
            session = spec.session_key("acme", f"absent-{n}")
            places.setdefault(sum(row["session_key"] < session for row in rows), session)
        listed += [proof(key, rows, "absence", places[at]) for at in sorted(places)]
    return listed


def proof(key, rows, claim, session):
    below = sum(row["session_key"] < session for row in rows)
    above = below + sum(row["session_key"] == session for row in rows)
    a, b = max(below - 1, 0), min(above + 1, len(rows))
    leaves = [row["leaf"] for row in rows]
    left, right = spec.range_proof(a, b, leaves)
    shown = [{"session_key": row["session_key"].hex(), "offset": row["offset"], "row_digest": row["row_digest"].hex()}
             for row in rows[a:b]]
    first, last = below - a, above - a
    return {"segment": key, "claim": claim, "session_key": session.hex(), "rows": len(rows), "range": [a, b],
            "before": shown[0] if first else None, "leaves": shown[first:last],
            "after": shown[last] if last < len(shown) else None, "left": [node.hex() for node in left],
            "right": [node.hex() for node in right], "root": spec.merkle_root(leaves).hex()}
