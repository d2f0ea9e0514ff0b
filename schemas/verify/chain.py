"""A partition of a store: its chain from the opening of epoch 0 to the last segment (docs/format.md, section 7), and each segment.

Segments are examined in a process of their own. What the log has enrolled of the partition is given, where there is a log.
"""

import re
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timezone
from itertools import pairwise
from multiprocessing import get_context

from message import sha256
from record import (ENROLLED, RECORD, TERMINAL, Head, key_of_segment, leaf_of, link_faults, opening_faults, parse_enrolled,
                    parse_opening, place_of, record_key_of, segment_key)
from segment import Examined, examine

FOOTER = re.compile(b"chancery/segment@v1\n(?:[a-z_]+ [ -~]*\n)+")  # a record, wherever it stands in a file
NOW = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Chain:
    """Section 7: a partition, from the opening of epoch 0 to the last segment."""

    def __init__(self, store, place, held, report, enrolled=None):
        self.store, self.place, self.held, self.report = store, place, held, report
        self.enrolled = enrolled  # object key -> the text that the log has of it; None where there is no log
        self.openings = {epoch: self.read_opening(epoch, keys[0]) for epoch, keys in held["epochs"].items()}
        self.abandoned = {}  # object key -> (epoch that says so, SHA-256)
        for epoch, opening in self.openings.items():
            for line in opening["abandoned"].splitlines() if opening else ():
                self.abandoned[line.split()[1]] = epoch, line.split()[3]
        self.closed = False  # whether the epoch has ended
        self.head = None  # None where the chain is broken: what follows is then not compared with what was before

    def check(self):
        epochs = sorted(set().union(*self.held.values()))
        for before, epoch in pairwise([-1, *epochs]):
            if epoch != before + 1:
                self.report.add("epoch", self.opening_key(before + 1), "the epoch's opening is missing")
                self.head = None
            self.check_opening(epoch)
            enrolled = map(key_of_segment, self.held["records"].get(epoch, ()))
            for key in sorted({*self.held["segments"].get(epoch, ()), *enrolled}):
                self.check_object(epoch, key)
            self.check_end(epoch)
            self.report.settle()

    def opening_key(self, epoch):
        return f"epochs/{self.place}/{epoch:010}"

    def read_opening(self, epoch, key):
        data, enrolled = self.store.read(key), (self.enrolled or {}).get(key)
        text = (data or b"").decode("ascii", "replace")
        if enrolled and text != enrolled:
            self.report.add("log", key, "not what the log has enrolled" if data else "the log has enrolled it, and it is gone")
            text = enrolled
        opening = parse_opening(text)
        if not opening or place_of(opening) != f"{self.place}/{epoch:010}":
            self.report.add("epoch", key, "not the opening of this epoch")
            return None
        return opening

    def check_opening(self, epoch):
        opening, before = self.openings.get(epoch), self.head
        self.head, self.closed = None, False
        if opening is None:
            if epoch not in self.openings:
                self.report.add("epoch", self.opening_key(epoch), "the epoch's opening is missing")
            return
        for reason in opening_faults(opening, before):
            self.report.add("epoch", self.opening_key(epoch), reason)
        self.report.tell(f"{self.place}: {line}" for line in told(opening, before))
        self.head = Head(leaf_of(opening["text"]), int(opening["start"]), int(opening["total"]))

    def check_object(self, epoch, key):
        data = self.store.read(key)
        if data is None:
            self.check_absent(epoch, key)
        elif self.abandoned.get(key, (0,))[0] > epoch:
            if sha256(data).hex() != self.abandoned[key][1]:
                self.report.add("junk", key, "not the object that was abandoned")
        elif data.startswith(TERMINAL.encode()):
            if self.head and data != self.terminal(epoch):
                self.report.add("epoch", key, "not the terminal object that is due here")
            elif self.head and key != self.next_key(epoch):
                self.report.add("epoch", key, "not where the chain ends")
            self.closed = True
        else:
            checked = check_segment(self.store, key, data, self.report)
            if self.enrolled is not None and key not in self.enrolled:
                self.report.unenrolled += 1
            elif self.enrolled and checked.leaf and checked.leaf != leaf_of(self.enrolled[key]):
                self.report.add("log", key, "not the segment that the log has enrolled")
            if checked.record:
                self.check_link(epoch, key, checked.record)
            if not self.closed:
                self.head = checked.record and Head(checked.leaf, int(checked.record["next"]), int(checked.record["total"]))
            self.report.settle(key, checked.good)

    def check_absent(self, epoch, key):
        """A segment that is gone: the chain goes on by its record, and no finding is made of it after its retention."""
        copy, enrolled = self.store.read(record_key_of(key)), (self.enrolled or {}).get(key)
        text = enrolled or (copy or b"").decode("ascii", "replace")
        record = parse_enrolled(text)
        if enrolled and copy is not None and copy != enrolled.encode():
            self.report.add("log", record_key_of(key), "not the record that the log has enrolled")
        if not record or record["key"] != key:
            self.report.add("missing_segment", key, "it is gone, and no record says what it was")
            self.head = None
            return
        if record["retain_until"] != "-" and record["retain_until"] < NOW:
            self.report.expired += 1
        else:
            known = "the log has enrolled it" if enrolled else "there is a record of it"
            self.report.add("missing_segment", key, f"{known}, and it is gone")
        self.check_link(epoch, key, record)
        self.head = Head(leaf_of(text), int(record["next"]), int(record["total"]))

    def check_link(self, epoch, key, record):
        if self.closed:
            self.report.add("chain", key, "comes after the end of its epoch")
            return
        for reason in link_faults(record, self.openings.get(epoch), self.head):
            self.report.add("chain", key, reason)

    def check_end(self, epoch):
        """An epoch that another follows ends in a terminal object, unless junk lies there."""
        if epoch + 1 in self.openings and self.head and self.next_key(epoch) not in self.held["segments"].get(epoch, ()):
            self.report.add("epoch", self.next_key(epoch), "a later epoch is open, and this one has no terminal object")

    def next_key(self, epoch):
        return f"segments/{self.place}/{epoch:010}/{self.head.next:020}.parquet"

    def terminal(self, epoch):
        topic, partition = self.place.split("/")
        return (f"{TERMINAL}\ntopic {topic}\npartition {int(partition)}\nepoch {epoch}\nstart {self.head.next}\n"
                f"prev {self.head.leaf}\n").encode()


