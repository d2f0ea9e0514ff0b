"""Entries of the log and its commits (sections 9.1 and 9.2 of docs/format.md), and what the order of entries must be."""

import re
from collections import namedtuple

import strict_ed25519
import note
from record import HEX, INSTANT, NUMBER, TOPIC, Links, parse_enrolled, parse_opening, place_of, times_exist

ENTRIES_MAX, PARTITIONS_MAX = 256, 256
VKEY = "[!-~\x80-\U0010ffff]+"
BEAT = f"partition (?P<partition>{NUMBER}) (?P<epoch>{NUMBER}) (?P<next>{NUMBER}) (?P<leaf>{HEX}) (?P<end>{NUMBER}|-)\n"
HEARTBEAT = re.compile(f"chancery/heartbeat@v1\ntopic (?P<topic>{TOPIC})\nfrom (?P<from>{NUMBER})\nto (?P<to>{NUMBER})\n"
                       f"at (?P<at>{INSTANT})\n(?P<beats>(?:{re.sub('[?]P<[a-z]+>', '?:', BEAT)})*)")
KEY_CHANGE = re.compile(f"(?P<signed>chancery/key@v1\nold (?P<old>{VKEY})\nnew (?P<new>{VKEY})\nat (?P<at>{INSTANT})\n)"
                        "old_signature (?P<old_signature>[A-Za-z0-9+/=]+)\nnew_signature (?P<new_signature>[A-Za-z0-9+/=]+)\n")
COMMIT = re.compile(f"chancery/commit@v1\norigin (?P<origin>[^\n]+)\nstart (?P<start>{NUMBER})\nnext (?P<next>{NUMBER})\n"
                    f"root (?P<root>{HEX})\n\n")

Commit = namedtuple("Commit", "origin start root entries")
KeyChange = namedtuple("KeyChange", "old new")
Heartbeat = namedtuple("Heartbeat", "topic first after at beats")


class BadEntry(ValueError):
    """Not such a text."""


def parse(text):
    """A Heartbeat, a KeyChange or the fields of a link."""
    title = text.partition("\n")[0]
    if title == "chancery/heartbeat@v1":
        return parse_heartbeat(text)
    if title == "chancery/key@v1":
        return parse_key_change(text)
    found = parse_opening(text) if title == "chancery/epoch@v1" else parse_enrolled(text)
    if not found:
        raise BadEntry("not an entry of the log")
    return found


def parse_heartbeat(text):
    match = HEARTBEAT.fullmatch(text)
    if not match or not times_exist(text):
        raise BadEntry("not a heartbeat")
    beats = [beat.groupdict() for beat in re.finditer(BEAT, match["beats"])]
    partitions, first, after = [int(beat["partition"]) for beat in beats], int(match["from"]), int(match["to"])
    placed = all(first <= partition < after for partition in partitions)
    if not 1 <= after - first <= PARTITIONS_MAX or not placed or partitions != sorted(set(partitions)):
        raise BadEntry("a heartbeat of no partitions or of more than 256, or that tells of others, or not ascending")
    return Heartbeat(match["topic"], first, after, match["at"], beats)


def parse_key_change(text):
    match = KEY_CHANGE.fullmatch(text)
    if not match or not times_exist(text):
        raise BadEntry("not a key change")
    try:
        pair = [note.parse_key(match[name]) for name in ("old", "new")]
        signatures = [note.unbase64(match[f"{name}_signature"]) for name in ("old", "new")]
    except note.BadNote as error:
        raise BadEntry(f"a key change: {error}") from None
    if pair[0].name != pair[1].name or any(key.kind != note.LOG for key in pair):
        raise BadEntry("a key change between two logs, or of keys that are none of a log's")
    for key, signature in zip(pair, signatures):
        if not strict_ed25519.verifies(key.public, b"chancery.key.v1\0" + match["signed"].encode(), signature):
            raise BadEntry(f"a key change that {key.text} has not signed")
    return KeyChange(*pair)


