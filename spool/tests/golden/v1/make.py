"""Computes the golden segment file of format version 1 from its description alone.

It shares nothing with the program. The file it made is never edited.
"""

import pathlib
import struct
import zlib

SALT = struct.pack(">I", 0x5EED0001)
FIRST = 5


def header():
    fields = b"CHSPOOL\0" + struct.pack(">IQ", 1, FIRST) + SALT
    return fields + struct.pack(">I", zlib.crc32(fields))


def frame(offset, durable, timestamp_ms, key, value):
    key_length = 0xFFFFFFFF if key is None else len(key)
    body = struct.pack(">QQqI", offset, durable, timestamp_ms, key_length) + (key or b"") + value
    length = struct.pack(">I", len(body))
    return length + struct.pack(">I", zlib.crc32(SALT + length + body)) + body


file = header()
file += frame(5, 5, 1_700_000_000_000, b"acme/session-1", b"first")
file += frame(6, 5, -1, None, b"second, of the same group")
file += frame(7, 7, 0, b"", b"")
pathlib.Path(__file__).with_name(f"{FIRST:020}.log").write_bytes(file)
