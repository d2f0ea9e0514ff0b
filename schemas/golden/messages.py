"""Sample messages: events of every shape, and for every reason of section 4 messages that are kept raw for it.

What becomes of a message is known from how it was made; nothing here decodes one.
"""

import hashlib
import json

import chancery_spec as spec
from chancery_spec import FRAME, Event, encode

PARTITIONS = 3
T0_MS = 1_790_000_000_000


class Source:
    """A source of events; what would be random follows from its name and a counter."""

    def __init__(self, name):
        self.name, self.count = name, 0

    def fresh(self, size):
        self.count += 1
        return hashlib.shake_256(f"{self.name} {self.count}".encode()).digest(size)

    def uuid(self):
        data = bytearray(self.fresh(16))
        data[6], data[8] = data[6] & 0x0F | 0x70, data[8] & 0x3F | 0x80
        return bytes(data)

    def body(self, text, salt=None):
        salt = salt or self.fresh(16)
        return {"digest": spec.body_digest(salt, text.encode()), "salt": salt, "data": text.encode(), "enc": None}

    def claim(self, text):
        return {**self.body(text), "data": None}

    def encrypted(self, text, inline=True):
        """Nothing here encrypts: the ciphertext is fresh bytes of the length an AEAD would give."""
        data = self.fresh(16 + len(text.encode()) + 16) if inline else None
        enc = {"key_id": "tenant-acme/2026", "alg": "A256GCM", "nonce": self.fresh(12)}
        return {"digest": self.body(text)["digest"], "salt": None, "data": data, "enc": enc}

    def envelope(self, contents=(), tenant="acme", session_id="s-1", kind="user.message", **more):
        return {"event_id": self.uuid(), "nonce": self.fresh(16), "tenant": tenant, "session_id": session_id, "kind": kind,
                "occurred_at": T0_MS * 1000 + self.count, "capture_source": "sdk", "contents": list(contents), **more}

    def signature(self):
        return {"key_id": "producer-1", "alg": "ed25519", "value": self.fresh(64)}

    def admission(self):
        return {"observed_at": T0_MS * 1000 + self.count, "credential_id": "cred-1", "gateway_id": "gw-1",
                "gateway_epoch": 4, "gateway_seq": self.count, "capture_point": "http"}

    def filled(self, kind):
        """A value of an Avro type with nothing left out."""
        if isinstance(kind, list):
            return self.filled(kind[1])
        if isinstance(kind, str):
            kind = {"type": "fixed", "size": FIXED[kind]} if kind in FIXED else {"type": kind}
        match kind["type"]:
            case "string":
                return f"text {self.fresh(2).hex()} é\U0001F989"
            case "long":
                return int.from_bytes(self.fresh(5), "big")
            case "double":
                return self.fresh(1)[0] / 8
            case "fixed":
                return self.fresh(kind["size"])
            case "array":
                return [self.filled(kind["items"]) for _ in range(2)]
            case "record":
                return {field["name"]: self.filled(field["type"]) for field in kind["fields"]}


FIXED = {"Uuid": 16, "Salt": 16, "Digest": 32, "TraceId": 16, "SpanId": 8}
ENVELOPE = json.loads(spec.AVSC)["fields"][0]["type"]


def content(body, size, role="user", kind="text", media_type="text/plain"):
    return {"role": role, "kind": kind, "media_type": media_type, "size": size, "digest": body["digest"]}


def inline(body, **more):
    return content(body, len(body["data"]), **more)