def changed(key, data):
    """The finding where bytes are not the record's. They are not parsed, but a segment shows its own record in its footer."""
    shown = [text.decode("ascii") for text in FOOTER.findall(data)][-1:]
    own = [segment_key(record) for record in map(RECORD.fullmatch, shown) if record]
    if own and own[0] != key:
        return "misplaced", key, f"it is another segment, that of {own[0]}"
    return "digest", key, "the bytes are not those of its record; not parsed"


def told(opening, before):
    """History that is lost, and objects that were abandoned: no findings, since the opening hides neither."""
    says = f"says epoch {opening['epoch']} ({opening['reason']}, opened {opening['opened_at']})"
    for line in opening["missing"].splitlines():
        first, after = map(int, line.split()[1:])
        yield f"LOST: offsets {first} to {after - 1} before they could be sealed, {says}"
    if opening["reason"] == "recreated":
        yield f"LOST: what the old topic held unsealed, {says}"
    elif before and int(opening["start"]) < before.next:
        yield f"AGAIN: offsets {opening['start']} to {before.next - 1} are in two epochs, for other messages, {says}"
    for line in opening["abandoned"].splitlines():
        yield f"{line}, {says}"


Checked = namedtuple("Checked", "record leaf good")


def check_segment(store, key, data, report, alone=False):
    """A segment and the copy of its record: bytes first, and only bytes that are the record's are parsed."""
    record_key = record_key_of(key)
    copy = store.read(record_key)
    match = ENROLLED.fullmatch((copy or b"").decode("ascii", "replace"))
    report.segments += 1
    if copy is None and not alone:
        report.add("missing_record", key, "there is no record of it")
    elif copy is not None and not match:
        report.add("record", record_key, "not an enrolled record")
    elif match and (match["size"], match["sha256"]) != (str(len(data)), sha256(data).hex()):
        report.add(*changed(key, data))
        return Checked(RECORD.fullmatch(match["record"]).groupdict(), leaf_of(copy.decode()), None)
    segment = isolated(data, store.root)
    if segment.record is None and copy is None and not alone:
        report.findings.pop()
        report.add("junk", key, "it is no segment, and there is no record of one")
        return Checked(None, None, None)
    for kind, reason, offset in segment.findings:
        report.add(kind, key, reason, offset)
    for name in ("rows", "events", "absent", "unjudged"):
        setattr(report, name, getattr(report, name) + getattr(segment, name))
    record = segment.record
    if record is None:
        return Checked(None, None, None)
    if key.startswith("segments/") and key != segment_key(record):
        report.add("misplaced", key, "it is another segment, by the record in its footer")
    enrolled = f"{segment.text}key {key}\nsize {len(data)}\nsha256 {sha256(data).hex()}\n"
    if match and copy != enrolled.encode():
        report.add("record", record_key, "not the record of the segment")
    return Checked(record, leaf_of(enrolled), f"rows={segment.rows} root={record['root'][:16]}")


POOL = []


def isolated(data, root):
    """`examine` in a process of its own: what hostile bytes do to a parser, even an abort, ends there."""
    if not POOL:
        POOL.append(ProcessPoolExecutor(1, get_context("spawn")))
    try:
        return POOL[0].submit(examine, data, root).result()
    except BrokenProcessPool:
        POOL.clear()
        return Examined([("segment", "cannot be read: it ends the process that tries to", None)], None, None, 0, 0, 0, 0)
