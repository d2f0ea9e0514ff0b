"""RFC 6962 trees: roots, proofs of inclusion and consistency, range proofs (docs/format.md, section 4.3), tiles of tlog-tiles."""

import hashlib
import re

TILE = 256
TILE_NAME = re.compile("tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:[.]p/([1-9][0-9]{0,2}))?")
EMPTY = hashlib.sha256(b"").digest()


class BadProof(ValueError):
    """Does not show what it is said to show."""


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size):
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def root_of(leaves):
    """Level by level: an odd last node moves up as it is."""
    while len(leaves) > 1:
        leaves = [node(left, right) for left, right in zip(leaves[::2], leaves[1::2])] + leaves[len(leaves) & ~1:]
    return leaves[0] if leaves else EMPTY


class Growing:
    """The root of a list of leaves that grows: the roots of its full subtrees from left to right."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def add(self, hashed):
        self.size += 1
        level = self.size
        while not level & 1:
            hashed, level = node(self.peaks.pop(), hashed), level >> 1
        self.peaks.append(hashed)

    def root(self):
        if not self.peaks:
            return EMPTY
        found = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            found = node(peak, found)
        return found


def included(index, size, hashed, proof):
    """The root that an inclusion proof leads to."""
    if not 0 <= index < size:
        raise BadProof("the index is not in the tree")
    path, first, after = [], 0, size
    while after - first > 1:
        middle = first + split(after - first)
        path.append(index >= middle)  # whether the sibling is on the left
        first, after = (middle, after) if index >= middle else (first, middle)
    if len(path) != len(proof):
        raise BadProof(f"{len(proof)} hashes where {len(path)} are due")
    for on_left, sibling in zip(reversed(path), proof):
        hashed = node(sibling, hashed) if on_left else node(hashed, sibling)
    return hashed


def consistent(old, new, old_root, new_root, proof):
    """Raises unless the tree of size `old` begins that of size `new` (RFC 9162, section 2.1.4.2)."""
    if not 0 < old <= new or (old == new and (proof or old_root != new_root)):
        raise BadProof("the sizes are not those of an older and a newer tree, or the roots of one size differ")
    if old == new:
        return
    path = [old_root, *proof] if old & old - 1 == 0 else list(proof)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not path:
        raise BadProof("too few hashes")
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise BadProof("too many hashes")
        if at & 1 or at == last:
            first, second = node(sibling, first), node(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node(second, sibling)
        at, last = at >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise BadProof("it does not lead from the older root to the newer one")


def root_of_range(size, a, leaves, left, right):
    """The root that a range proof leads to, for the leaves from index `a` on in a tree of the size."""
    b = a + len(leaves)
    lists = {"left": list(reversed(left)), "leaves": list(reversed(leaves)), "right": list(reversed(right))}

    def take(name):
        if not lists[name]:
            raise BadProof("the range proof has too few hashes")
        return lists[name].pop()

    def rebuilt(first, after):
        if after <= a:
            return take("left")
        if b <= first:
            return take("right")
        if after - first == 1:
            return take("leaves")
        middle = first + split(after - first)
        one = rebuilt(first, middle)
        return node(one, rebuilt(middle, after))

    if not 0 <= a <= b <= size:
        raise BadProof("the range is not in the tree")
    found = rebuilt(0, size) if size else EMPTY
    if any(lists.values()):
        raise BadProof("the range proof has too many hashes")
    return found


def tile_name(level, index, width=TILE):
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    elements = re.findall("...", digits)
    path = "".join(f"x{element}/" for element in elements[:-1]) + elements[-1]
    return f"tile/{level}/{path}" + (f".p/{width}" if width != TILE else "")


def parse_tile_name(path):
    """(level or `entries`, index, width), or None where it is not as it would be printed."""
    match = TILE_NAME.fullmatch(path)
    if not match:
        return None
    level = match[1] if match[1] == "entries" else int(match[1])
    named = level, int(re.sub("[x/]", "", match[2])), int(match[3] or TILE)
    return named if tile_name(*named) == path and (not match[3] or named[2] < TILE) and level != 64 else None


def tiles_of(size):
    """(level, index, width) of the tiles that are not full, and how many are full at each level."""
    partial, full, level = [], [], 0
    while size:
        full.append(size // TILE)
        if size % TILE:
            partial.append((level, size // TILE, size % TILE))
        level, size = level + 1, size // TILE
    return partial, full
