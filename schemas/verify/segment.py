"""One segment of docs/format.md, checked by itself: its footer, its Parquet profile, its rows, its tree.

It knows nothing of chains, records and keys; of a store it sees the claim-checked bodies that the rows name.
"""

import io
import re
import struct
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from message import (CONFLUENT, PUBLISHED, SINGLE, ZERO, H, branch, headers_well_formed, item_of, judge, key_of, know, lp, opt,
                     reasons, sha256, u32, value_of)
from record import HEX, NUMBER, RECORD, record_faults

GAPS_MAX, ROW_GROUP_MAX = 1000, 1 << 30

# Section 5.1: field id, column, Arrow's name for the Parquet type.
FIXED16, FIXED32, BYTES, TEXT, LONG = "fixed_size_binary[16]", "fixed_size_binary[32]", "binary", "string", "int64"
CARRIED = [
    (1, "session_key", FIXED32), (2, "offset", LONG), (3, "timestamp", "timestamp[ms, tz=UTC]"), (4, "timestamp_type", "int32"),
    (5, "key", BYTES), (6, "headers", BYTES), (7, "headers_salt", FIXED16), (8, "schema", FIXED32), (9, "frame", BYTES),
    (10, "envelope", BYTES), (11, "signature", BYTES), (12, "admission", BYTES), (13, "bodies", "list"),
    (14, "bodies.element", "struct"), (15, "bodies.element.digest", FIXED32), (16, "bodies.element.salt", FIXED16),
    (17, "bodies.element.data", BYTES), (18, "bodies.element.enc", BYTES), (19, "raw_reason", TEXT), (20, "raw_salt", FIXED16),
    (21, "raw", BYTES),
]
VIEWS = list(enumerate((
    "event_id tenant session_id kind occurred_at capture_source phase duration_us status error_type session_seq trace_id agent_id "
    "agent_name agent_version principal_id operation provider request_model response_model usage_input_tokens "
    "usage_output_tokens usage_cache_read_input_tokens usage_cache_write_input_tokens usage_reasoning_output_tokens cost_nanos "
    "tool_name tool_call_id tool_effect policy_decision capture_fidelity").split(), 32))
VIEW_TYPES = {"event_id": FIXED16, "trace_id": FIXED16, "occurred_at": "timestamp[us, tz=UTC]"} | {
    name: LONG for _, name in VIEWS if name in ("duration_us", "session_seq", "cost_nanos") or name.startswith("usage_")}
REQUIRED = {"session_key", "offset", "timestamp_type", "bodies", "bodies.element"}
COLUMNS = [(number, name, kind, name not in REQUIRED) for number, name, kind in
           CARRIED + [(number, name, VIEW_TYPES.get(name, TEXT)) for number, name in VIEWS]]
STAT = {"session_key", "offset", "timestamp", "timestamp_type", "raw_reason"} | {name for _, name in VIEWS}
Row = namedtuple("Row", [name for _, name, _ in CARRIED if "." not in name])

Examined = namedtuple("Examined", "findings text record rows events absent unjudged")


def examine(data, root):
    """Checks the bytes of a segment; a claim-checked body is looked at where it still stands in the store at `root`."""
    for path in (Path(__file__).resolve().parent.parent / "avro").glob("*.avsc"):
        know(path.read_bytes())
    segment = Segment(data, root)
    segment.check()
    return Examined(*(getattr(segment, name) for name in Examined._fields))


