"""Writes the vectors of docs/format.md, section 11: `make.py DIR`. The same bytes every time, for one version of pyarrow.

It shares no code with the product and none with the verifier; chancery_spec.py holds the primitives.
"""

import json
import sys
from pathlib import Path

import fastavro
import pyarrow

sys.dont_write_bytecode = True

import bundles  # noqa: E402
import chancery_spec as spec  # noqa: E402
import logs  # noqa: E402
import messages  # noqa: E402
import notes  # noqa: E402
import signatures  # noqa: E402
import stores  # noqa: E402

MURMUR2 = {  # from the tests of Kafka's clients
    "21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
}


def main(folder):
    files, segments = stores.store()
    made = logs.make()
    vectors = {"digests": digests(), "merkle": merkle(), "events": messages.cases(), "records": records(),
               "proofs": stores.proofs(segments), "signatures": signatures.cases(), "log": notes.cases(made)}
    for name, value in vectors.items():
        write(folder / f"{name}.json", (json.dumps(value, indent=1) + "\n").encode())
    folders = {"store": files, "store-epochs": stores.store_epochs(), "store-log": made.files, "bundles": bundles.files(made)}
    for name, objects in folders.items():
        for key, data in objects.items():
            write(folder / name / key, data)
    for name, text in logs.trust(made).items():
        write(folder / name, text.encode())
    write(folder / "made-with.txt", f"pyarrow {pyarrow.__version__}\n".encode())


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def digests():
    source, made = messages.Source("digests"), []

    def case(name, expected, **inputs):
        made.append({"name": name, "inputs": plain(inputs), "expected": plain(expected)})

    long = ("t" * 64, "s" * 512)
    for tenant, session_id in (("acme", "s-1"), ("acme", "a/b"), ("a", "cmes-1"), long, ("acme", "é\U0001F989")):
        case("session_key", spec.session_key(tenant, session_id), tenant=tenant, session_id=session_id)
    for content in (b"", b"hello", bytes(range(256))):
        salt = source.fresh(16)
        case("body_digest", spec.body_digest(salt, content), salt=salt, content=content)
    for body in (source.body("hello"), source.claim("hello"), source.encrypted("hello"), source.encrypted("hello", inline=False)):
        event = spec.Event(source.envelope(), bodies=[body])
        case("item_hash", spec.item_hash(event.items[0]), **body, item=event.items[0])
    for envelope in (b"", spec.Event(source.envelope()).envelope):
        case("event_digest", spec.event_digest(envelope), schema_digest=spec.SCHEMA_DIGEST, envelope=envelope)
    for value in (None, b"", b"hello"):
        salt = source.fresh(16)
        case("raw_digest", spec.raw_digest(salt, value), salt=salt, value=value)
    for count in (0, 1, 3):
        contents = [source.fresh(32) for _ in range(count)]
        case("context_digest", spec.context_digest(contents), digests=contents)
    for headers in ([], [("a", None)], [("a", b"")], [("", b"x")], messages.HEADERS):
        salt = source.fresh(16) if headers else None
        listed = [{"key": key, "value": value} for key, value in headers]
        case("headers", spec.headers_bytes(headers), headers=listed)
        case("headers_digest", spec.headers_digest(salt, headers), salt=salt, headers=listed)
    carriages(source, case)
    event, carriage, session = source.fresh(32), source.fresh(32), source.fresh(32)
    row = spec.row_digest(event, carriage)
    case("row_digest", row, event_digest=event, carriage_digest=carriage)
    for offset in (0, 1, 1 << 40, (1 << 63) - 1):
        case("leaf", spec.leaf(session, offset, row), session_key=session, offset=offset, row_digest=row)
    for key, known in MURMUR2.items():
        hashed = spec.murmur2(key.encode())
        assert hashed == known & 0xFFFFFFFF, (key, hashed)
        case("murmur2", hashed, key=key.encode(), signed=known)
    for key in (b"acme/s-1", b"acme/s-2", b"acme/s-3", b"a/b", "acme/é\U0001F989".encode()):
        for partitions in (1, 3, 12):
            case("partition", spec.partition_of(key, partitions), key=key, partitions=partitions)
    assert len(spec.FRAME) == 10
    printed = fastavro.schema.fingerprint(spec.CANONICAL, "CRC-64-AVRO")
    assert printed == spec.FRAME[2:].hex(), (printed, spec.FRAME.hex())
    case("schema_digest", spec.SCHEMA_DIGEST, file="schemas/avro/agent_event.avsc")
    case("canonical_form", spec.sha256(spec.CANONICAL.encode()), text=spec.CANONICAL)
    case("fingerprint", spec.FINGERPRINT.to_bytes(8, "big"), note="the CRC-64-AVRO as a number, most significant byte first")
    case("frame", spec.FRAME, note="C3 01, then the same number, least significant byte first")
    return made


def carriages(source, case):
    digest, item = source.fresh(32), source.fresh(32)
    raw = {"timestamp_type": 1, "timestamp": messages.T0_MS, "key": b"acme/s-1", "reason": "encoding"}
    event = {"schema_digest": spec.SCHEMA_DIGEST, "timestamp_type": 2, "timestamp": messages.T0_MS, "key": b"acme/s-1",
             "frame": spec.FRAME}
    for given in (
        event, raw, raw | {"key": None}, raw | {"key": b""}, raw | {"timestamp_type": 0, "timestamp": 0},
        raw | {"timestamp": -1}, raw | {"headers_digest": source.fresh(32), "reason": "tombstone"},
        event | {"signature": b"signature"}, event | {"admission": b"admission"}, event | {"signature": b"s", "admission": b"a"},
        event | {"bodies": [(digest, None)]}, event | {"bodies": [(digest, item)]},
        event | {"bodies": [(digest, None), (source.fresh(32), item), (source.fresh(32), None)]},
    ):
        whole = {"schema_digest": spec.NONE, "key": None, "headers_digest": spec.NONE, "frame": b"", "signature": None,
                 "admission": None, "reason": ""} | given
        whole["bodies"] = [{"digest": digest, "item_hash": item} for digest, item in given.get("bodies", ())]
        case("carriage_digest", spec.carriage_digest(**given), **whole)


