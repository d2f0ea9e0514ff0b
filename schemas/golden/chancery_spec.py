"""The primitives of docs/format.md, written out for making vectors: digests, the row, the tree, the texts, the segment object.

It encodes and never decodes; which row a message becomes is for the caller to say.
"""

import hashlib
import io
import json
import struct
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

AVSC = (Path(__file__).parent.parent / "avro" / "agent_event.avsc").read_bytes()
SCHEMA = fastavro.parse_schema(json.loads(AVSC))
SCHEMA_DIGEST = hashlib.sha256(AVSC).digest()
NONE = bytes(32)


# Section 1: notation.

def sha256(data):
    return hashlib.sha256(data).digest()


def u8(number):
    return struct.pack(">B", number)


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", number)


def i64(number):
    return struct.pack(">q", number)


def lp(data):
    return u32(len(data)) + data


def opt(data):
    return b"\0" if data is None else b"\1" + lp(data)


def H(domain, *parts):
    return sha256(f"chancery.{domain}.v1".encode() + b"\0" + b"".join(parts))


# Section 2: identities and digests.

def session_key(tenant, session_id):
    return H("session", lp(tenant.encode()), lp(session_id.encode()))


def body_digest(salt, content):
    return H("body", salt, content)


def item_hash(item):
    return H("item", item)


def event_digest(envelope, schema_digest=SCHEMA_DIGEST):
    return H("event", schema_digest, envelope)


def raw_digest(salt, value):
    return H("raw", salt, opt(value))


def context_digest(digests):
    return H("context", u32(len(digests)), *digests)


def headers_bytes(headers):
    return u32(len(headers)) + b"".join(lp(key.encode()) + opt(value) for key, value in headers)


def headers_digest(salt, headers):
    return H("headers", salt, headers_bytes(headers)) if headers else NONE


def murmur2(data):
    """Austin Appleby's MurmurHash2, 32 bits, with the seed of Kafka's default partitioner."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * m & mask
        k ^= k >> 24
        h = (h * m ^ k * m) & mask
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def crc64_avro(data):
    """The Rabin fingerprint of the Avro specification."""
    empty = 0xC15D213AA4D7A795
    crc = empty
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (empty if crc & 1 else 0)
    return crc


CANONICAL = fastavro.schema.to_parsing_canonical_form(json.loads(AVSC))
FINGERPRINT = crc64_avro(CANONICAL.encode())
FRAME = b"\xc3\x01" + struct.pack("<Q", FINGERPRINT)


# Section 3: the message.

def encode(envelope, signature=None, admission=None, bodies=()):
    out = io.BytesIO()
    event = {"envelope": envelope, "signature": signature, "admission": admission, "bodies": list(bodies)}
    fastavro.schemaless_writer(out, SCHEMA, event)
    return out.getvalue()


class Event:
    """A well-formed event and the byte strings it is made of."""

    def __init__(self, envelope, signature=None, admission=None, bodies=(), frame=FRAME):
        self.fields, self.bodies, self.frame = envelope, list(bodies), frame
        # An absent signature, an absent admission and no bodies are one byte 00 each, an item alone is 02 … 00.
        self.envelope = encode(envelope)[:-3]
        at = len(self.envelope)
        self.signature = encode(envelope, signature)[at + 1:-2] if signature else None
        self.admission = encode(envelope, None, admission)[at + 2:-1] if admission else None
        self.items = [encode(envelope, None, None, [body])[at + 3:-1] for body in self.bodies]
        self.value = frame + encode(envelope, signature, admission, self.bodies)
        self.digest = event_digest(self.envelope)

    def enc(self, index):
        """Avro bytes of Enc: what follows the item that has none, whose last byte is the null branch."""
        body = self.bodies[index]
        bare = encode(self.fields, None, None, [{**body, "enc": None}])[len(self.envelope) + 3:-1]
        return self.items[index][len(bare):] if body["enc"] else None


def inline_clear(body):
    return body["enc"] is None and body["data"] is not None


# Section 4: the row.

def carriage_digest(*, schema_digest=NONE, timestamp_type=0, timestamp=0, key=None, headers_digest=NONE, frame=b"",
                    signature=None, admission=None, bodies=(), reason=""):
    """`bodies` holds (digest, None) for an inline clear body and (digest, item hash) for any other."""
    listed = [digest + (b"\0" if item is None else b"\1" + item) for digest, item in bodies]
    return H("carriage", schema_digest, u8(timestamp_type), i64(timestamp), opt(key), headers_digest, lp(frame),
             opt(signature), opt(admission), u32(len(listed)), *listed, lp(reason.encode()))


def row_digest(event, carriage):
    return H("row", event, carriage)


def leaf(session, offset, row):
    return sha256(b"\0" + session + u64(offset) + row)


def key_session(key):
    """The session key of a Kafka key that parses, else 32 zero bytes."""
    tenant, slash, session = (key or b"").partition(b"/")
    allowed = b"abcdefghijklmnopqrstuvwxyz0123456789-"
    parses = slash and 1 <= len(tenant) <= 64 and all(c in allowed for c in tenant) and 1 <= len(session) <= 512
    try:
        return session_key(tenant.decode(), session.decode()) if parses else NONE
    except UnicodeDecodeError:
        return NONE


def row(message, kept):
    """The row of a message; `kept` is its Event, or the reason why it is kept raw."""
    headers, salt = message["headers"], message["headers_salt"]
    time = {"timestamp": message["timestamp"] or 0, "timestamp_type": message["timestamp_type"]}
    common = {"key": message["key"], "headers_digest": headers_digest(salt, headers), **time}
    columns = {"offset": message["offset"], "key": message["key"], "timestamp": message["timestamp"],
               "timestamp_type": message["timestamp_type"], "headers": headers_bytes(headers) if headers else None,
               "headers_salt": salt if headers else None, "bodies": []}
    if isinstance(kept, Event):
        digest, fields = kept.digest, kept.fields
        bodies = [(body["digest"], None if inline_clear(body) else item_hash(item))
                  for body, item in zip(kept.bodies, kept.items)]
        carriage = carriage_digest(**common, schema_digest=SCHEMA_DIGEST, frame=kept.frame, signature=kept.signature,
                                   admission=kept.admission, bodies=bodies)
        stored = [{**body, "enc": kept.enc(i), "digest": None if inline_clear(body) else body["digest"]}
                  for i, body in enumerate(kept.bodies)]
        columns |= {"schema": SCHEMA_DIGEST, "frame": kept.frame, "envelope": kept.envelope, "bodies": stored,
                    "signature": kept.signature, "admission": kept.admission}
        columns |= {name: kept.fields.get(name, DEFAULTS.get(name)) for _, name, _ in VIEWS}
    else:
        digest, fields, bodies = raw_digest(message["raw_salt"], message["value"]), None, []
        carriage = carriage_digest(**common, reason=kept)
        columns |= {"raw_reason": kept, "raw_salt": message["raw_salt"], "raw": message["value"]}
    columns["session_key"] = session = key_session(message["key"])
    shown = row_digest(digest, carriage)
    return {"columns": columns, "fields": fields, "bodies": bodies, "session_key": session, "offset": message["offset"],
            "event_digest": digest, "headers_digest": common["headers_digest"], "carriage_digest": carriage,
            "row_digest": shown, "leaf": leaf(session, message["offset"], shown)}


def merkle_root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\1" + merkle_root(leaves[:k]) + merkle_root(leaves[k:]))


def split(n):
    """The largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1