class Segment:
    def __init__(self, data, root=None):
        self.data, self.root, self.findings = data, root, []
        self.text, self.record, self.place, self.claims = None, None, None, {}
        self.rows = self.events = self.absent = self.unjudged = 0

    def add(self, kind, reason, offset=None):
        self.findings.append((kind, reason, offset))

    def check(self):
        try:
            if self.data[:4] != b"PAR1" or self.data[-4:] != b"PAR1":
                self.add("segment", "does not begin and end with PAR1")
            self.file = pq.ParquetFile(io.BytesIO(self.data))
            self.check_footer()
            self.check_shape()
            if any(group.total_byte_size >= ROW_GROUP_MAX for group in self.row_groups()):
                self.add("segment", "a row group of 1 GiB or more")
            self.table = self.file.read(use_threads=False)
            self.table.validate(full=True)
            self.check_content()
        except Exception as error:  # whatever hostile bytes make a library do is a finding
            self.add("segment", f"cannot be read: {type(error).__name__}: {str(error)[:200]}")

    # The footer, section 5.3.

    def check_footer(self):
        held = dict(self.file.metadata.metadata or {})
        self.text = held.pop(b"chancery.record", b"").decode("ascii", "replace")
        self.gaps, claims = held.pop(b"chancery.gaps", None), held.pop(b"chancery.claims", None)
        self.claims_text = claims or b""
        self.salt = re.match(b"(?:salt [0-9a-f]{32}\n(?=.))?", self.claims_text)[0]  # not of claims that are none
        if claims == b"":
            self.add("segment", "the footer's claims are there, and none")
        if match := RECORD.fullmatch(self.text):
            self.record = match.groupdict()
            self.check_record()
        else:
            self.add("segment", "the footer has no segment record")
        self.schemas = set()
        for name, text in held.items():
            digest = name.removeprefix(b"chancery.schema.")
            if digest == name or digest.decode("ascii", "replace") != sha256(text).hex():
                self.add("segment", f"metadata key {name[:100]!a} is unknown, or not the digest of its text")
            elif sha256(text) not in PUBLISHED.values():
                self.add("segment", f"schema {digest!a} is not published")
            else:
                self.schemas.add(sha256(text))
                know(text)

    def check_record(self):
        self.place = int(self.record["partition"]), int(self.record["partitions"])
        for reason in record_faults(self.record):
            self.add("segment", reason)

    # The Parquet profile, sections 5.1 and 5.2.

    def row_groups(self):
        return (self.file.metadata.row_group(i) for i in range(self.file.metadata.num_row_groups))

    def check_shape(self):
        found = [column for field in self.file.schema_arrow for column in flat(field)]
        for want, have in zip(COLUMNS, found):
            if want != have:
                self.add("segment", f"column {have!a} where {want!a} is due")
        if len(found) != len(COLUMNS):
            self.add("segment", f"{len(found)} columns")
        for i in range(len(self.file.schema)):
            column = self.file.schema.column(i)
            if column.logical_type.type not in ("NONE", "STRING", "TIMESTAMP"):
                self.add("segment", f"column {column.path!a} has another logical type")
        for group in self.row_groups():
            order = [(column.column_index, column.descending) for column in group.sorting_columns]
            if order != [(0, False), (1, False)]:
                self.add("segment", "sorting_columns are not session_key, offset, ascending")
            for i in range(group.num_columns if group.num_rows else 0):
                chunk = group.column(i)
                stat = chunk.path_in_schema in STAT
                if not chunk.has_offset_index or chunk.has_column_index != stat or chunk.is_stats_set != stat:
                    self.add("statistics", f"statistics and indexes of {chunk.path_in_schema!a} are not those due")
                if chunk.bloom_filter_offset is not None or (chunk.compression not in ("UNCOMPRESSED", "ZSTD")):
                    self.add("segment", f"column {chunk.path_in_schema!a} has a bloom filter or another compression")

    def check_statistics(self, columns):
        at = 0
        for group in self.row_groups():
            for i in range(group.num_columns if group.num_rows else 0):
                chunk = group.column(i)
                if chunk.path_in_schema not in STAT or not chunk.is_stats_set:
                    continue
                whole, told = columns[chunk.path_in_schema][at:at + group.num_rows], chunk.statistics
                values = [value for value in whole if value is not None]
                due = (min(values), max(values)) if values else (None, None)
                have = (told.min_raw, told.max_raw) if told.has_min_max else (None, None)
                if (told.null_count, *map(as_bytes, have)) != (len(whole) - len(values), *map(as_bytes, due)) or (
                        told.has_distinct_count and told.distinct_count != len(set(values))):
                    self.add("statistics", f"statistics of {chunk.path_in_schema} are false")
            at += group.num_rows

    # The rows, section 4.

    def check_content(self):
        columns = {name: plain(self.table.column(name)) for name in self.table.column_names}
        self.check_statistics(columns)
        rows = list(map(Row._make, zip(*(columns[name] for name in Row._fields))))
        self.rows, self.offsets = len(rows), columns["offset"]
        self.framings = {(SINGLE if row.frame[:2] == SINGLE[0] else CONFLUENT) for row in rows if row.frame} or {SINGLE, CONFLUENT}
        self.registry = {row.frame: row.schema for row in rows if row.frame and row.schema}
        if len(self.framings) > 1 and self.registry:
            self.add("segment", "event rows of two framings")
        leaves, envelopes = [], []
        for row in rows:
            try:
                leaf, envelope = self.check_row(row)
            except (TypeError, ValueError, struct.error) as error:
                self.add("row", f"not a row: {error}", row.offset)
                leaf, envelope = ZERO, {}
            leaves.append(leaf)
            envelopes.append(envelope)
        for _, name in VIEWS:
            due = [envelope.get(name) for envelope in envelopes]
            if due != columns[name]:
                for have, want, offset in zip(columns[name], due, self.offsets):
                    if have != want:
                        self.add("view", f"{name} is {have!a}, the envelope has {want!a}", offset)
        if {row.schema for row in rows if row.schema} != self.schemas:
            self.add("segment", "the footer's schemas are not those of the rows")
        if any(a >= b for a, b in pairwise(zip(columns["session_key"], self.offsets))):
            self.add("segment", "rows are not in order")
        if self.record:
            self.check_totals(leaves, [time for time in columns["timestamp"] if time is not None])
        self.check_claims()

    def check_totals(self, leaves, times):
        start, after = int(self.record["start"]), int(self.record["next"])
        for offset in self.offsets:
            if not start <= offset < after:
                self.add("row", "the offset is not in the segment's range", offset)
        if len(set(self.offsets)) != len(self.offsets):
            self.add("segment", "two rows have the same offset")
        gaps = "".join(f"{first} {last}\n" for first, last in holes(start, after, self.offsets)).encode()
        claims = self.salt + b"".join(sorted(self.claims_text.removeprefix(self.salt).splitlines(True)))
        for name, have, due in (("gaps", self.gaps, gaps), ("claims", self.claims_text or None, claims)):
            if have != (due or None):
                self.add("segment", f"the footer's {name} are not those of the rows, in order")
        if gaps.count(b"\n") > GAPS_MAX:
            self.add("segment", f"more than {GAPS_MAX} gaps")
        derived = {"rows": len(leaves), "gaps": counted("gaps", gaps), "claims": counted("claims", claims),
                   "time_min": min(times, default="-"), "time_max": max(times, default="-"), "root": merkle_root(leaves).hex()}
        for name, due in derived.items():
            if self.record[name] != str(due):
                self.add("segment", f"the record's {name} is {self.record[name]}, the rows have {due}")

    def check_claims(self):
        """Each claim-checked body in `claims` once, and the object as it is told there, where it still stands."""
        told = {}
        for line in self.claims_text.removeprefix(self.salt).decode("ascii", "replace").splitlines():
            if not re.fullmatch(f"{HEX} {HEX} (?:{NUMBER} {HEX}|- -)", line) or tuple(line.split()[:2]) in told:
                self.add("segment", f"claim {line!a} is none, or a second one")
            else:
                told[tuple(line.split()[:2])] = line.split()[2:]
        if told.keys() != self.claims.keys():
            self.add("segment", "the claims are not the claim-checked bodies of the rows")
        for claim, (size, digest) in told.items():
            key = "bodies/" + "/".join(claim)
            data = self.object(key)
            if size == "-":
                self.add("body", f"{key} was not there when the segment was sealed")
            elif data is None:
                self.absent += 1
            elif (str(len(data)), sha256(data).hex()) != (size, digest):
                self.add("body", f"{key} is not the object that was sealed")
            elif any(H("body", salt, data).hex() != claim[1] for salt in self.claims.get(claim, ())):
                self.add("body", f"{key} has not the digest of the body")

    def object(self, key):
        try:
            return (self.root / key).read_bytes() if self.root else None
        except OSError:
            return None

    def check_row(self, row):
        """(leaf, envelope) of a row."""
        _, session, _ = key_of(row.key)
        if row.session_key != session:
            self.add("row", "the session key is not that of the Kafka key", row.offset)
        if row.timestamp_type not in (0, 1, 2) or (row.timestamp is None) != (row.timestamp_type == 0):
            self.add("row", "timestamp and its type disagree", row.offset)
        if (row.headers is None) != (row.headers_salt is None) or not headers_well_formed(row.headers):
            self.add("row", "headers are not well formed", row.offset)
        event = row.raw_reason is None
        absent = (row.raw_salt, row.raw) if event else (row.schema, row.frame, row.envelope, row.signature, row.admission)
        present = (row.schema, row.frame, row.envelope) if event else (row.raw_salt,)
        if any(value is not None for value in absent) or any(value is None for value in present) or (row.bodies and not event):
            raise ValueError("columns of an event and of a raw row are mixed")
        if event:
            items = [item_of(body) for body in row.bodies]
            envelope = self.check_event(row, items)
            digest = H("event", row.schema, row.envelope)
            bodies = [body + (b"\0" if clear else b"\1" + H("item", item)) for body, item, clear in items]
            self.events += 1
        else:
            envelope, bodies, digest = {}, [], H("raw", row.raw_salt, opt(row.raw))
            self.check_raw(row)
        carriage = H("carriage", row.schema or ZERO, struct.pack(">Bq", row.timestamp_type, row.timestamp or 0), opt(row.key),
                     H("headers", row.headers_salt, row.headers) if row.headers else ZERO, lp(row.frame or b""), opt(row.signature),
                     opt(row.admission), u32(len(bodies)), *bodies, lp((row.raw_reason or "").encode()))
        return sha256(b"\0" + row.session_key + struct.pack(">Q", row.offset) + H("row", digest, carriage)), envelope

    def check_event(self, row, items):
        if PUBLISHED.get(row.frame) != row.schema and not (len(row.frame) == 5 and row.frame[0] == 0):
            self.add("row", "the frame does not name the row's schema", row.offset)
        if row.schema not in self.schemas:
            raise ValueError("the footer has not the row's schema")
        reason, fields, spans = judge(value_of(row, items), len(row.frame), row.schema, row.key, self.place)
        if reason:
            self.add("row", f"the message is no event, its reason is {reason}", row.offset)
        if not fields:
            return {}
        parts = (row.envelope, branch(row.signature), branch(row.admission))
        sent = [(body["digest"], body["salt"], body["data"]) for body in fields["bodies"]]
        if parts != (spans["envelope"], spans["signature"], spans["admission"]) or sent != [
                (digest, body["salt"], body["data"]) for (digest, _, _), body in zip(items, row.bodies)]:
            self.add("row", "the columns do not divide the message as its fields do", row.offset)
        for (digest, _, clear), body in zip(items, row.bodies):
            if clear != (body["digest"] is None):
                self.add("row", "a digest is stored of an inline clear body, or of another is not", row.offset)
            if body["data"] is None:
                salts = self.claims.setdefault((row.session_key.hex(), digest.hex()), set())
                salts.update([body["salt"]] if body["enc"] is None else [])
        return fields["envelope"]

    def check_raw(self, row):
        due = reasons(row.raw, row.key, self.place, self.framings, self.registry)
        if due is None:
            self.unjudged += 1
        elif row.raw_reason not in due:
            self.add("row", f"raw for {row.raw_reason!a}, the table gives {sorted(map(str, due))}", row.offset)


