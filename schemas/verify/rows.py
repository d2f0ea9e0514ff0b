"""The rows of an evidence bundle (section 10.2 of docs/format.md): their text, their leaves, and the root that they lead to."""

import re
import struct

import note
import tree
from message import KNOWN, PUBLISHED, H, branch, envelope_reason, lp, opt, u32
from record import HEX, NUMBER
from strict_avro import Malformed

BASE64 = "[A-Za-z0-9+/]*={0,2}"
HEAD = re.compile(f"chancery/rows@v1\nsize ({NUMBER})\nstart ({NUMBER})\n((?:left {HEX}\n)*)((?:right {HEX}\n)*)")
FIELDS = {"offset": f"row ({NUMBER})", "schema": f"schema ({HEX}|-)", "event": f"event ({HEX}|-)",
          "time": "timestamp ([012] (?:0|-?[1-9][0-9]{0,18}))", "headers": f"headers ({HEX})", "frame": f"frame ({BASE64}|-)",
          "envelope": f"envelope ({BASE64}|-)", "signature": f"signature ({BASE64}|-)",
          "admission": f"admission ({BASE64}|-)", "raw": "raw ([a-z]+|-)", "bodies": f"((?:body {HEX} (?:inline|{HEX})\n)*)"}
ROW = re.compile("\n".join(FIELDS.values()))
OTHER = re.compile(f"other ({HEX}) ({NUMBER}) ({HEX})\n")
REASONS = "tombstone empty frame schema encoding field body key mismatch partition".split()


class BadRows(ValueError):
    """Not rows as they would be printed, or not the rows of the segment."""


class Row:
    """A row shown whole. `event` is its event digest, `fields` its envelope; None of a raw row."""

    def __init__(self, text, session, key):
        values = dict(zip(FIELDS, text))
        self.offset, self.session = int(values["offset"]), session
        frame, envelope, signature, admission = (
            None if values[name] == "-" else note.unbase64(values[name])
            for name in ("frame", "envelope", "signature", "admission"))
        kind, time = map(int, values["time"].split())
        raw, self.fields = values["raw"], None
        self.frame, self.time = frame, time if kind else None
        if kind == 0 and time or not -(1 << 63) <= time < 1 << 63 or self.offset >> 63:
            raise BadRows("a time of a row that has none, or a number beyond 63 bits")
        if raw == "-":
            if values["event"] != "-" or values["schema"] == "-" or frame is None or envelope is None:
                raise BadRows(f"offset {self.offset}: an event row that is not shown whole")
            self.schema = bytes.fromhex(values["schema"])
            self.event = H("event", self.schema, envelope)
            self.fields = self.read(frame, envelope, signature, admission)
        else:
            if raw not in REASONS or values["event"] == "-" or values["schema"] != "-" or values["bodies"] or any(
                    value is not None for value in (frame, envelope, signature, admission)):
                raise BadRows(f"offset {self.offset}: a raw row that shows what it has not")
            self.schema, self.event = None, bytes.fromhex(values["event"])
        listed = [line.split()[1:] for line in values["bodies"].splitlines()]
        self.check_bodies([bytes.fromhex(digest) for digest, _ in listed])
        bodies = [bytes.fromhex(digest) + (b"\0" if item == "inline" else b"\1" + bytes.fromhex(item)) for digest, item in listed]
        carriage = H("carriage", self.schema or bytes(32), struct.pack(">Bq", kind, time), opt(key),
                     bytes.fromhex(values["headers"]), lp(frame or b""), opt(signature), opt(admission), u32(len(bodies)), *bodies,
                     lp(b"" if raw == "-" else raw.encode()))
        self.leaf = leaf_of(session, self.offset, H("row", self.event, carriage))

    def check_bodies(self, digests):
        named = {content["digest"] for content in self.fields["contents"]} if self.fields else set()
        if len(set(digests)) != len(digests) or not named.issuperset(digests):
            raise BadRows(f"offset {self.offset}: a body that stands twice, or that the event does not name")

    def read(self, frame, envelope, signature, admission):
        """The envelope's fields, where it is well formed."""
        if self.schema not in KNOWN:
            raise BadRows("the text of the row's schema is not there, or not published")
        if PUBLISHED.get(frame) != self.schema and not (len(frame) == 5 and frame[0] == 0):
            raise BadRows(f"offset {self.offset}: the frame does not name the row's schema")
        try:
            fields, spans, breaches = KNOWN[self.schema].read(envelope + branch(signature) + branch(admission) + b"\0", 0)
        except Malformed as error:
            raise BadRows(f"offset {self.offset}: {error}") from None
        if spans["envelope"] != envelope or spans["signature"] != branch(signature):
            raise BadRows(f"offset {self.offset}: the message is not divided as its fields are")
        if reason := envelope_reason(fields["envelope"], spans, breaches):
            raise BadRows(f"offset {self.offset}: the envelope breaks a rule of {reason}s")
        return fields["envelope"]