def inclusion_proof(i, leaves):
    if len(leaves) <= 1:
        return []
    k = split(len(leaves))
    if i < k:
        return inclusion_proof(i, leaves[:k]) + [merkle_root(leaves[k:])]
    return inclusion_proof(i - k, leaves[k:]) + [merkle_root(leaves[:k])]


def range_proof(a, b, leaves, start=0):
    """(left, right): roots of the maximal aligned subtrees before a, and from b on."""
    end = start + len(leaves)
    if not leaves or (a <= start and end <= b):
        return [], []
    if end <= a:
        return [merkle_root(leaves)], []
    if b <= start:
        return [], [merkle_root(leaves)]
    k = split(len(leaves))
    left, right = range_proof(a, b, leaves[:k], start), range_proof(a, b, leaves[k:], start + k)
    return left[0] + right[0], left[1] + right[1]


# Section 5: the segment object.

def column(number, name, kind, nullable=True):
    return pa.field(name, kind, nullable, {"PARQUET:field_id": str(number)})


BODY = pa.struct([column(15, "digest", pa.binary(32)), column(16, "salt", pa.binary(16)), column(17, "data", pa.binary()),
                  column(18, "enc", pa.binary())])
CARRIED = [
    column(1, "session_key", pa.binary(32), False), column(2, "offset", pa.int64(), False),
    column(3, "timestamp", pa.timestamp("ms", "UTC")), column(4, "timestamp_type", pa.int32(), False),
    column(5, "key", pa.binary()), column(6, "headers", pa.binary()), column(7, "headers_salt", pa.binary(16)),
    column(8, "schema", pa.binary(32)), column(9, "frame", pa.binary()), column(10, "envelope", pa.binary()),
    column(11, "signature", pa.binary()), column(12, "admission", pa.binary()),
    column(13, "bodies", pa.list_(column(14, "element", BODY, False)), False),
    column(19, "raw_reason", pa.string()), column(20, "raw_salt", pa.binary(16)), column(21, "raw", pa.binary()),
]
UUID, TEXT, LONG, MICROS = pa.binary(16), pa.string(), pa.int64(), pa.timestamp("us", "UTC")
VIEWS = [(32 + i, name, kind) for i, (name, kind) in enumerate([
    ("event_id", UUID), ("tenant", TEXT), ("session_id", TEXT), ("kind", TEXT), ("occurred_at", MICROS),
    ("capture_source", TEXT), ("phase", TEXT), ("duration_us", LONG), ("status", TEXT), ("error_type", TEXT),
    ("session_seq", LONG), ("trace_id", UUID), ("agent_id", TEXT), ("agent_name", TEXT), ("agent_version", TEXT),
    ("principal_id", TEXT), ("operation", TEXT), ("provider", TEXT), ("request_model", TEXT), ("response_model", TEXT),
    ("usage_input_tokens", LONG), ("usage_output_tokens", LONG), ("usage_cache_read_input_tokens", LONG),
    ("usage_cache_write_input_tokens", LONG), ("usage_reasoning_output_tokens", LONG), ("cost_nanos", LONG),
    ("tool_name", TEXT), ("tool_call_id", TEXT), ("tool_effect", TEXT), ("policy_decision", TEXT),
    ("capture_fidelity", TEXT)])]