def flat(field, path=""):
    """(field id, path, type, nullable) of a field and of those inside it."""
    kind, children = str(field.type), []
    if kind.startswith(("list", "struct")):
        kind = kind.split("<")[0]
        children = [field.type.field(i) for i in range(field.type.num_fields)]
    number = int((field.metadata or {}).get(b"PARQUET:field_id", -1))
    return [(number, path + field.name, kind, field.nullable)] + [
        column for child in children for column in flat(child, path + field.name + ".")]


def plain(column):
    """Values of a column; times as their numbers."""
    return (column.cast("int64") if str(column.type).startswith("timestamp") else column).to_pylist()


def as_bytes(value):
    return value.encode() if isinstance(value, str) else value


def holes(start, after, offsets):
    """The ranges of [start, after) without a row."""
    at = start
    for offset in sorted(offsets) + [after]:
        if at < offset <= after:
            yield at, offset
        at = max(at, offset + 1)


def counted(domain, text):
    return f"{text.count(10)} {H(domain, text).hex() if text else '-'}"


def merkle_root(leaves):
    """RFC 6962, level by level: an odd last node moves up as it is."""
    while len(leaves) > 1:
        paired = [sha256(b"\1" + left + right) for left, right in zip(leaves[::2], leaves[1::2])]
        leaves = paired + leaves[-1:] * (len(leaves) % 2)
    return leaves[0] if leaves else sha256(b"")