def events(source):
    """(name, Kafka key, Event)"""
    one, two = source.body("What is the weather in Paris?"), source.body('{"city":"Paris"}')
    empty, gone = source.body(""), source.claim("a long document")
    hidden, hidden_gone = source.encrypted("my diagnosis"), source.encrypted("a long diagnosis", inline=False)
    both = [inline(one), inline(two, role="tool", kind="tool_arguments", media_type="application/json")]
    first = Event(source.envelope([inline(one)], kind="llm.call"), bodies=[one])
    prefix = {"context_prefix": {"event_digest": first.digest, "count": 1},
              "context_digest": spec.context_digest([one["digest"], two["digest"]])}
    full = source.filled(ENVELOPE) | {"tenant": "acme", "session_id": "s-1", "kind": "llm.call", "phase": "end",
                                      "contents": both, "context_prefix": {"event_digest": first.digest, "count": 2}}
    confluent = b"\0" + spec.u32(7)
    return [
        ("minimal", b"acme/s-1", Event(source.envelope())),
        ("all_fields", b"acme/s-1", Event(full, source.signature(), source.admission(), [one, two])),
        ("signature", b"acme/s-1", Event(source.envelope(), source.signature())),
        ("admission", b"acme/s-1", Event(source.envelope(), None, source.admission())),
        ("signature_and_admission", b"acme/s-1", Event(source.envelope(), source.signature(), source.admission())),
        ("inline_bodies", b"acme/s-1", Event(source.envelope(both), bodies=[two, one])),
        ("inline_body_of_no_bytes", b"acme/s-1", Event(source.envelope([inline(empty)]), bodies=[empty])),
        ("body_named_twice", b"acme/s-1", Event(source.envelope([inline(one), inline(one, role="tool")]), bodies=[one])),
        ("body_by_digest_only", b"acme/s-1", Event(source.envelope(both), bodies=[two])),
        ("claim_check", b"acme/s-1", Event(source.envelope([content(gone, 15)]), bodies=[gone])),
        ("encrypted_body", b"acme/s-1", Event(source.envelope([content(hidden, 12)]), bodies=[hidden])),
        ("encrypted_claim_check", b"acme/s-1", Event(source.envelope([content(hidden_gone, 16)]), bodies=[hidden_gone])),
        ("every_kind_of_body", b"acme/s-1", Event(
            source.envelope([content(hidden_gone, 16), inline(one), content(hidden, 12), content(gone, 15), inline(two)]),
            source.signature(), source.admission(), [one, hidden, gone, hidden_gone])),
        ("context_prefix_base", b"acme/s-1", first),
        ("context_prefix", b"acme/s-1", Event(source.envelope([inline(two)], kind="llm.call", **prefix), bodies=[two])),
        ("slash_in_session_id", b"acme/a/b/", Event(source.envelope(session_id="a/b/"))),
        ("session_id_of_512_bytes", b"acme/" + b"s" * 512, Event(source.envelope(session_id="s" * 512))),
        ("session_id_beyond_ascii", "acme/séance-\U0001F989".encode(), Event(source.envelope(session_id="séance-\U0001F989"))),
        ("tenant_of_64_bytes", b"t" * 64 + b"/s-1", Event(source.envelope(tenant="t" * 64))),
        ("string_of_4096_bytes", b"acme/s-1", Event(source.envelope(error_type="e" * 4096))),
        ("negative_seed_and_time", b"acme/s-1", Event(source.envelope(seed=-1) | {"occurred_at": -(1 << 63)})),
        ("confluent_framing", b"acme/s-1", Event(source.envelope(), frame=confluent)),
    ]


