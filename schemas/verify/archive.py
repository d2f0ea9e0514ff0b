"""The zip file of an evidence bundle (section 10 of docs/format.md): one way to write it, so one way to read it."""

import hashlib
import re
import struct
import zlib

BYTES_MAX, MEMBERS_MAX = 1 << 30, 65534  # unpacked
LOCAL, CENTRAL, END = struct.Struct("<IHHHHHIIIHH"), struct.Struct("<IHHHHHHIIIHHHHHII"), struct.Struct("<IHHHHIIH")
COMMENT = 64
STORED, DEFLATED = 0, 8


class BadArchive(ValueError):
    """(the member that is at fault, or the zip itself, and why)"""


def need(good, reason, name="bundle.zip"):
    if not good:
        raise BadArchive(name, reason)


def unpack(data, names):
    """The members by name; each name is one that the pattern takes."""
    comment, before = data[-COMMENT:], data[:-COMMENT]
    hashed = hashlib.sha256(before).hexdigest().encode()
    need(comment == hashed, "its bytes are not those whose hash its comment is")
    need(len(before) >= END.size and before[-END.size:][:4] == b"PK\5\6", "not a zip with a comment of 64 bytes")
    _, disk, other, here, count, size, start, commented = END.unpack(before[-END.size:])
    one = (disk, other, here, commented) == (0, 0, count, COMMENT)
    need(one and 0 < count <= MEMBERS_MAX, "more than one disk, or too many members")
    need(start + size == len(before) - END.size, "its directory does not end where the end record begins")
    try:
        return read(before, start, size, count, names)
    except struct.error:
        raise BadArchive("bundle.zip", "it ends within a header") from None


def read(data, at, size, count, names):
    members, expected, room, end = {}, 0, BYTES_MAX, at + size
    directory = at
    for _ in range(count):
        (signature, _, _, flags, method, _, _, crc, packed, unpacked, named, extra, commented, disk, _, _,
         offset) = CENTRAL.unpack_from(data, at)
        name = data[at + CENTRAL.size:at + CENTRAL.size + named].decode("ascii", "backslashreplace")
        at += CENTRAL.size + named
        need(signature == 0x02014B50 and at <= end, "its directory is none")
        need(re.fullmatch(names, name) and name not in members, "no file of a bundle has this name, or two have it", name)
        need((flags, extra, commented, disk) == (0, 0, 0, 0) and method in (STORED, DEFLATED),
             "flags, extra fields or a comment, or neither stored nor deflated", name)
        need(offset == expected, "it does not lie right after the one before", name)
        head = LOCAL.unpack_from(data, offset)
        from_there = offset + LOCAL.size
        same = (head[0], *head[2:4], *head[6:]) == (0x04034B50, flags, method, crc, packed, unpacked, named, 0)
        again = data[from_there:from_there + named].decode("ascii", "backslashreplace")
        need(same and again == name, "its two headers differ", name)
        first = from_there + named
        expected = first + packed
        need(expected <= directory and unpacked <= room, "it reaches into the directory, or is larger than 1 GiB", name)
        members[name] = content(data[first:expected], method, unpacked, crc, name)
        room -= unpacked
    need(at == end and expected == directory, "something lies between its members, or before its directory")
    return members


def content(packed, method, size, crc, name):
    if method == DEFLATED:
        reader = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            unpacked = reader.decompress(packed, size + 1)
        except zlib.error as error:
            raise BadArchive(name, f"not deflated: {error}") from None
        need(reader.eof and not reader.unused_data and not reader.unconsumed_tail, "not of the size that the zip says", name)
        packed = unpacked
    need(len(packed) == size and zlib.crc32(packed) == crc, "not of the size or the checksum that the zip says", name)
    return packed
