"""Strict Avro, section 3.1 of docs/format.md: a schema's text becomes a reader that takes each value's one encoding, and no other.

Breaches of the general limits of section 3.2 are noted while reading and not raised: an encoding that is wrong goes before them.
"""

import json
import math
import struct

STRING_MAX, LIST_MAX = 4096, 65535
SIGNED = {"occurred_at", "seed"}


class Malformed(Exception):
    """Not the encoding of a value."""


class Schema:
    def __init__(self, text):
        names = {}
        self.fields = [(field["name"], reader(field, names, field["name"] == "envelope")) for field in json.loads(text)["fields"]]

    def read(self, data, at):
        """The value that fills `data` from `at`: its fields, the bytes of each, and what breaks the limits."""
        fields, spans, breaches = {}, {}, []
        try:
            for name, read in self.fields:
                start = at
                fields[name], at = read(data, at, breaches)
                spans[name] = data[start:at]
        except (IndexError, UnicodeDecodeError) as error:
            raise Malformed(str(error)) from None
        if at != len(data):
            raise Malformed("bytes follow the last field")
        return fields, spans, breaches


def take(data, at, size):
    if size < 0 or at + size > len(data):
        raise Malformed("a length reaches past the end")
    return data[at:at + size], at + size


def read_long(data, at, _breaches=None):
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte >> 1 ^ -(byte & 1), at
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise Malformed("a varint of more than 10 bytes")
    if byte == 0 or number >> 64:
        raise Malformed("a varint that is not minimal or does not fit")
    return number >> 1 ^ -(number & 1), at


def read_bytes(data, at, _breaches):
    size, at = read_long(data, at)
    return take(data, at, size)


def read_double(data, at, _breaches):
    held, at = take(data, at, 8)
    number, = struct.unpack("<d", held)
    if not math.isfinite(number):
        raise Malformed("a double that is not finite")
    return number, at


def reader(field, names, limited):
    """A function (data, at, breaches) -> (value, at) for the field; `limited` inside the envelope."""
    kind, name = field["type"], field["name"]
    if isinstance(kind, list):
        return union_reader(reader({"type": kind[1], "name": name}, names, limited)) if kind[0] == "null" else unknown(kind)
    if isinstance(kind, str):
        plain = {"bytes": read_bytes, "double": read_double, "string": string_reader(name, limited),
                 "long": long_reader(name) if limited and name not in SIGNED else read_long}
        return plain.get(kind) or names.get(kind) or unknown(kind)
    if kind["type"] == "array":
        return array_reader(reader({"type": kind["items"], "name": name}, names, limited), name)
    if kind["type"] == "fixed":
        made = fixed_reader(kind["size"])
    elif kind["type"] == "record":
        made = record_reader([(inner["name"], reader(inner, names, limited)) for inner in kind["fields"]])
    else:
        return reader({"type": kind["type"], "name": name}, names, limited)
    return names.setdefault(kind["name"], made)


def unknown(kind):
    raise ValueError(f"no published schema has the type {kind!r}")


def long_reader(name):
    def read(data, at, breaches):
        number, at = read_long(data, at)
        if number < 0:
            breaches.append(f"{name} is negative")
        return number, at
    return read


def string_reader(name, limited):
    def read(data, at, breaches):
        held, at = read_bytes(data, at, breaches)
        if limited and len(held) > STRING_MAX:
            breaches.append(f"{name} is too long")
        return held.decode("utf-8"), at
    return read


def fixed_reader(size):
    return lambda data, at, _breaches: take(data, at, size)


def union_reader(present):
    def read(data, at, breaches):
        branch = data[at]
        if branch == 0:
            return None, at + 1
        if branch != 2:
            raise Malformed("a union branch that is neither 00 nor 02")
        return present(data, at + 1, breaches)
    return read


def array_reader(item, name):
    def read(data, at, breaches):
        count, at = read_long(data, at)
        if count < 0:
            raise Malformed("an array block of negative count")
        if count > LIST_MAX:
            breaches.append(f"{name} has too many items")
        items = []
        for _ in range(count):
            value, at = item(data, at, breaches)
            items.append(value)
        if count:
            if data[at] != 0:
                raise Malformed("an array of more than one block")
            at += 1
        return items, at
    return read


def record_reader(fields):
    def read(data, at, breaches):
        record = {}
        for name, inner in fields:
            record[name], at = inner(data, at, breaches)
        return record, at
    return read
