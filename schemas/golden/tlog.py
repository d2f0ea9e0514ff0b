"""The log of docs/format.md, section 9, and the C2SP texts around it, written out for making vectors.

It signs and encodes; nothing here decodes or checks.
"""

import base64

import chancery_spec as spec
import ed25519

LOG, WITNESS = 1, 4  # types of signatures in notes
TILE = 256


def b64(data):
    return base64.b64encode(data).decode()


class Key:
    """A private key with the name that notes know it by."""

    def __init__(self, name, seed, kind=LOG):
        self.name, self.seed, self.kind, self.public = name, seed, kind, ed25519.public(seed)
        self.id = spec.sha256(name.encode() + b"\n" + bytes([kind]) + self.public)[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(bytes([kind]) + self.public)}"

    def line(self, signature):
        return f"\u2014 {self.name} {b64(self.id + signature)}\n"

    def sign(self, text):
        """A signature line over the text of a note."""
        return self.line(ed25519.sign(self.seed, text.encode()))

    def cosign(self, text, time):
        """A line of cosignature/v1."""
        signed = f"cosignature/v1\ntime {time}\n{text}"
        return self.line(spec.u64(time) + ed25519.sign(self.seed, signed.encode()))

    def private(self):
        """The text of the private key: PKCS#8 is the 16 bytes that RFC 8410 puts before every seed, and the seed."""
        data = bytes.fromhex("302e020100300506032b657004220420") + self.seed
        return f"log {self.vkey}\n-----BEGIN PRIVATE KEY-----\n{b64(data)}\n-----END PRIVATE KEY-----\n"


def note(text, *lines):
    return text + "\n" + "".join(lines)


def checkpoint_text(origin, size, root):
    return f"{origin}\n{size}\n{b64(root)}\n"


def key_change(old, new, at):
    signed = f"chancery/key@v1\nold {old.vkey}\nnew {new.vkey}\nat {at}\n"
    pair = [b64(ed25519.sign(key.seed, b"chancery.key.v1\0" + signed.encode())) for key in (old, new)]
    return f"{signed}old_signature {pair[0]}\nnew_signature {pair[1]}\n"


def heartbeat(topic, first, after, at, beats):
    """`beats` holds (partition, epoch, offset, leaf hash, end of the source's log or -)."""
    return spec.lines("chancery/heartbeat@v1", [("topic", topic), ("from", first), ("to", after), ("at", at)] +
                      [("partition", " ".join(map(str, beat))) for beat in beats])


def framed(entries):
    """Entries as they stand in a commit and in an entry bundle."""
    return b"".join(len(entry.encode()).to_bytes(2, "big") + entry.encode() for entry in entries)


def commit(origin, start, entries, root):
    head = spec.lines("chancery/commit@v1", [("origin", origin), ("start", start), ("next", start + len(entries)),
                                             ("root", root.hex())])
    return head.encode() + b"\n" + framed(entries)


def tile_name(level, index, width=TILE):
    """The path of a tile under log/; the level of an entry bundle is the text `entries`."""
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at:at + 3] for at in range(0, len(digits), 3)]
    path = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return f"tile/{level}/{path}" + (f".p/{width}" if width < TILE else "")


def tile_names(size):
    """Every tile of a tree, by level and index: (level, index, width)."""
    level, hashes = 0, size
    while hashes:
        yield from ((level, index, min(TILE, hashes - index * TILE)) for index in range(-(-hashes // TILE)))
        level, hashes = level + 1, hashes // TILE


def tiles(leaves):
    """Path and bytes of every tile of the tree."""
    for level, index, width in tile_names(len(leaves)):
        span = TILE ** level
        first = index * TILE * span
        hashes = [spec.merkle_root(leaves[first + n * span:first + (n + 1) * span]) for n in range(width)]
        yield tile_name(level, index, width), b"".join(hashes)


def bundles(entries):
    """Path and bytes of every entry bundle."""
    for index in range(-(-len(entries) // TILE)):
        held = entries[index * TILE:(index + 1) * TILE]
        yield tile_name("entries", index, len(held)), framed(held)


def consistency_proof(old, leaves, whole=True):
    """RFC 6962, section 2.1.2."""
    if old == len(leaves):
        return [] if whole else [spec.merkle_root(leaves)]
    k = spec.split(len(leaves))
    if old <= k:
        return consistency_proof(old, leaves[:k], whole) + [spec.merkle_root(leaves[k:])]
    return consistency_proof(old - k, leaves[k:], False) + [spec.merkle_root(leaves[:k])]


def tlog_proof(index, proof, checkpoint):
    return "c2sp.org/tlog-proof@v1\n" + f"index {index}\n" + "".join(f"{b64(node)}\n" for node in proof) + "\n" + checkpoint


class Log:
    """Writes a log into `files`, a dictionary from object key to bytes."""

    def __init__(self, files, key):
        self.files, self.key, self.entries, self.leaves = files, key, [], []
        self.checkpoints = {}  # size -> text of the signed note

    def append(self, *entries, changed=None):
        """One commit and what follows from it; its last entry changes the key where `changed` is the next one."""
        start = len(self.entries)
        self.entries += entries
        self.leaves += [spec.record_leaf(entry) for entry in entries]
        size, root = len(self.entries), spec.merkle_root(self.leaves)
        self.files[f"log/commits/{start:020}"] = commit(self.key.name, start, entries, root)
        for path, data in (*tiles(self.leaves), *bundles(self.entries)):
            assert self.files.setdefault(f"log/{path}", data) == data, path
        text = checkpoint_text(self.key.name, size, root)
        signed = note(text, *(key.sign(text) for key in (self.key, changed) if key))
        self.key = changed or self.key
        self.checkpoints[size] = signed
        self.files |= {f"log/checkpoints/{size:020}": signed.encode(), "log/checkpoint": signed.encode()}

    def cosign(self, witness, size, time):
        line = witness.cosign(self.checkpoints[size].partition("\n\n")[0] + "\n", time)
        self.files[f"log/cosignatures/{size:020}/{witness.id.hex()}"] = line.encode()
        return line

    def proof(self, entry, size, lines=""):
        """The tlog-proof of an entry in the tree of a checkpoint, with the lines of its witnesses."""
        index = self.entries.index(entry)
        return tlog_proof(index, spec.inclusion_proof(index, self.leaves[:size]), self.checkpoints[size] + lines)