def raw(source):
    """(name, Kafka key, value, reason)"""
    one, two = source.body("hello"), source.body("world")
    hidden = source.encrypted("secret")
    bare = Event(source.envelope())
    good = Event(source.envelope([inline(one)]), bodies=[one])
    pair = Event(source.envelope([inline(one), inline(two)]), bodies=[one, two])
    block = good.items[0] + b"\0"

    def envelope(tenant="acme", **more):
        return FRAME + encode(source.envelope(tenant=tenant, **more))

    def bodies(contents, items):
        return FRAME + encode(source.envelope(contents), None, None, items)

    def temperature(value):
        return envelope(temperature=value)

    frame_only = [
        ("tombstone", None, "tombstone"),
        ("empty", b"", "empty"),
        ("confluent_frame", b"\0" + spec.u32(7) + bare.value[10:], "frame"),
        ("text", b'{"kind":"user.message"}', "frame"),
        ("one_byte_of_a_frame", FRAME[:1], "frame"),
        ("half_a_frame", FRAME[:9], "frame"),
        ("unknown_fingerprint", FRAME[:9] + bytes([FRAME[9] ^ 1]) + bare.value[10:], "schema"),
        ("fingerprint_in_big_endian", FRAME[:2] + FRAME[:1:-1] + bare.value[10:], "schema"),
    ]
    encoding = [
        ("frame_alone", FRAME),
        ("varint_not_minimal", bare.value[:-1] + b"\x80\x00"),
        ("varint_of_eleven_bytes", bare.value[:-1] + b"\x80" * 10 + b"\x00"),
        ("varint_beyond_64_bits", bare.value[:-1] + b"\xff" * 9 + b"\x02"),
        ("block_of_negative_count", FRAME + good.envelope + b"\0\0\1" + varint(len(block) - 1) + block),
        ("array_in_two_blocks", FRAME + pair.envelope + b"\0\0\2" + pair.items[0] + b"\2" + pair.items[1] + b"\0"),
        ("array_without_its_end", good.value[:-1]),
        ("string_not_utf8", bare.value.replace(b"user.message", b"user\xffmessage")),
        ("string_with_a_surrogate", bare.value.replace(b"user.message", b"user\xed\xa0\x80ssage")),
        ("truncated", good.value[:-20]),
        ("last_byte_missing", bare.value[:-1]),
        ("trailing_byte", bare.value + b"\0"),
        ("union_branch_4", bare.value[:-3] + b"\4\0\0"),
        ("union_branch_minus_1", bare.value[:-3] + b"\1\0\0"),
        ("union_branch_not_minimal", bare.value[:-3] + b"\x80\x00\0\0"),
        ("double_nan", temperature(float("nan"))),
        ("double_infinite", temperature(float("-inf"))),
        ("length_past_the_end", FRAME + bare.envelope[:32] + b"\xfe\x7f" + bare.envelope[33:] + b"\0\0\0"),
        ("length_negative", FRAME + bare.envelope[:32] + b"\1" + bare.envelope[33:] + b"\0\0\0"),
        ("list_count_huge", bare.value[:-1] + varint(1 << 40)),
        ("before_a_field_rule", envelope(tenant="Acme") + b"\0"),
    ]
    field = [
        ("tenant_in_capitals", envelope(tenant="Acme")),
        ("tenant_with_a_newline", envelope(tenant="acme\n")),
        ("tenant_of_65_bytes", envelope(tenant="t" * 65)),
        ("session_id_empty", envelope(session_id="")),
        ("session_id_of_513_bytes", envelope(session_id="s" * 513)),
        ("kind_empty", envelope(kind="")),
        ("kind_of_65_bytes", envelope(kind="k" * 65)),
        ("phase_middle", envelope(phase="middle")),
        ("duration_negative", envelope(duration_us=-1)),
        ("size_negative", envelope(contents=[content(one, -1)])),
        ("context_prefix_count_0", envelope(context_prefix={"event_digest": good.digest, "count": 0})),
        ("string_of_4097_bytes", envelope(error_type="e" * 4097)),
        ("nested_string_of_4097_bytes", envelope(delegation=[{"type": "user", "id": "e" * 4097}])),
        ("list_of_65536_items", envelope(data_classes=[""] * 65536)),
        ("before_a_body_rule", FRAME + encode(source.envelope(kind=""), None, None, [one])),
    ]
    body = [
        ("digest_wrong", bodies([inline(one)], [one | {"salt": two["salt"]}])),
        ("digest_twice", bodies([inline(one)], [one, one])),
        ("body_nobody_names", bodies([inline(one)], [one, two])),
        ("clear_without_salt", bodies([inline(one)], [one | {"salt": None}])),
        ("claim_check_without_salt", bodies([inline(one)], [one | {"salt": None, "data": None}])),
        ("encrypted_with_salt", bodies([content(hidden, 6)], [hidden | {"salt": one["salt"]}])),
        ("size_disagrees", bodies([content(one, 6)], [one])),
        ("second_size_disagrees", bodies([inline(one), content(one, 4)], [one])),
    ]
    cases = [(name, b"acme/s-1", value, reason) for name, value, reason in frame_only]
    for reason, values in (("encoding", encoding), ("field", field), ("body", body)):
        cases += [(name, b"acme/s-1", value, reason) for name, value in values]
    keys = [
        ("key_null", None), ("key_of_no_bytes", b""), ("key_without_slash", b"acme"), ("key_with_bad_tenant", b"Acme/s-1"),
        ("key_without_tenant", b"/s-1"), ("key_without_session_id", b"acme/"), ("key_not_utf8", b"acme/\xff"),
        ("key_with_session_id_of_513_bytes", b"acme/" + b"s" * 513),
    ]
    cases += [(name, key, bare.value, "key") for name, key in keys]
    cases += [("tombstone_without_key", None, None, "tombstone"), ("field_rule_before_key", None, field[0][1], "field")]
    cases += [("mismatch_of_tenant", b"other/s-1", bare.value, "mismatch"),
              ("mismatch_of_session_id", b"acme/s-2", bare.value, "mismatch"),
              ("partition", b"acme/s-1", bare.value, "partition")]
    return cases