def leaf_of(session, offset, digest):
    return tree.leaf(session + struct.pack(">Q", offset) + digest)


class Shown:
    """What a bundle shows of one segment: rows of the session, and neighbours as (session key, offset)."""

    def __init__(self, data, session, key):
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError:
            raise BadRows("not rows") from None
        head = HEAD.match(text)
        if not head:
            raise BadRows("not rows")
        self.size, self.start = int(head[1]), int(head[2])
        self.left, self.right = ([bytes.fromhex(line.split()[1]) for line in part.splitlines()] for part in head.groups()[2:])
        self.rows, self.places, self.leaves = [], [], []
        at = head.end()
        while at < len(text):
            if match := OTHER.match(text, at):
                other, offset = bytes.fromhex(match[1]), int(match[2])
                if offset >> 63:
                    raise BadRows("an offset beyond 63 bits")
                self.places.append((other, offset))
                self.leaves.append(leaf_of(other, offset, bytes.fromhex(match[3])))
            elif match := ROW.match(text, at):
                row = Row(match.groups(), session, key)
                self.rows.append(row)
                self.places.append((session, row.offset))
                self.leaves.append(row.leaf)
            else:
                raise BadRows("neither a row nor a neighbour, as it would be printed")
            at = match.end()

    def check(self, record, session, claim):
        """Raises unless these are the rows of the session, all of them unless the claim is of one event."""
        if self.size != int(record["rows"]):
            raise BadRows("the size is not the number of rows that the record says")
        if any(not int(record["start"]) <= offset < int(record["next"]) for _, offset in self.places):
            raise BadRows("an offset that is not the segment's")
        times = [row.time for row in self.rows if row.time is not None]
        if times and (record["time_min"] == "-" or min(times) < int(record["time_min"]) or int(record["time_max"]) < max(times)):
            raise BadRows("a time that is not the segment's")
        if not self.places and self.start:
            raise BadRows("nothing is shown, from an index on that is not 0")
        if any(a >= b for a, b in zip(self.places, self.places[1:])):
            raise BadRows("rows are not in order")
        try:
            root = tree.root_of_range(self.size, self.start, self.leaves, self.left, self.right)
        except tree.BadProof as error:
            raise BadRows(str(error)) from None
        if root.hex() != record["root"]:
            raise BadRows("the rows do not lead to the record's root")
        if claim == "event":
            if len(self.rows) != 1 or len(self.places) != 1:
                raise BadRows("not one row alone")
            return
        inside = [place[0] == session for place in self.places]
        others = len(inside) - len(self.rows)
        if sum(inside) != len(self.rows):
            raise BadRows("a row of the session is shown as a neighbour")
        before = bool(inside) and not inside[0] and self.places[0][0] < session
        after = bool(inside) and not inside[-1] and self.places[-1][0] > session
        if others != before + after:
            raise BadRows("more neighbours than one on each side")
        if not before and self.start or not after and self.start + len(self.places) < self.size:
            raise BadRows("a neighbour is missing, and there may be more rows of the session")
