"""Checks Chancery stores and segments: an independent reader, written from docs/format.md alone.

It needs pyarrow and the standard library, and shares no code with the product nor with the script that makes the vectors. Here are
stores, chains and what is printed; segment.py checks one segment, message.py and strict_avro.py one message.
Exit status: 0 nothing found, 2 usage, 3 findings, 4 something could not be read. What it does not check, it says.
"""

import argparse
import json
import os
import re
import sys
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timezone
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

sys.dont_write_bytecode = True

from message import sha256  # noqa: E402
from segment import HELD, HEX, INSTANT, NUMBER, RECORD, TOPIC, Examined, examine, pattern_of  # noqa: E402

UNCHECKED = ("not checked: signatures of sources, the log and its checkpoints, object lock and versions, the broker's own offsets, content of "
             "encrypted bodies, context digests, values in page indexes, bytes that no page and no footer uses, repeated metadata "
             "keys, a Confluent registry; claim-checked bodies absent: {}; raw rows not judged: {}")

ENROLLED = re.compile(f"(?P<record>{re.sub('[?]P<[a-z_]+>', '?:', RECORD.pattern)})"
                      f"key (?P<key>[!-~]+)\nsize (?P<size>{NUMBER})\nsha256 (?P<sha256>{HEX})\n")
OPENING = pattern_of("epoch", HELD | {
    "start": NUMBER, "total": NUMBER, "reason": "genesis|recreated|truncated|overtaken|operator", "opened_at": INSTANT,
    "prev": f"{HEX}|-"},
    f"(?P<missing>(?:missing {NUMBER} {NUMBER}\n)*)(?P<abandoned>(?:abandoned [!-~]+ [!-~]+ {HEX}\n)*)")
TERMINAL = "chancery/terminal@v1"
FOOTER = re.compile(b"chancery/segment@v1\n(?:[a-z_]+ [ -~]*\n)+")  # a record, wherever it stands in a file
NOW = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
PLACE = f"(?P<topic>{TOPIC})/(?P<partition>[0-9]{{5}})/(?P<epoch>[0-9]{{10}})"
KEYS = {"epochs": re.compile(f"epochs/{PLACE}"), "segments": re.compile(f"segments/{PLACE}/(?P<start>[0-9]{{20}})[.]parquet"),
        "records": re.compile(f"records/{PLACE}/(?P<start>[0-9]{{20}})[.]record")}
Head = namedtuple("Head", "leaf next total")  # where a chain stands


def main(arguments):
    parser = argparse.ArgumentParser(description="Checks Chancery stores and segments against docs/format.md.")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    parser.add_argument("path", nargs="+", type=Path, help="the folder of a store, or the file of a segment")
    options = parser.parse_args(arguments)
    report = Report(options.json)
    for path in options.path:
        if path.is_file():
            check_file(path, report)
        else:
            check_store(path, report)
    return report.end()


class Report:
    """Findings in the order of discovery, and what is printed of them."""

    def __init__(self, quiet):
        self.quiet, self.findings, self.settled, self.unread, self.told = quiet, [], 0, [], []
        self.segments = self.rows = self.events = self.absent = self.unjudged = self.expired = 0

    def add(self, kind, key, reason, offset=None):
        place = re.match(f"[a-z]+/({TOPIC})/([0-9]{{5}})/", key)
        partition = f"{place[1]}/{int(place[2])}" if place else None
        self.findings.append({"kind": kind, "object": key, "partition": partition, "offset": offset, "reason": reason})

    def settle(self, key=None, good=None):
        """Prints what was found since the last time; `good` where none of it is about the object."""
        fresh, self.settled = self.findings[self.settled:], len(self.findings)
        for finding in fresh:
            where = "" if finding["offset"] is None else f"offset {finding['offset']}: "
            self.say(f"BAD {finding['object']}: {where}{finding['reason']}")
        if good and all(finding["object"] != key for finding in fresh):
            self.say(f"ok  {key}  {good}")

    def tell(self, lines):
        self.told.extend(lines)

    def say(self, line, out=None):
        if not self.quiet or out:
            print(line.encode("unicode_escape").decode("ascii"), file=out or sys.stdout)

    def end(self):
        self.settle()
        for problem in self.unread:
            self.say(f"could not read {problem}", sys.stderr)
        for line in self.told:
            self.say(line)
        self.say(f"{self.segments} segments, {self.rows} rows, {self.events} events, {len(self.findings)} findings")
        if self.expired:
            self.say(f"gone, their retention having passed: {self.expired} segments")
        self.say(UNCHECKED.format(self.absent, self.unjudged))
        if self.quiet:
            ok = not self.findings and not self.unread
            print(json.dumps({"ok": ok, "segments": self.segments, "events": self.events, "findings": self.findings,
                              "told": self.told}))
        return 3 if self.findings else 4 if self.unread else 0


class Store:
    def __init__(self, root, report):
        self.root, self.report = root, report

    def read(self, key):
        """The bytes of an object; None where there is none, or where it cannot be read, which is then reported."""
        try:
            return (self.root / key).read_bytes() if self.root else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self.report.unread.append(f"{key}: {error}")
            return None

    def keys(self, prefix):
        for folder, _, names in os.walk(self.root / prefix, onerror=self.refused):
            yield from (Path(folder, name).relative_to(self.root).as_posix() for name in names)

    def refused(self, error):
        if not isinstance(error, FileNotFoundError):
            self.report.unread.append(str(error))