def varint(number):
    """An Avro long that is not negative."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def message(source, offset, key, value, headers=(), timestamp_type=1):
    return {"offset": offset, "key": key, "value": value, "headers": list(headers), "timestamp_type": timestamp_type,
            "timestamp": T0_MS + offset if timestamp_type else None, "headers_salt": source.fresh(16) if headers else None,
            "raw_salt": source.fresh(16)}


HEADERS = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("null", None), ("empty", b""),
           ("null", b"again")]


def cases():
    """Contents of events.json."""
    source, listed = Source("events"), []
    samples = [(name, key, event.value, event) for name, key, event in events(source)] + raw(source)
    for number, (name, key, value, kept) in enumerate(samples):
        headers = HEADERS if number % 5 == 1 else []
        sent = message(source, 1000 + number, key, value, headers, number % 3)
        partition = spec.partition_of(key, PARTITIONS) if key is not None else 0
        if kept == "partition":
            partition = (partition + 1) % PARTITIONS
        row = spec.row(sent, kept)
        listed.append({
            "name": name, "framing": "confluent" if name == "confluent_framing" else "single_object",
            "registry": {"7": spec.SCHEMA_DIGEST.hex()} if name == "confluent_framing" else None,
            "partitions": PARTITIONS, "partition": partition, "offset": sent["offset"], "key": text(key), "value": text(value),
            "headers": [{"key": key, "value": text(value)} for key, value in headers],
            "timestamp_type": sent["timestamp_type"], "timestamp": sent["timestamp"],
            "expected": expected(sent, kept, row)})
    return listed


def expected(sent, kept, row):
    shown = {name: row[name].hex() for name in
             ("session_key", "event_digest", "headers_digest", "carriage_digest", "row_digest", "leaf")}
    shown["headers_salt"] = text(sent["headers_salt"])
    if isinstance(kept, str):
        return {"kind": "raw", "reason": kept, "raw_salt": sent["raw_salt"].hex(), **shown}
    bodies = [{"digest": body["digest"].hex(), "salt": text(body["salt"]), "data": text(body["data"]),
               "enc": text(kept.enc(i)), "item": kept.items[i].hex(), "item_hash": spec.item_hash(kept.items[i]).hex(),
               "inline_clear": spec.inline_clear(body)} for i, body in enumerate(kept.bodies)]
    views = {name: row["columns"][name] for _, name, _ in spec.VIEWS}
    return {"kind": "event", "frame": kept.frame.hex(), "envelope": kept.envelope.hex(), "signature": text(kept.signature),
            "admission": text(kept.admission), "bodies": bodies, **shown,
            "views": {name: text(value) if isinstance(value, bytes) else value for name, value in views.items()}}


def text(data):
    return None if data is None else data.hex()