STAT = ["session_key", "offset", "timestamp", "timestamp_type", "raw_reason"] + [name for _, name, _ in VIEWS]
TABLE = pa.schema(CARRIED + [column(*view) for view in VIEWS])
DEFAULTS = {field["name"]: field.get("default") for field in json.loads(AVSC)["fields"][0]["type"]["fields"]}


def segment_object(rows, footer, compression="zstd", row_group_rows=1 << 20):
    """Bytes of a segment. `rows` are column dictionaries in row order, `footer` the key-value metadata."""
    out = io.BytesIO()
    order = [pq.SortingColumn(0), pq.SortingColumn(1)]
    with pq.ParquetWriter(out, TABLE, compression=compression, store_schema=False, write_page_index=True,
                          write_statistics=STAT, sorting_columns=order) as writer:
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, TABLE), row_group_rows)
        writer.add_key_value_metadata(footer)
    return out.getvalue()


# Section 6: records.

def place(topic, partition, epoch, offset=None):
    """The part of an object key that names a partition's epoch, or an offset in it."""
    return f"{topic}/{partition:05}/{epoch:010}" + ("" if offset is None else f"/{offset:020}")


def segment_key(*where):
    return f"segments/{place(*where)}.parquet"


def record_key(*where):
    return f"records/{place(*where)}.record"


def opening_key(*where):
    return f"epochs/{place(*where)}"


def body_key(session, digest):
    return f"bodies/{session.hex()}/{digest.hex()}"


def record_leaf(text):
    return sha256(b"\0" + text.encode())


def lines(title, pairs):
    return title + "\n" + "".join(f"{name} {value}\n" for name, value in pairs)


def counted(domain, text):
    """The value of `gaps` and `claims`: a count and a digest."""
    return f"{text.count(chr(10))} {H(domain, text.encode()).hex() if text else '-'}"


def gaps_text(gaps):
    return "".join(f"{first} {after}\n" for first, after in gaps)


def claims_text(claims, salt=None):
    """`claims` holds (session key, body digest, bytes of the object or None where there was none)."""
    found = lambda data: "- -" if data is None else f"{len(data)} {sha256(data).hex()}"
    first = f"salt {salt.hex()}\n" if salt and claims else ""
    return first + "".join(sorted(f"{session.hex()} {digest.hex()} {found(data)}\n" for session, digest, data in set(claims)))


RECORD = ("cluster topic_id topic partition partitions framing epoch start next rows gaps claims leader_epochs time_min time_max "
          "retention_class lock retain_until root total writer prev").split()
OPENING = "cluster topic_id topic partition partitions framing epoch start total reason opened_at prev".split()


def segment_record(**fields):
    assert set(fields) == set(RECORD), set(fields) ^ set(RECORD)
    return lines("chancery/segment@v1", [(name, fields[name]) for name in RECORD])


def enrolled_record(record, key, data):
    return record + f"key {key}\nsize {len(data)}\nsha256 {sha256(data).hex()}\n"


def epoch_opening(missing=(), abandoned=(), **fields):
    assert set(fields) == set(OPENING), set(fields) ^ set(OPENING)
    more = [("missing", f"{first} {after}") for first, after in missing]
    more += [("abandoned", " ".join(parts)) for parts in abandoned]
    return lines("chancery/epoch@v1", [(name, fields[name]) for name in OPENING] + more)


def terminal(topic, partition, epoch, start, prev):
    return lines("chancery/terminal@v1", [("topic", topic), ("partition", partition), ("epoch", epoch), ("start", start),
                                          ("prev", prev)])
