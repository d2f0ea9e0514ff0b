"""Holds every hash in a bundle against texts that it withholds: none of them may confirm a guess.

usage: withheld.py SOME.zip ALL.zip      two bundles of one session; what ALL discloses and SOME does not is withheld
"""

import base64
import hashlib
import json
import re
import sys
import zipfile

DOMAINS = "body item event raw headers row carriage context claims gaps session".split()


def read(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def bodies(files):
    return {name[7:]: data for name, data in files.items() if name.startswith("bodies/")}


def windows(data):
    return (data[at:at + 32] for at in range(len(data) - 31))


def hashes(files):
    """Whatever is 32 bytes long: at any place, in hexadecimal, in base64."""
    found = set()
    for data in files.values():
        found.update(windows(data))
        for word in re.findall(rb"[A-Za-z0-9+/=]{43,}", data):
            if re.fullmatch(rb"[0-9a-f]{64}", word):
                found.add(bytes.fromhex(word.decode()))
            try:
                found.update(windows(base64.b64decode(word, validate=True)))
            except ValueError:
                pass
    return found


def guesses(text):
    """What somebody who guesses the text computes of it, without a salt or with one of zeros."""
    length = len(text).to_bytes(4, "big")
    yield hashlib.sha256(text).digest()
    yield hashlib.sha256(b"\0" + text).digest()
    for domain in DOMAINS:
        head = f"chancery.{domain}.v1\0".encode()
        for before in (b"", length, b"\1" + length, bytes(16), bytes(16) + b"\1" + length):
            yield hashlib.sha256(head + before + text).digest()


def texts(content):
    """A body as it is, and what a message in it says."""
    yield content
    try:
        said = json.loads(content)
    except ValueError:
        return
    if isinstance(said, dict) and isinstance(said.get("content"), str):
        yield said["content"].encode()


def main(some, everything):
    some, everything = read(some), read(everything)
    shown, true = hashes(some), bodies(everything)
    withheld = {digest: data for digest, data in true.items() if digest not in bodies(some)}
    assert withheld, "nothing is withheld"
    tried = 0
    for digest, data in withheld.items():
        # The look is not blind: the salted digest, which proves nothing to who has no salt, is there.
        assert hashlib.sha256(b"chancery.body.v1\0" + data).digest() == bytes.fromhex(digest) and bytes.fromhex(digest) in shown
        for text in texts(data[16:]):
            assert len(text) < 12 or not any(text in member for member in some.values()), "a withheld text is in the bundle"
            for guess in guesses(text):
                assert guess not in shown, "a hash in the bundle confirms a guess"
                tried += 1
        assert data[:16] not in b"".join(some.values()), "the salt of a withheld body is in the bundle"
    print(f"{len(withheld)} bodies withheld, {tried} guesses against {len(shown)} values of 32 bytes: none confirmed")


main(*sys.argv[1:])
