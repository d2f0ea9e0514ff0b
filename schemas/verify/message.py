"""The message of docs/format.md: digests and keys (section 2), its bytes (section 3), and the table of section 4."""

import functools
import hashlib
import re
import struct

from strict_avro import Malformed, Schema

# Published schemas (section 2): the frame that names one, and its digest. Readers of those whose text was seen are in KNOWN.
PUBLISHED = {
    bytes.fromhex("c3013c7d53b97c392929"): bytes.fromhex("99eb4c6e4e9d86160bce894b65dfd4abd904be9ba52613f72431706bfcd49ad2"),
}
KNOWN = {}
SINGLE, CONFLUENT = (b"\xc3\x01", 10), (b"\0", 5)  # framings: first bytes, length
VALUE_MAX, ENVELOPE_MAX = 32 << 20, 1 << 20
ZERO = bytes(32)


def sha256(data):
    return hashlib.sha256(data).digest()


def H(domain, *parts):
    return sha256(b"".join((b"chancery.", domain.encode(), b".v1\0", *parts)))


def u32(number):
    return struct.pack(">I", number)


def lp(data):
    return u32(len(data)) + data


def opt(data):
    return b"\0" if data is None else b"\1" + lp(data)


def know(text):
    """Takes the text of a schema, if it is a published one."""
    digest = sha256(text)
    if digest in PUBLISHED.values() and digest not in KNOWN:
        KNOWN[digest] = Schema(text)


def reasons(value, key, place, framings, registry):
    """What the table gives: a set of one reason, or of more where a topic's framing or registry would decide. None: not to be told.

    `place` is (partition, partitions) or None, `registry` the schemas that Confluent frames are known to name.
    """
    if not value:
        return {"tombstone" if value is None else "empty"}
    found = set()
    for first, size in framings:
        frame = value[:size]
        if len(frame) < size or not frame.startswith(first):
            found.add("frame")
            continue
        named = PUBLISHED.get(frame) or registry.get(frame)
        if named is None:
            found.add("schema")
        for schema in [named] if named else PUBLISHED.values() if (first, size) == CONFLUENT else ():
            if schema not in KNOWN:
                return None
            found.add(judge(value, size, schema, key, place)[0])
    return found


def judge(value, at, schema, key, place):
    """Rules 5 to 10 for what follows the frame: (reason or None, fields, bytes of each field)."""
    try:
        fields, spans, breaches = KNOWN[schema].read(value, at)
    except Malformed:
        return "encoding", None, None
    envelope = fields["envelope"]
    parsed, _, murmur = key_of(key)
    if len(value) > VALUE_MAX:
        reason = "encoding"
    elif envelope_reason(envelope, spans, breaches):
        reason = "field"
    elif not bodies_well_formed(envelope["contents"], fields["bodies"]):
        reason = "body"
    elif parsed is None:
        reason = "key"
    elif parsed != (envelope["tenant"], envelope["session_id"]):
        reason = "mismatch"
    elif place and murmur % place[1] != place[0]:
        reason = "partition"
    else:
        reason = None
    return reason, fields, spans


def envelope_reason(envelope, spans, breaches):
    """`field` where the envelope breaks section 3.2."""
    return "field" if breaches or len(spans["envelope"]) > ENVELOPE_MAX or not fields_well_formed(envelope) else None


def branch(record):
    return b"\0" if record is None else b"\2" + record


def varint(count):
    number, out = count << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def value_of(row, items):
    """The message's value, rebuilt from the columns of a row."""
    bodies = varint(len(items)) + b"".join(item for _, item, _ in items) if items else b""
    return b"".join((row.frame, row.envelope, branch(row.signature), branch(row.admission), bodies, b"\0"))


def item_of(body):
    """(digest, Avro bytes, whether it is an inline clear body) of an item; the digest is derived where it is not stored."""
    salt, data, enc = body["salt"], body["data"], body["enc"]
    clear = enc is None and data is not None
    digest = body["digest"] if body["digest"] is not None else H("body", salt, data)
    return digest, digest + branch(salt) + branch(None if data is None else varint(len(data)) + data) + branch(enc), clear


def fields_well_formed(envelope):
    """Section 3.2, but for the limits that every field has."""
    prefix = envelope["context_prefix"]
    return (re.fullmatch("[a-z0-9-]{1,64}", envelope["tenant"]) and 1 <= len(envelope["session_id"].encode()) <= 512
            and 1 <= len(envelope["kind"].encode()) <= 64 and envelope["phase"] in ("start", "end", "complete")
            and (prefix is None or prefix["count"] >= 1))


def bodies_well_formed(contents, bodies):
    """Section 3.3."""
    sizes = {}
    for content in contents:
        sizes.setdefault(content["digest"], set()).add(content["size"])
    if len({body["digest"] for body in bodies}) != len(bodies):
        return False
    for body in bodies:
        digest, salt, data = body["digest"], body["salt"], body["data"]
        if digest not in sizes or (salt is None) != (body["enc"] is not None):
            return False
        if body["enc"] is None and data is not None and (H("body", salt, data) != digest or sizes[digest] != {len(data)}):
            return False
    return True


def headers_well_formed(headers):
    """One or more headers, and nothing after them; none at all is a null."""
    if headers is None:
        return True
    try:
        (count,), at = struct.unpack_from(">I", headers), 4
        for _ in range(count):
            at += 4 + struct.unpack_from(">I", headers, at)[0]
            at += 5 + struct.unpack_from(">I", headers, at + 1)[0] if (b"\0", b"\1").index(headers[at:at + 1]) else 1
    except (struct.error, ValueError):
        return False
    return count > 0 and at == len(headers)


@functools.lru_cache(maxsize=1 << 16)
def key_of(key):
    """((tenant, session id) or None, session key, murmur2 & 0x7fffffff) of a Kafka key."""
    tenant, slash, session = (key or b"").partition(b"/")
    if not (re.fullmatch(b"[a-z0-9-]{1,64}", tenant) and slash and 1 <= len(session) <= 512):
        return None, ZERO, 0
    try:
        parsed = tenant.decode(), session.decode()
    except UnicodeDecodeError:
        return None, ZERO, 0
    return parsed, H("session", lp(tenant), lp(session)), murmur2(key) & 0x7FFFFFFF


def murmur2(data):
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    hashed = 0x9747B28C ^ len(data)
    for i in range(0, len(data) - 3, 4):
        word = int.from_bytes(data[i:i + 4], "little") * m & mask
        hashed = hashed * m & mask ^ (word ^ word >> 24) * m & mask
    rest = len(data) % 4
    if rest:
        hashed = (hashed ^ int.from_bytes(data[-rest:], "little")) * m & mask
    hashed = (hashed ^ hashed >> 13) * m & mask
    return hashed ^ hashed >> 15