def check_file(path, report):
    """A segment alone: nothing is known of its chain; its record is looked at where it lies in a store."""
    parts = path.resolve().parts
    key, root = "/".join(parts[-5:]), Path(*parts[:-5])
    if not KEYS["segments"].fullmatch(key):
        key, root = path.name, None
    try:
        report.settle(key, check_segment(Store(root, report), key, path.read_bytes(), report, alone=True).good)
    except OSError as error:
        report.unread.append(f"{path}: {error}")


def check_store(path, report):
    root = next((at for at in (path, path / "store") if (at / "epochs").is_dir() or (at / "segments").is_dir()), None)
    if root is None:
        report.unread.append(f"{path}: neither a store nor a segment")
        return
    store, partitions = Store(root, report), {}
    for prefix, pattern in KEYS.items():
        for key in sorted(store.keys(prefix)):
            if match := pattern.fullmatch(key):
                held = partitions.setdefault((match["topic"], match["partition"]), {name: {} for name in KEYS})
                held[prefix].setdefault(int(match["epoch"]), []).append(key)
            else:
                report.add("junk", key, "no object has such a name")
    for place in sorted(partitions):
        Chain(store, f"{place[0]}/{place[1]}", partitions[place], report).check()


class Chain:
    """Section 7: a partition, from the opening of epoch 0 to the last segment."""

    def __init__(self, store, place, held, report):
        self.store, self.place, self.held, self.report = store, place, held, report
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
        text = (self.store.read(key) or b"").decode("ascii", "replace")
        match = OPENING.fullmatch(text)
        if not match or place_of(match) != f"{self.place}/{epoch:010}":
            self.report.add("epoch", key, "not the opening of this epoch")
            return None
        return match.groupdict() | {"text": text}

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
            if checked.record:
                self.check_link(epoch, key, checked.record)
            if not self.closed:
                self.head = checked.record and Head(checked.leaf, int(checked.record["next"]), int(checked.record["total"]))
            self.report.settle(key, checked.good)

    def check_absent(self, epoch, key):
        """A segment that is gone: the chain goes on by its record, and no finding is made of it after its retention."""
        text = (self.store.read(record_key_of(key)) or b"").decode("ascii", "replace")
        match = ENROLLED.fullmatch(text)
        if not match or match["key"] != key:
            self.report.add("missing_segment", key, "it is gone, and no record says what it was")
            self.head = None
            return
        record = RECORD.fullmatch(match["record"]).groupdict()
        if record["retain_until"] != "-" and record["retain_until"] < NOW:
            self.report.expired += 1
        else:
            self.report.add("missing_segment", key, "there is a record of it, and it is gone")
        self.check_link(epoch, key, record)
        self.head = Head(leaf_of(text), int(record["next"]), int(record["total"]))

    def check_link(self, epoch, key, record):
        opening, head = self.openings.get(epoch), self.head
        if self.closed:
            self.report.add("chain", key, "comes after the end of its epoch")
            return
        for name in HELD if opening else ():
            if record[name] != opening[name]:
                self.report.add("chain", key, f"{name} is {record[name]}, the opening has {opening[name]}")
        if head is None:
            self.report.add("chain", key, "nothing sound before it that it could be linked to")
        elif int(record["start"]) != head.next:
            self.report.add("chain", key, f"begins at {record['start']} where {head.next} is due")
        elif record["prev"] != head.leaf:
            self.report.add("chain", key, "prev is not the record before")
        elif int(record["total"]) != head.total + int(record["rows"]):
            self.report.add("chain", key, f"total is {record['total']} after {head.total} and {record['rows']} rows")

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


def opening_faults(opening, before):
    missing = [tuple(map(int, line.split()[1:])) for line in opening["missing"].splitlines()]
    if any(first >= after for first, after in missing) or any(a[1] >= b[0] for a, b in pairwise(missing)):
        yield "missing ranges are not ascending, apart, and of an offset or more"
    if int(opening["partition"]) >= int(opening["partitions"]):
        yield "the partition is none of the partitions"
    if (opening["epoch"] == "0") != (opening["reason"] == "genesis") or (opening["epoch"] == "0") != (opening["prev"] == "-"):
        yield "epoch 0, and it alone, is the genesis and has no prev"
    if opening["epoch"] == "0" and opening["total"] != "0":
        yield "there are no rows before epoch 0"
    if before and opening["epoch"] != "0":
        start = int(opening["start"])
        if opening["prev"] != before.leaf:
            yield "prev is not the last record of the epoch before"
        if int(opening["total"]) != before.total:
            yield f"total is {opening['total']}, the epochs before have {before.total} rows"
        if opening["reason"] != "recreated" and before.next < start and not any(
                first <= before.next and start <= after for first, after in missing):
            yield f"offsets {before.next} to {start} are in neither epoch and not said to be missing"


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
    if KEYS["segments"].fullmatch(key) and key != segment_key(record):
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


def segment_key(record):
    return f"segments/{place_of(record)}/{int(record['start']):020}.parquet"


def record_key_of(key):
    return key.replace("segments/", "records/", 1).removesuffix(".parquet") + ".record"


def key_of_segment(record_key):
    return record_key.replace("records/", "segments/", 1).removesuffix(".record") + ".parquet"


def place_of(record):
    """The part of an object key that names a partition's epoch."""
    return f"{record['topic']}/{int(record['partition']):05}/{int(record['epoch']):010}"


def leaf_of(text):
    return sha256(b"\0" + text.encode()).hex()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