def split(data):
    """The entries of a bundle or of a commit, as bytes."""
    entries, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 2], "big")
        entries.append(data[at + 2:at + 2 + size])
        at += 2 + size
    if at != len(data):
        raise BadEntry("it ends within an entry")
    return entries


def parse_commit(data):
    head, empty, rest = data.partition(b"\n\n")
    try:
        match = COMMIT.fullmatch((head + empty).decode())
        texts = [held.decode() for held in split(rest)]
    except UnicodeDecodeError:
        raise BadEntry("not UTF-8") from None
    if not match or int(match["next"]) >> 64:
        raise BadEntry("not a commit")
    start = int(match["start"])
    if not 1 <= len(texts) <= ENTRIES_MAX or start + len(texts) != int(match["next"]):
        raise BadEntry("a commit of another number of entries than it says, or of none, or of more than 256")
    entries = [(text, parse(text)) for text in texts]
    if any(isinstance(found, KeyChange) for _, found in entries[:-1]):
        raise BadEntry("a key change that is not the last entry of its commit")
    return Commit(match["origin"], start, bytes.fromhex(match["root"]), entries)


def key_of(link):
    """The key of the object that is enrolled: the segment of a record, or the opening."""
    return link.get("key") or f"epochs/{place_of(link)}"


class Order:
    """Entries one after the other: what breaks their order, and what they say in the end."""

    def __init__(self):
        self.partitions = {}  # (topic, partition) -> Links
        self.chains = {}  # (topic, partition) -> its links that count, in order
        self.enrolled = {}  # object key -> text, of openings and of segments
        self.keys = []  # key changes: (size of the tree that ends with it, KeyChange)
        self.heartbeat = None  # the last one

    def take(self, index, text, entry):
        """The faults of the entry at the index."""
        if isinstance(entry, Heartbeat):
            self.heartbeat = entry
            return self.heartbeat_faults(entry)
        if isinstance(entry, KeyChange):
            found = [] if not self.keys or self.keys[-1][1].new == entry.old else ["it changes a key that is not the one in force"]
            self.keys.append((index + 1, entry))
            return found
        return self.link_faults(text, entry)

    def link_faults(self, text, link):
        place = link["topic"], int(link["partition"])
        chain = self.chains.setdefault(place, [])
        rivals = [n for n, other in enumerate(chain) if other["prev"] == link["prev"]]
        if rivals and self.sets_aside(link, chain[rivals[0]]):
            for gone in chain[rivals[0]:]:
                del self.enrolled[key_of(gone)]
            del chain[rivals[0]:]
            self.partitions[place] = links = Links()
            for kept in chain:
                links.faults(kept)
        elif rivals:
            same = chain[rivals[0]]["text"] == text
            return ["the link is enrolled twice" if same else "another link with this prev is enrolled, and is the one that counts"]
        links = self.partitions.setdefault(place, Links())
        if link["prev"] != (links.head.leaf if links.head else "-"):
            return ["it comes before the link that its prev names"]
        chain.append(link)
        self.enrolled[key_of(link)] = text
        return links.faults(link)

    def sets_aside(self, link, rival):
        """Whether an opening lists as abandoned the object of the link that was enrolled in its place."""
        abandoned = [line.split()[1] for line in link.get("abandoned", "").splitlines()]
        return rival.get("key") in abandoned

    def heartbeat_faults(self, beat):
        due = []
        for (topic, partition), links in sorted(self.partitions.items()):
            if topic == beat.topic and beat.first <= partition < beat.after:
                due.append((str(partition), links.held["epoch"], str(links.head.next), links.head.leaf))
        told = [(line["partition"], line["epoch"], line["next"], line["leaf"]) for line in beat.beats]
        return [] if told == due else ["the heartbeat does not tell what was enrolled before it"]