def plain(value):
    """JSON of a value: bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def merkle():
    leaves = [spec.sha256(spec.u64(i)) for i in range(33)]
    ranges = []
    for n in range(10):
        for a in range(n + 1):
            for b in range(a, n + 1):
                left, right = spec.range_proof(a, b, leaves[:n])
                ranges.append({"n": n, "a": a, "b": b, "left": plain(left), "right": plain(right)})
    return {
        "note": "Leaf i is SHA-256 of u64(i); the tree of n has leaves 0 to n - 1. Range [a, b): an empty one (a = b) is "
                "nowhere, so nothing is rebuilt from leaves; a subtree that ends at or before a is one hash on the left, one "
                "that begins at or after b is one hash on the right, and one that the boundary a cuts in two is split.",
        "leaves": plain(leaves),
        "roots": [{"n": n, "root": plain(spec.merkle_root(leaves[:n]))} for n in (*range(21), 31, 32, 33)],
        "inclusion": [{"n": n, "i": i, "proof": plain(spec.inclusion_proof(i, leaves[:n]))}
                      for n in range(1, 21) for i in range(n)],
        "ranges": ranges,
    }


def records():
    source = messages.Source("records")
    names = {"cluster": "MkU3OEVBNTcwNTJENDM2Qg", "topic_id": "q1Y0c3hPTWuYxJZkN2b4Kw", "topic": "events", "partition": 7,
             "partitions": 12, "framing": "single_object"}
    where = ("events", 7, 2, 1000)
    session = spec.session_key("acme", "s-1")
    claims = spec.claims_text([(session, source.fresh(32), source.fresh(size)) for size in (5, 0, 70000)])
    gaps = spec.gaps_text([(1000, 1001), (1003, 1010)])
    full = spec.segment_record(
        **names, epoch=2, start=1000, next=1020, rows=12, gaps=spec.counted("gaps", gaps), claims=spec.counted("claims", claims),
        leader_epochs="1000:4,1011:6", time_min=messages.T0_MS, time_max=messages.T0_MS + 900, retention_class="standard",
        lock="compliance", retain_until="2033-01-01T00:00:00Z", root=source.fresh(32).hex(), total=512, writer="chancery/0.1.0",
        prev=source.fresh(32).hex())
    embedded = {"cluster": "-", "topic_id": "-", "topic": "events", "partition": 0, "partitions": 1, "framing": "single_object"}
    none = spec.counted("gaps", "")
    timeless = spec.segment_record(
        **embedded, epoch=0, start=0, next=2, rows=2, gaps=none, claims=none, leader_epochs="-", time_min="-", time_max="-",
        retention_class="standard", lock="-", retain_until="-", root=source.fresh(32).hex(), total=2, writer="chancery/0.1.0",
        prev=source.fresh(32).hex())
    data = source.fresh(1234)
    genesis = spec.epoch_opening(**embedded, epoch=0, start=0, total=0, reason="genesis", opened_at="2026-09-21T14:13:20Z",
                                 prev="-")
    abandoned = [(spec.segment_key("events", 7, 1, start), version, source.fresh(32).hex())
                 for start, version in ((800, "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH"), (900, "-"))]
    later = spec.epoch_opening([(800, 850), (990, 1000)], abandoned, **names, epoch=2, start=1000, total=500, reason="truncated",
                               opened_at="2026-09-22T08:00:00Z", prev=source.fresh(32).hex())
    absent = spec.claims_text([(session, source.fresh(32), None), (session, source.fresh(32), b"there")])
    enrolled = spec.enrolled_record(full, spec.segment_key(*where), data)
    return {
        "segment_record": full, "segment_record_embedded": timeless,
        "enrolled_record": {"object_size": len(data), "object_sha256": spec.sha256(data).hex(), "text": enrolled,
                            "leaf_hash": spec.record_leaf(enrolled).hex()},
        "epoch_opening_genesis": {"text": genesis, "leaf_hash": spec.record_leaf(genesis).hex()},
        "epoch_opening_later": {"text": later, "leaf_hash": spec.record_leaf(later).hex()},
        "terminal": spec.terminal("events", 7, 2, 1020, spec.record_leaf(enrolled).hex()),
        "gaps": {"text": gaps, "digest": spec.H("gaps", gaps.encode()).hex()},
        "claims": {"text": claims, "digest": spec.H("claims", claims.encode()).hex()},
        "claims_one_absent": {"text": absent, "digest": spec.H("claims", absent.encode()).hex()},
        "keys": {"segment": spec.segment_key(*where), "record": spec.record_key(*where),
                 "opening": spec.opening_key("events", 7, 2), "body": spec.body_key(session, spec.NONE),
                 "segment_of_the_last_offset": spec.segment_key("events", 99999, (1 << 32) - 1, (1 << 63) - 1)},
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make.py DIR")
    main(Path(sys.argv[1]))
