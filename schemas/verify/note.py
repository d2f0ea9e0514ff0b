"""Signed notes, verifier keys, checkpoints and cosignatures of C2SP, and the files that say whom a verifier trusts."""

import base64
import binascii
import re
from collections import namedtuple
from hashlib import sha256

import strict_ed25519
from record import NUMBER

LOG, WITNESS = 1, 4  # types of signatures: over the note, and over a time and the note
NOTE_MAX = 1 << 20
LINE = re.compile("\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})")
VKEY = re.compile("([^+]+)[+]([0-9a-f]{8})[+]([A-Za-z0-9+/]+={0,2})")
CHECKPOINT = re.compile(f"([^\n]+)\n({NUMBER})\n([A-Za-z0-9+/]{{43}}=)\n")

Key = namedtuple("Key", "name kind public id text")
Line = namedtuple("Line", "name id signature")
Checkpoint = namedtuple("Checkpoint", "origin size root")


class BadNote(ValueError):
    """Not such a text, or not signed as it should be."""


def unbase64(text):
    """The bytes of standard base64 with its padding, in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise BadNote("not the one base64 of its bytes")
    return data


def parse_name(name):
    if not name or "+" in name or any(c.isspace() or c < " " for c in name) or len(name.encode()) > 255:
        raise BadNote("not a key name")
    return name


def parse_key(text):
    match = VKEY.fullmatch(text)
    if not match:
        raise BadNote("not a verifier key")
    name, data = parse_name(match[1]), unbase64(match[3])
    if len(data) != 33 or data[0] not in (LOG, WITNESS) or strict_ed25519.public_key(data[1:]) is None:
        raise BadNote("not a key of a type that is known, or not a good one")
    number = sha256(name.encode() + b"\n" + data).digest()[:4]
    if number.hex() != match[2]:
        raise BadNote("the key's id is not its own")
    return Key(name, data[0], data[1:], number, text)


def parse_line(line):
    match = LINE.fullmatch(line)
    if not match:
        raise BadNote("not a signature line")
    data = unbase64(match[2])
    if len(data) <= 4:
        raise BadNote("a signature of no bytes")
    return Line(parse_name(match[1]), data[:4], data[4:])


def parse_note(data):
    """(text, lines) of a signed note. Whether anything is signed is not asked."""
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise BadNote("not UTF-8") from None
    text, empty, lines = whole.rpartition("\n\n")
    if len(data) > NOTE_MAX or not empty or not lines.endswith("\n") or any(c < " " and c != "\n" for c in whole):
        raise BadNote("not a signed note")
    found = [parse_line(line) for line in lines[:-1].split("\n")]
    if len({line[:2] for line in found}) != len(found):
        raise BadNote("two signatures of one key")
    return text + "\n", found


def time_of(key, text, line):
    """When the key signed the text, 0 where its signatures have no time; raises where the line is not its signature."""
    if (line.name, line.id) != (key.name, key.id):
        raise BadNote("it is signed with another key")
    signed, signature, time = text.encode(), line.signature, 0
    if key.kind == WITNESS:
        time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        signed = f"cosignature/v1\ntime {time}\n".encode() + signed
    if time >> 63 or not strict_ed25519.verifies(key.public, signed, signature):
        raise BadNote(f"the signature of {key.name} is false")
    return time


def signed_by(key, text, lines):
    """As `time_of`, of the key's line among those of a note."""
    own = [line for line in lines if (line.name, line.id) == (key.name, key.id)]
    if not own:
        raise BadNote(f"it is not signed with {key.name}+{key.id.hex()}")
    return time_of(key, text, own[0])


def parse_checkpoint(text):
    match = CHECKPOINT.fullmatch(text)
    if not match or int(match[2]) >> 64:
        raise BadNote("not a checkpoint without extension lines")
    return Checkpoint(parse_name(match[1]), int(match[2]), unbase64(match[3]))


class Trust:
    """The keys of logs and witnesses, and how many of the latter are wanted: verifier keys, one a line, or a C2SP tlog-policy."""

    def __init__(self, data=b""):
        self.logs, self.witnesses, self.members, self.quorum = [], {}, {}, None
        lines = [line.strip(" \t") for line in data.decode("utf-8", "surrogateescape").split("\n")]
        lines = [line for line in lines if line and not line.startswith("#")]
        if any(c < " " and c not in "\t\n" or c == "\x7f" for line in lines for c in line):
            raise BadNote("a control character")
        for words in (re.split("[ \t]+", line) for line in lines):
            self.take(words, all("+" in line.split()[0] for line in lines))
        if self.quorum is None and any("+" not in line.split()[0] for line in lines):
            raise BadNote("a policy without a quorum line")

    def take(self, words, plain):
        match words:
            case [key] if plain:
                self.log(parse_key(key))
            case ["log", key] | ["log", key, _]:
                self.log(parse_key(key))
            case ["witness", name, key] | ["witness", name, key, _]:
                self.witness(name, parse_key(key))
            case ["group", name, count, *members]:
                self.group(name, count, members)
            case ["quorum", name] if self.quorum is None and (name == "none" or name in self.members):
                self.quorum = name
            case _:
                raise BadNote(f"no line of a policy: {' '.join(words)[:80]}")

    def log(self, key):
        if key.kind != LOG or any(key.public == other.public for other in self.logs):
            raise BadNote("a log's key that is of another type, or there twice")
        self.logs.append(key)

    def witness(self, name, key):
        if key.kind != WITNESS or any(key.public == other.public for other in self.witnesses.values()):
            raise BadNote("a witness's key that is of another type, or there twice")
        self.define(name, (1, [name]))
        self.witnesses[name] = key

    def group(self, name, count, members):
        wanted = {"all": str(len(members)), "any": "1"}.get(count, count)
        if not re.fullmatch("[1-9][0-9]{0,3}", wanted) or int(wanted) > len(members) or len(set(members)) != len(members) or any(
                member not in self.members or member in self.grouped() for member in members):
            raise BadNote("a group that wants more than it has, or members that are unknown or in another group")
        self.define(name, (int(wanted), members))

    def grouped(self):
        return {member for name, (_, listed) in self.members.items() if name not in self.witnesses for member in listed}

    def define(self, name, means):
        if name == "none" or name in self.members:
            raise BadNote(f"{name} is defined twice")
        self.members[name] = means

    def cosigned(self, text, lines):
        """(name, time) of the witnesses whose signatures are among the lines; raises where one of them is false."""
        found = {}
        for name, key in self.witnesses.items():
            if any((line.name, line.id) == (key.name, key.id) for line in lines):
                found[name] = signed_by(key, text, lines)
        return found

    def is_met(self, names, of=None):
        """Whether these witnesses are as many as the quorum wants."""
        of = of or self.quorum or "none"
        if of == "none" or of in self.witnesses:
            return of == "none" or of in names
        wanted, members = self.members[of]
        return sum(self.is_met(names, member) for member in members) >= wanted
