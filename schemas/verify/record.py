"""The texts of section 6 of docs/format.md, and how one link of a partition's chain follows another (section 7).

Texts are regular expressions with one group a line, so that each has one spelling. Nothing here reads an object.
"""

import hashlib
import re
from collections import namedtuple
from datetime import datetime
from itertools import pairwise

NUMBER, HEX, NAME, TOPIC = "(?:0|[1-9][0-9]{0,19})", "[0-9a-f]{64}", "[!-~]+", "[a-zA-Z0-9._-]{1,249}"
INSTANT = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
COUNTED, TIME = f"{NUMBER} (?:{HEX}|-)", "-|0|-?[1-9][0-9]{0,18}"
HELD = {"cluster": NAME, "topic_id": NAME, "topic": TOPIC, "partition": NUMBER, "partitions": NUMBER,
        "framing": r"single_object|confluent", "epoch": NUMBER}


def pattern_of(title, fields, more=""):
    return re.compile(f"chancery/{title}@v1\n" + "".join(f"{name} (?P<{name}>{kind})\n" for name, kind in fields.items()) + more)


RECORD = pattern_of("segment", HELD | {
    "start": NUMBER, "next": NUMBER, "rows": NUMBER, "gaps": COUNTED, "claims": COUNTED,
    "leader_epochs": f"-|{NUMBER}:{NUMBER}(?:,{NUMBER}:{NUMBER})*", "time_min": TIME, "time_max": TIME, "retention_class": NAME,
    "lock": "compliance|governance|-", "retain_until": f"{INSTANT}|-", "root": HEX, "total": NUMBER, "writer": "[!-~]+/[!-~]+",
    "prev": HEX})
ENROLLED = re.compile(f"(?P<record>{re.sub('[?]P<[a-z_]+>', '?:', RECORD.pattern)})"
                      f"key (?P<key>[!-~]+)\nsize (?P<size>{NUMBER})\nsha256 (?P<sha256>{HEX})\n")
OPENING = pattern_of("epoch", HELD | {
    "start": NUMBER, "total": NUMBER, "reason": "genesis|recreated|truncated|overtaken|operator", "opened_at": INSTANT,
    "prev": f"{HEX}|-"},
    f"(?P<missing>(?:missing {NUMBER} {NUMBER}\n)*)(?P<abandoned>(?:abandoned [!-~]+ [!-~]+ {HEX}\n)*)")
TERMINAL = "chancery/terminal@v1"

Head = namedtuple("Head", "leaf next total")  # where a chain stands


def place_of(record):
    """The part of an object key that names a partition's epoch."""
    return f"{record['topic']}/{int(record['partition']):05}/{int(record['epoch']):010}"


def segment_key(record):
    return f"segments/{place_of(record)}/{int(record['start']):020}.parquet"


def record_key_of(key):
    return key.replace("segments/", "records/", 1).removesuffix(".parquet") + ".record"


def key_of_segment(record_key):
    return record_key.replace("records/", "segments/", 1).removesuffix(".record") + ".parquet"


def leaf_of(text):
    return hashlib.sha256(b"\0" + text.encode()).hexdigest()


def times_exist(text):
    """Whether no line of a text says a time that no calendar and no clock has."""
    try:
        for time in re.findall(f"(?m)^(?:opened_at|retain_until|at|made_at|monitor [0-9]+) ({INSTANT})$", text):
            datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return True


def parse_opening(text):
    match = OPENING.fullmatch(text)
    return match.groupdict() | {"text": text} if match and times_exist(text) else None


def parse_enrolled(text):
    """The fields of an enrolled record, `text` among them; None where it is none."""
    match = ENROLLED.fullmatch(text)
    if not match or not times_exist(text):
        return None
    fields = RECORD.fullmatch(match["record"]).groupdict()
    return fields | {name: match[name] for name in ("key", "size", "sha256")} | {"text": text}


def record_faults(record):
    """What a segment record says that cannot be."""
    partition, partitions, start, after = (int(record[name]) for name in ("partition", "partitions", "start", "next"))
    if partition >= partitions or after <= start or after >> 63:
        yield "partition or offset range is none"
    if (record["lock"] == "-") != (record["retain_until"] == "-"):
        yield "lock and retain_until are not both there, or both absent"
    if record["leader_epochs"] != "-":
        changes = [tuple(map(int, change.split(":"))) for change in record["leader_epochs"].split(",")]
        if not start <= changes[0][0] or changes[-1][0] >= after or any(a[0] >= b[0] or a[1] == b[1] for a, b in pairwise(changes)):
            yield "leader epochs are not one change each, ascending, in the segment"


def link_faults(record, held, head):
    """Why a record is not the next link after `head`, in the epoch of the opening or record `held`."""
    for name in HELD if held else ():
        if record[name] != held[name]:
            yield f"{name} is {record[name]}, its epoch has {held[name]}"
    if head is None:
        yield "nothing sound before it that it could be linked to"
    elif int(record["start"]) != head.next:
        yield f"begins at {record['start']} where {head.next} is due"
    elif record["prev"] != head.leaf:
        yield "prev is not the record before"
    elif int(record["total"]) != head.total + int(record["rows"]):
        yield f"total is {record['total']} after {head.total} and {record['rows']} rows"


def opening_faults(opening, before):
    """Why an opening is none, or not the next link after `before`, where that is known."""
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


class Links:
    """Links of one partition in the order of its chain, from an opening of epoch 0 on or, for a bundle, from any of them."""

    def __init__(self, anywhere=False):
        self.anywhere, self.held, self.head = anywhere, None, None

    def faults(self, link):
        """Why the link, parsed, is not the next one. It is taken as the next one all the same."""
        if "reason" in link:
            found = list(opening_faults(link, self.head))
            if self.held is None and not self.anywhere and link["epoch"] != "0":
                found.append("the first link is not the opening of epoch 0")
            if self.held is not None and int(link["epoch"]) != int(self.held["epoch"]) + 1:
                found.append(f"opens epoch {link['epoch']} after epoch {self.held['epoch']}")
            self.head = Head(leaf_of(link["text"]), int(link["start"]), int(link["total"]))
        else:
            found = list(record_faults(link))
            if link["key"] != segment_key(link):
                found.append("the key is not the record's")
            if self.held is not None or not self.anywhere:
                found += link_faults(link, self.held, self.head)
            self.head = Head(leaf_of(link["text"]), int(link["next"]), int(link["total"]))
        self.held = link
        return found
